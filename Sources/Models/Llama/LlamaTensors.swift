/// A tensor that a model must or may have, by its GGUF name.
public struct ExpectedTensor: Hashable, Sendable {
  public let name: String
  /// Row-major.
  public let dimensions: [Int]
  public let isRequired: Bool
}

extension LlamaParameters {
  /// Every tensor of this model under its GGUF name, with its shape: those of the whole model first, then block by block.
  ///
  /// `rope_freqs.weight` is optional, `output.weight` is unless the model is untied, biases are required when the
  /// parameters say so and unknown otherwise.
  public var expectedTensors: [ExpectedTensor] {
    var list = [
      ExpectedTensor(name: "token_embd.weight", dimensions: [vocabularySize, hiddenSize], isRequired: true),
      ExpectedTensor(name: "output_norm.weight", dimensions: [hiddenSize], isRequired: true),
      ExpectedTensor(name: "output.weight", dimensions: [vocabularySize, hiddenSize], isRequired: !tiesOutput),
      ExpectedTensor(name: "rope_freqs.weight", dimensions: [headSize / 2], isRequired: false),
    ]
    for layer in 0..<layerCount {
      for (part, dimensions) in layerTensors {
        list.append(ExpectedTensor(name: "blk.\(layer).\(part)", dimensions: dimensions, isRequired: true))
      }
    }
    return list
  }

  /// The tensors of one block: the name after `blk.N.` and the shape.
  var layerTensors: [(part: String, dimensions: [Int])] {
    var list: [(String, [Int])] = [
      ("attn_norm.weight", [hiddenSize]),
      ("attn_q.weight", [querySize, hiddenSize]),
      ("attn_k.weight", [keyValueSize, hiddenSize]),
      ("attn_v.weight", [keyValueSize, hiddenSize]),
      ("attn_output.weight", [hiddenSize, querySize]),
      ("ffn_norm.weight", [hiddenSize]),
    ]
    if expertCount > 0 {
      list += [
        ("ffn_gate_inp.weight", [expertCount, hiddenSize]),
        ("ffn_gate_exps.weight", [expertCount, feedForwardSize, hiddenSize]),
        ("ffn_up_exps.weight", [expertCount, feedForwardSize, hiddenSize]),
        ("ffn_down_exps.weight", [expertCount, hiddenSize, feedForwardSize]),
      ]
    } else {
      list += [
        ("ffn_gate.weight", [feedForwardSize, hiddenSize]),
        ("ffn_up.weight", [feedForwardSize, hiddenSize]),
        ("ffn_down.weight", [hiddenSize, feedForwardSize]),
      ]
    }
    if hasAttentionBias {
      list += [
        ("attn_q.bias", [querySize]), ("attn_k.bias", [keyValueSize]), ("attn_v.bias", [keyValueSize]),
        ("attn_output.bias", [hiddenSize]),
      ]
    }
    if hasFeedForwardBias && expertCount == 0 {
      list += [
        ("ffn_gate.bias", [feedForwardSize]), ("ffn_up.bias", [feedForwardSize]), ("ffn_down.bias", [hiddenSize]),
      ]
    }
    return list
  }
}
