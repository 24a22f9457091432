/// What a GGUF says of the tokens of a SentencePiece vocabulary, by id.
struct PieceAttributes: Sendable {
  var scores: [Float]
  var types: [TokenType]
  /// Texts that files beside the model give other tokens, or new ones.
  var overrides: [Override] = []

  struct Override: Sendable {
    var id: Int32
    var text: String
    var type: TokenType
  }

  func isByte(_ id: Int32) -> Bool { types.indices.contains(Int(id)) && types[Int(id)] == .byte }
}
