public import Bytes
public import Tensors

/// A Llama's parameters with its tensors under their GGUF names, proved to be all there and of the right shapes. What the
/// forward pass and the writer of a file start from, whatever the weights were read from.
public struct ModelSource: Sendable {
  public let parameters: LlamaParameters
  /// In the order of the source.
  public private(set) var tensors: [Tensor]
  private let indices: [ExactString: Int]

  /// - Parameter tensors: GGUF-named; Q and K in GGUF's row order.
  /// - Throws: `MISSING`, `NAME` (unknown), `DUP`, `SHAPE`, `TYPE`, naming the tensor.
  public init(parameters: LlamaParameters, tensors: [Tensor], file: String? = nil) throws(InputError) {
    var indices: [ExactString: Int] = [:]
    for (index, tensor) in tensors.enumerated() {
      guard indices.updateValue(index, forKey: ExactString(tensor.name)) == nil else {
        throw InputError(.duplicate, "two tensors have this name", file: file, subject: tensor.name)
      }
    }
    var known = 0
    for expected in parameters.expectedTensors {
      guard let index = indices[ExactString(expected.name)] else {
        guard expected.isRequired else { continue }
        throw InputError(
          .missing, "the tensor is missing", file: file, subject: expected.name,
          remedy: "the checkpoint is incomplete or its parameters name too many layers")
      }
      known += 1
      let tensor = tensors[index]
      guard tensor.shape.dimensions == expected.dimensions else {
        throw InputError(
          .shape, "shape \(tensor.shape) found, \(expected.dimensions) expected from the parameters", file: file,
          subject: tensor.name)
      }
      guard tensor.dtype.isBlock || tensor.dtype.isFloatingPoint else {
        throw InputError(.type, "\(tensor.dtype) is no type for a weight", file: file, subject: tensor.name)
      }
    }
    if known != tensors.count {
      let names = Set(parameters.expectedTensors.map { ExactString($0.name) })
      let stranger = tensors.first { !names.contains(ExactString($0.name)) }
      throw InputError(
        .name, "the tensor is not known in a Llama of these parameters", file: file, subject: stranger?.name,
        remedy: "the architecture differs, or the parameters name too few layers or no biases")
    }
    self.parameters = parameters
    self.tensors = tensors
    self.indices = indices
  }

  /// From a GGUF file's metadata and tensors.
  public init(metadata: Metadata, tensors: [Tensor], file: String? = nil) throws(InputError) {
    let names = Set(tensors.map { ExactString($0.name) })
    let parameters = try LlamaParameters(
      metadata: metadata, vocabularySize: tensors.first { $0.name == "token_embd.weight" }?.rows,
      tiesOutput: !names.contains("output.weight"), hasAttentionBias: names.contains("blk.0.attn_q.bias"),
      hasFeedForwardBias: names.contains("blk.0.ffn_gate.bias"), file: file)
    try self.init(parameters: parameters, tensors: tensors, file: file)
  }

  /// From a Hugging Face checkpoint's `config.json` and tensors.
  public init(config: JSONValue, tensors: [Tensor]) throws(InputError) {
    let parameters = try LlamaParameters(config: config)
    try self.init(
      parameters: parameters, tensors: try LlamaMap.ggufTensors(from: tensors, parameters: parameters),
      file: config.file)
  }

  /// The tensor with this GGUF name.
  public subscript(name: String) -> Tensor? { indices[ExactString(name)].map { tensors[$0] } }

  /// The same model with other tensors of the same names.
  public func replacing(_ tensors: [Tensor]) throws(InputError) -> ModelSource {
    var other = self
    for tensor in tensors { other = try other.replacing(tensor) }
    return other
  }

  /// The same model with another tensor of the same name.
  /// - Throws: `NAME` when it has none of this name, `SHAPE`, `TYPE`.
  public func replacing(_ tensor: Tensor) throws(InputError) -> ModelSource {
    guard let index = indices[ExactString(tensor.name)] else {
      throw InputError(.name, "the model has no such tensor to replace", subject: tensor.name)
    }
    guard tensor.shape == tensors[index].shape else {
      throw InputError(
        .shape, "shape \(tensor.shape) found where \(tensors[index].shape) is replaced", subject: tensor.name)
    }
    guard tensor.dtype.isBlock || tensor.dtype.isFloatingPoint else {
      throw InputError(.type, "\(tensor.dtype) is no type for a weight", subject: tensor.name)
    }
    var other = self
    other.tensors[index] = tensor
    return other
  }

  /// Elements of all tensors.
  public var parameterCount: Int { tensors.reduce(0) { $0 + $1.shape.elementCount } }
}
