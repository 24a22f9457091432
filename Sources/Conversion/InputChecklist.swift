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
    entries = try ChecksumList(
      parsing: file.readAll(limit: 1 << 20), digestBytes: InputChecklist.digestBytes, file: file.path, what: "an MD5"
    ).entries
    for shard in try folder.names() where shard.hasPrefix("consolidated.") && shard.hasSuffix(".pth") {
      guard entries.contains(where: { ExactString($0.name) == ExactString(shard) }) else {
        throw InputError(
          .missing, "the checklist does not name this shard", file: file.path, subject: shard,
          remedy: "use the checklist that was published with the shards")
      }
    }
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
      try file.update(&hash, with: 0..<file.size) { count in
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
