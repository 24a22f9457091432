import Bytes

/// The merges of a vocabulary: two neighbouring tokens to their rank and to the token they become.
///
/// A list in the order of insertion, and an open-addressed table of 4-byte slots over it: filling it touches little memory
/// at random, and a pair that is no merge is told by the part of its hash that a slot holds.
struct MergeTable: Sendable {
  struct Merge: Sendable {
    /// The lower, the earlier; `UInt32.max` where there is no merge.
    var rank: UInt32
    var id: Int32

    static let none = Merge(rank: .max, id: -1)
  }

  struct Entry: Sendable {
    var left: Int32
    var right: Int32
    var merge: Merge
  }

  /// Entries that a slot can number.
  static let maximumCount = 1 << 24 - 1
  private static let free = UInt32.max

  private var entries: [Entry] = []
  /// Eight bits of the hash above the number of an entry.
  private var slots: [UInt32]
  private let seed = ByteHash.currentSeed | 1

  var count: Int { entries.count }

  /// - Parameter capacity: the number of merges that are expected.
  init(capacity: Int) {
    let wanted = max(capacity * 3 / 2, 16)
    slots = [UInt32](largePages: MergeTable.free, count: 1 << (Int.bitWidth - (wanted - 1).leadingZeroBitCount))
    entries.reserveLargePages(capacity)
  }

  @inline(__always)
  private func hash(_ left: Int32, _ right: Int32) -> UInt64 {
    let pair = UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    return ByteHash.mix(pair ^ seed, 0x9E37_79B9_7F4A_7C15)
  }

  /// - Returns: `false` when the pair was there; then its merge is replaced if `replacing`.
  mutating func insert(_ left: Int32, _ right: Int32, _ merge: Merge, replacing: Bool) -> Bool {
    if entries.count * 5 >= slots.count * 4 { grow() }
    let hash = hash(left, right)
    return insert(
      Entry(left: left, right: right, merge: merge), hash, slots[Int(truncatingIfNeeded: hash) & (slots.count - 1)],
      replacing: replacing)
  }

  /// The same for many, one after the other. All their slots are read before any is used: the waits for memory overlap.
  mutating func insert(_ block: [Entry], replacing: Bool) {
    while (entries.count + block.count) * 5 > slots.count * 4 { grow() }
    let seen = block.map { entry in
      let hash = hash(entry.left, entry.right)
      return (hash: hash, slot: slots[Int(truncatingIfNeeded: hash) & (slots.count - 1)])
    }
    for (index, entry) in block.enumerated() {
      _ = insert(entry, seen[index].hash, seen[index].slot, replacing: replacing)
    }
  }

  /// - Parameter seen: what was in the pair's first slot, now or before other pairs were inserted.
  @inline(__always)
  private mutating func insert(_ entry: Entry, _ hash: UInt64, _ seen: UInt32, replacing: Bool) -> Bool {
    let tag = UInt32(truncatingIfNeeded: hash >> 56)
    let mask = slots.count - 1
    var index = Int(truncatingIfNeeded: hash) & mask
    var slot = seen == MergeTable.free ? slots[index] : seen
    while slot != MergeTable.free {
      let number = Int(slot & 0xFF_FFFF)
      if slot >> 24 == tag && entries[number].left == entry.left && entries[number].right == entry.right {
        if replacing { entries[number].merge = entry.merge }
        return false
      }
      index = (index + 1) & mask
      slot = slots[index]
    }
    precondition(entries.count < MergeTable.maximumCount, "callers keep to the limit")
    slots[index] = tag << 24 | UInt32(entries.count)
    entries.append(entry)
    return true
  }

  private mutating func grow() {
    slots = [UInt32](largePages: MergeTable.free, count: slots.count * 2)
    let mask = slots.count - 1
    for (number, entry) in entries.enumerated() {
      let hash = hash(entry.left, entry.right)
      var index = Int(truncatingIfNeeded: hash) & mask
      while slots[index] != MergeTable.free { index = (index + 1) & mask }
      slots[index] = UInt32(truncatingIfNeeded: hash >> 56) << 24 | UInt32(number)
    }
  }

  @inline(__always)
  func merge(_ left: Int32, _ right: Int32) -> Merge {
    let hash = hash(left, right)
    let tag = UInt32(truncatingIfNeeded: hash >> 56)
    let mask = slots.count - 1
    var index = Int(truncatingIfNeeded: hash) & mask
    while true {
      let slot = slots[index]
      if slot >> 24 == tag && slot != MergeTable.free {
        let entry = entries[Int(slot & 0xFF_FFFF)]
        if entry.left == left && entry.right == right { return entry.merge }
      } else if slot == MergeTable.free {
        return .none
      }
      index = (index + 1) & mask
    }
  }

  /// All merges, earliest first.
  var ordered: [Entry] { entries.sorted { $0.merge.rank < $1.merge.rank } }
}
