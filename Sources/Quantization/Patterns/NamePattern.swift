/// A regular expression for names of tensors, found anywhere in a name: the grammar of C++'s `std::regex` (ECMAScript), byte
/// by byte, as llama-quantize has it, but for back references.
///
///     let pattern = try NamePattern("blk\\.(0|1)\\.attn_[kv]")
///     pattern.matches("blk.1.attn_v.weight")  // true
///
/// All alternatives are followed at once (Thompson, Regular Expression Search Algorithm, CACM 1968). So a pattern is safe
/// to take from anyone: a search takes at most as many steps as the pattern's program times the length of the name, and no
/// stack.
package struct NamePattern: Sendable {
  /// Bytes of a pattern, which bound the depth of its groups.
  package static let longest = 500
  /// Steps of a program: what repetitions can multiply a pattern to.
  package static let largest = 5_000

  enum Step: Sendable {
    case byte(ByteSet)
    case split(Int, Int)
    case jump(Int)
    /// Goes on only where the edge is.
    case edge(Edge)
    /// Goes on only where the part that begins at `start` matches, or does not. `index` counts these steps.
    case look(index: Int, start: Int, isNegated: Bool)
    case found
  }

  enum Edge: Sendable { case start, end, word, noWord }

  private(set) var steps: [Step] = []
  private(set) var lookCount = 0

  /// Why a pattern cannot be used.
  package struct Invalid: Error {
    package let problem: String

    init(_ problem: String) { self.problem = problem }
  }

  package init(_ text: String) throws(Invalid) {
    guard text.utf8.count <= NamePattern.longest else {
      throw Invalid("the expression is longer than \(NamePattern.longest) bytes")
    }
    var parser = PatternParser(Array(text.utf8))
    try emit(try parser.parse())
    try append(.found)
  }

  private mutating func append(_ step: Step) throws(Invalid) {
    guard steps.count < NamePattern.largest else { throw Invalid("the expression repeats too much") }
    steps.append(step)
  }

  /// Every part takes a step at least, so that `largest` bounds all loops here.
  private mutating func emit(_ node: PatternNode) throws(Invalid) {
    switch node {
    case .empty: try append(.jump(steps.count + 1))
    case .bytes(let set): try append(.byte(set))
    case .edge(let edge): try append(.edge(edge))
    case .sequence(let parts): for part in parts { try emit(part) }
    case .either(let first, let second):
      let split = steps.count
      try append(.found)
      try emit(first)
      let jump = steps.count
      try append(.found)
      steps[split] = .split(split + 1, steps.count)
      try emit(second)
      steps[jump] = .jump(steps.count)
    case .repeated(let part, let least, let most):
      var last = steps.count
      for _ in 0..<least {
        last = steps.count
        try emit(part)
      }
      if let most {
        for _ in least..<most { try emitOptional(part, loops: false) }
      } else if least > 0 {
        try append(.split(last, steps.count + 1))
      } else {
        try emitOptional(part, loops: true)
      }
    case .look(let part, let isNegated):
      let look = steps.count
      try append(.found)
      let jump = steps.count
      try append(.found)
      try emit(part)
      try append(.found)
      steps[look] = .look(index: lookCount, start: look + 2, isNegated: isNegated)
      steps[jump] = .jump(steps.count)
      lookCount += 1
    }
  }

  private mutating func emitOptional(_ part: PatternNode, loops: Bool) throws(Invalid) {
    let split = steps.count
    try append(.found)
    try emit(part)
    if loops { try append(.jump(split)) }
    steps[split] = .split(split + 1, steps.count)
  }
}

/// A set of bytes.
struct ByteSet: Sendable {
  private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

  init() {}

  init(_ bytes: some Sequence<UInt8>) { for byte in bytes { insert(byte) } }

  func contains(_ byte: UInt8) -> Bool {
    let bit = UInt64(1) << UInt64(byte & 63)
    return switch byte >> 6 {
    case 0: words.0 & bit != 0
    case 1: words.1 & bit != 0
    case 2: words.2 & bit != 0
    default: words.3 & bit != 0
    }
  }

  mutating func insert(_ byte: UInt8) {
    let bit = UInt64(1) << UInt64(byte & 63)
    switch byte >> 6 {
    case 0: words.0 |= bit
    case 1: words.1 |= bit
    case 2: words.2 |= bit
    default: words.3 |= bit
    }
  }

  mutating func formUnion(_ other: ByteSet) {
    words = (words.0 | other.words.0, words.1 | other.words.1, words.2 | other.words.2, words.3 | other.words.3)
  }

  var inverted: ByteSet {
    var set = self
    set.words = (~words.0, ~words.1, ~words.2, ~words.3)
    return set
  }
}
