import Bytes
import Crypto
import GGUF
import Synchronization

/// Receives an output in the order of its files, so that the hash of each is known when its last byte is written.
///
/// One of several outputs may fail, by weights that its type cannot hold or a disk that is full, while the others are made:
/// it keeps the error and takes nothing more.
final class OutputSink: Sendable {
  private struct State {
    /// Number of the file that is being written, and how far.
    var file = 0
    var position = 0
    var hash = SHA256()
    var digests: [String] = []
    /// Bytes of all files so far.
    var written = 0
    var failure: (any Error)?
  }

  private let output: OutputSet
  private let layouts: [GGUFLayout]
  private let state = Mutex(State())

  /// Gives every file its size and its header.
  init(_ output: OutputSet, _ layouts: [GGUFLayout]) throws {
    precondition(output.files.count == layouts.count, "a layout for every file")
    (self.output, self.layouts) = (output, layouts)
    for (file, layout) in zip(output.files, layouts) {
      // Padding is zero on disk already then.
      try file.setSize(layout.fileSize)
      try unsafe file.write(layout.header.span.bytes, at: 0)
    }
    state.withLock { begin(&$0) }
  }

  /// Bytes of all files so far.
  var written: Int { state.withLock { $0.written } }

  /// Why the output will not be made.
  var failure: (any Error)? { state.withLock { $0.failure } }

  func fail(_ error: any Error) { state.withLock { $0.failure = $0.failure ?? error } }

  /// Writes what follows, after what was written before, at `offset` of file number `file`.
  func append(_ bytes: [UInt8], file: Int, at offset: Int) throws {
    try unsafe output.files[file].write(bytes.span.bytes, at: offset)
    state.withLock { state in
      while state.file < file { next(&state) }
      pad(&state, to: offset)
      hash(&state, bytes)
    }
  }

  /// What the files hold; to be published.
  func finish() -> [WrittenFile] {
    let digests = state.withLock { state in
      while state.file < layouts.count { next(&state) }
      return state.digests
    }
    return zip(zip(output.files, layouts), digests).map {
      WrittenFile(path: $0.0.path, bytes: $0.1.fileSize, sha256: $1)
    }
  }

  private func begin(_ state: inout State) {
    (state.hash, state.position) = (SHA256(), 0)
    if state.file < layouts.count { hash(&state, layouts[state.file].header) }
  }

  private func next(_ state: inout State) {
    pad(&state, to: layouts[state.file].fileSize)
    state.digests.append(hexadecimalText(state.hash.finalize()))
    state.file += 1
    begin(&state)
  }

  private func pad(_ state: inout State, to offset: Int) {
    if offset > state.position { hash(&state, [UInt8](repeating: 0, count: offset - state.position)) }
  }

  private func hash(_ state: inout State, _ bytes: [UInt8]) {
    unsafe bytes.withUnsafeBytes { unsafe state.hash.update(bufferPointer: $0) }
    state.position += bytes.count
    state.written += bytes.count
  }
}
