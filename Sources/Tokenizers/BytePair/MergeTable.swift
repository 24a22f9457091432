/// The merges of a byte-pair vocabulary: two neighbouring tokens to their rank and to the token they become.
///
/// Open-addressed, 16 bytes a slot, keyed by both ids.
struct MergeTable: Sendable {
  struct Merge: Sendable {
    /// The lower, the earlier; `UInt32.max` where there is no merge.
    var rank: UInt32
    var id: Int32

    static let none = Merge(rank: .max, id: -1)
  }

  private struct Slot: Sendable {
    var pair: UInt64 = .max
    var merge = Merge.none
  }

  private var slots: [Slot]
  private let multiplier = ByteHash.currentSeed | 1
  private var shift: UInt64
  private(set) var count = 0

  /// - Parameter capacity: the number of merges that are expected.
  init(capacity: Int) {
    let wanted = max(capacity * 3 / 2, 16)
    let bits = Int.bitWidth - (wanted - 1).leadingZeroBitCount
    slots = [Slot](repeating: Slot(), count: 1 << bits)
    shift = UInt64(64 - bits)
  }

  @inline(__always)
  private static func pair(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  @inline(__always)
  private func slot(of pair: UInt64) -> Int {
    let mixed = (pair ^ pair >> 32) &* multiplier
    return Int(truncatingIfNeeded: ((mixed ^ mixed >> 29) &* 0x9E37_79B9_7F4A_7C15) >> shift)
  }

  /// - Returns: `false` when the pair was there; then its merge is replaced if `replacing`.
  mutating func insert(_ left: Int32, _ right: Int32, _ merge: Merge, replacing: Bool) -> Bool {
    let pair = MergeTable.pair(left, right)
    let mask = slots.count - 1
    var index = slot(of: pair)
    while slots[index].pair != .max {
      if slots[index].pair == pair {
        if replacing { slots[index].merge = merge }
        return false
      }
      index = (index + 1) & mask
    }
    slots[index] = Slot(pair: pair, merge: merge)
    count += 1
    if count * 5 > slots.count * 4 { grow() }
    return true
  }

  private mutating func grow() {
    let old = slots
    slots = [Slot](repeating: Slot(), count: old.count * 2)
    shift -= 1
    count = 0
    for slot in old where slot.pair != .max {
      _ = insert(
        Int32(truncatingIfNeeded: slot.pair >> 32), Int32(truncatingIfNeeded: slot.pair), slot.merge, replacing: false)
    }
  }

  @inline(__always)
  func merge(_ left: Int32, _ right: Int32) -> Merge {
    let pair = MergeTable.pair(left, right)
    let mask = slots.count - 1
    var index = slot(of: pair)
    while true {
      let found = slots[index]
      if found.pair == pair { return found.merge }
      if found.pair == .max { return .none }
      index = (index + 1) & mask
    }
  }

  /// All merges, earliest first.
  var ordered: [(left: Int32, right: Int32, merge: Merge)] {
    slots.filter { $0.pair != .max }.sorted { $0.merge.rank < $1.merge.rank }.map {
      (Int32(truncatingIfNeeded: $0.pair >> 32), Int32(truncatingIfNeeded: $0.pair), $0.merge)
    }
  }
}
