#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// How rotary position embedding is stretched beyond the context that a model was first trained on.
public enum RopeScaling: Hashable, Sendable {
  case none
  /// Every position divided by `factor`.
  case linear(factor: Double)
  /// Llama 3.1 and later: low frequencies divided by `factor`, high ones kept, those between blended. GGUF carries it as
  /// the tensor `rope_freqs.weight` and no key.
  case llama3(factor: Double, lowFrequency: Double, highFrequency: Double, originalContext: Int)
  /// Low frequencies interpolated, high ones kept, and queries and keys made longer.
  case yarn(YaRN)

  /// The divisor of each rotary frequency, as `rope_freqs.weight` holds it: `headSize / 2` values; `nil` unless `llama3`.
  ///
  /// With `f = theta^(-2i/headSize)` and wavelength `λ = 2π/f`: 1 below `originalContext / highFrequency`, `factor` above
  /// `originalContext / lowFrequency`, and between them `1 / ((1 - s) / factor + s)` where `s = (originalContext / λ -
  /// lowFrequency) / (highFrequency - lowFrequency)`. Rounded to F32 at each step, as the incumbent's tensor arithmetic
  /// does, so that the bytes agree (llama.cpp 0c1e57098, conversion/llama.py; it divides by multiplying with the
  /// reciprocal).
  public func frequencyDivisors(theta: Double, headSize: Int) -> [Float]? {
    guard case .llama3(let factor, let low, let high, let originalContext) = self else { return nil }
    let context = Float(originalContext)
    return (0..<headSize / 2).map { index in
      let power = Float(pow(Double(Float(theta)), Double(Float(2 * index) / Float(headSize))))
      let wavelength = 1 / (1 / power) * Float(2 * Double.pi)
      if Double(wavelength) < Double(originalContext) / high { return 1 }
      if Double(wavelength) > Double(originalContext) / low { return Float(factor) }
      let smooth = (1 / wavelength * context - Float(low)) / Float(high - low)
      return 1 / ((1 - smooth) / Float(factor) + smooth)
    }
  }

  /// The rotary frequency of every pair of a head, `headSize / 2` of them, in radians a position.
  /// - Parameter divisors: `rope_freqs.weight`, when the model has it.
  func frequencies(theta: Double, headSize: Int, divisors: [Float]?) -> [Float] {
    let ramp: (Int) -> Double =
      if case .yarn(let yarn) = self { yarn.interpolation(theta: theta, headSize: headSize) } else { { _ in 1 } }
    let factor =
      switch self {
      case .linear(let factor): factor
      case .yarn(let yarn): yarn.factor
      case .none, .llama3: 1.0
      }
    return (0..<headSize / 2).map { pair in
      let frequency = pow(theta, -2 * Double(pair) / Double(headSize)) / (divisors.map { Double($0[pair]) } ?? 1)
      let share = ramp(pair)
      return Float(frequency / factor * share + frequency * (1 - share))
    }
  }

  /// What rotated queries and keys are multiplied with.
  var magnitude: Double {
    guard case .yarn(let yarn) = self else { return 1 }
    return yarn.attentionFactor ?? (yarn.factor > 1 ? 0.1 * log(yarn.factor) + 1 : 1)
  }
}

/// YaRN (Peng et al., arXiv:2309.00071, section 3.2) as transformers and llama.cpp compute it. What is `nil` is not stated
/// by the model, and not written to a GGUF.
///
/// llama.cpp 0c1e57098 reads only factor and original context of a `llama`; for the rest it has the same defaults.
public struct YaRN: Hashable, Sendable {
  /// By how much positions are compressed where they are.
  public var factor: Double
  /// The context before it was stretched.
  public var originalContext: Int
  /// What rotated queries and keys are multiplied with; `0.1 ln(factor) + 1` where `nil`.
  public var attentionFactor: Double?
  /// Pairs that turn more often than this in the original context are kept; 32 where `nil`.
  public var fastRotations: Double?
  /// Pairs that turn less often are interpolated; 1 where `nil`.
  public var slowRotations: Double?

  public init(
    factor: Double, originalContext: Int, attentionFactor: Double? = nil, fastRotations: Double? = nil,
    slowRotations: Double? = nil
  ) {
    (self.factor, self.originalContext, self.attentionFactor) = (factor, originalContext, attentionFactor)
    (self.fastRotations, self.slowRotations) = (fastRotations, slowRotations)
  }

  /// Of a pair's frequency, the share that is interpolated: 0 for the fastest pairs, 1 for the slowest, between them a
  /// straight line over whole pairs.
  func interpolation(theta: Double, headSize: Int) -> (Int) -> Double {
    func pair(turning rotations: Double) -> Double {
      Double(headSize) * log(Double(originalContext) / (rotations * 2 * Double.pi)) / (2 * log(theta))
    }
    let first = max(0, pair(turning: fastRotations ?? 32).rounded(.down))
    let last = min(Double(headSize - 1), pair(turning: slowRotations ?? 1).rounded(.up))
    let length = max(0.001, last - first)
    return { min(1, max(0, (Double($0) - first) / length)) }
  }
}
