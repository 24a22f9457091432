import Foundation
import TestSupport
import Testing

/// `quern convert --provenance`, and what `quern check` makes of it.
@Suite struct ProvenanceTests {
  private let folder: TemporaryFolder
  private let tiny = Fixtures.path("tiny-llama")
  private var path: String { folder.path("model.gguf") }

  init() throws { folder = try TemporaryFolder() }

  private func data(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }

  private func object(_ text: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  @discardableResult
  private func convert(_ flags: String..., from input: String? = nil, folder place: String? = nil) throws -> CommandRun
  {
    let run = try CommandRun(
      CommandRun.quern,
      ["convert", input ?? tiny, "-t", "Q4_0", "-o", path, "--provenance", "-q", "--json"] + flags, folder: place)
    #expect(run.code == 0, "\(run.errors)")
    return run
  }

  private func check(_ flags: String...) throws -> [String: Any] {
    try object(CommandRun(CommandRun.quern, ["check", path, "--json"] + flags).output)
  }

  private func subjects(_ report: [String: Any]) -> [String] {
    (report["findings"] as? [[String: Any]] ?? []).compactMap { $0["subject"] as? String }
  }

  private func statement() throws -> [String: Any] {
    try object(String(contentsOfFile: folder.path("model.intoto.json"), encoding: .utf8))
  }

  private func parts() throws -> [[String: Any]] {
    let predicate = try #require(try statement()["predicate"] as? [String: Any])
    return try #require((predicate["runDetails"] as? [String: Any])?["byproducts"] as? [[String: Any]])
  }

  @Test func withoutTheFlagAFileSaysNothingOfIt() throws {
    let run = try CommandRun.quern("convert", tiny, "-t", "Q4_0", "-o", path, "-q")
    #expect(run.code == 0)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["model.gguf"])
    let metadata = try CommandRun.quern("inspect", path, "--json").output
    #expect(!metadata.contains("\"quern.") && !metadata.contains("quantized_by"))
  }

  @Test func theFileSaysWhatItWasMadeFrom() throws {
    let run = try object(convert("--quantized-by", "A. Miller", "--pure", "--tensor-type", "attn_v=Q8_0").output)
    #expect(run["sums"] as? String == folder.path("model.sha256"))
    #expect(run["statement"] as? String == folder.path("model.intoto.json"))
    let metadata = try #require(
      try object(CommandRun.quern("inspect", path, "--json").output)["metadata"] as? [String: Any])
    #expect(metadata["general.quantized_by"] as? String == "A. Miller")
    #expect(metadata["quern.method"] as? String == "rtn")
    #expect(metadata["quern.recipe"] as? String == "type=Q4_0; pure; tensor-type=attn_v=Q8_0; search=standard")
    let names = try #require(metadata["quern.source.files"] as? [String])
    let digests = try #require(metadata["quern.source.sha256"] as? [String])
    #expect(names.contains("model.safetensors") && names.contains("config.json") && names.contains("tokenizer.json"))
    let found = try CommandRun("/usr/bin/sha256sum", names, folder: tiny).output
    #expect(found == zip(digests, names).map { "\($0)  \($1)\n" }.joined())
  }

  /// From another folder, by another path, on another number of threads.
  @Test func itIsTheSameAnywhere() throws {
    try convert("--jobs", "1")
    let names = ["model.gguf", "model.sha256", "model.intoto.json"]
    let first = try names.map { try data(folder.path($0)) }
    for part in first {
      #expect(part.range(of: Data(folder.path.utf8)) == nil && part.range(of: Data(tiny.utf8)) == nil)
    }
    try folder.makeFolder("deep")
    try FileManager.default.copyItem(atPath: tiny, toPath: folder.path("deep/tiny-llama"))
    try convert("--force", "--jobs", "3", from: "tiny-llama", folder: folder.path("deep"))
    #expect(try names.map { try data(folder.path($0)) } == first)
  }

  @Test(arguments: ["model.gguf", "a\\b.gguf", "with space", "set.gguf"]) func sha256sumTakesTheList(name: String)
    throws
  {
    let flags = name == "set.gguf" ? ["--split-max-tensors", "20"] : []
    let run = try CommandRun(
      CommandRun.quern,
      ["convert", tiny, "-t", "Q4_0", "-o", folder.path(name), "--provenance", "-q", "--json"] + flags)
    let list = try #require(try object(run.output)["sums"] as? String)
    let proved = try CommandRun("/usr/bin/sha256sum", ["--strict", "-c", list], folder: folder.path)
    #expect(
      proved.code == 0 && proved.output.split(separator: "\n").count == (flags.isEmpty ? 1 : 3), "\(proved.errors)")
    let file = flags.isEmpty ? folder.path(name) : folder.path("set-00001-of-00003.gguf")
    #expect(try CommandRun.quern("check", file).output.contains("intoto.json says"))
  }

  /// Row 29 of the fault list: one bit anywhere is told by the name of what holds it.
  @Test func oneFlippedBitNamesItsTensor() throws {
    try convert()
    let whole = try data(path)
    let parts = try parts()
    #expect(parts.count == 58)
    var generator = SeededGenerator(seed: 29)
    for _ in 0..<40 {
      let position = Int.random(in: 0..<whole.count, using: &generator)
      var bytes = whole
      bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
      try bytes.write(to: URL(fileURLWithPath: path))
      let hit = try parts.first { part in
        let notes = try #require(part["annotations"] as? [String: Any])
        let (offset, count) = (try #require(notes["offset"] as? Int), try #require(notes["bytes"] as? Int))
        return (offset..<offset + count).contains(position)
      }
      let found = subjects(try check())
      #expect(found.contains("model.gguf"), "byte \(position)")
      // Between tensors nothing has a name.
      #expect(hit == nil || found.contains(hit?["name"] as? String ?? ""), "byte \(position)")
      let others = parts.compactMap { $0["name"] as? String }.filter { $0 != hit?["name"] as? String }
      #expect(Set(found).intersection(others).isEmpty || hit?["name"] as? String == "header", "byte \(position)")
    }
    try whole.write(to: URL(fileURLWithPath: path))
    #expect(try check()["passed"] as? Bool == true)
  }

  @Test func aFileOfBothLengthsIsFound() throws {
    try convert()
    let whole = try data(path)
    for changed in [whole.dropLast(5000), whole + Data(count: 64)] {
      try changed.write(to: URL(fileURLWithPath: path))
      #expect(try subjects(check()).contains("model.gguf"))
    }
  }

  @Test func anotherCopyOfTheModelIsNotTheSource() throws {
    try convert()
    #expect(try check("--against", tiny)["passed"] as? Bool == true)
    try FileManager.default.copyItem(atPath: tiny, toPath: folder.path("copy"))
    let config = folder.path("copy/config.json")
    try (data(config) + Data("\n".utf8)).write(to: URL(fileURLWithPath: config))
    #expect(try subjects(check("--against", folder.path("copy"))) == ["config.json"])
  }

  @Test func calibrationIsNamedByItsDigest() throws {
    let text = Fixtures.path("text/python-docs-calibrate.txt")
    try convert(
      "--method", "gptq", "--calibration", text, "--calibration-tokens", "2048", "--calibration-context", "256")
    let metadata = try #require(
      try object(CommandRun.quern("inspect", path, "--json").output)["metadata"] as? [String: Any])
    let digest = try CommandRun("/usr/bin/sha256sum", [text]).output.prefix(64)
    #expect(metadata["quern.calibration.sha256"] as? [String] == [String(digest)])
    #expect(metadata["quern.calibration.tokens"] as? Int == 2048 && metadata["quern.method"] as? String == "gptq")
  }

  @Test func neitherFileIsReplacedUnasked() throws {
    try folder.write("model.sha256", "mine\n")
    let run = try CommandRun.quern("convert", tiny, "-t", "Q4_0", "-o", path, "--provenance", "-q")
    #expect(run.code == 74 && run.errors.contains("model.sha256"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["model.sha256"])
    try convert("--force")
    #expect(try check()["passed"] as? Bool == true)
  }

  @Test func aNameNeedsProvenance() throws {
    #expect(try CommandRun.quern("convert", tiny, "-o", path, "--quantized-by", "me").code == 2)
  }

  @Test func aModelfileAndACardLieBesideTheOutput() throws {
    try convert("--modelfile", "--model-card", "--verify", Fixtures.path("text/python-docs-evaluate.txt"))
    let modelfile = try String(contentsOfFile: folder.path("model.Modelfile"), encoding: .utf8)
    #expect(modelfile.hasPrefix("FROM ./model.gguf\n") && modelfile.contains("PARAMETER stop"))
    let card = try String(contentsOfFile: folder.path("model.md"), encoding: .utf8)
    let digest = try CommandRun("/usr/bin/sha256sum", [path]).output.prefix(64)
    for expected in [
      "---\nquantized_by: \"Quern", "| model.gguf | Q4\\_0 | ", "## What was lost",
      "\(digest)  model.gguf",
      "type=Q4\\_0", "| model.safetensors | `",
    ] { #expect(card.contains(expected), "\(expected) in \(card)") }
    #expect(!card.contains(folder.path) && !card.contains(tiny))
  }

  @Test func aModelfileIsOfOneFile() throws {
    let run = try CommandRun.quern(
      "convert", tiny, "-t", "Q4_0", "-o", path, "--modelfile", "--split-max-tensors", "20")
    #expect(run.code == 2)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
  }
}
