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
    ["convert", "--type", "IQ3_S", "--save-every", "0", "-j", "1"],
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

  /// Stops `run` when `isTime` says so. One that was quicker than that, whose output has its name, is started anew without it.
  private func stop(
    _ run: [String], _ out: String, with signal: Int32 = SIGKILL, when isTime: () -> Bool
  ) throws -> CommandRun {
    func clear() {
      for made in ["", ".folder", ".resume", ".states.resume"] {
        try? FileManager.default.removeItem(atPath: out + made)
      }
    }
    while true {
      let stopped = try CommandRun.stopped(
        CommandRun.quern, arguments(run, out), with: signal, clear: clear, when: isTime)
      if size(out) == 0 { return stopped }
      clear()
    }
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
      let stopped = try stop(run, killed) {
        let now = stamp(killed + ".resume")
        if now != last { (last, seen) = (now, seen + 1) }
        return seen > changes
      }
      #expect(stopped.code == 128 + SIGKILL && size(killed) == 0, "\(stopped.errors)")
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
    #expect(try stop(run, out) { size(out + ".resume") > 0 }.code == 128 + SIGKILL)
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

  /// A plain conversion killed when it had saved some of its output: the names of its two files.
  private func killedConversion(_ folder: TemporaryFolder) throws -> (state: String, partial: String) {
    let (state, partial) = (folder.path("out.resume"), folder.path(".out.partial"))
    #expect(try stop(ResumeTests.plain, folder.path("out")) { size(state) > 1000 }.code == 128 + SIGKILL)
    return (state, partial)
  }

  private static let plain = runs[6]

  private func flip(_ path: String, at offset: Int) throws {
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
    try file.seek(toOffset: UInt64(offset))
    let byte = try #require(try file.read(upToCount: 1)?.first)
    try file.seek(toOffset: UInt64(offset))
    try file.write(contentsOf: [byte ^ 0x10])
  }

  @Test func aPlainConversionOfOtherFlagsIsRefusedAndTheOldOneGoesOn() throws {
    let folder = try TemporaryFolder()
    let (out, whole) = (folder.path("out"), folder.path("whole"))
    _ = try killedConversion(folder)
    let refused = try CommandRun.quern("convert", tiny, "--type", "Q5_0", "-o", out)
    #expect(refused.code == 74 && refused.errors.contains("differs in: recipe;"), "\(refused.errors)")
    let resumed = try CommandRun(
      CommandRun.quern, arguments(ResumeTests.plain, out).dropLast() + ["--json"])
    #expect(resumed.code == 0, "\(resumed.errors)")
    let report = try JSONSerialization.jsonObject(with: Data(resumed.output.utf8)) as? [String: Any]
    let (old, new) = (report?["resumed_bytes"] as? Int ?? 0, report?["bytes_written"] as? Int ?? 0)
    #expect(old > 0 && new > 0 && old + new == size(out))
    let once = try CommandRun(CommandRun.quern, arguments(ResumeTests.plain, whole))
    #expect(once.output.contains("sha256 \(report?["sha256"] as? String ?? "")\n"), "\(once.output)")
    #expect(FileManager.default.contentsEqual(atPath: whole, andPath: out))
  }

  /// Without the file that it speaks of, a state of a plain conversion stands in nobody's way.
  @Test func aStateWithoutItsFileIsDropped() throws {
    let folder = try TemporaryFolder()
    let files = try killedConversion(folder)
    try FileManager.default.removeItem(atPath: files.partial)
    let other = try CommandRun.quern("convert", tiny, "--type", "Q5_0", "-o", folder.path("out"))
    #expect(other.code == 0, "\(other.errors)")
    #expect(try folder.names() == ["out"])
  }

  @Test(arguments: [0, 20_000, 600_000]) func aFileThatIsDamagedIsMadeAnew(_ place: Int) throws {
    let folder = try TemporaryFolder()
    let (out, whole) = (folder.path("out"), folder.path("whole"))
    let files = try killedConversion(folder)
    try flip(files.partial, at: place)
    #expect(try CommandRun(CommandRun.quern, arguments(ResumeTests.plain, out)).code == 0)
    #expect(try CommandRun(CommandRun.quern, arguments(ResumeTests.plain, whole)).code == 0)
    #expect(FileManager.default.contentsEqual(atPath: whole, andPath: out))
    #expect(try folder.names() == ["out", "whole"])
  }

  @Test(arguments: [SIGTERM, SIGINT, SIGHUP]) func aSignalStopsInGoodOrder(_ signal: Int32) throws {
    let folder = try TemporaryFolder()
    let out = folder.path("out")
    let stopped = try stop(ResumeTests.plain, out, with: signal) { size(out + ".resume") > 1000 }
    #expect(stopped.code == 75 && stopped.errors.contains("the same command goes on"), "\(stopped.errors)")
    #expect(size(out) == 0)
    let resumed = try CommandRun(CommandRun.quern, arguments(ResumeTests.plain, out).dropLast())
    #expect(resumed.code == 0 && resumed.errors.contains("were there already"), "\(resumed.errors)")
    #expect(try folder.names() == ["out"])
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
