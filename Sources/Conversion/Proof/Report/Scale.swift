#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A logarithmic or linear axis of a chart: values from `lower` to `upper` to places from `start` to `end`.
struct Scale: Sendable {
  let lower: Double
  let upper: Double
  let start: Double
  let end: Double
  let isLogarithmic: Bool
  /// Between two lines of a linear axis.
  private let step: Double

  /// A linear axis; its limits are widened to whole steps of 1, 2 or 5 times a power of ten.
  init(linear values: [Double], from start: Double, to end: Double, steps: Int = 4, includingZero: Bool = true) {
    let finite = values.filter(\.isFinite) + (includingZero ? [0] : [])
    let (least, most) = (finite.min() ?? 0, finite.max() ?? 1)
    step = Scale.step(of: most > least ? most - least : max(most.magnitude, 1e-9), count: steps)
    lower = (least / step).rounded(.down) * step
    upper = max((most / step).rounded(.up) * step, lower + step)
    (self.start, self.end, isLogarithmic) = (start, end, false)
  }

  /// A logarithmic axis over whole decades; values that are not above 0 do not count.
  init(logarithmic values: [Double], from start: Double, to end: Double) {
    let usable = values.filter { $0.isFinite && $0 > 0 }
    let least = Scale.exponent(of: usable.min() ?? 0.1)
    let greatest = usable.max() ?? 1
    let most =
      Scale.power(Scale.exponent(of: greatest)) < greatest
      ? Scale.exponent(of: greatest) + 1 : Scale.exponent(of: greatest)
    lower = Scale.power(least)
    upper = Scale.power(max(most, least + 1))
    (self.start, self.end, isLogarithmic, step) = (start, end, true, 0)
  }

  /// A logarithmic axis between two numbers above 0.
  init(logarithmicBetween lower: Double, _ upper: Double, from start: Double, to end: Double) {
    (self.lower, self.upper, self.start, self.end, isLogarithmic, step) = (lower, upper, start, end, true, 0)
  }

  func place(_ value: Double) -> Double {
    let part: Double
    if isLogarithmic {
      part = value > 0 ? (log10(value) - log10(lower)) / (log10(upper) - log10(lower)) : 0
    } else {
      part = (value - lower) / (upper - lower)
    }
    return start + min(max(part.isFinite ? part : 1, 0), 1) * (end - start)
  }

  /// Where lines are drawn, at most `most` of a logarithmic axis's decades.
  func ticks(most: Int = 8) -> [(value: Double, label: String)] {
    if isLogarithmic {
      let (first, last) = (Scale.exponent(of: lower), Scale.exponent(of: upper))
      let stride = max(1, (last - first + most - 1) / most)
      return Swift.stride(from: first, through: last, by: stride).map { (Scale.power($0), Scale.powerLabel($0)) }
    }
    let count = Int(((upper - lower) / step).rounded())
    let places = max(0, -Scale.exponent(of: step))
    return (0...count).map { index in
      let value = lower + Double(index) * step
      return (value, Figures.signed(value, places))
    }
  }

  /// 1, 2 or 5 times a power of ten, so that about `count` of it make `extent`.
  private static func step(of extent: Double, count: Int) -> Double {
    let rough = extent / Double(count)
    let power = Scale.power(exponent(of: rough))
    guard rough.isFinite, power > 0, power.isFinite else { return 1 }
    return power * (rough / power > 5 ? 10 : rough / power > 2 ? 5 : rough / power > 1 ? 2 : 1)
  }

  /// The largest n with 10ⁿ not above |value|; 0 for 0 and what is not finite.
  static func exponent(of value: Double) -> Int {
    guard value.isFinite, value != 0 else { return 0 }
    var exponent = Int(log10(value.magnitude).rounded(.down))
    if power(exponent + 1) <= value.magnitude { exponent += 1 }
    if power(exponent) > value.magnitude { exponent -= 1 }
    return exponent
  }

  /// 10 to `exponent`, correctly rounded as a literal is.
  static func power(_ exponent: Int) -> Double { Double("1e\(exponent)") ?? .infinity }

  /// `0.001` down to there, `10⁻⁶` beyond.
  private static func powerLabel(_ exponent: Int) -> String {
    if (0...3).contains(exponent) { return Figures.signed(power(exponent), 0) }
    if (-3 ... -1).contains(exponent) { return Figures.signed(power(exponent), -exponent) }
    let digits = ["⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"]
    let raised = String(exponent.magnitude).compactMap { $0.wholeNumberValue }.map { digits[$0] }.joined()
    return "10" + (exponent < 0 ? "⁻" : "") + raised
  }
}
