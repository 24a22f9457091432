import Bytes
import FuzzTargets
import TestSupport
import Testing

/// What `make fuzz` found and kept, and the files it began with, read again; then the same files damaged.
@Suite struct FuzzTests {
  /// Right files of each kind, and fixtures/fuzz, where files keep what the fuzzer learnt or once broke.
  private static func corpus(_ target: FuzzTarget) throws -> [(name: String, bytes: [UInt8])] {
    try target.seeds.map { ($0, try RandomAccessFile($0).readAll(limit: 1 << 24)) }
  }

  @Test(arguments: FuzzTarget.allCases) func readsOrRefusesAllThatWasFound(target: FuzzTarget) throws {
    let folder = try TemporaryFolder()
    var read = 0
    for (name, bytes) in try Self.corpus(target) {
      #expect(throws: Never.self, "\(name)") { if try target.read(bytes, in: folder) == nil { read += 1 } }
    }
    #expect(read > 0, "none of the files is right, so the readers were never entered")
  }

  @Test(arguments: FuzzTarget.allCases) func readsOrRefusesDamagedFiles(target: FuzzTarget) throws {
    let folder = try TemporaryFolder()
    let corpus = try Self.corpus(target).filter { $0.bytes.count <= 1 << 17 }
    var generator = SeededGenerator(seed: 20)
    var refused = 0
    for turn in 0..<400 {
      let (name, original) = corpus[turn % corpus.count]
      var bytes = original
      for _ in 0...Int.random(in: 0...3, using: &generator) { Self.damage(&bytes, &generator) }
      #expect(throws: Never.self, "\(name), turn \(turn)") {
        if try target.read(bytes, in: folder) != nil { refused += 1 }
      }
    }
    #expect(refused > 20)
  }

  private static func damage(_ bytes: inout [UInt8], _ generator: inout SeededGenerator) {
    guard !bytes.isEmpty else { return }
    let at = Int.random(in: 0..<bytes.count, using: &generator)
    switch Int.random(in: 0..<5, using: &generator) {
    case 0: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
    case 1: bytes[at] = [0, 0x7F, 0x80, 0xFF].randomElement(using: &generator)!
    case 2: bytes.removeSubrange(at..<min(bytes.count, at + Int.random(in: 1...8, using: &generator)))
    case 3: bytes.insert(contentsOf: bytes[at..<min(bytes.count, at + 9)], at: at)
    default: bytes.removeLast(Int.random(in: 1...bytes.count, using: &generator) / 2)
    }
  }
}
