import Bytes
import Tensors

/// The header of a safetensors file, every law of it checked.
struct SafetensorsHeader {
  struct Entry {
    let name: ExactString
    let dtype: DType
    let shape: Shape
    /// Range in the data part.
    let begin: Int
    let end: Int
    /// Where the entry stands in the file, for messages.
    let offset: UInt64
  }

  private(set) var metadata: [(key: String, value: String)] = []
  /// Sorted by name.
  private(set) var entries: [Entry] = []

  /// - Parameter dataBytes: bytes of the file after the header.
  init(_ root: JSONValue, dataBytes: Int) throws(InputError) {
    // A number or a list is JSON, but no header.
    guard root.kind == .object else {
      throw InputError(.json, "an object expected as header", file: root.file, offset: root.offset)
    }
    entries.reserveCapacity(root.count)
    for (key, value) in try root.members() {
      let name = ExactString(try key.string())
      if name == "__metadata__" {
        metadata = try SafetensorsHeader.metadata(value)
      } else {
        do {
          entries.append(try SafetensorsHeader.entry(name, key, value, dataBytes: dataBytes))
        } catch { throw error.adding(file: root.file, subject: name.string, offset: value.offset) }
      }
    }
    try checkCover(of: dataBytes, file: root.file)
    entries.sort { $0.name < $1.name }
  }

  private static func metadata(_ value: JSONValue) throws(InputError) -> [(key: String, value: String)] {
    var pairs: [(key: String, value: String)] = []
    for (key, value) in try value.members("__metadata__") {
      pairs.append((try key.string(), try value.string("__metadata__")))
    }
    return pairs
  }

  private static func entry(
    _ name: ExactString, _ key: JSONValue, _ value: JSONValue, dataBytes: Int
  ) throws(InputError) -> Entry {
    guard !name.utf8.isEmpty, !name.utf8.contains(0), name.utf8.count <= SafetensorsFile.maximumNameBytes else {
      throw InputError(
        .name, "a name of 1 to \(SafetensorsFile.maximumNameBytes) bytes without NUL expected", offset: key.offset)
    }
    guard value.kind == .object else { throw value.mismatch("an object with dtype, shape and data_offsets", nil) }
    let type = try ElementType(value.required("dtype"))
    let dimensions = try SafetensorsHeader.dimensions(value.required("shape"))
    let (begin, end) = try range(value.required("data_offsets"), dataBytes: dataBytes)

    let shape = try Shape(dimensions)
    // Checked in elements first, so that no product of elements and bits can wrap.
    let bits = try SizeArithmetic.product(shape.elementCount, type.bits)
    guard bits % 8 == 0, bits / 8 == end - begin else {
      throw InputError(
        .shape, "\(type.name)\(shape) takes \(bits) bits, its data_offsets hold \(end - begin) bytes",
        offset: value.offset)
    }
    guard let dtype = type.dtype else {
      throw InputError(
        .unsupported, "elements of type \(type.name) are not read", remedy: "use a checkpoint in BF16, F16 or F32")
    }
    return Entry(name: name, dtype: dtype, shape: shape, begin: begin, end: end, offset: value.offset)
  }

  private static func dimensions(_ value: JSONValue) throws(InputError) -> [Int] {
    let elements = try value.elements("shape")
    guard value.count <= SafetensorsFile.maximumRank else {
      throw InputError(
        .limit, "\(value.count) dimensions, at most \(SafetensorsFile.maximumRank) are read", offset: value.offset)
    }
    var dimensions: [Int] = []
    for element in elements { dimensions.append(try SizeArithmetic.int(element.uint64())) }
    return dimensions
  }

  private static func range(_ value: JSONValue, dataBytes: Int) throws(InputError) -> (begin: Int, end: Int) {
    let offsets = Array(try value.elements("data_offsets"))
    guard offsets.count == 2 else {
      throw InputError(
        .type, "data_offsets [begin, end] expected, found \(offsets.count) numbers", offset: value.offset)
    }
    let (begin, end) = (try offsets[0].uint64(), try offsets[1].uint64())
    guard begin <= end else {
      throw InputError(.bounds, "data_offsets begin at \(begin) after their end \(end)", offset: value.offset)
    }
    guard end <= UInt64(dataBytes) else {
      throw InputError(
        .bounds, "data_offsets end at \(end), the file has \(dataBytes) bytes of data", offset: value.offset,
        remedy: "download the file again")
    }
    return (Int(begin), Int(end))
  }

  /// Sorted, every range must begin where the one before it ended, and the last one must end with the file.
  private func checkCover(of dataBytes: Int, file: String?) throws(InputError) {
    var covered = 0
    for entry in entries.sorted(by: { ($0.begin, $0.end) < ($1.begin, $1.end) }) {
      guard entry.begin == covered else {
        let overlaps = entry.begin < covered
        throw InputError(
          overlaps ? .overlap : .gap,
          "its bytes begin at \(entry.begin) of the data, "
            + (overlaps ? "before another tensor's end at \(covered)" : "which leaves a gap after \(covered)"),
          file: file, subject: entry.name.string, offset: entry.offset)
      }
      covered = entry.end
    }
    guard covered == dataBytes else {
      throw InputError(
        .gap, "\(dataBytes - covered) bytes after the last tensor belong to none", file: file,
        remedy: "download the file again")
    }
  }
}

/// An element type by its safetensors name (`Dtype` in huggingface/safetensors `tensor.rs`), read or not.
private struct ElementType {
  let name: String
  let bits: Int
  /// `nil` for what the format knows and this project does not read.
  let dtype: DType?

  private static let known: [ExactString: DType] = [
    "F64": .f64, "F32": .f32, "F16": .f16, "BF16": .bf16, "F8_E4M3": .f8E4M3, "F8_E5M2": .f8E5M2,
    "I64": .i64, "I32": .i32, "I16": .i16, "I8": .i8, "U64": .u64, "U32": .u32, "U16": .u16, "U8": .u8, "BOOL": .bool,
  ]
  private static let unread: [ExactString: Int] = [
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "C64": 64,
  ]

  init(_ value: JSONValue) throws(InputError) {
    name = try value.string("dtype")
    if let dtype = ElementType.known[ExactString(name)] {
      self.dtype = dtype
      bits = dtype.blockBytes * 8
    } else if let bits = ElementType.unread[ExactString(name)] {
      dtype = nil
      self.bits = bits
    } else {
      throw InputError(.type, "unknown element type '\(printable(name, limit: 40))'", offset: value.offset)
    }
  }
}
