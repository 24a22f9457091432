import Bytes
import GGUF
import Models
import Quantization
import Tensors

/// The Hessians of one block as a GGUF.
///
/// Metadata:
/// 1. `general.type`: "hessian"; `hessian.version`: 1
/// 2. `hessian.model`: what tells the model's weights from others, `hessian.layer_count`
/// 3. `hessian.slices`, `hessian.texts`: what was summed, as hashes of tokens and for people
/// 4. `hessian.layer`: the number of the block
/// 5. `hessian.tokens`: u64s, of each tensor in turn but the last the tokens that were summed
///
/// Tensors, F32: `WEIGHT.hessian`, where WEIGHT is the first of the weights that multiply the same input (`blk.0.attn_q.weight`
/// for Q, K and V), or `WEIGHT.N.hessian` of expert N where a token chose it. Each is the upper triangle of `Σ x xᵀ` of n
/// columns, row after row: `n (n + 1) / 2` sums.
///
/// The last tensor, `sha256`, 32 of I8, ends the file: the SHA-256 of all bytes before it.
struct HessianFile {
  let identity: HessianIdentity
  let layer: Int
  private let gguf: GGUFFile
  private let tokens: [Int]

  private static let (digestName, digestBytes) = ("sha256", 32)

  /// Proves the header.
  /// - Throws: what `GGUFFile` and `HessianIdentity` throw; `TYPE`, `SHAPE`, `MISSING`, `LIMIT` for tensors or counts that do
  ///   not fit.
  init(reading path: String) throws {
    do {
      gguf = try GGUFFile(reading: path)
      identity = try HessianIdentity(gguf.metadata)
      let size = HessianFile.digestBytes
      guard let digest = gguf.tensors.last, ExactString(digest.name) == ExactString(HessianFile.digestName),
        digest.dtype == .i8, digest.shape.rank == 1, digest.columns == size,
        gguf.offsets[gguf.tensors.count - 1] == gguf.file.size - size
      else {
        throw InputError(.missing, "it does not end in its digest", subject: HessianFile.digestName)
      }
      guard let layer = gguf.metadata["hessian.layer"]?.integer, (0..<identity.layerCount).contains(layer),
        case .uint64s(let tokens)? = gguf.metadata["hessian.tokens"], tokens.count == gguf.tensors.count - 1
      else {
        throw InputError(.missing, "no number of its block, or no tokens for each tensor", remedy: "calibrate again")
      }
      self.layer = layer
      self.tokens = try tokens.map { count throws(InputError) in try SizeArithmetic.int(count) }
    } catch let error as InputError { throw error.adding(file: path, remedy: "calibrate again") }
  }

  var path: String { gguf.path }

  /// What is stored for weights of `parameters`, by name and columns; of experts none needs to be there.
  /// - Throws: `MISSING`, `NAME`, `SHAPE`, `TYPE`, naming the tensor.
  func check(against parameters: LlamaParameters) throws(InputError) {
    let keys = LayerInputs.keys(parameters)
    var found = 0
    for key in keys {
      let name = HessianFile.name(key, layer: layer)
      guard let tensor = gguf.tensor(name) else {
        guard key.expert == nil else { continue }
        throw InputError(.missing, "the tensor is missing", file: path, subject: name, remedy: "calibrate again")
      }
      found += 1
      let count = try HessianFile.triangleCount(parameters.size(of: key.input))
      guard tensor.dtype == .f32, tensor.shape.rank == 1, tensor.columns == count else {
        throw InputError(
          .shape, "\(tensor.dtype) \(tensor.shape) found, F32 [\(count)] expected", file: path, subject: name,
          remedy: "the Hessians belong to another model")
      }
    }
    guard found < tokens.count else { return }
    let names = Set(keys.map { ExactString(HessianFile.name($0, layer: layer)) })
    throw InputError(
      .name, "no layer of the model has this input", file: path,
      subject: gguf.tensors.dropLast().first { !names.contains(ExactString($0.name)) }?.name,
      remedy: "the Hessians belong to another model")
  }

  /// Reads all of the file: it is as it was written.
  /// - Throws: `CRC` naming the block.
  func prove() throws {
    let end = gguf.file.size - HessianFile.digestBytes
    let expected = hexadecimalText(try gguf.file.read(at: end, count: HessianFile.digestBytes))
    let found = try gguf.file.sha256(of: 0..<end)
    guard found == expected else {
      throw InputError(
        .checksum, "SHA-256 \(expected) expected, \(found) found", file: path, subject: "block \(layer)",
        remedy: "the file is damaged: remove it, and run again what wrote it")
    }
  }

  /// All of them; `check` and `prove` have passed.
  /// - Throws: `NONFINITE` naming the tensor and the element; reading errors.
  func read(_ parameters: LlamaParameters) throws -> LayerHessians {
    var hessians: [LayerInputs.Key: Hessian] = [:]
    for key in LayerInputs.keys(parameters) {
      guard let index = index(of: key) else { continue }
      let hessian = try Hessian(size: parameters.size(of: key.input), tokens: tokens[index])
      var offset = gguf.offsets[index]
      for row in 0..<hessian.size {
        let triangle = hessian.triangle(row: row)
        let values = unsafe UnsafeMutableBufferPointer(start: triangle.pointer, count: triangle.columns)
        try unsafe gguf.file.read(at: offset, into: UnsafeMutableRawBufferPointer(values))
        if let bad = unsafe BlockQuantizer.firstNonFinite(values.span) ?? (values[0] < 0 ? 0 : nil) {
          throw InputError(
            .nonFinite, "the sum of row \(row), column \(row + bad) is \(unsafe values[bad])", file: path,
            subject: gguf.tensors[index].name, remedy: "the file is damaged; calibrate again")
        }
        offset += 4 * triangle.columns
      }
      hessians[key] = hessian
    }
    return LayerHessians(hessians)
  }

  /// The tokens of an input, and its sums `range` of the triangle; `nil` when it is not there.
  fileprivate func tokens(of key: LayerInputs.Key) -> Int? { index(of: key).map { tokens[$0] } }

  fileprivate func sums(of key: LayerInputs.Key, _ range: Range<Int>, into values: inout [Float]) throws -> Bool {
    guard let index = index(of: key) else { return false }
    let offset = gguf.offsets[index] + 4 * range.lowerBound
    try unsafe values.withUnsafeMutableBytes {
      try unsafe gguf.file.read(at: offset, into: UnsafeMutableRawBufferPointer(rebasing: $0[..<(4 * range.count)]))
    }
    return true
  }

  private func index(of key: LayerInputs.Key) -> Int? {
    let name = ExactString(HessianFile.name(key, layer: layer))
    return gguf.tensors.firstIndex { ExactString($0.name) == name }
  }

  private static func name(_ key: LayerInputs.Key, layer: Int) -> String {
    let weight = key.input.weights(layer: layer, hasExperts: key.expert != nil)[0]
    return "\(weight)\(key.expert.map { ".\($0)" } ?? "").hessian"
  }

  private static func triangleCount(_ size: Int) throws(InputError) -> Int {
    // One of the two is even.
    size % 2 == 0
      ? try SizeArithmetic.product(size / 2, size + 1) : try SizeArithmetic.product(size, (size + 1) / 2)
  }
}

extension HessianFile {
  /// Writes a block's Hessians to `output` and publishes it; on an error it is discarded.
  static func write(
    _ hessians: LayerHessians, layer: Int, _ identity: HessianIdentity, _ parameters: LlamaParameters,
    to output: OutputFile
  ) throws {
    let keys = LayerInputs.keys(parameters).filter { hessians.sums[$0] != nil }
    try write(
      keys.map { ($0, hessians.sums[$0]?.tokens ?? 0) }, layer: layer, identity, parameters, to: output
    ) { key, offset in
      guard let hessian = hessians.sums[key] else { return }
      var offset = offset
      for row in 0..<hessian.size {
        let triangle = hessian.triangle(row: row)
        let bytes = unsafe UnsafeRawBufferPointer(start: triangle.pointer, count: 4 * triangle.columns)
        try unsafe output.write(bytes, at: offset)
        offset += bytes.count
      }
    }
  }

  /// Writes the sums of `files`, which are proved and of one block: each element added in F64 in the order of the files and
  /// rounded once.
  /// - Throws: `NONFINITE` when a sum is no finite F32.
  static func merge(
    _ files: [HessianFile], layer: Int, _ identity: HessianIdentity, _ parameters: LlamaParameters,
    to output: OutputFile
  ) throws {
    var keys: [(LayerInputs.Key, Int)] = []
    for key in LayerInputs.keys(parameters) {
      let tokens = files.compactMap { $0.tokens(of: key) }
      if !tokens.isEmpty { keys.append((key, try tokens.reduce(0, SizeArithmetic.sum))) }
    }
    let step = 1 << 20
    var part = [Float](repeating: 0, count: step)
    try write(keys, layer: layer, identity, parameters, to: output) { key, offset in
      let count = try triangleCount(parameters.size(of: key.input))
      for start in stride(from: 0, to: count, by: step) {
        let range = start..<min(count, start + step)
        var sums = [Double](repeating: 0, count: range.count)
        for file in files where try file.sums(of: key, range, into: &part) {
          for index in sums.indices { sums[index] += Double(part[index]) }
        }
        let rounded = sums.map { Float($0) }
        guard rounded.allSatisfy(\.isFinite) else {
          throw InputError(
            .nonFinite, "an element of the sum is no finite number", file: output.path,
            subject: name(key, layer: layer),
            remedy: "one of the files is damaged; calibrate its text again")
        }
        try unsafe output.write(rounded.span.bytes, at: offset + 4 * start)
      }
    }
  }

  /// - Parameters:
  ///   - keys: what is stored, with the tokens that were summed.
  ///   - fill: writes a triangle from an offset of the file on.
  private static func write(
    _ keys: [(key: LayerInputs.Key, tokens: Int)], layer: Int, _ identity: HessianIdentity,
    _ parameters: LlamaParameters, to output: OutputFile, fill: (LayerInputs.Key, Int) throws -> Void
  ) throws {
    do {
      var metadata = identity.metadata
      metadata["hessian.layer"] = .uint32(UInt32(clamping: layer))
      metadata["hessian.tokens"] = .uint64s(keys.map { UInt64($0.tokens) })
      var tensors = try keys.map { key, _ in
        (
          name: name(key, layer: layer), dtype: DType.f32,
          shape: try Shape([triangleCount(parameters.size(of: key.input))])
        )
      }
      tensors.append((name: digestName, dtype: .i8, shape: try Shape([digestBytes])))
      let writer = try GGUFWriter(GGUFLayout(metadata: metadata, tensors: tensors), to: output)
      for (index, (key, _)) in keys.enumerated() { try fill(key, writer.layout.entries[index].offset) }
      let digest = Array(try output.digest(of: 0..<writer.layout.fileSize - digestBytes))
      try unsafe writer.write(digest.span.bytes, tensor: keys.count)
    } catch {
      output.discard()
      throw error
    }
    try output.publish()
  }
}
