public import Tensors

/// Which type each tensor gets so that the whole fits a number of bytes and the sum of what the types cost is least.
///
/// The multiple-choice knapsack problem, by dynamic programming over bytes (Kellerer, Pferschy and Pisinger, "Knapsack
/// Problems", 2004, §11.5).
public struct Allocation: Sendable {
  /// A type that a tensor may have.
  public struct Choice: Hashable, Sendable {
    public var type: DType
    public var bytes: Int
    /// What it costs, in the unit of all others: the mean KL divergence that it causes.
    public var loss: Double

    public init(type: DType, bytes: Int, loss: Double) {
      (self.type, self.bytes, self.loss) = (type, bytes, loss)
    }
  }

  /// The index of the choice of each tensor.
  public let chosen: [Int]
  public let bytes: Int
  public let loss: Double

  /// Entries of the table of what was chosen, a byte each.
  private static let tableLimit = 1 << 26

  /// The least sum there is, when the sizes that occur have a common divisor that is not too small, as those of block formats
  /// have: of 225 tensors up to 300,000 sizes of the whole are told apart. Beyond that what a choice adds is rounded up to
  /// units, by less than one part in 300,000 of the bytes above the smallest types.
  ///
  /// - Parameters:
  ///   - tensors: of each, its choices, 1 to 255 with finite losses.
  ///   - budget: bytes of all together.
  /// - Returns: `nil` when the smallest choices do not fit.
  public init?(_ tensors: [[Choice]], budget: Int) {
    // Of each tensor those that cost less than every smaller one, the smallest first.
    let fronts = tensors.map(Allocation.front)
    let least = zip(tensors, fronts).reduce(0) { $0 + $1.0[$1.1[0]].bytes }
    guard least <= budget else { return nil }
    let extras = zip(tensors, fronts).map { choices, front in front.map { choices[$0].bytes - choices[front[0]].bytes }
    }
    let room = min(budget - least, extras.reduce(0) { $0 + $1[$1.count - 1] })
    let divisor = extras.joined().reduce(0, Allocation.greatestCommonDivisor)
    let states = max(2, Allocation.tableLimit / max(1, tensors.count))
    let unit = max(1, divisor, (room + states - 2) / (states - 1))

    // `sums[s]` is the least loss of the tensors so far in at most `s` units.
    var sums = [Double](repeating: 0, count: room / unit + 1)
    var picks: [[UInt8]] = []
    for (index, front) in fronts.enumerated() {
      var next = [Double](repeating: .infinity, count: sums.count)
      var pick = [UInt8](repeating: 0, count: sums.count)
      for (place, choice) in front.enumerated() {
        let cost = (extras[index][place] + unit - 1) / unit
        let loss = tensors[index][choice].loss
        guard cost < sums.count else { continue }
        for s in cost..<sums.count where sums[s - cost] + loss < next[s] {
          next[s] = sums[s - cost] + loss
          pick[s] = UInt8(place)
        }
      }
      sums = next
      picks.append(pick)
    }

    var chosen = [Int](repeating: 0, count: tensors.count)
    var s = sums.count - 1
    for index in tensors.indices.reversed() {
      let place = Int(picks[index][s])
      chosen[index] = fronts[index][place]
      s -= (extras[index][place] + unit - 1) / unit
    }
    self.chosen = chosen
    bytes = zip(tensors, chosen).reduce(0) { $0 + $1.0[$1.1].bytes }
    loss = zip(tensors, chosen).reduce(0) { $0 + $1.0[$1.1].loss }
  }

  private static func front(_ choices: [Choice]) -> [Int] {
    let sorted = choices.indices.sorted {
      (choices[$0].bytes, choices[$0].loss, $0) < (choices[$1].bytes, choices[$1].loss, $1)
    }
    var front: [Int] = []
    for index in sorted where front.last.map({ choices[index].loss < choices[$0].loss }) ?? true { front.append(index) }
    return front
  }

  private static func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int {
    var (a, b) = (a, b)
    while b != 0 { (a, b) = (b, a % b) }
    return a
  }
}
