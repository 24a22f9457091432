import Bytes
import GGUF
import Tensors
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Right files, damaged at random: each must be refused with an `InputError` or be read, and nothing else.
///
/// `QUERN_SEED` repeats a run, `QUERN_MUTATIONS` sets how many files it tries.
@Suite struct MutationTests {
  private static func number(_ name: String) -> UInt64? {
    unsafe getenv(name).flatMap { UInt64(unsafe String(cString: $0)) }
  }

  @Test func damagedFilesAreRefusedOrRead() throws {
    let seed = Self.number("QUERN_SEED") ?? UInt64.random(in: 0 ... .max)
    tell("seed of the damaged GGUF files: \(seed)")
    var random = SeededGenerator(seed: seed)
    let folder = try TemporaryFolder()
    let originals = try ["everything.gguf", "set-00002-of-00003.gguf"].map {
      try RandomAccessFile(Fixtures.path("gguf/\($0)")).readAll(limit: 1 << 20)
    }
    var refused = 0
    let count = Int(Self.number("QUERN_MUTATIONS") ?? 2000)
    for _ in 0..<count {
      var bytes = originals.randomElement(using: &random)!
      for _ in 0...Int.random(in: 0...3, using: &random) { damage(&bytes, &random) }
      let path = try folder.write("damaged.gguf", bytes)
      do {
        let model = try GGUFModel(opening: path)
        try? model.checkModel()
        for tensor in model.tensors { _ = try tensor.read(rows: 0..<tensor.rows) }
        // What was read is within the laws, so it can be written.
        for file in model.files {
          _ = try GGUFLayout(
            metadata: file.metadata, tensors: file.tensors.map { ($0.name, $0.dtype, $0.shape) })
        }
      } catch is InputError {
        refused += 1
      } catch {
        Issue.record(error, "seed \(seed)")
      }
    }
    #expect(refused > count / 4, "seed \(seed): hardly anything was refused, so the damage is too light")
  }

  private func damage(_ bytes: inout [UInt8], _ random: inout SeededGenerator) {
    guard bytes.count > 32 else { return }
    // Nearly all of a file's laws are in its header.
    let position = Int.random(in: 0..<min(bytes.count - 8, 1300), using: &random)
    switch Int.random(in: 0..<6, using: &random) {
    case 0: bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
    case 1: bytes[position] = UInt8.random(in: 0 ... .max, using: &random)
    case 2: bytes.removeLast(Int.random(in: 1...bytes.count - 8, using: &random))
    case 3: bytes.remove(at: position)
    case 4: bytes.insert(UInt8.random(in: 0 ... .max, using: &random), at: position)
    default:
      let hostile: [UInt64] = [0, 1, .max, 1 << 63, 1 << 62, 1 << 40, 1 << 32, 1 << 31, 0xFFFF, 9]
      let value = hostile.randomElement(using: &random)!
      for index in 0..<8 { bytes[position + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index)) }
    }
  }
}
