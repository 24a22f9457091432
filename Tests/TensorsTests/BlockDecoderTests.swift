import Tensors
import TestSupport
import Testing

@Suite struct BlockDecoderTests {
  static let types = DType.allCases.filter(BlockDecoder.supports)
  /// Those whose meaning is recorded; F32 and F64 are Swift's own.
  static let recordedTypes = types.filter { $0 != .f32 && $0 != .f64 }

  private func decode(_ blocks: [UInt8], as type: DType, count: Int, fast: Bool = true) -> [Float] {
    var x = [Float](repeating: 77, count: count)
    var span = x.mutableSpan
    if fast {
      unsafe BlockDecoder.decode(blocks.span.bytes, as: type, into: &span)
    } else {
      unsafe BlockDecoder.decodeReference(blocks.span.bytes, as: type, into: &span)
    }
    return x
  }

  private func randomBlocks(_ count: Int, of type: DType, seed: UInt64) -> [UInt8] {
    var generator = SeededGenerator(seed: seed)
    return (0..<count * type.blockBytes).map { _ in UInt8.random(in: 0...255, using: &generator) }
  }

  @Test(arguments: recordedTypes, [true, false])
  func blocksMeanWhatGGMLSays(type: DType, fast: Bool) throws {
    let x = decode(try BlockFixtures.bytes("random"), as: type, count: BlockFixtures.columns, fast: fast)
    let golden = try BlockFixtures.floats(type.name + ".values")
    #expect(golden.count == x.count)
    for (i, (ours, theirs)) in zip(x, golden).enumerated() {
      #expect(ours.bitPattern == theirs.bitPattern || (ours.isNaN && theirs.isNaN), "\(i): \(ours), not \(theirs)")
    }
  }

  @Test(arguments: types)
  func decodesNoMoreThanAskedAndFromAnyPosition(type: DType) {
    let blocks = randomBlocks(9, of: type, seed: 23)
    let whole = decode(blocks, as: type, count: 9 * type.blockElements)
    for start in 0..<9 {
      let part = decode(Array(blocks[(start * type.blockBytes)...]), as: type, count: type.blockElements)
      let expected = whole[start * type.blockElements..<(start + 1) * type.blockElements]
      #expect(part.map(\.bitPattern) == expected.map(\.bitPattern))
    }
    #expect(decode([], as: type, count: 0).isEmpty)
  }

  @Test(arguments: types)
  func aBlockIsNonFiniteWhereItsNumbersAre(type: DType) {
    let blocks = randomBlocks(5_000, of: type, seed: 29)
    let x = decode(blocks, as: type, count: 5_000 * type.blockElements)
    let size = type.blockElements
    let expected = (0..<5_000).filter { block in x[block * size..<(block + 1) * size].contains { !$0.isFinite } }
    var found: [Int] = []
    var start = 0
    while let next = unsafe BlockDecoder.firstNonFiniteBlock(
      blocks.span.bytes.extracting(start * type.blockBytes..<blocks.count), as: type)
    {
      found.append(start + next)
      start += next + 1
    }
    switch type {
    // A double beyond a float's range is a number itself, and so is a product with a scale of MXFP4.
    case .f64, .mxfp4: #expect(Set(found).isSubset(of: expected) && !found.isEmpty)
    // All that its bytes can say are numbers.
    case .nvfp4: #expect(found.isEmpty && expected.isEmpty)
    default: #expect(found == expected && !found.isEmpty)
    }
  }

  @Test func callersMistakesTrap() async {
    await #expect(processExitsWith: .failure) {
      let blocks = [UInt8](repeating: 0, count: 143)
      var x = [Float](repeating: 0, count: 256)
      var span = x.mutableSpan
      unsafe BlockDecoder.decode(blocks.span.bytes, as: .q4_K, into: &span)
    }
    await #expect(processExitsWith: .failure) {
      let blocks = [UInt8](repeating: 0, count: 288)
      var x = [Float](repeating: 0, count: 257)
      var span = x.mutableSpan
      unsafe BlockDecoder.decode(blocks.span.bytes, as: .q4_K, into: &span)
    }
  }
}
