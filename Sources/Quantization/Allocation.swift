public import Tensors

/// Which type each tensor gets so that the whole fits a number of bytes and the sum of what the types cost is least.
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
  public private(set) var chosen: [Int]
  public private(set) var bytes: Int
  public private(set) var loss: Double

  /// Starts from the smallest types and buys, again and again, what saves most loss a byte; what no longer fits is passed
  /// over for what does.
  ///
  /// - Parameters:
  ///   - tensors: of each, its choices, at least one.
  ///   - budget: bytes of all together.
  /// - Returns: `nil` when the smallest choices do not fit.
  public init?(_ tensors: [[Choice]], budget: Int) {
    // Of each tensor the choices on the lower convex hull: each dearer one saves less a byte than the one before.
    let hulls = tensors.map(Allocation.hull)
    var places = hulls.map { _ in 0 }
    var bytes = zip(tensors, hulls).reduce(0) { $0 + $1.0[$1.1[0]].bytes }
    guard bytes <= budget else { return nil }
    while true {
      var best: (index: Int, rate: Double)?
      for (index, hull) in hulls.enumerated() where places[index] + 1 < hull.count {
        let (now, next) = (tensors[index][hull[places[index]]], tensors[index][hull[places[index] + 1]])
        guard bytes + next.bytes - now.bytes <= budget else { continue }
        let rate = (now.loss - next.loss) / Double(max(1, next.bytes - now.bytes))
        if rate > best?.rate ?? 0 { best = (index, rate) }
      }
      guard let best else { break }
      let hull = hulls[best.index]
      bytes +=
        tensors[best.index][hull[places[best.index] + 1]].bytes - tensors[best.index][hull[places[best.index]]].bytes
      places[best.index] += 1
    }
    chosen = zip(hulls, places).map { $0[$1] }
    loss = zip(tensors, chosen).reduce(0) { $0 + $1.0[$1.1].loss }
    self.bytes = bytes
    improve(tensors, budget: budget)
  }

  /// Exchanges of two tensors' types that lower the loss and still fit, until there is none.
  private mutating func improve(_ tensors: [[Choice]], budget: Int) {
    for _ in 0..<1000 {
      var best: (a: Int, choiceA: Int, b: Int, choiceB: Int, gain: Double)?
      for a in tensors.indices {
        let fromA = tensors[a][chosen[a]]
        for (choiceA, toA) in tensors[a].enumerated() where toA.loss < fromA.loss {
          for b in tensors.indices where b != a {
            let fromB = tensors[b][chosen[b]]
            for (choiceB, toB) in tensors[b].enumerated() {
              let gain = fromA.loss - toA.loss + fromB.loss - toB.loss
              guard gain > best?.gain ?? 1e-12 * loss,
                bytes + toA.bytes - fromA.bytes + toB.bytes - fromB.bytes <= budget
              else { continue }
              best = (a, choiceA, b, choiceB, gain)
            }
          }
        }
      }
      guard let best else { return }
      for (index, choice) in [(best.a, best.choiceA), (best.b, best.choiceB)] {
        bytes += tensors[index][choice].bytes - tensors[index][chosen[index]].bytes
        loss += tensors[index][choice].loss - tensors[index][chosen[index]].loss
        chosen[index] = choice
      }
    }
  }

  private static func hull(_ choices: [Choice]) -> [Int] {
    let sorted = choices.indices.sorted {
      (choices[$0].bytes, choices[$0].loss, $0) < (choices[$1].bytes, choices[$1].loss, $1)
    }
    var hull: [Int] = []
    for index in sorted {
      let next = choices[index]
      if let last = hull.last, next.loss >= choices[last].loss { continue }
      while hull.count >= 2 {
        let (a, b) = (choices[hull[hull.count - 2]], choices[hull[hull.count - 1]])
        let (steep, flat) = (
          (a.loss - b.loss) * Double(next.bytes - b.bytes), (b.loss - next.loss) * Double(b.bytes - a.bytes)
        )
        guard flat > steep else { break }
        hull.removeLast()
      }
      hull.append(index)
    }
    return hull
  }
}
