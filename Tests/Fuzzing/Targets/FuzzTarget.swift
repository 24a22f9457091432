import Bytes
import Checkpoints
import Conversion
import GGUF
import Models
import Quantization
import Tensors
import TestSupport
import Tokenizers

/// A reader of bytes from outside, called as its users call it.
///
/// The law of each: whatever the bytes are, they are read or refused with an `InputError`, in bounded time and memory.
package enum FuzzTarget: String, CaseIterable, Sendable {
  case safetensors, torch, pickle, gguf, imatrix, tokenizer, sentencepiece, ranks, config, params, checklist, tasks,
    logits, hessian

  /// Reads `bytes` as what the target reads.
  /// - Parameter folder: for readers of files; its files are overwritten.
  /// - Returns: why they were refused; nil when they were read.
  /// - Throws: what is neither: a defect, or a failure of the system.
  @discardableResult
  package func read(_ bytes: [UInt8], in folder: TemporaryFolder) throws -> InputError? {
    do {
      switch self {
      case .safetensors: try FuzzTarget.checkpoint(folder.write("model.safetensors", bytes))
      case .torch: try FuzzTarget.checkpoint(folder.write("pytorch_model.bin", bytes))
      case .pickle: try FuzzTarget.checkpoint(folder.write("pytorch_model.bin", FuzzTarget.archive(bytes)))
      case .gguf: try FuzzTarget.gguf(folder.write("model.gguf", bytes))
      case .imatrix: _ = try ImportanceMatrix(reading: folder.write("imatrix", bytes))
      case .tokenizer:
        try FuzzTarget.tokenize(Tokenizer(TokenizerSources(tokenizer: JSONDocument(parsing: bytes).root)))
      case .sentencepiece:
        try FuzzTarget.tokenize(Tokenizer(sentencePiece: bytes, TokenizerSources(tokenizer: nil)))
      case .ranks: try FuzzTarget.tokenize(Tokenizer(rankFile: bytes, generation: .threeOne))
      case .config: try FuzzTarget.config(JSONDocument(parsing: bytes).root)
      case .params: try FuzzTarget.params(bytes, folder)
      case .checklist:
        try folder.write("listed/params.json", "{}")
        try folder.write("listed/checklist.chk", bytes)
        _ = try InputChecklist(of: folder.path("listed")).verify(jobs: 1)
      case .tasks: _ = try TaskFile(reading: folder.write("tasks", bytes))
      case .logits:
        let logits = try LogitsFileReader(opening: folder.write("logits", bytes))
        for position in logits.text(bos: nil).scored { _ = try logits.row(position, of: logits.header.chunks - 1) }
      case .hessian:
        try folder.write("hessians/blk.0.gguf", bytes)
        _ = try HessianFolder(reading: folder.path("hessians")).texts
      }
      return nil
    } catch let error as InputError {
      _ = error.description
      return error
    }
  }

  /// Every tensor of a checkpoint, a row at each end: whole ones may be large on purpose.
  private static func checkpoint(_ path: String) throws {
    for tensor in try Checkpoint(opening: path).tensors where tensor.rows > 0 && tensor.columns <= 1 << 20 {
      _ = try tensor.read(rows: 0..<1)
      _ = try tensor.read(rows: tensor.rows - 1..<tensor.rows)
    }
  }

  private static func gguf(_ path: String) throws {
    let model = try GGUFModel(opening: path)
    for tensor in model.tensors where tensor.rows > 0 && tensor.columns <= 1 << 20 {
      _ = try tensor.read(rows: tensor.rows - 1..<tensor.rows)
    }
    _ = try Inspection(of: path)
    try model.checkModel()
    try tokenize(Tokenizer(metadata: model.metadata))
    _ = try ModelSource(metadata: model.metadata, tensors: model.tensors, file: path)
  }

  private static let sample = "The  quick\tbrown fox, 1234567 jumps; naïve café 東京 🦊\n\n<|eot_id|> it's a=b\r\n"

  private static func tokenize(_ tokenizer: Tokenizer) throws {
    let ids = tokenizer.encode(sample)
    _ = tokenizer.decode(ids)
    _ = try tokenizer.ggufMetadata(vocabularySize: 1 << 16)
  }

  private static func config(_ config: JSONValue) throws {
    let parameters = try LlamaParameters(config: config)
    _ = try parameters.metadata(folder: "model", config: config, generation: nil, parameterCount: 1, fileType: 0)
  }

  /// Meta's params.json before shards that are right.
  private static func params(_ bytes: [UInt8], _ folder: TemporaryFolder) throws {
    if try !folder.names().contains("meta") { try MetaModel.small.write(to: folder, "meta", shards: 4) }
    try folder.write("meta/params.json", bytes)
    let checkpoint = try Checkpoint(opening: folder.path("meta"))
    guard let params = checkpoint.parameters?.root else { return }
    let meta = try MetaParameters(params: params, tensors: checkpoint.tensors)
    for tensor in try ModelSource(meta: meta, tensors: checkpoint.tensors).tensors {
      _ = try tensor.read(rows: tensor.rows - 1..<tensor.rows)
    }
  }

  /// A pickle with the rest of an archive around it, so that changed bytes still have the right checksum.
  private static func archive(_ pickle: [UInt8]) -> [UInt8] {
    ZipBytes([
      .init("archive/data.pkl", pickle), .init("archive/byteorder", Array("little".utf8)),
      .init("archive/data/0", [UInt8](0..<64)), .init("archive/data/1", [UInt8](0..<16)),
    ]).bytes
  }
}
