import CKernels

/// The grids that IQ1 and IQ2 blocks store indices into: each entry says the levels of eight weights.
///
/// An entry is a code of two bits a weight, the first weight lowest; a level is 0, 1 or 2. Source: llama.cpp 0c1e57098,
/// ggml-quants.c (`kgrid_2bit_256`, `_512`, `_1024`, `kgrid_1bit_2048`, `iq2xs_init_impl`).
package enum Grid8: Int32, CaseIterable, Sendable {
  case iq2_XXS, iq2_XS, iq2_S
  /// Of IQ1_S and IQ1_M.
  case iq1

  /// How many entries there are.
  package var count: Int { unsafe codes.count }

  /// The code of entry `index`.
  package func code(at index: Int) -> UInt16 { unsafe codes[index] }

  /// The index of the entry `code`, or nil when the grid has none such.
  package func index(of code: UInt16) -> Int? {
    let index = quern_grid_8_index(rawValue, code)
    return index < 0 ? nil : Int(index)
  }

  /// Calls `body` with each entry that a quantizer tries in place of `code`, in that order: those at the few smallest distances
  /// from it, nearer ones first, and of equally near ones that with the lower index. None for a code of the grid.
  package func forEachNeighbour(of code: UInt16, _ body: (UInt16) -> Void) {
    var count: Int32 = 0
    guard let first = unsafe quern_grid_8_neighbours(rawValue, code, &count) else { return }
    for place in 0..<Int(count) { unsafe body(first[place]) }
  }

  private var codes: UnsafeBufferPointer<UInt16> {
    var count: Int32 = 0
    let first = unsafe quern_grid_8_codes(rawValue, &count)
    return unsafe UnsafeBufferPointer(start: first, count: Int(count))
  }
}
