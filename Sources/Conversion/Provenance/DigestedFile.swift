import Bytes
import Checkpoints
import Synchronization
import Tensors

/// A file by its name and SHA-256, without the folder that it lies in.
public struct DigestedFile: Hashable, Sendable {
  public let name: String
  public let bytes: Int
  /// In hexadecimal.
  public let sha256: String

  /// Reads files whole, on `jobs` threads.
  /// - Returns: sorted by name, then by digest.
  static func list(_ paths: [String], jobs: Int, progress: ProgressHandler?) throws -> [DigestedFile] {
    let files = try paths.map { try RandomAccessFile($0) }
    let total = files.reduce(0) { $0 + $1.size }
    let done = Mutex(0)
    let digests = try Parallel.map(files.count, jobs: jobs) { index in
      try files[index].sha256(of: 0..<files[index].size) { count in
        done.withLock { done in
          done += count
          progress?(Progress("hashing", unit: .bytes, done: done, total: total))
        }
      }
    }
    for file in files { try file.checkUnchanged() }
    return zip(files, digests).map { DigestedFile(name: ProofFacts.name($0.path), bytes: $0.size, sha256: $1) }
      .sorted { (ExactString($0.name), $0.sha256) < (ExactString($1.name), $1.sha256) }
  }
}

extension ModelInput {
  /// The files that the model was read from: weights, configuration, tokenizer, card.
  var sourcePaths: [String] {
    switch origin {
    case .checkpoint(let checkpoint): checkpoint.givenFolder.openedPaths
    case .gguf(let gguf): gguf.files.map(\.path)
    }
  }
}
