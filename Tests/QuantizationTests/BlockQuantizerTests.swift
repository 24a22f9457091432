import Quantization
import Tensors
import TestSupport
import Testing

/// Which of the two ways to the same bytes.
enum BlockPath: CaseIterable {
  case kernel, definition

  func quantize(_ x: [Float], columns: Int, as type: DType, importance: [Float]? = nil, spare: Int = 0) throws
    -> [UInt8]
  {
    var out = [UInt8](repeating: 0xA5, count: try type.byteCount(of: x.count) + spare)
    var span = out.mutableSpan
    var bytes = unsafe span.mutableBytes
    switch self {
    case .kernel:
      BlockQuantizer.quantize(x.span, columns: columns, as: type, importance: importance?.span, into: &bytes)
    case .definition:
      BlockQuantizer.quantizeReference(x.span, columns: columns, as: type, importance: importance?.span, into: &bytes)
    }
    return out
  }

  func decode(_ blocks: [UInt8], as type: DType, count: Int) -> [Float] {
    var x = [Float](repeating: .nan, count: count)
    var span = x.mutableSpan
    switch self {
    case .kernel: unsafe BlockDecoder.decode(blocks.span.bytes, as: type, into: &span)
    case .definition: unsafe BlockDecoder.decodeReference(blocks.span.bytes, as: type, into: &span)
    }
    return x
  }
}

@Suite struct BlockQuantizerTests {
  static let types = DType.allCases.filter(BlockQuantizer.supports)
  static let blockTypes = types.filter(\.isBlock)
  /// The others cannot do without importance.
  static let plainTypes = types.filter { !BlockQuantizer.requiresImportance($0) }
  /// The others have no weighted search.
  static let weightedTypes = blockTypes.filter {
    ![.q8_0, .tq1_0, .tq2_0, .q1_0, .q2_0, .mxfp4, .nvfp4].contains($0)
  }

  static func normal(_ count: Int, seed: UInt64) -> [Float] {
    var generator = SeededGenerator(seed: seed)
    // A sum of twelve is normal enough.
    return (0..<count).map { _ in (0..<12).reduce(-6) { sum, _ in sum + Float.random(in: 0...1, using: &generator) } }
  }

  // MARK: Golden bytes

  @Test(arguments: plainTypes.filter { $0 != .f32 }, BlockPath.allCases)
  func writesTheBytesOfGGML(type: DType, path: BlockPath) throws {
    let x = try BlockFixtures.floats("x")
    let blocks = try path.quantize(x, columns: BlockFixtures.columns, as: type)
    expectEqual(blocks, try BlockFixtures.bytes(type.name), type)
  }

  @Test(arguments: weightedTypes, BlockPath.allCases)
  func writesTheBytesOfGGMLWithImportance(type: DType, path: BlockPath) throws {
    let (x, importance) = (try BlockFixtures.floats("x"), try BlockFixtures.floats("importance"))
    let blocks = try path.quantize(x, columns: BlockFixtures.columns, as: type, importance: importance)
    expectEqual(blocks, try BlockFixtures.bytes(type.name + ".importance"), type)
  }

  private func expectEqual(_ ours: [UInt8], _ golden: [UInt8], _ type: DType) {
    #expect(ours.count == golden.count)
    guard let at = zip(ours, golden).enumerated().first(where: { $1.0 != $1.1 })?.offset else { return }
    let row = at / (golden.count / BlockFixtures.rows)
    Issue.record(
      "row \(row), block \(at / type.blockBytes), byte \(at % type.blockBytes): \(ours[at]), not \(golden[at])")
  }

  // MARK: Laws

  @Test(arguments: types, BlockPath.allCases)
  func rowsDoNotSeeOneAnother(type: DType, path: BlockPath) throws {
    let importance = (0..<512).map { Float($0 % 7) }
    let x = Self.normal(3 * 512, seed: 3)
    let together = try path.quantize(x, columns: 512, as: type, importance: importance)
    let apart = try (0..<3).flatMap { row in
      try path.quantize(Array(x[row * 512..<(row + 1) * 512]), columns: 512, as: type, importance: importance)
    }
    #expect(together == apart)
  }

  @Test(arguments: plainTypes, BlockPath.allCases)
  func bytesBehindTheBlocksStayAsTheyAre(type: DType, path: BlockPath) throws {
    let blocks = try path.quantize(Self.normal(512, seed: 5), columns: 256, as: type, spare: 300)
    #expect(blocks.suffix(300).allSatisfy { $0 == 0xA5 })
    #expect(try Array(blocks.dropLast(300)) == path.quantize(Self.normal(512, seed: 5), columns: 256, as: type))
    #expect(try path.quantize([], columns: 256, as: type).isEmpty)
  }

  @Test(arguments: types, [Float(0), -0.0])
  func zeroStaysZero(type: DType, zero: Float) throws {
    let x = [Float](repeating: zero, count: 512)
    for importance in [nil, [Float](repeating: 1, count: 512), [Float](repeating: 0, count: 512)]
    where importance != nil || !BlockQuantizer.requiresImportance(type) {
      let blocks = try BlockPath.kernel.quantize(x, columns: 512, as: type, importance: importance)
      #expect(BlockPath.kernel.decode(blocks, as: type, count: 512).allSatisfy { $0 == 0 })
    }
  }

  /// √(Σ(x − y)² / Σx²) of normal weights. The bounds are about a fifth above what the formats have been seen to lose.
  @Test(
    arguments: [
      (DType.f32, 0), (.f16, 0.00025), (.bf16, 0.002), (.q8_0, 0.0065), (.q6_K, 0.024), (.q5_K, 0.046), (.q5_1, 0.05),
      (.q5_0, 0.055), (.q4_K, 0.092), (.q4_1, 0.102), (.q4_0, 0.115), (.q3_K, 0.20), (.q2_K, 0.38),
      (.iq4_NL, 0.095), (.iq4_XS, 0.097), (.mxfp4, 0.14), (.nvfp4, 0.12), (.iq3_S, 0.20), (.iq3_XXS, 0.26),
    ] as [(DType, Float)])
  func losesNoMoreThanTheFormatMust(type: DType, bound: Float) throws {
    let x = Self.normal(64 * 512, seed: 11)
    let blocks = try BlockPath.kernel.quantize(x, columns: 512, as: type)
    let y = BlockPath.kernel.decode(blocks, as: type, count: x.count)
    let error = zip(x, y).reduce(0 as Float) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    let loss = (error / x.reduce(0) { $0 + $1 * $1 }).squareRoot()
    #expect(loss <= bound)
    #expect(loss >= bound / 2, "the bound tells nothing")
  }

  @Test(arguments: [DType.q8_0, .q4_0, .q5_0, .q4_1, .q5_1])
  func valuesOnTheGridAreKept(type: DType) throws {
    // Levels −8 … 7 reach every end of a block, so that its scale is one the grid has.
    let x = (0..<512).map { Float(($0 * 5) % 16 - 8) / 4 }
    let onGrid = type == .q8_0 ? (0..<512).map { Float(($0 * 37) % 255 - 127) / 32 } : x
    var values = onGrid
    if type == .q8_0 { for block in 0..<16 { values[32 * block] = 127 / 32 } }
    if type == .q5_0 { for block in 0..<16 { values[32 * block] = -4 } }
    if type == .q5_1 { for block in 0..<16 { (values[32 * block], values[32 * block + 1]) = (-2, 5.75) } }
    let blocks = try BlockPath.kernel.quantize(values, columns: 512, as: type)
    #expect(BlockPath.kernel.decode(blocks, as: type, count: 512) == values)
  }

  @Test(arguments: weightedTypes)
  func importanceMovesTheErrorToWhereItCountsLess(type: DType) throws {
    let x = Self.normal(32 * 512, seed: 13)
    let importance = (0..<512).map { $0 % 4 == 0 ? Float(50) : 0.1 }
    func error(_ weighted: Bool) throws -> Float {
      let blocks = try BlockPath.kernel.quantize(x, columns: 512, as: type, importance: weighted ? importance : nil)
      let y = BlockPath.kernel.decode(blocks, as: type, count: x.count)
      return x.indices.reduce(0) { $0 + importance[$1 % 512] * (x[$1] - y[$1]) * (x[$1] - y[$1]) }
    }
    #expect(try error(true) < error(false))
  }

  @Test(arguments: types.filter { !weightedTypes.contains($0) })
  func importanceIsIgnoredWhereThereIsNoSearch(type: DType) throws {
    let x = Self.normal(512, seed: 17)
    let weighted = try BlockPath.kernel.quantize(x, columns: 512, as: type, importance: x.map(\.magnitude))
    #expect(try weighted == BlockPath.kernel.quantize(x, columns: 512, as: type))
  }

  /// Others have scales of a float's range, or, in NVFP4, cut off what is above theirs.
  @Test(arguments: types.filter { ![.f32, .bf16, .mxfp4, .nvfp4].contains($0) })
  func aScaleThatOverflowsIsSeen(type: DType) throws {
    var x = Self.normal(1024, seed: 19)
    for i in 512..<1024 { x[i] *= 1e12 }
    let blocks = try BlockPath.kernel.quantize(x, columns: 512, as: type)
    let first = unsafe BlockDecoder.firstNonFiniteBlock(blocks.span.bytes, as: type)
    #expect(first == 512 / type.blockElements)
  }

  /// ggml keeps eight bits of the exponent, which then means NaN; the next below mean scales with which all codes are zero.
  @Test(arguments: BlockPath.allCases) func ofMXFP4AnExponentBelowZeroWrapsAround(path: BlockPath) throws {
    for (largest, exponent) in [
      (0x1p-124, 1), (0x1.8p-125, 0), (0x1p-125, 0), (0x1.8p-126, 255), (0x1p-126, 255), (0x1p-127, 254),
      (0x1p-149, 232), (0, 0),
    ] as [(Float, UInt8)] {
      let blocks = try path.quantize([Float](repeating: -largest, count: 32), columns: 32, as: .mxfp4)
      #expect(blocks[0] == exponent)
      #expect(unsafe (BlockDecoder.firstNonFiniteBlock(blocks.span.bytes, as: .mxfp4) == 0) == (exponent == 255))
      if exponent > 1 { #expect(blocks.dropFirst().allSatisfy { $0 == 0 }) }
    }
  }

  // MARK: What is refused

  @Test(arguments: [Float.nan, .infinity, -.infinity, .signalingNaN, -.nan])
  func theFirstNumberThatIsNoneIsFound(value: Float) {
    let clean = [Float](repeating: -.greatestFiniteMagnitude, count: 10_000)
    #expect(BlockQuantizer.firstNonFinite(clean.span) == nil)
    #expect(BlockQuantizer.firstNonFinite([Float]().span) == nil)
    for at in [0, 1, 4095, 4096, 8191, 8192, 9_999] {
      var x = clean
      x[at] = value
      x[9_999] = value
      #expect(BlockQuantizer.firstNonFinite(x.span) == at)
    }
  }

  @Test func typesWithoutAQuantizerAreNotClaimed() {
    for type in [DType.i8, .f64, .f8E4M3, .q8_1, .q8_K] { #expect(!BlockQuantizer.supports(type)) }
    for type in Self.types { #expect(BlockDecoder.supports(type), "what is written can be read") }
    #expect(DType.allCases.filter(BlockQuantizer.requiresImportance) == [.iq1_S, .iq2_XXS, .iq2_XS])
  }

  @Test func callersMistakesTrap() async {
    await #expect(processExitsWith: .failure) { _ = try BlockPath.kernel.quantize([0, 0, 0], columns: 3, as: .q8_0) }
    await #expect(processExitsWith: .failure) {
      let x = [Float](repeating: 0, count: 64)
      _ = try BlockPath.kernel.quantize(x, columns: 32, as: .q4_0, importance: x)
    }
    await #expect(processExitsWith: .failure) {
      let x = [Float](repeating: 0, count: 64)
      _ = try BlockPath.kernel.quantize(x, columns: 32, as: .q4_0, spare: -1)
    }
  }
}
