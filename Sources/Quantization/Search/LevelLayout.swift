package import Tensors

/// How a format of scalar levels stores a block: `w = scale · value(level) − offset`, a scale and an offset a group.
///
/// What ggml-common.h and `dequantize_row_*` of llama.cpp 0c1e57098 say, turned round: the decoders read a whole block, this
/// reads and writes the levels and the scales apart, so that they can be chosen apart. The formats whose codes stand for
/// several weights at once (IQ1 to IQ3, TQ1_0) have none.
package struct LevelLayout: Sendable {
  package let type: DType
  /// Weights of a block and of a group that shares a scale.
  package let elements, groupSize: Int
  /// Bytes of a block.
  package let blockBytes: Int
  /// What the levels stand for, ascending.
  package let values: [Float]
  /// Whether `values` rise by one, so that rounding is arithmetic.
  package let isUniform: Bool
  /// Whether a group has an offset of its own.
  package let hasOffset: Bool
  private let planes: [Plane]
  private let inversion: UInt8

  /// Some bits of every level.
  private struct Plane: Sendable {
    let bits: UInt8
    /// Of each element: the byte in the block and the place in the byte.
    let places: [(byte: Int, shift: UInt8)]

    init(bits: UInt8, count: Int, _ place: (Int) -> (byte: Int, shift: Int)) {
      self.bits = bits
      places = (0..<count).map { (place($0).byte, UInt8(place($0).shift)) }
    }
  }

  package var groups: Int { elements / groupSize }

  var kernelFormat: LevelKernels.Format {
    LevelKernels.Format(
      elements: elements, groupSize: groupSize, first: values[0], last: values[values.count - 1], isUniform: isUniform,
      hasOffset: hasOffset, codes: BlockScales.codeRange(type))
  }

  /// - Returns: `nil` for a format whose levels are not scalars.
  package init?(_ type: DType) {
    let uniform: (Int, Int) -> [Float] = { first, last in (first...last).map { Float($0) } }
    let uneven = (0..<16).map { Float(NonlinearBlocks.levels[$0]) }
    // Of 128 elements, element l + 32 k: byte l, pair of bits k.
    func pairs(_ offset: Int) -> (Int) -> (byte: Int, shift: Int) {
      { (offset + 32 * ($0 / 128) + $0 % 32, 2 * ($0 % 128 / 32)) }
    }
    // Of `size` elements, the first half in the low nibbles, the second in the high ones.
    func nibbles(_ offset: Int, of size: Int) -> (Int) -> (byte: Int, shift: Int) {
      { (offset + size / 2 * ($0 / size) + $0 % (size / 2), 4 * ($0 % size / (size / 2))) }
    }
    let (values, groupSize, hasOffset, planes): ([Float], Int, Bool, [Plane])
    switch type {
    case .q4_0:
      (values, groupSize, hasOffset, planes) = (
        uniform(-8, 7), 32, false, [Plane(bits: 4, count: 32, nibbles(2, of: 32))]
      )
    case .q4_1:
      (values, groupSize, hasOffset, planes) = (
        uniform(0, 15), 32, true, [Plane(bits: 4, count: 32, nibbles(4, of: 32))]
      )
    case .q5_0:
      (values, groupSize, hasOffset) = (uniform(-16, 15), 32, false)
      planes = [Plane(bits: 4, count: 32, nibbles(6, of: 32)), Plane(bits: 1, count: 32) { (2 + $0 / 8, $0 % 8) }]
    case .q5_1:
      (values, groupSize, hasOffset) = (uniform(0, 31), 32, true)
      planes = [Plane(bits: 4, count: 32, nibbles(8, of: 32)), Plane(bits: 1, count: 32) { (4 + $0 / 8, $0 % 8) }]
    case .q8_0:
      (values, groupSize, hasOffset) = (uniform(-128, 127), 32, false)
      planes = [Plane(bits: 8, count: 32) { (2 + $0, 0) }]
    case .q2_K:
      (values, groupSize, hasOffset, planes) = (uniform(0, 3), 16, true, [Plane(bits: 2, count: 256, pairs(16))])
    case .q3_K:
      (values, groupSize, hasOffset) = (uniform(-4, 3), 16, false)
      planes = [Plane(bits: 2, count: 256, pairs(32)), Plane(bits: 1, count: 256) { ($0 % 32, $0 / 32) }]
    case .q4_K:
      (values, groupSize, hasOffset, planes) = (
        uniform(0, 15), 32, true, [Plane(bits: 4, count: 256, nibbles(16, of: 64))]
      )
    case .q5_K:
      (values, groupSize, hasOffset) = (uniform(0, 31), 32, true)
      planes = [
        Plane(bits: 4, count: 256, nibbles(48, of: 64)), Plane(bits: 1, count: 256) { (16 + $0 % 32, $0 / 32) },
      ]
    case .q6_K:
      (values, groupSize, hasOffset) = (uniform(-32, 31), 16, false)
      planes = [Plane(bits: 4, count: 256, nibbles(0, of: 128)), Plane(bits: 2, count: 256, pairs(128))]
    case .iq4_NL:
      (values, groupSize, hasOffset, planes) = (uneven, 32, false, [Plane(bits: 4, count: 32, nibbles(2, of: 32))])
    case .iq4_XS:
      (values, groupSize, hasOffset, planes) = (uneven, 32, false, [Plane(bits: 4, count: 256, nibbles(8, of: 32))])
    default: return nil
    }
    (self.type, self.values, self.groupSize, self.hasOffset, self.planes) = (type, values, groupSize, hasOffset, planes)
    (elements, blockBytes) = (type.blockElements, type.blockBytes)
    isUniform = values[1] - values[0] == 1
    // Signed bytes: level 0 stands for −128.
    inversion = type == .q8_0 ? 0x80 : 0
  }

  /// Plain groups of symmetric four-bit integers, stored as Q4_0 stores its 32: the scale as a half, then the first half of the
  /// group in the low nibbles, the second in the high ones.
  package init(groupsOf size: Int) {
    precondition([32, 64, 128].contains(size), "groups of another size")
    (type, elements, groupSize, blockBytes) = (.q4_0, size, size, 2 + size / 2)
    (values, isUniform, hasOffset, inversion) = ((-8...7).map { Float($0) }, true, false, 0)
    planes = [Plane(bits: 4, count: size) { (2 + $0 % (size / 2), 4 * ($0 / (size / 2))) }]
  }

  /// Writes the levels of one block; its scales stay.
  package func store(_ levels: Span<UInt8>, into block: inout MutableRawSpan, at offset: Int) {
    for (index, plane) in planes.enumerated() {
      // Planes follow one another from the lowest bit up; the first visit of a byte clears it of this plane's bits.
      let low = planes[..<index].reduce(0) { $0 + $1.bits }
      let mask = UInt8(truncatingIfNeeded: (1 << UInt16(plane.bits)) - 1)
      for (element, place) in plane.places.enumerated() {
        let at = offset + place.byte
        let bits = ((levels[element] ^ inversion) >> low) & mask
        let old = block.unsafeByte(at) & ~(mask << place.shift)
        block.storeBytes(of: old | bits << place.shift, toByteOffset: at, as: UInt8.self)
      }
    }
  }

  /// `store` of many rows at once.
  /// - Parameters:
  ///   - levels: (elements, stride), rows side by side.
  ///   - first: where the block of the first row begins; that of each other one lies `next` bytes further.
  func store(_ levels: [UInt8], stride: Int, rows: Int, into blocks: inout MutableRawSpan, at first: Int, next: Int) {
    precondition(levels.count == elements * stride && rows <= stride && first >= 0 && next >= blockBytes)
    precondition(rows == 0 || first + (rows - 1) * next + blockBytes <= blocks.byteCount)
    // (bytes of a block, stride)
    var packed = [UInt8](repeating: 0, count: blockBytes * stride)
    var stored = [Bool](repeating: false, count: blockBytes)
    unsafe packed.withUnsafeMutableBufferPointer { packed in
      unsafe levels.withUnsafeBufferPointer { levels in
        var low: UInt8 = 0
        for plane in planes {
          let mask = UInt8(truncatingIfNeeded: (1 << UInt16(plane.bits)) - 1)
          for (element, place) in plane.places.enumerated() {
            let (from, to, shift, inversion) = (element * stride, place.byte * stride, place.shift, inversion)
            stored[place.byte] = true
            for row in 0..<stride {
              unsafe packed[to &+ row] |= ((levels[from &+ row] ^ inversion) &>> low & mask) &<< shift
            }
          }
          low += plane.bits
        }
      }
      unsafe blocks.withUnsafeMutableBytes { blocks in
        for byte in 0..<blockBytes where stored[byte] {
          for row in 0..<rows { unsafe blocks[first &+ row &* next &+ byte] = packed[byte &* stride &+ row] }
        }
      }
    }
  }

  /// What whole blocks say.
  package func decoded(_ blocks: [UInt8]) -> [Float] {
    var levels = [UInt8](repeating: 0, count: elements)
    return stride(from: 0, to: blocks.count, by: blockBytes).flatMap { at in
      let scales = unsafe BlockScales(blocks.span.bytes, at: at, type: type)
      var span = levels.mutableSpan
      unsafe self.levels(blocks.span.bytes, at: at, into: &span)
      return levels.enumerated().map { element, level in
        let product = scales.scale(element / groupSize) * values[Int(level)]
        return hasOffset ? product - scales.offset(element / groupSize) : product
      }
    }
  }

  /// The levels of one block.
  package func levels(_ block: RawSpan, at offset: Int, into levels: inout MutableSpan<UInt8>) {
    for element in 0..<elements { levels[element] = 0 }
    var low: UInt8 = 0
    for plane in planes {
      let mask = UInt8(truncatingIfNeeded: (1 << UInt16(plane.bits)) - 1)
      for (element, place) in plane.places.enumerated() {
        let byte = unsafe block.unsafeLoad(fromByteOffset: offset + place.byte, as: UInt8.self)
        levels[element] |= (byte >> place.shift & mask) << low
      }
      low += plane.bits
    }
    for element in 0..<elements { levels[element] ^= inversion }
  }
}

extension MutableRawSpan {
  fileprivate func unsafeByte(_ offset: Int) -> UInt8 { bytes.unsafeByte(offset) }
}

extension RawSpan {
  fileprivate func unsafeByte(_ offset: Int) -> UInt8 { unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self) }
}
