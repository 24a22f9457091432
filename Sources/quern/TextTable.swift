/// A table for people: columns as wide as their widest cell, numbers right, words left.
struct TextTable {
  private var rows: [[String]]

  init(columns: [String]) { rows = [columns] }

  mutating func add(_ cells: [String]) { rows.append(cells) }

  var text: String {
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    let isNumeric = rows[0].indices.map { column in
      rows.dropFirst().allSatisfy { $0[column].first.map { $0.isNumber || $0 == "-" || $0 == "±" } ?? true }
    }
    return rows.map { row in
      let cells = row.indices.map { column in
        let space = String(repeating: " ", count: widths[column] - row[column].count)
        return isNumeric[column] ? space + row[column] : row[column] + space
      }
      var line = cells.joined(separator: "  ")
      while line.hasSuffix(" ") { line.removeLast() }
      return line
    }.joined(separator: "\n")
  }
}
