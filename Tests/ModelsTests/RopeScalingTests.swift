import Bytes
import Models
import Testing

/// `rope_freqs.weight`, recorded bit for bit from the statements of llama.cpp 0c1e57098, conversion/llama.py, run with
/// torch 2.13.0.
@Suite struct RopeScalingTests {
  struct Case: Sendable {
    let theta: Double, headSize: Int, scaling: RopeScaling, bits: [UInt32]
  }

  static let cases = [
    Case(
      theta: 500000.0, headSize: 128,
      scaling: .llama3(factor: 8.0, lowFrequency: 1.0, highFrequency: 4.0, originalContext: 8192),
      bits: [
        0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000,
        0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000,
        0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000,
        0x3f800000, 0x3f800000, 0x3f9a8ed5, 0x3fc6d64a, 0x4001af1d, 0x402c732e, 0x406bcace, 0x40a83c06, 0x41000000,
        0x41000000, 0x41000000, 0x41000000, 0x41000000, 0x41000000, 0x41000000, 0x41000000, 0x41000000, 0x41000000,
        0x41000000, 0x41000000, 0x41000000, 0x41000000, 0x41000000, 0x41000000, 0x41000000, 0x41000000, 0x41000000,
        0x41000000, 0x41000000, 0x41000000, 0x41000000, 0x41000000, 0x41000000, 0x41000000, 0x41000000, 0x41000000,
        0x41000000,
      ]),
    Case(
      theta: 500000.0, headSize: 64,
      scaling: .llama3(factor: 32.0, lowFrequency: 1.0, highFrequency: 4.0, originalContext: 8192),
      bits: [
        0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000,
        0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3fd35ec2, 0x4052b46f, 0x411aaaee,
        0x42000000, 0x42000000, 0x42000000, 0x42000000, 0x42000000, 0x42000000, 0x42000000, 0x42000000, 0x42000000,
        0x42000000, 0x42000000, 0x42000000, 0x42000000, 0x42000000,
      ]),
    Case(
      theta: 500000.0, headSize: 128,
      scaling: .llama3(factor: 16.0, lowFrequency: 1.0, highFrequency: 4.0, originalContext: 8192),
      bits: [
        0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000,
        0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000,
        0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000,
        0x3f800000, 0x3f800000, 0x3f9ce20c, 0x3fcf0541, 0x400bf168, 0x4044327c, 0x4091dcdb, 0x40f1bfc5, 0x41800000,
        0x41800000, 0x41800000, 0x41800000, 0x41800000, 0x41800000, 0x41800000, 0x41800000, 0x41800000, 0x41800000,
        0x41800000, 0x41800000, 0x41800000, 0x41800000, 0x41800000, 0x41800000, 0x41800000, 0x41800000, 0x41800000,
        0x41800000, 0x41800000, 0x41800000, 0x41800000, 0x41800000, 0x41800000, 0x41800000, 0x41800000, 0x41800000,
        0x41800000,
      ]),
    Case(
      theta: 10000.0, headSize: 32,
      scaling: .llama3(factor: 8.0, lowFrequency: 1.0, highFrequency: 4.0, originalContext: 64),
      bits: [
        0x3f800000, 0x3f800000, 0x3fa5a100, 0x4030f899, 0x40f55b38, 0x41000000, 0x41000000, 0x41000000, 0x41000000,
        0x41000000, 0x41000000, 0x41000000, 0x41000000, 0x41000000, 0x41000000, 0x41000000,
      ]),
    Case(
      theta: 1000000.0, headSize: 96,
      scaling: .llama3(factor: 3.0, lowFrequency: 1.5, highFrequency: 7.0, originalContext: 4096),
      bits: [
        0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000,
        0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f87ecd3, 0x3fac070f,
        0x3fd6d037, 0x4004082b, 0x401f71f1, 0x403cd928, 0x40400000, 0x40400000, 0x40400000, 0x40400000, 0x40400000,
        0x40400000, 0x40400000, 0x40400000, 0x40400000, 0x40400000, 0x40400000, 0x40400000, 0x40400000, 0x40400000,
        0x40400000, 0x40400000, 0x40400000, 0x40400000, 0x40400000, 0x40400000, 0x40400000, 0x40400000, 0x40400000,
        0x40400000, 0x40400000, 0x40400000,
      ]),
  ]

  @Test(arguments: cases) func frequencyDivisorsAreTheIncumbentsToTheBit(_ expected: Case) throws {
    let divisors = try #require(
      expected.scaling.frequencyDivisors(theta: expected.theta, headSize: expected.headSize))
    #expect(divisors.map(\.bitPattern) == expected.bits)
  }

  @Test(arguments: [RopeScaling.none, .linear(factor: 2)])
  func otherScalingsHaveNoDivisors(_ scaling: RopeScaling) {
    #expect(scaling.frequencyDivisors(theta: 10000, headSize: 64) == nil)
  }
}
