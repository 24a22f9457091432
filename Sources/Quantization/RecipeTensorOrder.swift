/// llama-quantize's order of tensors: those outside blocks by name, then block after block, in each by name.
public enum TensorOrder {
  /// The positions of `names` in that order.
  public static func indices(of names: [String]) -> [Int] {
    let keys = names.map { (block: block(of: $0) ?? -1, name: $0) }
    return names.indices.sorted { a, b in
      keys[a].block != keys[b].block
        ? keys[a].block < keys[b].block : keys[a].name.utf8.lexicographicallyPrecedes(keys[b].name.utf8)
    }
  }

  /// N of `blk.N.…`.
  static func block(of name: String) -> Int? {
    guard name.hasPrefix("blk.") else { return nil }
    return Int(name.dropFirst(4).prefix { $0.isNumber })
  }
}

extension String {
  /// Whether `part` occurs in it, byte by byte; `contains` compares characters, which takes a hundred times as long.
  func hasBytes(_ part: String) -> Bool {
    let (name, part) = (utf8.span, part.utf8.span)
    guard part.count <= name.count else { return false }
    for start in 0...name.count - part.count {
      var length = 0
      while length < part.count && name[start + length] == part[length] { length += 1 }
      if length == part.count { return true }
    }
    return false
  }
}
