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
}
