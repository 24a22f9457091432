import Bytes
public import Quantization

import Checkpoints
import GGUF
import Tensors

extension ImportanceMatrix {
  /// Reads what llama-imatrix writes, as a GGUF or in the older binary form (llama.cpp 0c1e57098, tools/imatrix).
  ///
  /// The GGUF holds sums of squares and counts; their quotient is the importance, 1 where nothing was counted. The older form
  /// holds means times chunks and the chunks, which it has of no expert apart.
  public init(reading path: String) throws {
    let file = try RandomAccessFile(path)
    self.init(file: path)
    do {
      if try FileKind(file) == .gguf {
        try read(GGUFFile(reading: file))
      } else {
        try readLegacy(file)
      }
    } catch let error as InputError {
      throw error.adding(file: path)
    }
  }

  private mutating func read(_ gguf: GGUFFile) throws {
    guard gguf.metadata["general.type"]?.string == "imatrix" else {
      throw InputError(.type, "a GGUF, but not of an importance matrix", remedy: "give the output of llama-imatrix")
    }
    datasets = gguf.metadata["imatrix.datasets"]?.strings ?? []
    chunkCount = gguf.metadata["imatrix.chunk_count"]?.integer ?? 0
    chunkSize = gguf.metadata["imatrix.chunk_size"]?.integer.flatMap { $0 > 0 ? $0 : nil }
    let suffix = ".in_sum2"
    for sums in gguf.tensors where sums.name.hasSuffix(suffix) {
      let name = String(sums.name.dropLast(suffix.count))
      guard let counts = gguf.tensor(name + ".counts"), counts.shape.elementCount == sums.rows else {
        throw InputError(.missing, "no counts for each of its \(sums.rows) rows", subject: name)
      }
      try add(name, Sums(squares: floats(sums), counts: floats(counts)))
    }
  }

  private func floats(_ tensor: Tensor) throws -> [Float] {
    guard tensor.dtype == .f32 else {
      throw InputError(.type, "F32 expected, found \(tensor.dtype)", subject: tensor.name)
    }
    return try tensor.values(of: 0..<tensor.rows)
  }

  /// i32 entries; each i32 length, name, i32 calls, i32 values, F32 values times calls; then i32 chunks and the data set.
  private mutating func readLegacy(_ file: RandomAccessFile) throws {
    countsChunks = true
    var cursor = ByteCursor(try file.readAll(limit: 1 << 30), file: file.path)
    let count = try cursor.uint32("the entry count")
    guard count > 0, count <= 1 << 20 else {
      throw InputError(
        .magic, "neither a GGUF nor an importance matrix", offset: 0, remedy: "give the output of llama-imatrix")
    }
    for _ in 0..<count {
      let name = try cursor.string(UInt64(cursor.uint32("a name's length")), "a name")
      let calls = max(1, Int32(bitPattern: try cursor.uint32("the calls")))
      let length = try cursor.uint32("the value count")
      let bytes = try cursor.take(UInt64(length) * 4, "the values")
      let values = stride(from: bytes.startIndex, to: bytes.endIndex, by: 4).map { index in
        Float(bitPattern: (0..<4).reduce(0) { $0 | UInt32(bytes[index + $1]) << (8 * $1) })
      }
      try add(name, Sums(squares: values, counts: [Float(calls)]))
    }
    guard cursor.remaining >= 8 else { return }
    chunkCount = Int(Int32(bitPattern: try cursor.uint32("the chunk count")))
    let dataset = try cursor.string(UInt64(cursor.uint32("the data set's length")), "the data set")
    datasets = dataset.isEmpty ? [] : [dataset]
  }
}
