import Crypto
import Foundation
import TestSupport
import Testing

/// The same input and recipe give the same bytes, whatever the machine is asked to be.
@Suite(.serialized) struct SameBytesTests {
  private static let text = Fixtures.path("text/python-docs-calibrate.txt")

  private static let runs: [[String]] = [
    ["convert", "--type", "Q4_K_M"], ["convert", "--type", "IQ3_S"],
    [
      "convert", "--type", "Q4_K_M", "--method", "gptq", "--calibration", text, "--calibration-tokens", "2048",
    ],
    ["calibrate", "--text", text, "--chunks", "6"],
  ]

  /// Other numbers of threads, instruction sets, languages, time zones and bounds of memory.
  private static let settings: [(flags: [String], environment: [String: String])] = [
    (["-j", "1"], [:]), (["-j", "2"], ["QUERN_ISA": "v3"]), (["-j", "3"], ["QUERN_ISA": "baseline"]),
    (["-j", "8"], ["LC_ALL": "tr_TR.UTF-8", "TZ": "Pacific/Chatham"]), (["-j", "8"], ["QUERN_ISA": "baseline"]),
    (["--memory", "256M"], ["LANG": "C", "HOME": "/nonexistent"]), (["-j", "3"], ["QUERN_ISA": "v4"]),
  ]

  @Test(arguments: runs) func nothingThatIsSetShowsInTheBytes(_ run: [String]) throws {
    let folder = try TemporaryFolder()
    var digests: Set<String> = []
    for (number, setting) in SameBytesTests.settings.enumerated() {
      let out = folder.path("\(number).gguf")
      let made = try CommandRun(
        CommandRun.quern,
        [run[0], Fixtures.path("tiny-llama")] + run.dropFirst() + setting.flags + ["-o", out, "-q"],
        environment: setting.environment)
      // A machine need not have every instruction set.
      if made.code == 2, setting.environment["QUERN_ISA"] != nil, made.errors.contains("this machine") { continue }
      #expect(made.code == 0, "\(setting): \(made.errors)")
      digests.insert(SHA256.hash(data: try Data(contentsOf: URL(fileURLWithPath: out))).description)
    }
    #expect(digests.count == 1, "\(run)")
  }
}
