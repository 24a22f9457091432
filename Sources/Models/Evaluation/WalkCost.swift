/// What walking a chunk of text takes, in multiplications of the products with weights: to judge how long the rest will take,
/// not to measure with.
struct WalkCost {
  /// Of one layer.
  let layer: Double
  /// Of the predictions at the scored positions.
  let output: Double

  /// For each token of the vocabulary a prediction is passed through an exponential and summed: as long as so many
  /// multiplications, as measured on SmolLM2-135M.
  private static let prediction = 64.0

  init(_ parameters: LlamaParameters, _ text: TextChunks) {
    let weights = parameters.layerTensors.reduce(0.0) { sum, tensor in
      let size = tensor.dimensions.reduce(1.0) { $0 * Double($1) }
      guard tensor.dimensions.count == 3 else { return sum + size }
      return sum + size * Double(parameters.usedExpertCount) / Double(max(1, parameters.expertCount))
    }
    // Every token looks at half of the others, for its scores and for what they weigh.
    let attention = Double(text.context) * Double(parameters.querySize)
    layer = Double(text.context) * (weights + attention)
    output =
      Double(text.scored.count) * Double(parameters.vocabularySize)
      * (Double(parameters.hiddenSize) + WalkCost.prediction)
  }
}
