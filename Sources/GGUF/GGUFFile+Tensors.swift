import Bytes
import Tensors

/// A tensor as the header describes it.
struct TensorEntry {
  let name: String
  let dtype: DType
  let shape: Shape
  let byteCount: Int
  /// From the start of the data; not yet proved.
  let offset: UInt64
  /// Where the header says so, for messages.
  let position: UInt64
}

extension GGUFFile {
  /// The tensors that the header lists, each proved on its own.
  /// - Throws: `NAME`, `DUP`, `UTF8`, `SHAPE`, `TYPE`, `OVERFLOW`, `TRUNC`.
  static func tensorEntries(_ cursor: inout HeaderCursor, count: UInt64) throws -> [TensorEntry] {
    var entries: [TensorEntry] = []
    var names: Set<ExactString> = []
    for index in 0..<count {
      let position = UInt64(cursor.offset)
      var subject: String?
      do {
        let name = try cursor.string("the name of tensor \(index)")
        subject = name
        try GGUFRules.check(name: name)
        guard names.insert(ExactString(name)).inserted else {
          throw InputError(.duplicate, "the tensor appears twice")
        }
        entries.append(try cursor.entry(name, at: position))
      } catch let error as InputError {
        throw error.adding(subject: subject, offset: position)
      }
    }
    return entries
  }

  /// Where each tensor begins in the file.
  ///
  /// ggml demands that every tensor begins where the padding of the one before ends. Here they may come in any order,
  /// but just as little may lie between or behind them, so that nothing hides in a file.
  /// - Throws: `OVERFLOW`, `ALIGN`, `OVERLAP`, `GAP`, `BOUNDS` (outside of any file of this size), `TRUNC`.
  static func place(
    _ entries: [TensorEntry], dataOffset: Int, fileSize: Int, alignment: Int
  ) throws(InputError) -> [Int] {
    var total = dataOffset
    for entry in entries {
      total = try SizeArithmetic.sum(total, SizeArithmetic.aligned(entry.byteCount, to: alignment))
    }
    var offsets: [Int] = []
    for entry in entries {
      do throws(InputError) {
        guard entry.offset % UInt64(alignment) == 0 else {
          throw InputError(.alignment, "offset \(entry.offset) is not a multiple of \(alignment)")
        }
        let offset = try SizeArithmetic.sum(dataOffset, SizeArithmetic.int(entry.offset))
        _ = try SizeArithmetic.aligned(SizeArithmetic.sum(offset, entry.byteCount), to: alignment)
        offsets.append(offset)
      } catch { throw error.adding(subject: entry.name, offset: entry.position) }
    }

    var end = dataOffset
    let order = entries.indices.sorted {
      (offsets[$0], entries[$0].byteCount, $0) < (offsets[$1], entries[$1].byteCount, $1)
    }
    for index in order {
      let problem: InputError? =
        if offsets[index] < end {
          InputError(.overlap, "begins at byte \(offsets[index]), inside a tensor that ends at \(end)")
        } else if offsets[index] > end {
          offsets[index] > fileSize
            ? InputError(.bounds, "begins at byte \(offsets[index]) of a file of \(fileSize)")
            : InputError(.gap, "begins at byte \(offsets[index]), where \(end) is expected")
        } else if offsets[index] + entries[index].byteCount > fileSize {
          // A tensor larger than the whole file never was in it; else the end is missing.
          InputError(
            entries[index].byteCount > fileSize ? .bounds : .truncated,
            "needs bytes \(offsets[index]) to \(offsets[index] + entries[index].byteCount) of a file of \(fileSize)",
            remedy: "download the file again")
        } else {
          nil
        }
      if let problem {
        throw problem.adding(subject: entries[index].name, offset: entries[index].position)
      }
      end = try SizeArithmetic.aligned(offsets[index] + entries[index].byteCount, to: alignment)
    }
    guard fileSize <= end else {
      throw InputError(.gap, "\(fileSize - end) bytes lie behind the last tensor", offset: UInt64(end))
    }
    return offsets
  }
}

extension HeaderCursor {
  fileprivate mutating func entry(_ name: String, at position: UInt64) throws -> TensorEntry {
    let rank = try uint32("the number of dimensions")
    guard rank <= GGUFFormat.maximumDimensions else {
      throw InputError(.shape, "\(rank) dimensions, where ggml has at most \(GGUFFormat.maximumDimensions)")
    }
    var dimensions: [Int] = []
    for index in 0..<rank { dimensions.append(try SizeArithmetic.int(uint64("dimension \(index)"))) }
    let shape = try Shape(dimensions.reversed())
    let type = try uint32("the type")
    guard let dtype = DType(ggmlID: type) else {
      throw InputError(
        .type, "ggml type \(type) is not known",
        remedy: [4, 5, 31, 32, 33, 36, 37, 38].contains(type)
          ? "ggml has dropped it; convert the original model again" : nil)
    }
    let byteCount = try GGUFRules.byteCount(dtype, shape)
    return TensorEntry(
      name: name, dtype: dtype, shape: shape, byteCount: byteCount, offset: try uint64("the offset"),
      position: position)
  }
}
