/// How numbers are written in a report: enough digits to tell two models apart, none that the error makes idle.
enum Figures {
  /// `value` with as many decimals as give its standard error two significant digits, and that error.
  ///
  /// Without a usable error (0, or not a number) the value has four significant digits and the error is `nil`.
  static func measured(_ value: Double, _ error: Double) -> (value: String, error: String?) {
    guard value.isFinite, error.isFinite, error > 0 else { return (significant(value, 4), nil) }
    let places = places(of: error, digits: 2)
    guard places <= 9 else { return (significant(value, 3), significant(error, 2)) }
    return (signed(value, places), signed(error, places))
  }

  /// `value` to `digits` significant digits; below 1e-6 and from 1e7 with a power of ten.
  static func significant(_ value: Double, _ digits: Int) -> String {
    guard value.isFinite else { return signed(value, 0) }
    guard value != 0 else { return "0" }
    if value.magnitude < 1e-6 || value.magnitude >= 1e7 {
      let exponent = Scale.exponent(of: value)
      let power = Scale.power(exponent)
      let mantissa = power > 0 ? value / power : 0
      return "\(signed(mantissa, digits - 1))e\(exponent)"
    }
    return signed(value, places(of: value, digits: digits))
  }

  /// A number that somebody chose, such as a limit: as many digits as it has, six at most.
  static func plain(_ value: Double) -> String {
    var text = significant(value, 6)
    guard text.contains("."), !text.contains("e") else { return text }
    while text.hasSuffix("0") { text.removeLast() }
    return text.hasSuffix(".") ? String(text.dropLast()) : text
  }

  /// A share of one as percent.
  static func percent(_ share: Double, _ places: Int) -> String { signed(share * 100, places) + " %" }

  /// With the sign of minus as typesetters have it, as wide as a digit.
  static func signed(_ value: Double, _ places: Int) -> String {
    if value.isNaN { return "not a number" }
    if value.isInfinite { return value < 0 ? "−∞" : "∞" }
    let text = decimals(value, places)
    return text.hasPrefix("-") ? "−" + text.dropFirst() : text
  }

  /// A count with its thousands apart: `11 264`, thin spaces.
  static func count(_ value: Int) -> String {
    let digits = String(value.magnitude)
    var out = value < 0 ? "−" : ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0 { out += "\u{202F}" }
      out.append(digit)
    }
    return out
  }

  /// Decimals that show `digits` significant digits of `value`, at least 0.
  private static func places(of value: Double, digits: Int) -> Int {
    var places = max(0, digits - 1 - Scale.exponent(of: value))
    // 0.0996 to two digits is 0.10, which has them one place earlier.
    if places > 0, (value.magnitude * Scale.power(places)).rounded() >= Scale.power(digits) { places -= 1 }
    return places
  }
}
