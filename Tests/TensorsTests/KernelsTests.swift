import TestSupport
import Tensors
import Testing

/// Every kernel does what its definition says, to the bit, on every instruction set of this machine.
@Suite(.serialized) struct KernelsTests {
  static let decoded: [DType] = DType.allCases.filter(BlockDecoder.supports)

  /// The same floats, where all NaN count as one: how their payload travels is not defined.
  static func differences(_ a: [Float], _ b: [Float]) -> Int {
    zip(a, b).count { $0.bitPattern != $1.bitPattern && !($0.isNaN && $1.isNaN) } + (a.count - b.count).magnitude.asInt
  }

  static func kernel(_ bytes: [UInt8], as type: DType, count: Int) -> [Float]? {
    var x = [Float](repeating: -1, count: count)
    var span = x.mutableSpan
    return unsafe Kernels.decode(bytes.span.bytes, as: type, into: &span) ? x : nil
  }

  static func definition(_ bytes: [UInt8], as type: DType, count: Int) -> [Float] {
    var x = [Float](repeating: -1, count: count)
    var span = x.mutableSpan
    unsafe BlockDecoder.decodeReference(bytes.span.bytes, as: type, into: &span)
    return x
  }

  static func onEveryInstructionSet(_ body: (String) throws -> Void) rethrows {
    for name in Kernels.instructionSets {
      let done: Void? = try Kernels.using(name) {
        #expect(Kernels.instructionSet == name)
        try body(name)
      }
      #expect(done != nil)
    }
  }

  @Test func thereIsABestInstructionSetAndItIsKnown() {
    #expect(!Kernels.instructionSets.isEmpty)
    #expect(Set(Kernels.instructionSets).count == Kernels.instructionSets.count)
    #expect(Set(Kernels.instructionSets).isSubset(of: ["v4", "v3", "baseline", "arm64"]))
  }

  @Test(arguments: ["", "v5", "V4", "avx512", "v4 "]) func anUnknownInstructionSetIsRefused(name: String) {
    let best = Kernels.instructionSets[0]
    let refused = Kernels.using(best) { !Kernels.use(name) && Kernels.instructionSet == best }
    #expect(refused == true)
  }

  @Test(arguments: decoded) func decodingMatchesTheDefinition(type: DType) {
    var generator = SeededGenerator(seed: UInt64(type.rawValue))
    // Random bits make every scale, infinite and NaN ones too.
    for blocks in [1, 2, 3, 15, 16, 17, 33, 200] {
      let bytes = (0..<blocks * type.blockBytes).map { _ in UInt8.random(in: 0...255, using: &generator) }
      let expected = Self.definition(bytes, as: type, count: blocks * type.blockElements)
      Self.onEveryInstructionSet { name in
        guard let found = Self.kernel(bytes, as: type, count: expected.count) else {
          #expect(type == .f64, "\(type) has no kernel")
          return
        }
        let differences = Self.differences(found, expected)
        #expect(differences == 0, "\(type), \(blocks) blocks, on \(name)")
      }
    }
  }

  /// NaN with its sign and payload, beside numbers of its own kind and strewn among others, and where no vector is filled.
  @Test(arguments: [DType.f16, .bf16, .f8E4M3, .f8E5M2]) func everySmallFloatIsDecodedToTheBit(type: DType) {
    let count = 1 << (8 * type.blockBytes)
    for (factor, missing) in [(1, 0), (40_503, 1), (1, 5), (40_503, 13)] {
      let bytes = (0..<count - missing).flatMap { i in
        (0..<type.blockBytes).map { UInt8(truncatingIfNeeded: (i * factor) >> (8 * $0)) }
      }
      let expected = Self.definition(bytes, as: type, count: count - missing)
      Self.onEveryInstructionSet { name in
        let found = Self.kernel(bytes, as: type, count: expected.count)
        let differences = found.map { zip($0, expected).count { $0.bitPattern != $1.bitPattern } }
        #expect(differences == 0, "\(type) times \(factor) on \(name)")
      }
    }
  }

  @Test func decodingWritesNothingBesideItsElements() {
    Self.onEveryInstructionSet { name in
      for type in Self.decoded where type != .f64 {
        let bytes = [UInt8](repeating: 0x11, count: 3 * type.blockBytes)
        let count = 3 * type.blockElements
        var x = [Float](repeating: .infinity, count: count + 64)
        let decoded = unsafe x.withUnsafeMutableBufferPointer { all in
          var part = unsafe UnsafeMutableBufferPointer(rebasing: all[32..<32 + count]).mutableSpan
          return unsafe Kernels.decode(bytes.span.bytes, as: type, into: &part)
        }
        #expect(decoded)
        #expect(x[..<32].allSatisfy { $0 == .infinity }, "\(type) before, on \(name)")
        #expect(x[(32 + count)...].allSatisfy { $0 == .infinity }, "\(type) behind, on \(name)")
      }
    }
  }

  /// Large outputs are written around the caches; they hold the same numbers as small ones, wherever they begin.
  @Test(arguments: decoded.filter { $0 != .f64 })
  func largeOutputsHoldTheSameNumbers(type: DType) {
    let count = (1 << 23) + 3 * 256 + (type.isBlock ? 0 : 5)
    var generator = SeededGenerator(seed: 23)
    // Scales and plain numbers of moderate size: no byte has its upper bits.
    let piece = (0..<997 * type.blockBytes).map { _ in UInt8.random(in: 0...255, using: &generator) & 0x3F }
    let size = count / type.blockElements * type.blockBytes
    var bytes: [UInt8] = []
    bytes.reserveCapacity(size + piece.count)
    while bytes.count < size { bytes += piece }
    let expected = Self.definition(piece, as: type, count: 997 * type.blockElements)
    Self.onEveryInstructionSet { name in
      for offset in [0, 1, 4] {
        var x = [Float](repeating: -1, count: count + 8)
        let done = unsafe x.withUnsafeMutableBufferPointer { all in
          var part = unsafe UnsafeMutableBufferPointer(rebasing: all[offset..<offset + count]).mutableSpan
          return unsafe Kernels.decode(bytes.span.bytes, as: type, into: &part)
        }
        #expect(done)
        var differences = 0
        for i in 0..<count where x[offset + i].bitPattern != expected[i % expected.count].bitPattern {
          differences += 1
        }
        #expect(differences == 0, "\(type) at \(offset) on \(name)")
        #expect(x[..<offset].allSatisfy { $0 == -1 } && x[(offset + count)...].allSatisfy { $0 == -1 })
      }
    }
  }

  static func areFinite(_ x: [Float]) -> Bool { Kernels.areFinite(x.span) }

  @Test(arguments: [Float.nan, .infinity, -.infinity, -.nan, Float(bitPattern: 0x7F80_0001)])
  func oneBadValueAnywhereIsSeen(bad: Float) {
    Self.onEveryInstructionSet { name in
      for count in [1, 7, 64, 1023, 1024, 1025, 5000] {
        var x = [Float](repeating: -.greatestFiniteMagnitude, count: count)
        #expect(Self.areFinite(x))
        for place in [0, count / 3, count / 2, count - 1] {
          let good = x[place]
          x[place] = bad
          #expect(!Self.areFinite(x), "\(place) of \(count) on \(name)")
          x[place] = good
        }
      }
    }
  }

  @Test func ofNothingEverythingIsFinite() { #expect(Self.areFinite([])) }
}

extension UInt {
  fileprivate var asInt: Int { Int(self) }
}
