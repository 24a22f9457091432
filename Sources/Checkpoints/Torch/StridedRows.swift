import Tensors

/// The rows of a tensor that lies in a storage with strides: a slice, a transpose, or simply all of it.
struct StridedRows: TensorSource {
  private let storage: any StorageBytes
  private let elementBytes: Int
  /// In elements, as are the strides.
  private let offset: Int
  private let dimensions: [Int]
  private let strides: [Int]
  private let isContiguous: Bool

  /// What is read at once to pick elements from.
  private static let scratchBytes = 1 << 20
  /// Elements that lie further apart are read one by one.
  private static let farBytes = 4096

  init(_ view: TorchView, in storage: any StorageBytes) {
    self.storage = storage
    elementBytes = view.dtype.blockBytes
    offset = view.offset
    dimensions = view.shape.dimensions
    strides = view.strides
    var expected = 1
    var isContiguous = true
    for (size, stride) in zip(dimensions, strides).reversed() {
      if size != 1, stride != expected { isContiguous = false }
      expected *= size
    }
    self.isContiguous = isContiguous
  }

  func read(rows: Range<Int>, rowBytes: Int, into bytes: UnsafeMutableRawBufferPointer) throws {
    guard !isContiguous else {
      return try unsafe storage.read(at: offset * elementBytes + rows.lowerBound * rowBytes, into: bytes)
    }
    // Rows of the last two dimensions form a block; the dimensions before them say where it begins.
    let rank = dimensions.count
    let height = rank > 1 ? dimensions[rank - 2] : 1
    var row = rows.lowerBound
    while row < rows.upperBound {
      let first = row % height
      let count = min(height - first, rows.upperBound - row)
      let begin = blockOffset(row / height) + first * (rank > 1 ? strides[rank - 2] : 0)
      let range = (row - rows.lowerBound) * rowBytes..<(row + count - rows.lowerBound) * rowBytes
      try unsafe readBlock(begin, rows: count, into: UnsafeMutableRawBufferPointer(rebasing: bytes[range]))
      row += count
    }
  }

  /// First element of the block number `index`, counted over all dimensions but the last two.
  private func blockOffset(_ index: Int) -> Int {
    var index = index
    var element = offset
    for place in stride(from: dimensions.count - 3, through: 0, by: -1) {
      element += index % dimensions[place] * strides[place]
      index /= dimensions[place]
    }
    return element
  }

  /// block (rows, columns) with strides (down, right)
  private func readBlock(_ begin: Int, rows: Int, into bytes: UnsafeMutableRawBufferPointer) throws {
    let columns = dimensions.last ?? 1
    let right = strides.last ?? 1
    let down = dimensions.count > 1 ? strides[dimensions.count - 2] : 0
    if rows > 1, down < right {
      for column in 0..<columns {
        try unsafe readLine(begin + column * right, rows, step: down, into: bytes, at: column, step: columns)
      }
    } else {
      for row in 0..<rows {
        try unsafe readLine(begin + row * down, columns, step: right, into: bytes, at: row * columns, step: 1)
      }
    }
  }

  /// `count` elements, `step` apart in the storage, to places that are `outStep` apart in `bytes`.
  private func readLine(
    _ begin: Int, _ count: Int, step: Int, into bytes: UnsafeMutableRawBufferPointer, at out: Int, step outStep: Int
  ) throws {
    let size = elementBytes
    if step == 1, outStep == 1 {
      let range = out * size..<(out + count) * size
      return try unsafe storage.read(at: begin * size, into: UnsafeMutableRawBufferPointer(rebasing: bytes[range]))
    }
    let perRead = step * size > StridedRows.farBytes ? 1 : max(1, StridedRows.scratchBytes / max(1, step * size))
    var scratch: [UInt8] = []
    var done = 0
    while done < count {
      let taken = min(perRead, count - done)
      let span = ((taken - 1) * step + 1) * size
      if scratch.count < span { scratch = [UInt8](repeating: 0, count: span) }
      try unsafe scratch.withUnsafeMutableBytes { scratch in
        try unsafe storage.read(
          at: (begin + done * step) * size, into: UnsafeMutableRawBufferPointer(rebasing: scratch[..<span]))
        for index in 0..<taken {
          let from = index * step * size
          let to = (out + (done + index) * outStep) * size
          for byte in 0..<size { unsafe bytes[to + byte] = scratch[from + byte] }
        }
      }
      done += taken
    }
  }
}
