/// Byte-pair encoding of one piece after another (Sennrich et al. 2016): of all neighbouring pairs the one of lowest rank is
/// merged, the leftmost first, until no pair is a merge.
struct BytePairModel: Sendable {
  var merges: MergeTable
  /// The token of each byte, or -1.
  var byteTokens: [Int32]
  /// A piece that is a token as a whole is that token, however its parts would merge.
  var ignoresMerges: Bool
  /// What stands for a byte that has no token; -1: nothing does.
  var unknown: Int32 = -1
  /// Neighbouring unknown bytes are one unknown token.
  var fusesUnknown = false

  /// Symbols up to which the pair of lowest rank is searched for anew after every merge.
  private static let shortPiece = 40

  /// What one call needs again and again, so that pieces allocate nothing.
  struct Scratch {
    var ids: [Int32] = []
    var merges: [MergeTable.Merge] = []
    var previous: [Int32] = []
    var next: [Int32] = []
    /// Rank above position.
    var heap = MinimumHeap()
  }

  /// Appends the tokens of `text[start..<end]`.
  func merge(_ text: Span<UInt8>, _ start: Int, _ end: Int, _ scratch: inout Scratch, into out: inout [Int32]) {
    scratch.ids.removeAll(keepingCapacity: true)
    var lastIsUnknown = false
    for index in start..<end {
      let id = byteTokens[Int(text[index])]
      if id >= 0 {
        scratch.ids.append(id)
      } else if unknown >= 0 && !(fusesUnknown && lastIsUnknown) {
        scratch.ids.append(unknown)
      }
      lastIsUnknown = id < 0
    }
    if scratch.ids.count <= BytePairModel.shortPiece {
      mergeShort(&scratch)
      out.append(contentsOf: scratch.ids)
    } else {
      mergeLong(&scratch, into: &out)
    }
  }

  private func mergeShort(_ scratch: inout Scratch) {
    var count = scratch.ids.count
    guard count > 1 else { return }
    scratch.merges.removeAll(keepingCapacity: true)
    for index in 0..<count - 1 { scratch.merges.append(merges.merge(scratch.ids[index], scratch.ids[index + 1])) }
    while count > 1 {
      var best = 0
      var rank = scratch.merges[0].rank
      var index = 1
      while index < count - 1 {
        if scratch.merges[index].rank < rank {
          best = index
          rank = scratch.merges[index].rank
        }
        index += 1
      }
      if rank == .max { break }
      scratch.ids[best] = scratch.merges[best].id
      for index in best + 1..<count - 1 {
        scratch.ids[index] = scratch.ids[index + 1]
        scratch.merges[index - 1] = scratch.merges[index]
      }
      count -= 1
      if best > 0 { scratch.merges[best - 1] = merges.merge(scratch.ids[best - 1], scratch.ids[best]) }
      if best + 1 < count { scratch.merges[best] = merges.merge(scratch.ids[best], scratch.ids[best + 1]) }
    }
    scratch.ids.removeLast(scratch.ids.count - count)
  }

  /// The same by a heap of candidates over a linked list: n log n, for pieces without end.
  private func mergeLong(_ scratch: inout Scratch, into out: inout [Int32]) {
    let count = scratch.ids.count
    scratch.previous = (0..<Int32(count)).map { $0 - 1 }
    scratch.next = (0..<Int32(count)).map { $0 + 1 }
    scratch.heap.removeAll()
    for index in 0..<count - 1 { consider(index, index + 1, &scratch) }
    while let entry = scratch.heap.popFirst() {
      let left = Int(truncatingIfNeeded: entry & 0xFFFF_FFFF)
      let right = Int(scratch.next[left])
      guard scratch.ids[left] >= 0, right < count else { continue }  // swallowed, or the last
      let merge = merges.merge(scratch.ids[left], scratch.ids[right])
      guard merge.rank == UInt32(truncatingIfNeeded: entry >> 32) else { continue }  // the pair has changed since
      let after = Int(scratch.next[right])
      scratch.ids[left] = merge.id
      scratch.ids[right] = -1
      scratch.next[left] = Int32(after)
      if after < count {
        scratch.previous[after] = Int32(left)
        consider(left, after, &scratch)
      }
      let before = Int(scratch.previous[left])
      if before >= 0 { consider(before, left, &scratch) }
    }
    for id in scratch.ids where id >= 0 { out.append(id) }
  }

  private func consider(_ left: Int, _ right: Int, _ scratch: inout Scratch) {
    let merge = merges.merge(scratch.ids[left], scratch.ids[right])
    if merge.rank != .max { scratch.heap.insert(UInt64(merge.rank) << 32 | UInt64(left)) }
  }
}

/// A binary heap of numbers, the least first.
struct MinimumHeap {
  private var items: [UInt64] = []

  mutating func removeAll() { items.removeAll(keepingCapacity: true) }

  mutating func insert(_ item: UInt64) {
    var index = items.count
    items.append(item)
    while index > 0 {
      let parent = (index - 1) / 2
      if items[parent] <= item { break }
      items[index] = items[parent]
      index = parent
    }
    items[index] = item
  }

  mutating func popFirst() -> UInt64? {
    guard let first = items.first, let last = items.popLast() else { return nil }
    if items.isEmpty { return first }
    var index = 0
    while true {
      var child = 2 * index + 1
      if child >= items.count { break }
      if child + 1 < items.count && items[child + 1] < items[child] { child += 1 }
      if items[child] >= last { break }
      items[index] = items[child]
      index = child
    }
    items[index] = last
    return first
  }
}
