import Foundation
import TestSupport
import Testing

/// `quern split`, `quern merge`, and `quern convert` into sets, as a user runs them.
@Suite struct SplitSetTests {
  private let tiny = Fixtures.path("tiny-llama")

  private func data(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }

  private func names(_ folder: TemporaryFolder, _ name: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder.path(name)).sorted()
  }

  private func object(_ text: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  private func run(_ arguments: String...) throws -> CommandRun {
    let run = try CommandRun(CommandRun.quern, arguments)
    #expect(run.code == 0, "\(run.errors)")
    return run
  }

  /// The whole file, and folders `a` and `b` for sets.
  private func folder() throws -> (TemporaryFolder, whole: String) {
    let folder = try TemporaryFolder()
    for name in ["a", "b"] { try folder.makeFolder(name) }
    let whole = folder.path("whole.gguf")
    _ = try run("convert", tiny, "-t", "Q4_K_M", "-o", whole, "-q")
    return (folder, whole)
  }

  @Test(arguments: [["--split-max-tensors", "20"], ["--split-max-size", "1500K"], ["--split-max-tensors", "1"]])
  func convertingIntoASetIsConvertingAndSplitting(_ cut: [String]) throws {
    let (folder, whole) = try folder()
    _ = try run("split", whole, "-o", folder.path("a/m.gguf"), cut[0], cut[1], "-q")
    _ = try run("convert", tiny, "-t", "Q4_K_M", "-o", folder.path("b/m.gguf"), cut[0], cut[1], "-q")
    let members = try names(folder, "a")
    #expect(try members.count > 1 && members == names(folder, "b"))
    for name in members { #expect(try data(folder.path("a/\(name)")) == data(folder.path("b/\(name)")), "\(name)") }
  }

  /// From any member, and from a set that was cut again.
  @Test func mergingGivesTheFileThatWasSplit() throws {
    let (folder, whole) = try folder()
    _ = try run("split", whole, "-o", folder.path("a/m"), "--split-max-tensors", "13", "-q")
    let members = try names(folder, "a")
    #expect(members.count == 5 && members[1] == "m-00002-of-00005.gguf")
    for member in [members[0], members[3]] {
      _ = try run("merge", folder.path("a/\(member)"), "-o", folder.path("merged.gguf"), "--force", "-q")
      #expect(try data(folder.path("merged.gguf")) == data(whole))
    }
    _ = try run("split", folder.path("a/\(members[2])"), "-o", folder.path("b/m"), "--split-max-size", "1M", "-q")
    let again = try names(folder, "b")
    _ = try run("merge", folder.path("b/\(again[0])"), "-o", folder.path("merged.gguf"), "--force", "-q")
    #expect(try data(folder.path("merged.gguf")) == data(whole))
  }

  @Test func everyCommandReadsASetAsOneModel() throws {
    let (folder, whole) = try folder()
    _ = try run("split", whole, "-o", folder.path("a/m"), "--split-max-tensors", "13", "-q")
    let set = folder.path("a/m-00001-of-00005.gguf")
    for (name, model) in [("one", whole), ("set", set)] {
      _ = try run("convert", model, "-t", "Q4_0", "-o", folder.path("\(name).gguf"), "-q")
    }
    #expect(try data(folder.path("one.gguf")) == data(folder.path("set.gguf")))
    let text = Fixtures.path("text/python-docs-evaluate.txt")
    let perplexities = try [whole, set].map { model in
      try object(run("perplexity", model, "--text", text, "--chunks", "1", "--json", "-q").output)["perplexity"]
        as? Double
    }
    #expect(perplexities[0] != nil && perplexities[0] == perplexities[1])
    let drift = try object(
      run("verify", set, "--against", whole, "--text", text, "--chunks", "1", "--json", "-q").output)
    #expect((drift["kld"] as? [String: Any])?["mean"] as? Double == 0)
    let shown = try run("inspect", set).output
    #expect(shown.contains("5 files") && shown.contains("57 tensors"))
    #expect(try run("tokenize", set, "a b").output == run("tokenize", whole, "a b").output)
  }

  @Test func aSetIsReportedFileByFile() throws {
    let (folder, whole) = try folder()
    let dry = try object(
      run("split", whole, "-o", folder.path("a/m"), "--split-max-tensors", "30", "--dry-run", "--json").output)
    #expect(try names(folder, "a").isEmpty)
    let written = try object(
      run("split", whole, "-o", folder.path("a/m"), "--split-max-tensors", "30", "--json", "-q").output)
    let converted = try object(
      run(
        "convert", tiny, "-t", "Q4_K_M", "-o", folder.path("b/m"), "--split-max-tensors", "30", "--json", "-q"
      ).output)
    let planned = try object(
      run(
        "convert", tiny, "-t", "Q4_K_M", "-o", folder.path("b/m"), "--split-max-tensors", "30", "--json", "--dry-run"
      ).output)
    #expect(converted["sha256"] is NSNull)
    for report in [dry, written, converted, planned] {
      let files = try #require(report["files"] as? [[String: Any]])
      #expect(files.count == 2)
      let made = try files.map { file in
        let path = try #require(file["path"] as? String)
        if let sum = file["sha256"] as? String {
          #expect(try CommandRun("/usr/bin/env", ["sha256sum", path]).output.hasPrefix(sum))
        }
        return try #require(FileManager.default.attributesOfItem(atPath: path)[.size] as? Int)
      }
      #expect(files.map { $0["file_bytes"] as? Int } == made)
      #expect(report["file_bytes"] as? Int == made.reduce(0, +))
      #expect(report["output"] as? String == files[0]["path"] as? String)
    }
  }

  @Test func whatFitsInOneFileIsAnOrdinaryFileOfConvertAndASetOfOneOfSplit() throws {
    let (folder, whole) = try folder()
    _ = try run("convert", tiny, "-t", "Q4_K_M", "-o", folder.path("a/m.gguf"), "--split-max-size", "4G", "-q")
    #expect(try names(folder, "a") == ["m.gguf"] && data(folder.path("a/m.gguf")) == data(whole))
    _ = try run("split", whole, "-o", folder.path("b/m.gguf"), "-q")
    #expect(try names(folder, "b") == ["m-00001-of-00001.gguf"])
    _ = try run("merge", folder.path("b/m-00001-of-00001.gguf"), "-o", folder.path("merged.gguf"), "-q")
    #expect(try data(folder.path("merged.gguf")) == data(whole))
  }

  @Test func aTakenNameOfOneMemberIsToldOfBeforeAnythingIsWritten() throws {
    let (folder, whole) = try folder()
    try folder.write("a/m-00003-of-00005.gguf", "precious")
    for arguments in [["split", whole], ["convert", tiny, "-t", "Q4_K_M"]] {
      let refused = try CommandRun(
        CommandRun.quern, arguments + ["-o", folder.path("a/m"), "--split-max-tensors", "13", "-q"])
      #expect(refused.code == 74 && refused.errors.contains("m-00003-of-00005.gguf"), "\(refused.errors)")
      #expect(try names(folder, "a") == ["m-00003-of-00005.gguf"])
      #expect(try data(folder.path("a/m-00003-of-00005.gguf")) == Data("precious".utf8))
    }
    _ = try run("split", whole, "-o", folder.path("a/m"), "--split-max-tensors", "13", "--force", "-q")
    #expect(try names(folder, "a").count == 5)
  }

  @Test func whatIsWrongWithASetIsNamed() throws {
    let (folder, whole) = try folder()
    _ = try run("split", whole, "-o", folder.path("a/m"), "--split-max-tensors", "13", "-q")
    let second = folder.path("a/m-00002-of-00005.gguf")
    let others = try data(folder.path("a/m-00003-of-00005.gguf"))
    func refuse(_ code: Int32, _ words: String...) throws {
      for command in [
        ["merge", "-o", folder.path("x.gguf")], ["convert", "-t", "Q8_0", "-o", folder.path("x.gguf")], ["inspect"],
        ["perplexity", "--text", Fixtures.path("text/python-docs-evaluate.txt")],
      ] {
        let run = try CommandRun(
          CommandRun.quern, [command[0], folder.path("a/m-00001-of-00005.gguf")] + command.dropFirst())
        #expect(run.code == code, "\(command[0]): \(run.errors)")
        for word in words { #expect(run.errors.contains(word), "\(command[0]): \(run.errors)") }
      }
    }
    try FileManager.default.removeItem(atPath: second)
    try refuse(69, "m-00002-of-00005.gguf", "MISSING")
    try others.write(to: URL(fileURLWithPath: second))
    try refuse(69, "m-00002-of-00005.gguf", "not number 2 of 5", "MISSING")
    #expect(!FileManager.default.fileExists(atPath: folder.path("x.gguf")))
    let noSet = try CommandRun.quern("merge", whole, "-o", folder.path("x.gguf"))
    #expect(noSet.code == 65 && noSet.errors.contains("UNSUPPORTED"))
  }

  @Test(arguments: [
    ["--split-max-tensors", "0"], ["--split-max-size", "0"], ["--split-max-size", "4X"], ["--split-max-size", "1.5G"],
    ["--split-max-size", "99999999999G"],
  ]) func aLimitThatCannotBeIsWrongUsage(_ cut: [String]) throws {
    for command in ["split", "convert"] {
      #expect(try CommandRun(CommandRun.quern, [command, "x", "-o", "y"] + cut).code == 2)
    }
  }
}
