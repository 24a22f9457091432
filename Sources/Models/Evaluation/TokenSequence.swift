/// Tokens that a model reads, and tokens whose probability is asked after some of them.
public struct TokenSequence: Hashable, Sendable {
  /// A token that may come after `position` of the input.
  public struct Target: Hashable, Sendable {
    public var position: Int
    public var token: Int32

    public init(position: Int, token: Int32) { (self.position, self.token) = (position, token) }
  }

  public private(set) var input: [Int32]
  public private(set) var targets: [Target] = []
  /// The least position that a target comes after; `input.count` without targets.
  public private(set) var firstScored: Int

  /// - Precondition: `input` is not empty.
  public init(_ input: [Int32]) {
    precondition(!input.isEmpty, "an empty sequence")
    self.input = input
    firstScored = input.count
  }

  /// Positions whose logits are computed: all from the first that is asked for.
  public var scored: Range<Int> { firstScored..<input.count }

  /// - Returns: the indices of the new targets.
  @discardableResult
  public mutating func ask(_ new: some Sequence<Target>) -> Range<Int> {
    let start = targets.count
    for target in new {
      precondition(input.indices.contains(target.position), "a target beyond the input")
      targets.append(target)
      firstScored = min(firstScored, target.position)
    }
    return start..<targets.count
  }
}
