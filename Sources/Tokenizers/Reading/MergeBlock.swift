import Bytes

/// Merges that are looked up together, in the order of the file.
struct MergeBlock {
  struct Item {
    /// Of the two tokens in `text`, one after the other: where the first begins, the second, and where that ends.
    var start: Int
    var middle: Int
    var end: Int
    var rank: UInt32
    /// In the file, for messages.
    var offset: UInt64?
  }

  private(set) var text: [UInt8] = []
  private(set) var items: [Item] = []

  var isFull: Bool { items.count == Vocabulary.block }

  mutating func removeAll() {
    text.removeAll(keepingCapacity: true)
    items.removeAll(keepingCapacity: true)
  }

  /// An array of two tokens, or both in one string with a space between them. The `#version` line of older files is left
  /// out.
  mutating func append(_ json: JSONValue, _ rank: UInt32) throws(InputError) {
    let start = text.count
    if json.kind != .string {
      guard let middle = json.appendPair(to: &text) else { throw json.mismatch("two tokens", "merges") }
      items.append(Item(start: start, middle: middle, end: text.count, rank: rank, offset: json.offset))
      return
    }
    try json.appendUTF8(to: &text)
    if text[start...].starts(with: "#version".utf8) { return }
    guard split(start, rank, json.offset) else {
      throw json.mismatch("two tokens with a space between them", "merges")
    }
  }

  /// - Returns: `false` when there is not exactly one space.
  mutating func append(_ line: String, _ rank: UInt32) -> Bool {
    let start = text.count
    text.append(contentsOf: line.utf8)
    return split(start, rank, nil)
  }

  private mutating func split(_ start: Int, _ rank: UInt32, _ offset: UInt64?) -> Bool {
    guard let space = text[start...].firstIndex(of: 0x20), !text[(space + 1)...].contains(0x20) else { return false }
    text.remove(at: space)
    items.append(Item(start: start, middle: space, end: text.count, rank: rank, offset: offset))
    return true
  }
}
