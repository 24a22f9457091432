public import Bytes
public import Tensors

/// How large a file of a split set may grow; at least one tensor is in each.
public struct SplitLimits: Hashable, Sendable {
  /// Tensors in a file.
  public let maximumTensors: Int?
  /// Padded bytes of the tensors in a file, its header not counted. A larger tensor gets a file of its own.
  public let maximumBytes: Int?

  /// No limit: everything is in one file.
  public static let none = SplitLimits()

  /// - Precondition: limits are positive.
  public init(maximumTensors: Int? = nil, maximumBytes: Int? = nil) {
    precondition(maximumTensors ?? 1 > 0 && maximumBytes ?? 1 > 0, "limits must be positive")
    (self.maximumTensors, self.maximumBytes) = (maximumTensors, maximumBytes)
  }
}

extension GGUFLayout {
  /// The layouts of a set of files that hold the tensors in order: all metadata in the first, `split.*` last in each, as
  /// llama-gguf-split writes them (llama.cpp 0c1e57098, tools/gguf-split).
  ///
  /// - Parameters:
  ///   - keepsOne: whether a set of one file is a set as well; else, when everything fits, it is an ordinary file.
  /// - Throws: as `init`; `LIMIT` for more than 65,535 files.
  public static func set(
    metadata: Metadata, tensors: [(name: String, dtype: DType, shape: Shape)], alignment: Int? = nil,
    limits: SplitLimits, keepsOne: Bool = false
  ) throws(InputError) -> [GGUFLayout] {
    var metadata = metadata
    for key in Split.keys { metadata[key] = nil }
    let whole = try GGUFLayout(metadata: metadata, tensors: tensors, alignment: alignment)
    let files = try whole.files(limits)
    if files.count == 1, !keepsOne { return [whole] }
    guard let count = UInt16(exactly: files.count), let total = Int32(exactly: tensors.count) else {
      throw InputError(.limit, "\(files.count) files, where at most 65535 can be; split less finely")
    }
    var layouts: [GGUFLayout] = []
    for (number, range) in files.enumerated() {
      var part = number == 0 ? whole.metadata : Metadata()
      part[Split.numberKey] = .uint16(UInt16(number))
      part[Split.tensorsKey] = .int32(total)
      part[Split.countKey] = .uint16(count)
      layouts.append(
        try GGUFLayout(metadata: part, tensors: Array(tensors[range]), alignment: whole.alignment))
    }
    return layouts
  }

  /// Whether this is the layout of a file of a set.
  public var isOfSet: Bool { metadata[Split.countKey] != nil }

  /// The name of file `number` (from 0) of a set: `PREFIX-00001-of-00002.gguf`.
  public static func setFileName(_ prefix: String, _ number: Int, of count: Int) -> String {
    Split.name(prefix, number, of: count)
  }

  /// Whether `name` is that of a file of a set, of however many.
  public static func isSetFileName(_ name: String, of prefix: String) -> Bool {
    let words = name.dropFirst(prefix.count + 1).dropLast(".gguf".count).split(separator: "-")
    guard words.count == 3, let number = Int(words[0]), let count = Int(words[2]), number > 0, count >= number else {
      return false
    }
    return ExactString(Split.name(prefix, number - 1, of: count)) == ExactString(name)
  }

  /// Which entries go into which file.
  private func files(_ limits: SplitLimits) throws(InputError) -> [Range<Int>] {
    var files: [Range<Int>] = []
    var start = 0
    var bytes = 0
    for (index, entry) in entries.enumerated() {
      let size = try SizeArithmetic.aligned(entry.byteCount, to: alignment)
      let full =
        index - start >= limits.maximumTensors ?? .max || bytes + size > limits.maximumBytes ?? .max
      if full && index > start {
        files.append(start..<index)
        (start, bytes) = (index, 0)
      }
      bytes += size
    }
    files.append(start..<entries.count)
    return files
  }
}
