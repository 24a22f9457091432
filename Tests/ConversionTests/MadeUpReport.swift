import Conversion
import Models
import Tensors

/// A report of numbers made up for the purpose, with nothing behind them.
enum MadeUpReport {
  static func make(
    _ types: [DType] = [.q4_K], layers: Int = 4, gates: [Gates.Result] = [], attributed: Bool = true
  ) -> DriftReport {
    DriftReport(
      reference: DriftReport.Reference(
        name: "Miller-1B", path: "/models/of/one/machine/Miller-1B", format: "safetensors", fileBytes: 2_471_645_608,
        bitsPerWeight: 16, sha256: nil),
      candidates: types.enumerated().map { candidate($1, $0, layers: layers, gates: gates, attributed: attributed) },
      text: DriftReport.TextFacts(
        path: "/texts/of/one/machine/wiki.txt", name: "wiki.txt",
        sha256: String(repeating: "0123456789abcdef", count: 4), chunks: 12, context: 512, tokensScored: 400),
      arithmetic: "f32", version: "9.9.9")
  }

  static func candidate(
    _ type: DType, _ index: Int, layers: Int, gates: [Gates.Result], attributed: Bool
  ) -> DriftReport.Candidate {
    let error = 4 / Double(1 << Int(type.bitsPerElement))
    let bytes = Int(1_235_822_804 * type.bitsPerElement / 8)
    return DriftReport.Candidate(
      name: "miller-\(type.name).gguf", path: "/models/of/one/machine/miller-\(type.name).gguf", fileType: type.name,
      fileBytes: bytes, bitsPerWeight: type.bitsPerElement, sha256: String(repeating: "fedcba98", count: 8),
      drift: drift(scale: error * error), layers: rows(layers, error),
      tensors: tensors(type, layers: layers, error: error, attributed: attributed), worst: worst, gates: gates,
      provenance: [
        ("general.quantized_by", "quern 9.9.9"), ("quern.recipe", "Q4_K_M"),
        ("quantize.imatrix.file", "/home/someone/imatrix.gguf"), ("quantize.imatrix.chunks_count", "128"),
      ], differences: differences)
  }

  static let differences = [
    DriftReport.ParameterDifference(key: "llama.rope.freq_base", reference: "500000", candidate: "10000")
  ]

  /// 400 tokens whose divergences spread over four decades.
  static func drift(scale: Double) -> Drift {
    var drift = Drift()
    for index in 0..<400 {
      let wave = Double((index * 7919) % 400) / 400
      let divergence = index == 0 ? 0 : scale * wave * wave * wave * (1 + wave * 3)
      drift.add(
        TokenDrift(
          reference: 2 + wave, quantized: 2 + wave + divergence / 2 - scale * 0.1, divergence: divergence,
          referenceChoice: 7, quantizedChoice: wave < 0.93 ? 7 : 8))
    }
    return drift
  }

  private static func rows(_ count: Int, _ error: Double) -> [DriftReport.LayerRow] {
    (0..<count).map { layer in
      let added = error * (layer == 2 ? 0.4 : 0.15)
      return DriftReport.LayerRow(
        layer: layer, relativeRMSError: error * (0.5 + 0.1 * Double(layer)), cosine: 1 - error * error / 2, added: added
      )
    }
  }

  private static func tensors(
    _ type: DType, layers: Int, error: Double, attributed: Bool
  ) -> [DriftReport.TensorRow] {
    func row(_ name: String, _ type: DType, _ error: Double, elements: Int) -> DriftReport.TensorRow {
      DriftReport.TensorRow(
        name: name, type: type, bitsPerWeight: type.bitsPerElement, elements: elements, relativeRMSError: error,
        attributedDivergence: attributed ? error * error * 0.1 : nil)
    }
    var out = [
      row("token_embd.weight", type, error, elements: 1 << 20), row("output_norm.weight", .f32, 0, elements: 2048),
    ]
    for layer in 0..<layers {
      out.append(row("blk.\(layer).attn_norm.weight", .f32, 0, elements: 2048))
      for (index, kind) in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"].enumerated()
      {
        let isFiner = kind == "ffn_down" && layer % 2 == 1
        out.append(
          row(
            "blk.\(layer).\(kind).weight", isFiner ? .q6_K : type,
            (isFiner ? 0.0625 : error) * (1 + 0.04 * Double((layer + index) % 5)), elements: 1 << 22))
      }
    }
    return out
  }

  static let worst = [
    DriftReport.WorstToken(
      chunk: 3, position: 401, before: "The wheel was turned by the river, and the stones ground the grain to\n",
      token: " flour",
      referenceChoice: " flour", candidateChoice: " dust", divergence: 3.25, referenceProbability: 0.8125,
      candidateProbability: 0.015),
    DriftReport.WorstToken(
      chunk: 0, position: 17, before: "for (i = 0; i < n && a[i] > 0; i++)", token: "<script>alert('1')</script>",
      referenceChoice: "\n", candidateChoice: "\u{1B}[2J\u{202E}", divergence: 2.5, referenceProbability: 0.00004,
      candidateProbability: 0.5),
  ]
}
