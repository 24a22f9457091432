import Bytes
import Models
import Tensors
import TestSupport
import Testing

/// Files of logits: what is written is what llama-perplexity's layout says, and can be read back.
@Suite struct LogitsFileTests {
  private let folder: TemporaryFolder
  private let text: TextChunks
  private let model: ModelSource

  init() throws {
    folder = try TemporaryFolder()
    text = try ForwardPassTests.shortText()
    model = try ForwardPassTests.model("tiny-llama")
  }

  private func save() throws -> (path: String, perplexity: LogLikelihood) {
    let path = folder.path("base.kld")
    let output = try OutputFile(path)
    let writer = try LogitsFileWriter(output, text, vocabularySize: model.parameters.vocabularySize, jobs: 2)
    let score = try Evaluation(text).perplexity(of: ForwardPass(model, jobs: 2), saving: writer)
    try output.publish()
    return (path, score)
  }

  @Test func theLayoutIsThatOfLlamaPerplexity() throws {
    let (path, _) = try save()
    let bytes = try RandomAccessFile(path).readAll(limit: 1 << 30)
    var cursor = ByteCursor(bytes)
    #expect(try cursor.string(8, "magic") == "_logits_")
    #expect(try cursor.uint32("context") == 72)
    #expect(try cursor.uint32("vocabulary") == 4096)
    #expect(try cursor.uint32("chunks") == UInt32(text.count))
    // 35 rows a chunk, 4100 numbers of 16 bits each.
    #expect(bytes.count == 20 + text.count * 72 * 4 + text.count * 35 * 4100 * 2)
    let expected = try ForwardPassTests.ids(ForwardPassTests.expected("tiny-llama").required("ids"))
    for id in expected.prefix(text.count * 72) { #expect(try cursor.uint32("token") == UInt32(id)) }
  }

  /// To half a step of a scale over at most 16 nats, and nothing told apart below that.
  @Test func storedPredictionsAreTheModelsToSixteenBits() throws {
    let (path, _) = try save()
    let file = try LogitsFileReader(opening: path)
    let pass = try ForwardPass(model, jobs: 2)
    let chunk = 3
    let states = try pass.embed([text.input(chunk)])
    for layer in 0..<pass.layerCount { try pass.apply(layer: layer, to: states) }
    let tile = try Matrix(rows: text.scored.count, columns: 4096)
    try pass.logits(of: text.scored, in: states, into: tile)
    for (index, position) in text.scored.enumerated() {
      let row = try file.row(position, of: chunk)
      let exact = LogitMath.logSoftmax(tile.view, row: index)
      let top = try #require(exact.max())
      #expect(row.scale <= 16 / 65535)
      for token in 0..<4096 {
        let floor = max(exact[token], top - 16)
        #expect((Double(row.logProbability(token)) - floor).magnitude < 0.51 * Double(row.scale) + 1e-5)
      }
    }
  }

  @Test func aModelHardlyDriftsFromItsOwnFile() throws {
    let (path, score) = try save()
    let file = try LogitsFileReader(opening: path)
    #expect(file.text(bos: 3840).count == text.count)
    #expect(file.text(bos: 3840).input(1) == text.input(1))
    let drift = try Evaluation(file.text(bos: 3840)).drift(of: ForwardPass(model, jobs: 2), from: file)
    #expect(drift.quantized == score)
    #expect((drift.reference.perplexity / score.perplexity - 1).magnitude < 1e-4)
    #expect(drift.meanDivergence.magnitude < 1e-4)
    #expect(drift.topOneAgreement > 0.999)
  }

  @Test func driftFromAFileIsThatFromTheModelThatWroteIt() throws {
    let (path, _) = try save()
    let changed = try model.replacing(AttributionTests.scaled("blk.2.ffn_up.weight", by: 1.2, in: model))
    let pass = try ForwardPass(changed, jobs: 2)
    let direct = try Evaluation(text).drift(of: [pass], from: ForwardPass(model, jobs: 2))[0].drift
    let stored = try Evaluation(text).drift(of: pass, from: LogitsFileReader(opening: path))
    #expect(stored.quantized == direct.quantized)
    #expect(direct.meanDivergence > 1e-3)
    #expect((stored.meanDivergence - direct.meanDivergence).magnitude < 2e-4)
    #expect((stored.topOneAgreement - direct.topOneAgreement).magnitude < 0.005)
    #expect((stored.logRatio - direct.logRatio).magnitude < 2e-4)
  }

  @Test func anotherVocabularyIsNotCompared() throws {
    let (path, _) = try save()
    let other = try ForwardPass(ForwardPassTests.model("forward/plain"), jobs: 1)
    let file = try LogitsFileReader(opening: path)
    let error = #expect(throws: InputError.self) { try Evaluation(file.text(bos: nil)).drift(of: other, from: file) }
    #expect(error?.code == .shape)
  }

  /// `fixtures/fuzz/logits/small.kld` with four bytes replaced: context, vocabulary, chunks, a token, a row's scale and
  /// minimum.
  @Test(arguments: [
    (0, "_LOG", InputError.Code.magic), (8, "\u{0}\u{0}\u{0}\u{0}", .limit), (8, "\u{7F}\u{7F}\u{7F}\u{7F}", .limit),
    (12, "\u{7F}\u{7F}\u{7F}\u{7F}", .limit), (16, "\u{7F}\u{7F}\u{7F}\u{7F}", .limit),
    (16, "\u{3}\u{0}\u{0}\u{0}", .truncated), (16, "\u{1}\u{0}\u{0}\u{0}", .bounds),
    (20, "\u{5}\u{0}\u{0}\u{0}", .bounds), (84, "\u{0}\u{0}\u{0}\u{7F}", .bounds),
    (88, "\u{0}\u{0}\u{0}\u{7F}", .bounds),
  ]) func brokenFilesAreRefused(_ offset: Int, _ bytes: String, _ code: InputError.Code) throws {
    var file = try RandomAccessFile(Fixtures.path("fuzz/logits/small.kld")).readAll(limit: 1 << 16)
    file.replaceSubrange(offset..<offset + 4, with: bytes.utf8)
    let path = try folder.write("broken.kld", file)
    let error = #expect(throws: InputError.self) {
      let reader = try LogitsFileReader(opening: path)
      for position in reader.text(bos: nil).scored { _ = try reader.row(position, of: 0) }
    }
    #expect(error?.code == code)
    #expect(error?.file == path)
  }

  @Test func aFileCutAnywhereIsRefused() throws {
    let file = try RandomAccessFile(Fixtures.path("fuzz/logits/small.kld")).readAll(limit: 1 << 16)
    for count in 0..<file.count {
      let path = try folder.write("cut.kld", Array(file.prefix(count)))
      #expect(throws: InputError.self, "\(count)") { try LogitsFileReader(opening: path) }
    }
  }
}
