import Foundation
import TestSupport
import Testing

/// Runs that are killed, and the same command again.
@Suite(.serialized) struct ResumeTests {
  private let tiny = Fixtures.path("tiny-llama")
  private let text = Fixtures.path("text/python-docs-calibrate.txt")

  /// Each with what says that it has done at least one block and not all.
  private static let runs: [[String]] = [
    ["calibrate", "--text", "TEXT", "--chunks", "24", "--save-every", "0"],
    ["calibrate", "--text", "TEXT", "--chunks", "24", "--save-every", "0", "--memory", "64M", "--output-tensor"],
    ["calibrate", "--text", "TEXT", "--chunks", "24", "--save-every", "0", "--hessian", "FOLDER"],
    ["convert", "--type", "Q4_K_M", "--method", "gptq", "--calibration", "TEXT", "--calibration-tokens", "2048"],
    [
      "convert", "--type", "Q4_K_M", "--method", "gptq", "--calibration", "TEXT", "--calibration-tokens", "2048",
      "--save-states", "0",
    ],
    [
      "convert", "--type", "Q4_K_M", "--awq", "--allocate", "--method", "gptq", "--gptq", "sequential=off",
      "--calibration", "TEXT",
      "--calibration-tokens", "1024",
    ],
  ]

  private func arguments(_ run: [String], _ output: String) -> [String] {
    [run[0], tiny] + run.dropFirst().map { $0 == "TEXT" ? text : $0 == "FOLDER" ? output + ".folder" : $0 }
      + ["-o", output, "-q"]
  }

  /// Other whenever the file is.
  private func stamp(_ path: String) -> [AnyHashable] {
    let attributes = try? FileManager.default.attributesOfItem(atPath: path)
    return [
      attributes?[.size] as? Int, attributes?[.modificationDate] as? Date, attributes?[.systemFileNumber] as? Int,
    ]
  }

  private func size(_ path: String) -> Int {
    (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
  }

  @Test(arguments: runs) func aKilledRunGoesOnToTheSameBytes(_ run: [String]) throws {
    let folder = try TemporaryFolder()
    let (whole, killed) = (folder.path("whole"), folder.path("killed"))
    let first = try CommandRun(CommandRun.quern, arguments(run, whole))
    #expect(first.code == 0, "\(first.errors)")
    // After two changes of the file, and then once more after the next.
    var last = stamp(killed)
    for changes in [2, 1] {
      var seen = 0
      #expect(
        try CommandRun.kill(CommandRun.quern, arguments(run, killed)) {
          let now = stamp(killed + ".resume")
          if now != last { (last, seen) = (now, seen + 1) }
          return seen > changes
        })
      #expect(size(killed) == 0)
    }
    let resumed = try CommandRun(CommandRun.quern, arguments(run, killed))
    #expect(resumed.code == 0, "\(resumed.errors)")
    #expect(FileManager.default.contentsEqual(atPath: whole, andPath: killed))
    for left in [".resume", ".states.resume"] { #expect(size(killed + left) == 0) }
    guard run.contains("FOLDER") else { return }
    let files = try FileManager.default.contentsOfDirectory(atPath: whole + ".folder")
    #expect(files.count == 6)
    for file in files {
      #expect(
        FileManager.default.contentsEqual(atPath: "\(whole).folder/\(file)", andPath: "\(killed).folder/\(file)"))
    }
  }

  @Test func anotherRunIsRefusedByWhatDiffers() throws {
    let folder = try TemporaryFolder()
    let out = folder.path("out")
    let run = ResumeTests.runs[3]
    #expect(
      try CommandRun.kill(CommandRun.quern, arguments(run, out)) { size(out + ".resume") > 0 })
    for (arguments, name) in [
      (["--calibration-seed", "7"], "calibration"), (["--gptq", "damping=0.02"], "options"),
      (["--tensor-type", "attn_v=Q8_0"], "recipe"),
    ] {
      let refused = try CommandRun(CommandRun.quern, self.arguments(run, out) + arguments)
      #expect(refused.code == 74)
      #expect(refused.errors.contains("differs in: \(name);") && refused.errors.contains("--no-resume"))
    }
    #expect(size(out) == 0 && size(out + ".resume") > 0)
    let anew = try CommandRun(CommandRun.quern, arguments(run, out) + ["--calibration-seed", "7", "--no-resume"])
    #expect(anew.code == 0, "\(anew.errors)")
    #expect(size(out) > 0 && size(out + ".resume") == 0)
  }

  @Test func whatIsNoStateIsLeftAlone() throws {
    let folder = try TemporaryFolder()
    let state = try folder.write("out.resume", "somebody's notes")
    for arguments in [[], ["--no-resume"]] {
      let refused = try CommandRun(
        CommandRun.quern, self.arguments(ResumeTests.runs[0], folder.path("out")) + arguments)
      #expect(refused.code == 74)
      #expect(try String(contentsOfFile: state, encoding: .utf8) == "somebody's notes")
    }
  }
}
