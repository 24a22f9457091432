import Bytes
package import Tensors

/// Where the target of rounding moves because the inputs have drifted: W + W M come closest to the undrifted output, with
/// M = α C H⁻¹ and `C = Σ (y − x) xᵀ` (GPTAQ, arXiv 2504.02692, as a shift of the target).
public struct FeedbackCorrection: Sendable {
  /// Mᵀ (columns, columns).
  private let matrix: PackedMatrix

  /// Columns of a triangle that are solved together, by the inverse of their corner.
  private static let block = 128
  /// Rows of C that are solved together.
  private static let rowsTogether = 96

  /// With H = Tᵀ D T, T lower triangular with ones on its diagonal, a row m of M is found from `m Tᵀ D T = α c`: two
  /// triangles solved block by block, in F32.
  ///
  /// - Parameters:
  ///   - cross: C.
  ///   - scale: α, over what H was divided by.
  ///   - s: of H = Sᵀ S in the order of rounding.
  ///   - before: T below its diagonal.
  ///   - costs: D.
  init(
    _ cross: Matrix, scale: Double, factor s: MatrixFactor, before: PackedMatrix, costs: [Float], order: [Int],
    jobs: Int
  ) throws {
    let n = s.size
    let after = try PackedMatrix(rows: n, columns: n)
    after.packTransposed(try FeedbackFactor.unitRows(s, 0..<n).view)
    let blocks = stride(from: 0, to: n, by: FeedbackCorrection.block).map {
      $0..<min(n, $0 + FeedbackCorrection.block)
    }
    let corners = try Parallel.map(blocks.count, jobs: jobs) { try Corner(s, blocks[$0]) }
    let m = try Matrix(rows: n, columns: n)
    let step = FeedbackCorrection.rowsTogether
    let scratch = try (0..<max(1, jobs)).map { _ in try ProductScratch() }
    try Parallel.forEachWithWorker((n + step - 1) / step, jobs: jobs) { index, worker in
      let rows = index * step..<min(n, (index + 1) * step)
      let scratch = scratch[worker]
      let (b, x) = (try Matrix(rows: rows.count, columns: n), try Matrix(rows: rows.count, columns: n))
      let all = 0..<rows.count
      for row in rows {
        let (from, to) = unsafe (cross.view.pointer(row: row), b.view.pointer(row: row - rows.lowerBound))
        for k in 0..<n { unsafe to[k] = Float(Double(from[order[k]]) * scale) }
      }
      for (block, corner) in zip(blocks, corners).reversed() {
        let rest = block.upperBound..<n
        if !rest.isEmpty {
          b[all, block].assign(
            x[all, rest], timesTransposed: after[block, rest], scale: -1, adding: true, scratch)
        }
        x[all, block].assign(b[all, block], timesTransposed: corner.turnedInverse.view, scratch)
      }
      for row in all {
        let values = unsafe x.view.pointer(row: row)
        for k in 0..<n { unsafe values[k] /= costs[k] }
      }
      for (block, corner) in zip(blocks, corners) {
        let done = 0..<block.lowerBound
        if !done.isEmpty {
          x[all, block].assign(
            b[all, done], timesTransposed: before[block, done], scale: -1, adding: true, scratch)
        }
        b[all, block].assign(x[all, block], timesTransposed: corner.inverse.view, scratch)
      }
      for row in rows {
        let (from, to) = unsafe (b.view.pointer(row: row - rows.lowerBound), m.view.pointer(row: row))
        for k in 0..<n { unsafe to[order[k]] = from[k] }
      }
    }
    matrix = try PackedMatrix(rows: n, columns: n)
    matrix.packTransposed(m.view)
  }

  /// `W M` of W (rows, columns).
  package func shift(of w: MatrixView, _ scratch: ProductScratch) throws(InputError) -> Matrix {
    let result = try Matrix(rows: w.rows, columns: w.columns)
    result.view.assign(w, timesTransposed: matrix.view, scratch)
    return result
  }

  /// The inverse of a corner of T, and its transpose.
  private struct Corner: Sendable {
    let inverse, turnedInverse: PackedMatrix

    init(_ s: MatrixFactor, _ range: Range<Int>) throws(InputError) {
      let n = range.count
      // Column after column of T⁻¹: below the diagonal, what the elements above leave to be made zero.
      var values = [Double](repeating: 0, count: n * n)
      for row in 0..<n {
        values[row * (n + 1)] = 1
        let t = unsafe s.pointer(row: range.lowerBound + row) + range.lowerBound
        let pivot = unsafe t[row]
        for k in 0..<row {
          let factor = unsafe t[k] / pivot
          for column in 0...k { values[row * n + column] -= factor * values[k * n + column] }
        }
      }
      let plain = try Matrix(rows: n, columns: n, values.map { Float($0) })
      (inverse, turnedInverse) = (try PackedMatrix(rows: n, columns: n), try PackedMatrix(rows: n, columns: n))
      inverse.pack(plain.view)
      turnedInverse.packTransposed(plain.view)
    }
  }
}
