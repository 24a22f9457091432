import Tensors
import TestSupport
import Testing

/// Sixteen- and eight-bit floats beside Swift's own and beside their definitions.
@Suite struct NumberTests {
  /// Floats of every exponent, and all that lie at, just below or just above the middle of two halves.
  static let hardFloats: [Float] = {
    var generator = SeededGenerator(seed: 31)
    var floats = (0..<200_000).map { _ in Float(bitPattern: .random(in: 0...UInt32.max, using: &generator)) }
    for bits in UInt16(0)..<0x7C00 {
      let (low, high) = (Float(Float16(bitPattern: bits)), Float(Float16(bitPattern: bits + 1)))
      let middle = high.isFinite ? (low + high) / 2 : 65_520
      floats += [low, middle, middle.nextDown, middle.nextUp, -middle]
    }
    return floats + [.infinity, -.infinity, 0, -0, .leastNonzeroMagnitude, .greatestFiniteMagnitude]
  }()

  @Test func everyHalfIsItsFloat() {
    for bits in UInt16.min...UInt16.max {
      let (ours, swifts) = (Half.float(bits), Float(Float16(bitPattern: bits)))
      #expect(ours.bitPattern == swifts.bitPattern || (ours.isNaN && swifts.isNaN))
    }
  }

  @Test func aHalfThatIsNaNKeepsItsSignAndBecomesQuiet() {
    #expect(Half.float(0x7C01).bitPattern == 0x7FC0_2000)
    #expect(Half.float(0xFC01).bitPattern == 0xFFC0_2000)
    #expect(Half.float(0x7E00).bitPattern == 0x7FC0_0000)
    #expect(Half.float(0xFFFF).bitPattern == 0xFFFF_E000)
  }

  @Test func halvesRoundToTheNearestAndTiesToEven() {
    for x in Self.hardFloats where !x.isNaN {
      if Half.bits(x) != Float16(x).bitPattern { Issue.record("\(x) → \(Half.bits(x)), not \(Float16(x).bitPattern)") }
    }
  }

  @Test func aNaNBecomesAQuietOneOfItsSign() {
    for bits: UInt32 in [0x7F80_0001, 0x7FC0_0000, 0x7FFF_FFFF] {
      #expect(Half.bits(Float(bitPattern: bits)) == 0x7E00)
      #expect(Half.bits(Float(bitPattern: bits | 0x8000_0000)) == 0xFE00)
    }
    #expect(BrainFloat.bits(Float(bitPattern: 0x7F80_0001)) == 0x7FC0)
    #expect(BrainFloat.bits(Float(bitPattern: 0xFF81_FFFF)) == 0xFFC1)
    #expect(BrainFloat.bits(Float(bitPattern: 0x7FFF_FFFF)) == 0x7FFF)
  }

  @Test func brainFloatsRoundToTheNearestAndTiesToEven() {
    for x in Self.hardFloats where !x.isNaN {
      let bits = BrainFloat.bits(x)
      // The two candidates about x, beyond the largest one infinity; exact in Double.
      let below = UInt16(x.bitPattern >> 16)
      func value(_ bits: UInt16) -> Double {
        let limit = Double(sign: bits & 0x8000 == 0 ? .plus : .minus, exponent: 128, significand: 1)
        return BrainFloat.float(bits).isFinite ? Double(BrainFloat.float(bits)) : limit
      }
      let exact = x.isFinite ? Double(x) : value(below)
      let (down, up) = ((exact - value(below)).magnitude, (value(below &+ 1) - exact).magnitude)
      let isAbove = down > up || (down == up && below & 1 == 1)
      if x.isFinite ? bits != (isAbove ? below + 1 : below) : bits != below { Issue.record("\(x) → \(bits)") }
    }
    #expect(BrainFloat.bits(.greatestFiniteMagnitude) == 0x7F80)
  }

  @Test func eightBitFloatsHaveTheEndsOfTheirSpecification() {
    #expect(Float8.e4m3(0x7E) == 448)
    #expect(Float8.e4m3(0x08) == 0x1p-6)
    #expect(Float8.e4m3(0x01) == 0x1p-9)
    #expect(Float8.e4m3(0x7F).isNaN && Float8.e4m3(0xFF).isNaN)
    #expect(Float8.e4m3(0x7F).bitPattern == 0x7FF0_0000 && Float8.e4m3(0xFF).bitPattern == 0xFFF0_0000)
    #expect(Float8.e4m3(0x80).bitPattern == (-0.0 as Float).bitPattern)
    for bits in UInt8(0)..<0x7E { #expect(Float8.e4m3(bits) < Float8.e4m3(bits + 1)) }
    for bits in UInt8(0)..<0x7F { #expect(Float8.e4m3(bits | 0x80) == -Float8.e4m3(bits)) }
  }
}
