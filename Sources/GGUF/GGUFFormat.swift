package import Bytes
package import Tensors

/// The constants of the format (ggml docs/gguf.md; ggml `gguf.h` and `gguf.cpp` at llama.cpp 0c1e57098) and the bounds
/// that this reader and writer add to it.
///
/// A file, little-endian throughout:
/// 1. `GGUF`, version u32, tensor count u64, key count u64
/// 2. every key: name (u64 length, bytes), value type u32, value; an array is element type u32, count u64, elements
/// 3. every tensor: name, number of dimensions u32, dimensions u64 (contiguous first), type u32, offset u64
/// 4. zeros up to a multiple of the alignment; offsets count from here
/// 5. every tensor's blocks, each followed by zeros up to a multiple of the alignment
package enum GGUFFormat {
  package static let magic: [UInt8] = [0x47, 0x47, 0x55, 0x46]
  package static let version: UInt32 = 3
  /// Version 2 has the same layout; it is read, never written.
  package static let oldestVersion: UInt32 = 2
  package static let alignmentKey = "general.alignment"
  package static let defaultAlignment = 32
  package static let maximumDimensions = 4
  /// ggml keeps names in 64 bytes with a final NUL.
  package static let maximumNameBytes = 63
  package static let maximumKeyBytes = 65_535
  /// As in ggml.
  package static let maximumArrayCount: UInt64 = 1 << 30

  // Ours: far above any real model, low enough that a hostile file costs nothing.
  package static let maximumKeys: UInt64 = 1 << 16
  package static let maximumTensors: UInt64 = 1 << 18
  package static let maximumHeaderBytes = 1 << 27
  package static let alignments = 8...(1 << 20)
}

/// `gguf_metadata_value_type`.
enum ValueType: UInt32 {
  case uint8, int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64
}

/// The laws that a key, a name, an alignment and a size keep, whether read or to be written.
package enum GGUFRules {
  /// - Throws: `NAME` unless `key` is 1 to 65,535 printable ASCII characters.
  package static func check(key: String) throws(InputError) {
    let count = key.utf8.count
    guard count > 0 else { throw InputError(.name, "a key is empty") }
    guard count <= GGUFFormat.maximumKeyBytes else {
      throw InputError(
        .name, "a key of \(count) bytes, where at most \(GGUFFormat.maximumKeyBytes) are allowed", subject: key)
    }
    guard key.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else {
      throw InputError(.name, "a key may hold printable ASCII characters only", subject: key)
    }
  }

  /// - Throws: `NAME` unless `name` is 1 to 63 bytes without control characters.
  package static func check(name: String) throws(InputError) {
    let count = name.utf8.count
    guard count > 0 else { throw InputError(.name, "a tensor's name is empty") }
    guard count <= GGUFFormat.maximumNameBytes else {
      throw InputError(
        .name, "a tensor's name of \(count) bytes, where ggml holds at most \(GGUFFormat.maximumNameBytes)",
        subject: name)
    }
    guard name.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
      throw InputError(.name, "a tensor's name holds a control character", subject: name)
    }
  }

  /// The alignment that `metadata` asks for, else 32.
  /// - Throws: `TYPE` unless it is a `uint32`, `ALIGN` unless it is a power of two and at least 8, `BOUNDS` above 1 MiB.
  package static func alignment(_ metadata: Metadata) throws(InputError) -> Int {
    guard let value = metadata[GGUFFormat.alignmentKey] else { return GGUFFormat.defaultAlignment }
    let subject = GGUFFormat.alignmentKey
    guard case .uint32(let alignment) = value else {
      throw InputError(.type, "expected a uint32", subject: subject)
    }
    guard alignment >= GGUFFormat.alignments.lowerBound, alignment & (alignment - 1) == 0 else {
      throw InputError(.alignment, "\(alignment) is not a power of two from 8 on", subject: subject)
    }
    guard alignment <= GGUFFormat.alignments.upperBound else {
      throw InputError(
        .bounds, "\(alignment) bytes, where at most \(GGUFFormat.alignments.upperBound) are sensible", subject: subject)
    }
    return Int(alignment)
  }

  /// Bytes of a tensor.
  ///
  /// Refused when elements × bytes of a block pass 63 bits, although the size itself (blocks × bytes of a block) may
  /// not: readers that multiply first would arrive at another, small size.
  /// - Throws: `SHAPE` for more than four dimensions or rows that are not whole blocks, `OVERFLOW`.
  package static func byteCount(_ dtype: DType, _ shape: Shape) throws(InputError) -> Int {
    guard shape.rank <= GGUFFormat.maximumDimensions else {
      throw InputError(.shape, "\(shape.rank) dimensions, where ggml has at most \(GGUFFormat.maximumDimensions)")
    }
    guard shape.columns % dtype.blockElements == 0 else {
      throw InputError(
        .shape, "a row of \(shape.columns) elements is not a multiple of the \(dtype.blockElements) in a \(dtype) block"
      )
    }
    _ = try SizeArithmetic.product(shape.elementCount, dtype.blockBytes)
    return try dtype.byteCount(of: shape.elementCount)
  }
}
