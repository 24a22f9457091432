extension NamePattern {
  /// Whether the pattern is found anywhere in `name`.
  package func matches(_ name: String) -> Bool {
    var search = Search(pattern: self, name: Array(name.utf8))
    return search.isFound(from: 0, startingAt: 0, anywhere: true)
  }

  /// A search in one name.
  private struct Search {
    let pattern: NamePattern
    let name: [UInt8]
    /// What each look ahead found at each position.
    var looks: [Bool?]

    init(pattern: NamePattern, name: [UInt8]) {
      (self.pattern, self.name) = (pattern, name)
      looks = Array(repeating: nil, count: pattern.lookCount * (name.count + 1))
    }

    /// Follows the program from the step `start` through the name from `position` on, or from any later position too.
    mutating func isFound(from position: Int, startingAt start: Int, anywhere: Bool) -> Bool {
      var current: [Int] = []
      var next: [Int] = []
      // The position at which a step was last reached, so that none is followed twice there.
      var reached = [Int](repeating: -1, count: pattern.steps.count)
      for at in position...name.count {
        if at == position || anywhere, reach(start, at, &current, &reached) { return true }
        if current.isEmpty && !anywhere || at == name.count { return false }
        for step in current {
          guard case .byte(let set) = pattern.steps[step], set.contains(name[at]) else { continue }
          if reach(step + 1, at + 1, &next, &reached) { return true }
        }
        swap(&current, &next)
        next.removeAll(keepingCapacity: true)
      }
      return false
    }

    /// Adds the steps that wait for a byte and can be reached from `step` without one; true if the end is among them.
    private mutating func reach(_ step: Int, _ at: Int, _ waiting: inout [Int], _ reached: inout [Int]) -> Bool {
      var pending = [step]
      while let step = pending.popLast() {
        if reached[step] == at { continue }
        reached[step] = at
        switch pattern.steps[step] {
        case .found: return true
        case .byte: waiting.append(step)
        case .jump(let target): pending.append(target)
        case .split(let first, let second): pending += [second, first]
        case .edge(let edge): if isAt(edge, at) { pending.append(step + 1) }
        case .look(let index, let start, let isNegated):
          if looksAhead(index, start, at) != isNegated { pending.append(step + 1) }
        }
      }
      return false
    }

    /// Looks ahead lie in one another at most as deep as groups do.
    private mutating func looksAhead(_ index: Int, _ start: Int, _ at: Int) -> Bool {
      let slot = index * (name.count + 1) + at
      if let known = looks[slot] { return known }
      let found = isFound(from: at, startingAt: start, anywhere: false)
      looks[slot] = found
      return found
    }

    private func isAt(_ edge: Edge, _ at: Int) -> Bool {
      func isWord(_ at: Int) -> Bool { name.indices.contains(at) && ByteSet.word.contains(name[at]) }
      return switch edge {
      case .start: at == 0
      case .end: at == name.count
      case .word: isWord(at - 1) != isWord(at)
      case .noWord: isWord(at - 1) == isWord(at)
      }
    }
  }
}
