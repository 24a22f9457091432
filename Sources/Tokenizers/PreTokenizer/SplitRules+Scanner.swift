extension SplitRules {
  private typealias Class = CharacterClass

  /// Where the piece that begins at `start` ends: what the regular expression would match there, leftmost alternative
  /// first, each with the backtracking it would do.
  /// - Parameters:
  ///   - classes: the class of every byte of `text`.
  ///   - end: where the text ends for look-ahead.
  /// - Returns: more than `start`, at most `end`; always a character boundary.
  func pieceEnd(_ text: Span<UInt8>, _ classes: Span<UInt8>, from start: Int, to end: Int) -> Int {
    let first = classes[start]
    if isolatesDigits && first & Class.digit != 0 { return characterEnd(classes, start, end) }
    if contractions != .none, text[start] == UInt8(ascii: "'"),
      let next = contractionEnd(text, start, end, contractions)
    {
      return next
    }
    switch words {
    case .afterSpace: break
    case .afterAnySign, .afterAnySignWithMarks:
      // Letters and marks are of the upper or the lower class, and nothing else is.
      let inWord = words == .afterAnySign ? Class.letter : Class.upper | Class.lower
      if first & Class.letter != 0 { return run(of: inWord, classes, start, end) }
      if first & (Class.number | Class.newline) == 0 {
        let next = characterEnd(classes, start, end)
        if next < end && classes[next] & inWord != 0 { return run(of: inWord, classes, next, end) }
        if first & inWord != 0 { return next }
      }
    case .byCase(let suffix):
      if let next = casedWordEnd(classes, start, end) {
        guard suffix != .none, next < end, text[next] == UInt8(ascii: "'") else { return next }
        return contractionEnd(text, next, end, suffix) ?? next
      }
    }
    if case .upTo(let limit) = numbers, first & Class.number != 0 {
      var next = start
      var count = 0
      while count < limit && next < end && classes[next] & Class.number != 0 {
        next = characterEnd(classes, next, end)
        count += 1
      }
      return next
    }

    let body = text[start] == 0x20 ? start + 1 : start
    if body < end {
      let bits = classes[body]
      if words == .afterSpace {
        if bits & Class.letter != 0 { return run(of: Class.letter, classes, body, end) }
        if bits & Class.number != 0 && !(isolatesDigits && bits & Class.digit != 0) {
          return run(of: Class.number, classes, body, end)
        }
      }
      let notSign =
        Class.letter | Class.number | Class.space | (isolatesDigits ? Class.digit : 0)
        | (words == .afterAnySignWithMarks ? Class.upper | Class.lower : 0)
      if bits & notSign == 0 {
        var next = body
        while next < end && classes[next] & notSign == 0 { next += 1 }
        switch signsEnd {
        case .none: break
        case .newlines: while next < end && classes[next] & Class.newline != 0 { next += 1 }
        case .newlinesAndSlashes:
          while next < end && (classes[next] & Class.newline != 0 || text[next] == UInt8(ascii: "/")) { next += 1 }
        }
        return next
      }
    }
    return spaceEnd(classes, start, end)
  }

  /// `\s*[\r\n]+|\s+(?!\S)|\s+`
  private func spaceEnd(_ classes: Span<UInt8>, _ start: Int, _ end: Int) -> Int {
    let next = run(of: Class.space, classes, start, end)
    // A character that no alternative begins with would be a piece of its own; there is none in the known patterns.
    guard next > start else { return characterEnd(classes, start, end) }
    if cutsAfterNewlines {
      var last = next
      while last > start && classes[last - 1] & Class.newline == 0 { last -= 1 }
      if last > start { return last }
    }
    if next == end || (isolatesDigits && classes[next] & Class.digit != 0) { return next }
    var last = next - 1
    while classes[last] & Class.continuation != 0 { last -= 1 }
    return last > start ? last : next
  }

  @inline(__always)
  private func characterEnd(_ classes: Span<UInt8>, _ start: Int, _ end: Int) -> Int {
    var next = start + 1
    while next < end && classes[next] & Class.continuation != 0 { next += 1 }
    return next
  }

  /// The end of the bytes from `start` on that have one of `bits`; the later bytes of a character carry its bits.
  @inline(__always)
  private func run(of bits: UInt8, _ classes: Span<UInt8>, _ start: Int, _ end: Int) -> Int {
    var next = start
    while next < end && classes[next] & bits != 0 { next += 1 }
    return next
  }

  /// `'s|'t|'re|'ve|'m|'ll|'d` at `start`, where an apostrophe stands.
  private func contractionEnd(_ text: Span<UInt8>, _ start: Int, _ end: Int, _ kind: Contractions) -> Int? {
    func letter(_ offset: Int) -> UInt8 {
      guard start + offset < end else { return 0 }
      let byte = text[start + offset]
      return kind != .lowercase && byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte
    }
    switch letter(1) {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"): return start + 2
    case UInt8(ascii: "r"), UInt8(ascii: "v"): return letter(2) == UInt8(ascii: "e") ? start + 3 : nil
    case UInt8(ascii: "l"): return letter(2) == UInt8(ascii: "l") ? start + 3 : nil
    case 0xC5 where kind == .folded: return letter(2) == 0xBF ? start + 3 : nil  // U+017F
    default: return nil
    }
  }

  /// `P?U*W+|P?U+W*` with P = `[^\r\n\p{L}\p{N}]` and U, W the upper and lower classes, which share marks and letters
  /// without case.
  private func casedWordEnd(_ classes: Span<UInt8>, _ start: Int, _ end: Int) -> Int? {
    let first = classes[start]
    let afterSign =
      first & (Class.letter | Class.number | Class.newline) == 0 ? characterEnd(classes, start, end) : nil

    func lowerEnd(_ from: Int) -> Int? {
      var next = run(of: Class.upper, classes, from, end)
      if next < end && classes[next] & Class.lower != 0 { return run(of: Class.lower, classes, next, end) }
      // Give characters back to `W+` until one is of both classes.
      while next > from {
        next -= 1
        if classes[next] & Class.lower != 0 { return characterEnd(classes, next, end) }
      }
      return nil
    }
    func upperEnd(_ from: Int) -> Int? {
      let next = run(of: Class.upper, classes, from, end)
      return next > from ? run(of: Class.lower, classes, next, end) : nil
    }
    return (afterSign.flatMap(lowerEnd)) ?? lowerEnd(start) ?? (afterSign.flatMap(upperEnd)) ?? upperEnd(start)
  }
}
