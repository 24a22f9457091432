import CKernels

/// Groups of eight levels 0, 1 and 2 that IQ2_XXS, IQ2_XS, IQ2_S and IQ1 can store: 256 to 2,048 of the 6,561 there are.
///
/// A group is named by its code, two bits a level and the first level lowest. The tables are those of the kernels, taken over
/// when a format is first used.
package struct Grid8: Sendable {
  package static let iq2_XXS = unsafe Grid8(quern_grid_iq2_XXS())
  package static let iq2_XS = unsafe Grid8(quern_grid_iq2_XS())
  package static let iq2_S = unsafe Grid8(quern_grid_iq2_S())
  package static let iq1 = unsafe Grid8(quern_grid_iq1())

  /// Codes of the entries.
  package let codes: [UInt16]
  /// The entry of each group, −1 off the grid.
  private let entries: [Int16]
  private let neighbours: [[UInt16]]

  private init(_ grid: UnsafePointer<quern_grid_8>) {
    let grid = unsafe grid.pointee
    let groups = 0..<Int(QUERN_GRID_8_GROUPS)
    codes = unsafe (0..<Int(grid.entries)).map { unsafe grid.codes[$0] }
    entries = groups.map { unsafe grid.entry_of[$0] }
    neighbours = groups.map { group in
      let first = unsafe Int(grid.first_chunk_of[group]) * Int(QUERN_GRID_8_CHUNK)
      return unsafe (0..<Int(grid.neighbours_of[group])).map { unsafe grid.neighbours[first + $0] }
    }
  }

  /// The number of a group to the base three.
  private func group(of code: UInt16) -> Int {
    var group = 0
    for i in stride(from: 14, through: 0, by: -2) { group = 3 * group + Int(code >> UInt16(i) & 3) }
    return group
  }

  /// The entry of `code`; nil off the grid.
  package func entry(of code: UInt16) -> Int? {
    let entry = entries[group(of: code)]
    return entry < 0 ? nil : Int(entry)
  }

  /// Codes of the entries closest to `code`, nearest first and in the order of the grid where equally near; none on the grid.
  package func neighbours(of code: UInt16) -> [UInt16] { neighbours[group(of: code)] }
}
