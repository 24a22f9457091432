import Tensors

/// The groups of levels that a format can store.
protocol LevelGrid: Sendable {
  /// The entry of `code`; nil off the grid.
  func entry(of code: UInt16) -> Int?
  /// Codes of the entries closest to `code`, nearest first; none on the grid.
  func neighbours(of code: UInt16) -> [UInt16]
}

extension Grid4: LevelGrid {}
extension Grid8: LevelGrid {}

/// What the search of a format of magnitudes on a grid goes by; level l stands for 2 l + 1.
struct GridFormat<Grid: LevelGrid> {
  /// Which entries are chosen once more with the best scale.
  enum Again {
    /// Those that levels were moved to.
    case moved
    /// All, if levels were moved to any or no candidate was better than none.
    case allIfMoved
    case all
  }

  let grid: Grid
  /// Levels of an entry, and the greatest.
  let levels: Int
  let top: Int32
  /// Weights of one scale.
  let size: Int
  /// Bytes of a block.
  let bytes: Int
  /// Candidates on either side, and how far the largest magnitude's are apart.
  let steps: Int
  let step: Float
  /// Whether the eighth sign is not stored, so that an even number of signs must be set.
  let hasEvenSigns: Bool
  /// A smaller largest magnitude is stored as zeros.
  let smallest: Float
  let again: Again
  /// Whether candidates spread the largest magnitude of a fit by levels that any of the weights may have.
  var beginsWithFit = false
  /// σ² is this times the mean square.
  var variance: Float = 2
  /// Without importance a weight is x² and this share of σ².
  var plainShare: Float?

  /// Bits of a level in a code.
  var bits: Int { top == 2 ? 2 : 3 }
}

extension GridFormat where Grid == Grid4 {
  static var iq3_XXS: Self {
    Self(
      grid: .iq3_XXS, levels: 4, top: 7, size: 32, bytes: 98, steps: 15, step: 0.2, hasEvenSigns: true, smallest: 1e-8,
      again: .moved)
  }
  static var iq3_S: Self {
    Self(
      grid: .iq3_S, levels: 4, top: 7, size: 32, bytes: 110, steps: 9, step: 0.2, hasEvenSigns: false,
      smallest: .leastNonzeroMagnitude, again: .allIfMoved)
  }
}

extension GridFormat where Grid == Grid8 {
  static var iq2_XXS: Self {
    Self(
      grid: .iq2_XXS, levels: 8, top: 2, size: 32, bytes: 66, steps: 6, step: 0.1, hasEvenSigns: true,
      smallest: Rounding.groupEpsilon, again: .all, beginsWithFit: true, variance: 1, plainShare: 0.25)
  }
  static var iq2_XS: Self {
    Self(
      grid: .iq2_XS, levels: 8, top: 2, size: 16, bytes: 74, steps: 9, step: 0.1, hasEvenSigns: true,
      smallest: Rounding.groupEpsilon, again: .moved, variance: 1, plainShare: 0.25)
  }
  static var iq2_S: Self {
    Self(
      grid: .iq2_S, levels: 8, top: 2, size: 16, bytes: 82, steps: 9, step: 0.1, hasEvenSigns: false, smallest: 1e-8,
      again: .moved, plainShare: 0.25)
  }
}
