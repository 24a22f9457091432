public import Tensors

/// How long quantizing takes, one format beside another: to judge how long the rest of a conversion will take.
public enum QuantizingTime {
  /// Nanoseconds a weight on one thread, without importance and with it, as `docs/performance.md` has them for AVX-512. Other
  /// machines differ by a factor that formats have nearly in common. What is not listed takes as long as copying.
  private static let table: [DType: (plain: Double, weighed: Double)] = [
    .q4_0: (0.15, 1.24), .q4_1: (0.14, 4.4), .q5_0: (0.13, 1.27), .q5_1: (0.13, 4.5),
    .q2_K: (2.5, 5.4), .q3_K: (1.26, 1.6), .q4_K: (2.8, 4.6), .q5_K: (2.25, 4.7), .q6_K: (1.3, 1.6),
    .iq1_S: (11, 11), .iq1_M: (12, 12), .iq2_XXS: (25, 25), .iq2_XS: (42, 42), .iq2_S: (23, 25),
    .iq3_XXS: (37, 37), .iq3_S: (26, 25), .iq4_NL: (1.9, 2.2), .iq4_XS: (2.0, 2.1), .mxfp4: (0.6, 0.6),
    .nvfp4: (0.83, 0.83),
  ]

  private static let copying = 0.16

  /// What `ThoroughSearch` takes beside, where it differs from `refining`.
  private static let longerRefining: [DType: Double] = [
    .q2_K: 9, .q4_K: 9.5, .q5_K: 10, .iq4_XS: 10, .iq4_NL: 7.2,
  ]

  private static let refining = 6.3

  /// Nanoseconds of one thread's time that a weight takes to become part of a block of `type`.
  public static func nanoseconds(aWeightOf type: DType, hasImportance: Bool, isThorough: Bool) -> Double {
    (table[type].map { hasImportance ? $0.weighed : $0.plain } ?? copying)
      + (isThorough && type.isBlock ? longerRefining[type] ?? refining : 0)
  }
}
