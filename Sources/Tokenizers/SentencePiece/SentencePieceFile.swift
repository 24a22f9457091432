import Bytes

/// A SentencePiece `tokenizer.model`, proved and taken apart (google/sentencepiece 0.2.3, sentencepiece_model.proto).
struct SentencePieceFile: Sendable {
  enum Kind: UInt64, Sendable {
    case unigram = 1, bpe, word, character
  }

  enum PieceType: UInt64, Sendable {
    case normal = 1, unknown, control, userDefined, unused, byte
  }

  struct Piece: Sendable {
    var text: Range<Int> = 0..<0
    var score: Float = 0
    var type = PieceType.normal
  }

  let bytes: [UInt8]
  private(set) var pieces: [Piece] = []
  private(set) var kind = Kind.unigram
  private(set) var fallsBackToBytes = false
  private(set) var spacesAreSuffixes = false
  private(set) var addsDummyPrefix = true
  private(set) var removesExtraSpaces = true
  private(set) var escapesSpaces = true
  private(set) var charactersMap: Range<Int> = 0..<0
  private let file: String?

  /// - Throws: `TRUNC`, `TYPE`, `LIMIT`, `UTF8`, `NONFINITE`, `DUP`, `MISSING`, `UNSUPPORTED`, with the offset.
  init(parsing bytes: [UInt8], file: String?) throws(InputError) {
    self.bytes = bytes
    self.file = file
    guard bytes.count <= Limits.sentencePieceBytes else {
      throw InputError(
        .limit, "\(bytes.count) bytes, at most \(Limits.sentencePieceBytes) are read", file: file)
    }
    var reader = WireReader(bytes, 0..<bytes.count, file: file)
    while let (field, value) = try reader.next() {
      switch (field, value) {
      case (1, .bytes(let range)):
        guard pieces.count < Limits.tokens else { throw reader.wrong("more than \(Limits.tokens) pieces") }
        pieces.append(try piece(range))
      case (2, .bytes(let range)): try readTrainer(range)
      case (3, .bytes(let range)): try readNormalizer(range)
      case (1...3, _): throw reader.wrong("field \(field) is no message")
      default: break
      }
    }
    try check()
  }

  private func piece(_ range: Range<Int>) throws(InputError) -> Piece {
    var piece = Piece()
    var reader = WireReader(bytes, range, file: file)
    while let (field, value) = try reader.next() {
      switch (field, value) {
      case (1, .bytes(let range)): piece.text = range
      case (2, .fixed32(let bits)): piece.score = Float(bitPattern: bits)
      case (3, .varint(let number)):
        guard let type = PieceType(rawValue: number) else { throw reader.wrong("a piece of type \(number)") }
        piece.type = type
      case (1...3, _): throw reader.wrong("field \(field) of a piece has another type")
      default: break
      }
    }
    let text = bytes[piece.text]
    func error(_ code: InputError.Code, _ problem: String) -> InputError {
      InputError(code, problem, file: file, offset: UInt64(range.lowerBound))
    }
    guard !text.isEmpty, text.count <= Limits.tokenBytes else {
      throw error(.limit, "a piece of \(text.count) bytes, from 1 to \(Limits.tokenBytes) are expected")
    }
    guard String(validating: text, as: UTF8.self) != nil, !text.contains(0) else {
      throw error(.utf8, "the text of a piece is not valid UTF-8")
    }
    guard piece.score.isFinite else { throw error(.nonFinite, "the score of a piece is \(piece.score)") }
    return piece
  }

  private mutating func readTrainer(_ range: Range<Int>) throws(InputError) {
    var reader = WireReader(bytes, range, file: file)
    while let (field, value) = try reader.next() {
      guard case .varint(let number) = value else { continue }
      switch field {
      case 3:
        guard let kind = Kind(rawValue: number) else { throw reader.wrong("model type \(number)") }
        self.kind = kind
      case 24: spacesAreSuffixes = number != 0
      case 35: fallsBackToBytes = number != 0
      default: break
      }
    }
  }

  private mutating func readNormalizer(_ range: Range<Int>) throws(InputError) {
    var reader = WireReader(bytes, range, file: file)
    while let (field, value) = try reader.next() {
      switch (field, value) {
      case (2, .bytes(let range)): charactersMap = range
      case (3, .varint(let number)): addsDummyPrefix = number != 0
      case (4, .varint(let number)): removesExtraSpaces = number != 0
      case (5, .varint(let number)): escapesSpaces = number != 0
      default: break
      }
    }
  }

  private func check() throws(InputError) {
    func unsupported(_ what: String) -> InputError {
      InputError(.unsupported, "SentencePiece models of this kind are not supported: \(what)", file: file)
    }
    guard !pieces.isEmpty else { throw InputError(.type, "no SentencePiece model: it holds no pieces", file: file) }
    if kind == .word || kind == .character { throw unsupported("whole words or characters") }
    if spacesAreSuffixes { throw unsupported("spaces at the end of pieces") }
    if pieces.count(where: { $0.type == .unknown }) > 1 {
      throw InputError(.duplicate, "two pieces stand for the unknown", file: file)
    }
    if !fallsBackToBytes && !pieces.contains(where: { $0.type == .unknown }) {
      throw InputError(.missing, "no piece stands for the unknown", file: file)
    }
    var seen = Set<UInt8>()
    for piece in pieces where piece.type == .byte {
      guard let byte = SentencePieceFile.byte(bytes[piece.text]) else {
        throw InputError(.type, "a byte piece is not written <0x00>", file: file, offset: UInt64(piece.text.lowerBound))
      }
      seen.insert(byte)
    }
    if fallsBackToBytes && seen.count < 256 {
      throw InputError(.missing, "only \(seen.count) of 256 byte pieces are there", file: file)
    }
  }

  /// The byte that `<0xE2>` stands for.
  static func byte(_ text: some Collection<UInt8>) -> UInt8? {
    guard text.count == 6, text.starts(with: "<0x".utf8), text.dropFirst(5).first == UInt8(ascii: ">") else {
      return nil
    }
    func digit(_ byte: UInt8) -> UInt8? {
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
      case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
      default: nil
      }
    }
    let digits = Array(text.dropFirst(3).prefix(2))
    guard let high = digit(digits[0]), let low = digit(digits[1]) else { return nil }
    return high << 4 | low
  }
}
