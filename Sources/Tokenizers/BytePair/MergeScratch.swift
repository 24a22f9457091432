/// The symbols of one piece while they are merged (Sennrich et al. 2016): of all neighbouring pairs the one of lowest rank
/// is merged, the leftmost first, until no pair is a merge.
///
/// Kept from piece to piece, so that pieces allocate nothing.
struct MergeScratch {
  /// Tokens, or anything else that no merge names; never negative.
  var symbols: [Int32] = []
  private var merges: [MergeTable.Merge] = []
  private var previous: [Int32] = []
  private var next: [Int32] = []
  /// Rank above position.
  private var heap = MinimumHeap()

  /// Symbols up to which the pair of lowest rank is searched for anew after every merge.
  private static let short = 40

  /// Merges `symbols`.
  mutating func merge(_ table: borrowing MergeTable) {
    if symbols.count <= MergeScratch.short { mergeShort(table) } else { mergeLong(table) }
  }

  private mutating func mergeShort(_ table: borrowing MergeTable) {
    var count = symbols.count
    guard count > 1 else { return }
    merges.removeAll(keepingCapacity: true)
    for index in 0..<count - 1 { merges.append(table.merge(symbols[index], symbols[index + 1])) }
    while count > 1 {
      var best = 0
      var rank = merges[0].rank
      var index = 1
      while index < count - 1 {
        if merges[index].rank < rank {
          best = index
          rank = merges[index].rank
        }
        index += 1
      }
      if rank == .max { break }
      symbols[best] = merges[best].id
      for index in best + 1..<count - 1 {
        symbols[index] = symbols[index + 1]
        merges[index - 1] = merges[index]
      }
      count -= 1
      if best > 0 { merges[best - 1] = table.merge(symbols[best - 1], symbols[best]) }
      if best + 1 < count { merges[best] = table.merge(symbols[best], symbols[best + 1]) }
    }
    symbols.removeLast(symbols.count - count)
  }

  /// The same by a heap of candidates over a linked list: n log n, for pieces without end.
  private mutating func mergeLong(_ table: borrowing MergeTable) {
    let count = symbols.count
    previous.removeAll(keepingCapacity: true)
    next.removeAll(keepingCapacity: true)
    heap.removeAll()
    for index in 0..<Int32(count) {
      previous.append(index - 1)
      next.append(index + 1)
    }
    for index in 0..<count - 1 { consider(index, index + 1, table) }
    while let entry = heap.popFirst() {
      let left = Int(truncatingIfNeeded: entry & 0xFFFF_FFFF)
      let right = Int(next[left])
      guard symbols[left] >= 0, right < count else { continue }  // swallowed, or the last
      let merge = table.merge(symbols[left], symbols[right])
      guard merge.rank == UInt32(truncatingIfNeeded: entry >> 32) else { continue }  // the pair has changed since
      let after = Int(next[right])
      symbols[left] = merge.id
      symbols[right] = -1
      next[left] = Int32(after)
      if after < count {
        previous[after] = Int32(left)
        consider(left, after, table)
      }
      let before = Int(previous[left])
      if before >= 0 { consider(before, left, table) }
    }
    symbols.removeAll { $0 < 0 }
  }

  private mutating func consider(_ left: Int, _ right: Int, _ table: borrowing MergeTable) {
    let merge = table.merge(symbols[left], symbols[right])
    if merge.rank != .max { heap.insert(UInt64(merge.rank) << 32 | UInt64(left)) }
  }
}
