/// All arithmetic on sizes that come from outside: every operation is checked, and no result exceeds `limit`.
///
/// `limit` is `Int.max`, so that a value that passed may be used as an `Int`, an `off_t` or a count without another check.
/// The error names no file; the reader that knows it adds it (`InputError.adding`).
public enum SizeArithmetic {
  public static let limit = UInt64(Int.max)

  /// `value` as an `Int`.
  public static func int(_ value: UInt64) throws(InputError) -> Int {
    guard value <= limit else { throw overflow("\(value)") }
    return Int(value)
  }

  public static func sum(_ a: Int, _ b: Int) throws(InputError) -> Int {
    let (value, overflowed) = a.addingReportingOverflow(b)
    guard !overflowed, a >= 0, b >= 0 else { throw overflow("\(a) + \(b)") }
    return value
  }

  public static func product(_ a: Int, _ b: Int) throws(InputError) -> Int {
    let (value, overflowed) = a.multipliedReportingOverflow(by: b)
    guard !overflowed, a >= 0, b >= 0 else { throw overflow("\(a) × \(b)") }
    return value
  }

  /// The product of all `dimensions`; 1 for none.
  ///
  /// Refused when the product of the *non-zero* dimensions overflows, so the verdict does not depend on their order: `[0,
  /// 2^62, 2^62]` is as hostile as `[2^62, 2^62, 0]`.
  public static func product(_ dimensions: [Int]) throws(InputError) -> Int {
    var nonZero = 1
    var isEmpty = false
    for dimension in dimensions {
      if dimension == 0 { isEmpty = true } else { nonZero = try product(nonZero, dimension) }
    }
    return isEmpty ? 0 : nonZero
  }

  /// The smallest multiple of `alignment` (a power of two) that is not below `value`.
  public static func aligned(_ value: Int, to alignment: Int) throws(InputError) -> Int {
    precondition(alignment > 0 && alignment & (alignment - 1) == 0, "alignment must be a power of two")
    return try sum(value, alignment - 1) & ~(alignment - 1)
  }

  private static func overflow(_ expression: String) -> InputError {
    InputError(.overflow, "the size \(expression) does not fit 63 bits")
  }
}
