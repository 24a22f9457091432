import CKernels

/// Groups of four levels that IQ3_XXS and IQ3_S can store: 256 or 512 of the 4,096 there are.
///
/// A group is named by its code, three bits a level and the first level lowest. The tables are those of the kernels, taken
/// over when a format is first used.
package struct Grid4: Sendable {
  package static let iq3_XXS = unsafe Grid4(quern_grid_iq3_XXS())
  package static let iq3_S = unsafe Grid4(quern_grid_iq3_S())

  /// Codes of the entries.
  package let codes: [UInt16]
  /// What the levels of each entry mean, four of every entry in turn.
  package let values: [UInt8]
  /// The entry of each code, −1 off the grid.
  private let entries: [Int16]
  private let neighbours: [[UInt16]]

  private init(_ grid: UnsafePointer<quern_grid_4>) {
    let grid = unsafe grid.pointee
    let count = unsafe Int(grid.entries)
    codes = (0..<count).map { unsafe grid.codes[$0] }
    values = (0..<count).flatMap { entry in
      let four = unsafe grid.values[entry]
      return [four.0, four.1, four.2, four.3]
    }
    entries = (0..<QUERN_GRID_4_CODES).map { unsafe grid.entry_of[$0] }
    neighbours = (0..<QUERN_GRID_4_CODES).map { code in
      let first = unsafe Int(grid.first_chunk_of[code]) * QUERN_GRID_4_CHUNK
      return unsafe (0..<Int(grid.neighbours_of[code])).map { unsafe grid.neighbours[first + $0] }
    }
  }

  /// The entry of `code`; nil off the grid.
  package func entry(of code: UInt16) -> Int? {
    let entry = entries[Int(code)]
    return entry < 0 ? nil : Int(entry)
  }

  /// Codes of the entries closest to `code`, nearest first and in the order of the grid where equally near; none on the grid.
  package func neighbours(of code: UInt16) -> [UInt16] { neighbours[Int(code)] }
}
