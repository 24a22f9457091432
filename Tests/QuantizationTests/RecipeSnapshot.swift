import Bytes
import Quantization
import Tensors
import TestSupport
import Testing

/// A model of `fixtures/recipes/dense.txt` and what llama.cpp's golden files say of it.
struct RecipeSnapshot: CustomTestStringConvertible {
  let model: String
  let facts: RecipeFacts
  let tensors: [Tensor]
  /// By file type, the type of each tensor.
  var types: [(fileType: FileType, byName: [String: DType])] = []

  var testDescription: String { model }

  static let all: [RecipeSnapshot] = {
    var snapshots: [RecipeSnapshot] = []
    let bytes = (try? RandomAccessFile(Fixtures.path("recipes/dense.txt")).readAll(limit: 1 << 20)) ?? []
    let text = String(decoding: bytes, as: UTF8.self)
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      if line.hasPrefix("model ") {
        snapshots.append(RecipeSnapshot(header: line.split(separator: " ")))
      } else {
        snapshots[snapshots.count - 1].add(line.split(separator: "|").map { $0.split(separator: " ") })
      }
    }
    return snapshots
  }()

  /// `model NAME EMBEDDING FEED-FORWARD LAYERS HEADS KV-HEADS tied|untied`
  private init(header: [Substring]) {
    model = String(header[1])
    let n = header[2...6].map { Int($0)! }
    let architecture = model.hasPrefix("Meta-Llama") ? "llama" : model.hasPrefix("Qwen3") ? "qwen3" : "gemma3"
    facts = RecipeFacts(architecture: architecture, layerCount: n[2], headCount: n[3], keyValueHeadCount: n[4])
    tensors = ModelShape(
      layers: n[2], embedding: n[0], feedForward: n[1], keyValues: 1024, isTied: header[7] == "tied"
    ).tensors()
  }

  /// `FILETYPE BASE | PART TYPE LAYERS | …`: all tensors have the base type but the parts named.
  private mutating func add(_ parts: [[Substring]]) {
    let base = DType(name: String(parts[0][1]))!
    var byName = Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, $0.shape.rank < 2 ? $0.dtype : base) })
    for part in parts.dropFirst() {
      let layers = part.count < 3 ? [] : part[2].split(separator: ",")
      for range in layers {
        let ends = range.split(separator: "-").map { Int($0)! }
        for layer in ends[0]...ends[ends.count - 1] {
          byName["blk.\(layer).\(part[0])"] = DType(name: String(part[1]))!
        }
      }
      if layers.isEmpty { byName[String(part[0])] = DType(name: String(part[1]))! }
    }
    types.append((FileType(name: String(parts[0][0]))!, byName))
  }
}

/// The tensors of a Llama without their numbers.
struct ModelShape {
  var layers = 2
  var embedding = 512
  var feedForward = 1024
  var keyValues = 256
  var isTied = false
  var experts = 0
  var dtype = DType.f16

  func tensors() -> [Tensor] {
    var list = [tensor("token_embd.weight", [1000, embedding]), tensor("output_norm.weight", [embedding], .f32)]
    if !isTied { list.append(tensor("output.weight", [1000, embedding])) }
    for layer in 0..<layers {
      let b = "blk.\(layer)."
      list.append(tensor(b + "attn_norm.weight", [embedding], .f32))
      list.append(tensor(b + "attn_q.weight", [embedding, embedding]))
      list.append(tensor(b + "attn_k.weight", [keyValues, embedding]))
      list.append(tensor(b + "attn_v.weight", [keyValues, embedding]))
      list.append(tensor(b + "attn_output.weight", [embedding, embedding]))
      let leading = experts > 0 ? [experts] : []
      let suffix = experts > 0 ? "_exps" : ""
      if experts > 0 { list.append(tensor(b + "ffn_gate_inp.weight", [experts, embedding], .f32)) }
      list.append(tensor(b + "ffn_gate\(suffix).weight", leading + [feedForward, embedding]))
      list.append(tensor(b + "ffn_up\(suffix).weight", leading + [feedForward, embedding]))
      list.append(tensor(b + "ffn_down\(suffix).weight", leading + [embedding, feedForward]))
    }
    return list
  }

  private func tensor(_ name: String, _ dimensions: [Int], _ type: DType? = nil) -> Tensor {
    makeTensor(name, dimensions, type ?? dtype)
  }
}

func makeTensor(_ name: String, _ dimensions: [Int], _ dtype: DType = .f16) -> Tensor {
  // Shapes written in a test are sound.
  try! Tensor(name: name, dtype: dtype, shape: Shape(dimensions), source: MemoryRows([UInt8]()))
}
