import Bytes
public import Checkpoints
import Crypto
import Synchronization
import Tensors

/// `checklist.chk`, in which Meta publishes the MD5 of a model's files as `md5sum` prints them.
public struct InputChecklist: Sendable {
  private let folder: ModelFolder
  /// In the order of the list.
  private let entries: [(name: String, digest: [UInt8])]

  private static let name = "checklist.chk"
  private static let digestBytes = 16

  /// - Throws: `MISSING` when there is none beside the weights, or when it leaves a shard out; `TYPE` and `DUP` with the
  ///   offset of the line.
  public init(of path: String, layout: Checkpoint.Layout = .automatic) throws {
    folder = try Checkpoint.weightsFolder(of: path, layout: layout)
    guard try folder.file(InputChecklist.name) != nil else {
      throw InputError(
        .missing, "there is no \(InputChecklist.name) to verify the files against", file: folder.path,
        remedy: "download it, or leave --verify-input out")
    }
    let file = try folder.open(InputChecklist.name)
    entries = try InputChecklist.parse(file.readAll(limit: 1 << 20), file: file.path)
    for shard in try folder.names() where shard.hasPrefix("consolidated.") && shard.hasSuffix(".pth") {
      guard entries.contains(where: { ExactString($0.name) == ExactString(shard) }) else {
        throw InputError(
          .missing, "the checklist does not name this shard", file: file.path, subject: shard,
          remedy: "use the checklist that was published with the shards")
      }
    }
  }

  private static func parse(_ bytes: [UInt8], file: String) throws -> [(name: String, digest: [UInt8])] {
    var entries: [(String, [UInt8])] = []
    var seen: Set<ExactString> = []
    var start = 0
    while start < bytes.count {
      let end = bytes[start...].firstIndex(of: 0x0A) ?? bytes.count
      defer { start = end + 1 }
      var line = bytes[start..<end]
      while let last = line.last, last == 0x0D || last == 0x20 { line = line.dropLast() }
      if line.isEmpty { continue }
      let digits = line.prefix(2 * digestBytes)
      let rest = line.dropFirst(2 * digestBytes)
      guard let digest = hexadecimal(digits), rest.count > 2, rest.first == 0x20,
        rest.dropFirst().first == 0x20 || rest.dropFirst().first == UInt8(ascii: "*"),
        var name = String(validating: rest.dropFirst(2), as: UTF8.self)
      else {
        throw InputError(
          .type, "a line of an MD5 in hexadecimal, two spaces and a name expected", file: file, offset: UInt64(start),
          remedy: "download the checklist again")
      }
      if name.hasPrefix("./") { name.removeFirst(2) }
      guard seen.insert(ExactString(name)).inserted else {
        throw InputError(.duplicate, "the file stands twice in the list", file: file, subject: name)
      }
      entries.append((name, digest))
    }
    return entries
  }

  private static func hexadecimal(_ digits: ArraySlice<UInt8>) -> [UInt8]? {
    let values = digits.compactMap { Character(Unicode.Scalar($0)).hexDigitValue }
    guard values.count == 2 * digestBytes else { return nil }
    return stride(from: 0, to: values.count, by: 2).map { UInt8(values[$0] << 4 | values[$0 + 1]) }
  }

  /// Reads every file of the list and compares.
  /// - Throws: `CRC` for a file with another MD5, `MISSING` for one that is not there.
  /// - Returns: how many files were compared.
  @discardableResult
  public func verify(jobs: Int, progress: ProgressHandler? = nil) throws -> Int {
    let files = try entries.map { try folder.open($0.name) }
    let total = files.reduce(0) { $0 + $1.size }
    let done = Mutex(0)
    try Parallel.forEach(files.count, jobs: jobs) { index in
      let (file, expected) = (files[index], entries[index].digest)
      var hash = Insecure.MD5()
      var chunk = [UInt8](repeating: 0, count: min(1 << 20, max(1, file.size)))
      var offset = 0
      while offset < file.size {
        let count = min(chunk.count, file.size - offset)
        try unsafe chunk.withUnsafeMutableBytes { chunk in
          let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: chunk[..<count])
          try unsafe file.read(at: offset, into: piece)
          unsafe hash.update(bufferPointer: UnsafeRawBufferPointer(piece))
        }
        offset += count
        done.withLock { done in
          done += count
          progress?(Progress("verifying", unit: .bytes, done: done, total: total))
        }
      }
      let found = Array(hash.finalize())
      guard found == expected else {
        throw InputError(
          .checksum,
          "its MD5 is \(hexadecimalText(found)), the checklist says \(hexadecimalText(expected))",
          file: file.path,
          remedy: "download the file again")
      }
    }
    return files.count
  }
}

/// A digest as its tools print it.
func hexadecimalText(_ digest: some Sequence<UInt8>) -> String {
  digest.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}
