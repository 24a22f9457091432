import Bytes
import Conversion
import Quantization
import TestSupport
import Testing

@Suite struct ImportanceTests {
  private typealias Sums = ImportanceMatrix.Sums

  private func matrix(_ entries: [String: ImportanceMatrix.Sums]) throws -> ImportanceMatrix {
    var matrix = ImportanceMatrix(file: "test", datasets: ["text"], chunkCount: 4)
    for (name, sums) in entries { try matrix.add(name, sums) }
    return matrix
  }

  private func reread(
    _ matrix: ImportanceMatrix, as form: ImportanceMatrix.Form, chunkSize: Int = 16
  ) throws -> ImportanceMatrix {
    let folder = try TemporaryFolder()
    let path = folder.path("imatrix")
    try matrix.write(to: OutputFile(path), as: form, chunkSize: chunkSize)
    return try ImportanceMatrix(reading: path)
  }

  private static let entries: [String: ImportanceMatrix.Sums] = [
    "blk.0.attn_q.weight": Sums(squares: [64, 0, 32], counts: [64]),
    "blk.0.ffn_up_exps.weight": Sums(squares: [6, 12, 0, 0], counts: [3, 0]),
  ]

  @Test func aGGUFHoldsSumsAndCounts() throws {
    let matrix = try matrix(Self.entries)
    let found = try reread(matrix, as: .gguf)
    #expect(found.sums == matrix.sums)
    #expect(found.entries["blk.0.ffn_up_exps.weight"] == [2, 4, 1, 1])
    #expect(found.datasets == ["text"])
    #expect(found.chunkCount == 4)
  }

  /// llama-quantize's four keys, the last of all; paths by their last component.
  @Test(
    arguments: [
      ("/home/somebody/i.gguf", ["/tmp/a/wiki.txt", "b"], 3, "i.gguf", "wiki.txt"),
      ("i.dat", [], 0, "i.dat", nil),
      (String(repeating: "é", count: 100), ["x/"], 1, String(repeating: "é", count: 63), "x"),
    ] as [(String, [String], Int, String, String?)])
  func whatIsMadeWithItSaysSo(
    _ file: String, _ datasets: [String], _ chunks: Int, _ name: String, _ dataset: String?
  ) throws {
    var matrix = ImportanceMatrix(file: file, datasets: datasets, chunkCount: chunks)
    try matrix.add("blk.0.attn_q.weight", [Float](repeating: 1, count: 256))
    let plan = try ConversionPlan(
      ModelInput(opening: Fixtures.path("tiny-llama")), recipe: Recipe(.q4_K_M), importance: matrix)
    let prefix = "quantize.imatrix."
    #expect(plan.metadata[prefix + "file"]?.string == name)
    #expect(plan.metadata[prefix + "dataset"]?.string == dataset)
    #expect(plan.metadata[prefix + "entries_count"] == .uint32(1))
    #expect(plan.metadata[prefix + "chunks_count"] == (chunks > 0 ? .uint32(UInt32(chunks)) : nil))
  }

  @Test func theOlderFormHoldsTheMeans() throws {
    let matrix = try matrix(Self.entries)
    let found = try reread(matrix, as: .dat)
    #expect(found.entries == matrix.entries)
    #expect(found.countsChunks)
    #expect(found.chunkCount == 4)
  }

  @Test func whatNobodyCountedIsNotInTheOlderForm() throws {
    let found = try reread(
      matrix(["a": Sums(squares: [0, 0], counts: [0, 0]), "b": Sums(squares: [1], counts: [1])]), as: .dat)
    #expect(Array(found.entries.keys) == ["b"])
  }

  @Test(arguments: ImportanceMatrix.Form.allCases)
  func mergingAddsSumsAndCounts(_ form: ImportanceMatrix.Form) throws {
    var matrix = try matrix(["a": Sums(squares: [16, 32], counts: [16])])
    let other = try reread(
      self.matrix(["a": Sums(squares: [96, 0], counts: [32]), "b": Sums(squares: [16], counts: [16])]), as: form)
    try matrix.merge(other, chunkSize: 16)
    #expect(matrix.sums["a"] == Sums(squares: [112, 32], counts: [48]))
    #expect(matrix.sums["b"] == Sums(squares: [16], counts: [16]))
    #expect(matrix.entries["a"] == [112 / Float(48), 32 / Float(48)])
    #expect(matrix.chunkCount == 3)
    #expect(matrix.datasets == ["text", "text"])
  }

  /// The older form has one count for all experts.
  @Test func oneCountStandsForAllExperts() throws {
    var matrix = try matrix(["a": Sums(squares: [4, 8], counts: [4, 2])])
    try matrix.merge(self.matrix(["a": Sums(squares: [3, 3], counts: [3])]), chunkSize: 16)
    #expect(matrix.sums["a"] == Sums(squares: [7, 11], counts: [7, 5]))
  }

  @Test(arguments: [Sums(squares: [1], counts: [1]), Sums(squares: [1, 1, 1, 1], counts: [1, 1, 1, 1])])
  func mergingAnotherModelsIsRefused(_ other: ImportanceMatrix.Sums) throws {
    var matrix = try matrix(["a": Sums(squares: [4, 8, 1, 1], counts: [4, 2])])
    #expect { try matrix.merge(self.matrix(["a": other]), chunkSize: 16) } throws: {
      ($0 as? InputError)?.code == .shape
    }
  }

  @Test func mergingDoesNotOverflow() throws {
    var matrix = try matrix(["a": Sums(squares: [3e38], counts: [4])])
    #expect { try matrix.merge(matrix, chunkSize: 16) } throws: { ($0 as? InputError)?.code == .nonFinite }
  }

  @Test(arguments: [
    Sums(squares: [1], counts: [.nan]), Sums(squares: [1], counts: [-1]), Sums(squares: [.infinity], counts: [1]),
    Sums(squares: [.nan], counts: [0]),
  ]) func whatIsNoNumberIsRefused(_ sums: ImportanceMatrix.Sums) throws {
    #expect { try matrix(["a": sums]) } throws: { ($0 as? InputError)?.code == .nonFinite }
  }

  @Test func coverageNamesWhatIsNotKnown() throws {
    let coverage = ImportanceCoverage(
      try matrix([
        "sound": Sums(squares: [1, 2, 3], counts: [1]), "dead": Sums(squares: [0, 2, 0, 3], counts: [1, 1]),
        "unseen": Sums(squares: [1, 1, 0, 0, 0, 0], counts: [1, 0, 0]),
        "exploding": Sums(squares: [1, 1, 2e6, 1], counts: [1]), "large": Sums(squares: [1, 1, 5e5, 1], counts: [1]),
      ]))
    #expect(coverage.unseenExperts.map(\.tensor) == ["unseen"])
    #expect(coverage.unseenExperts.first?.experts == [1, 2])
    #expect(coverage.deadChannels.map(\.tensor) == ["dead"])
    #expect(coverage.deadChannels.first?.count == 2)
    #expect(coverage.exploding.map(\.tensor) == ["exploding"])
    #expect(coverage.exploding.first?.column == 2)
    #expect(coverage.lines.count == 3)
  }
}
