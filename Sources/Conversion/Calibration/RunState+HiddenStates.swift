import Bytes
import Models
import Tensors

/// Numbers are kept as they are in memory: the file is for the machine that wrote it.
extension RunState {
  typealias Part = (name: String, bytes: () throws -> [UInt8])

  static func part<Number: BitwiseCopyable>(_ name: String, _ numbers: @escaping () -> [Number]) -> Part {
    (name, { unsafe numbers().withUnsafeBytes { unsafe Array($0) } })
  }

  /// What `restore` takes, a chunk in a part.
  static func parts(_ name: String, _ states: HiddenStates) -> [Part] {
    states.chunks.enumerated().map { chunk, rows in part("\(name) \(chunk)") { states.matrix[rows].values } }
  }

  /// - Throws: `CRC` when it is not there, or is not `count` numbers.
  func numbers<Number: BitwiseCopyable>(_ name: String, count: Int) throws -> [Number] {
    guard let record = first(name), case let bytes = try read(record),
      bytes.count == count * MemoryLayout<Number>.stride
    else {
      throw InputError(
        .checksum, "the part \(name) is missing or of another size", file: path,
        remedy: "start again with --no-resume")
    }
    return unsafe [Number](unsafeUninitializedCapacity: count) { buffer, initialized in
      unsafe UnsafeMutableRawBufferPointer(buffer).copyBytes(from: bytes)
      initialized = count
    }
  }

  /// Puts the states of an earlier run into `states`, which has the same chunks.
  func restore(_ name: String, _ states: HiddenStates) throws {
    for (chunk, rows) in states.chunks.enumerated() {
      let view = states.matrix[rows]
      let values: [Float] = try numbers("\(name) \(chunk)", count: view.rows * view.columns)
      unsafe values.withUnsafeBufferPointer {
        if let base = $0.baseAddress { unsafe view.pointer.update(from: base, count: $0.count) }
      }
    }
  }
}
