import Tensors

extension RowMath {
  /// For what has no kernel: eight elements at a time.
  typealias Lanes = SIMD8<Float>

  /// Elements whose sum is taken in F32 before it joins the F64 total.
  static let stretch = 512

  @inline(__always) static func load(_ row: Row, _ index: Int) -> Lanes {
    unsafe UnsafeRawPointer(row + index).loadUnaligned(as: Lanes.self)
  }
}
