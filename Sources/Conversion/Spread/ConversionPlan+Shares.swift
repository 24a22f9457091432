import Bytes

extension ConversionPlan {
  /// The tensors of block `layer`, which lie together in the output.
  func entries(ofBlock layer: Int) -> Range<Int> {
    let inside = entries.indices.filter { entries[$0].source.layer == layer }
    return (inside.first ?? 0)..<(inside.last.map { $0 + 1 } ?? 0)
  }

  /// The blocks that begin in a part of the output, its files counted through.
  package func blocks(within part: Range<Int>) -> Range<Int> {
    let starts = entries.indices.reduce(into: [Int: Int]()) { starts, index in
      guard let layer = entries[index].source.layer, starts[layer] == nil else { return }
      starts[layer] = place(of: Item(entry: index, rows: 0..<0)).lowerBound
    }
    let inside = starts.filter { part.contains($0.value) }.keys.sorted()
    return (inside.first ?? 0)..<(inside.last.map { $0 + 1 } ?? 0)
  }

  /// Cuts the output into at most `count` parts that may be made apart, of about the same work, as it lies in its files
  /// counted through.
  ///
  /// A set of at least `count` files is cut between files. A block that is rounded with feedback stays in one part.
  package func shares(_ count: Int, withFeedback: Bool) -> [Range<Int>] {
    let cuts = cuts(withFeedback: withFeedback, betweenFiles: layouts.count >= count)
    let total = cuts[cuts.count - 1].work
    var starts = [0]
    for share in 1..<max(1, count) {
      // The cut nearest to where work would be shared evenly; several may fall on one.
      let ideal = total * Double(share) / Double(count)
      let nearest = cuts.min { abs($0.work - ideal) < abs($1.work - ideal) }!
      if nearest.position > starts[starts.count - 1], nearest.position < fileBytes { starts.append(nearest.position) }
    }
    return zip(starts, starts.dropFirst() + [fileBytes]).map { $0..<$1 }
  }

  /// Where parts may begin.
  func cutPositions(withFeedback: Bool) -> [Int] {
    cuts(withFeedback: withFeedback, betweenFiles: false).map(\.position)
  }

  /// Where parts may begin or end, with the work that comes before; the first at 0, the last at the end.
  private func cuts(withFeedback: Bool, betweenFiles: Bool) -> [(position: Int, work: Double)] {
    var cuts = [(position: 0, work: 0.0)]
    var (work, former) = (0.0, 0)
    for item in items(of: entries.indices) {
      let entry = entries[item.entry]
      let layer = withFeedback ? entry.source.layer : nil
      let isInside =
        layer != nil && item.entry > 0 && (item.rows.lowerBound > 0 || entries[item.entry - 1].source.layer == layer)
      let begins = entry.file > former
      former = entry.file
      // Before the first piece of a file comes its header.
      let position = begins ? fileStarts[entry.file] : place(of: item).lowerBound
      if position > 0, !isInside, begins || !betweenFiles && work > 0 { cuts.append((position, work)) }
      work += Double(item.rows.count * entry.source.columns) * (layer == nil ? 1 : Self.workOfFeedback)
    }
    return cuts + [(fileBytes, work)]
  }

  /// What rounding a weight with feedback costs, where rounding it plainly costs 1.
  private static let workOfFeedback = 50.0

  /// A part of the output as it lies in its files: of each its number and the bytes of it.
  func pieces(of part: Range<Int>) -> [(file: Int, bytes: Range<Int>)] {
    layouts.indices.compactMap { file in
      let start = fileStarts[file]
      let bytes = part.clamped(to: start..<start + layouts[file].fileSize)
      return bytes.isEmpty ? nil : (file, bytes.lowerBound - start..<bytes.upperBound - start)
    }
  }
}
