public import Bytes
public import Quantization

import GGUF
import Tensors

extension ImportanceMatrix {
  /// The files that llama-imatrix writes (llama.cpp 0c1e57098, tools/imatrix).
  public enum Form: String, CaseIterable, Sendable {
    /// Sums of squares and counts.
    case gguf
    /// Means times chunks. Of experts that no token chose it says importance 1, as if it had been measured.
    case dat
  }

  /// Writes to `output` and publishes it.
  /// - Parameter chunkSize: tokens in a chunk.
  /// - Throws: writing errors; the temporary file is removed then.
  public func write(to output: OutputFile, as form: Form, chunkSize: Int) throws {
    do {
      switch form {
      case .gguf: try writeGGUF(to: output, chunkSize: chunkSize)
      case .dat:
        let bytes = try legacyBytes(chunkSize: chunkSize)
        try unsafe output.write(bytes.span.bytes, at: 0)
      }
      try output.publish()
    } catch {
      output.discard()
      throw error
    }
  }

  private func writeGGUF(to output: OutputFile, chunkSize: Int) throws {
    var metadata = Metadata()
    metadata["general.type"] = .string("imatrix")
    metadata["imatrix.datasets"] = .strings(datasets)
    metadata["imatrix.chunk_count"] = .uint32(UInt32(clamping: chunkCount))
    metadata["imatrix.chunk_size"] = .uint32(UInt32(clamping: chunkSize))
    let scale = countsChunks ? Float(chunkSize) : 1
    var tensors: [(name: String, dtype: DType, shape: Shape)] = []
    var values: [[Float]] = []
    for (name, sums) in sums.sorted(by: { $0.key < $1.key }) {
      let matrices = sums.counts.count
      // As ggml does, a leading dimension of 1 is left out.
      let leading = matrices == 1 ? [] : [matrices]
      tensors.append(("\(name).in_sum2", .f32, try Shape(leading + [sums.columns])))
      tensors.append(("\(name).counts", .f32, try Shape(leading + [1])))
      values += [sums.squares.map { $0 * scale }, sums.counts.map { $0 * scale }]
    }
    let writer = try GGUFWriter(GGUFLayout(metadata: metadata, tensors: tensors), to: output)
    for (index, values) in values.enumerated() {
      let bytes = values.flatMap { littleEndian($0.bitPattern) }
      try unsafe writer.write(bytes.span.bytes, tensor: index)
    }
  }

  private func legacyBytes(chunkSize: Int) throws(InputError) -> [UInt8] {
    let stored = sums.sorted { $0.key < $1.key }.filter { $0.value.counts.contains { $0 > 0 } }
    var bytes = try number(stored.count)
    for (name, sums) in stored {
      let most = sums.counts.max() ?? 0
      let calls = countsChunks ? most : (most / Float(chunkSize)).rounded(.up)
      bytes += try number(name.utf8.count) + Array(name.utf8) + number(Int(exactly: calls) ?? .max)
      bytes += try number(sums.squares.count)
      for mean in entries[name] ?? [] { bytes += littleEndian((mean * calls).bitPattern) }
    }
    let dataset = Array((datasets.last ?? "").utf8)
    return try bytes + number(chunkCount) + number(dataset.count) + dataset
  }

  private func number(_ value: Int) throws(InputError) -> [UInt8] {
    guard let value = Int32(exactly: value) else {
      throw InputError(.limit, "\(value) does not fit the older form", remedy: "write a GGUF")
    }
    return littleEndian(UInt32(bitPattern: value))
  }

  private func littleEndian(_ bits: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: bits >> (8 * $0)) } }
}
