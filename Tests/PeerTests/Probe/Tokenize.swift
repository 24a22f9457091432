import Bytes
import GGUF
import Tokenizers

/// `tokenize MODEL INPUT OUTPUT [bare] [plain]`: MODEL is a checkpoint folder or a GGUF; INPUT holds texts, each after its
/// length as a little-endian uint32; OUTPUT gets, for each, the count and the ids as int32.
///
/// `bare` adds no special tokens, `plain` reads none in the text.
func tokenize(_ arguments: [String]) throws {
  guard arguments.count >= 3 else {
    throw InputError(.missing, "tokenize needs a model, an input and an output")
  }
  let clock = ContinuousClock()
  var start = clock.now
  let tokenizer =
    arguments[0].hasSuffix(".gguf")
    ? try Tokenizer(metadata: GGUFFile(reading: arguments[0]).metadata) : try Tokenizer(folder: arguments[0])
  let loading = clock.now - start
  let input = try RandomAccessFile(arguments[1]).readAll(limit: 1 << 31)

  var out: [UInt8] = []
  var tokenizing = Duration.zero
  var cursor = ByteCursor(input, file: arguments[1])
  while cursor.remaining > 0 {
    let text = Array(try cursor.take(UInt64(cursor.uint32("length")), "text"))
    start = clock.now
    let ids = tokenizer.encode(
      text, addSpecial: !arguments.contains("bare"), parseSpecial: !arguments.contains("plain"))
    tokenizing += clock.now - start
    append(Int32(ids.count), to: &out)
    for id in ids { append(id, to: &out) }
  }
  let file = try OutputFile(arguments[2], overwrites: true)
  try unsafe file.write(out.span.bytes, at: 0)
  try file.publish()
  print("loading \(loading), tokenizing \(tokenizing)")
}

/// `character-classes OUTPUT`: the class of every code point, one byte each; surrogates 0.
func characterClasses(_ arguments: [String]) throws {
  guard let path = arguments.first else { throw InputError(.missing, "character-classes needs an output") }
  let file = try OutputFile(path, overwrites: true)
  try unsafe file.write(CharacterClassProbe.all.span.bytes, at: 0)
  try file.publish()
}

/// `vocabulary FOLDER ROWS OUTPUT.gguf`: a GGUF of nothing but the tokenizer's metadata.
func vocabulary(_ arguments: [String]) throws {
  guard arguments.count == 3, let rows = Int(arguments[1]) else {
    throw InputError(.missing, "vocabulary needs a folder, a number of rows and an output")
  }
  let metadata = try Tokenizer(folder: arguments[0]).ggufMetadata(vocabularySize: rows)
  let writer = try GGUFWriter(
    GGUFLayout(metadata: metadata, tensors: []), to: OutputFile(arguments[2], overwrites: true))
  try writer.file.publish()
}

private func append(_ value: Int32, to out: inout [UInt8]) {
  for shift in stride(from: 0, to: 32, by: 8) { out.append(UInt8(truncatingIfNeeded: value >> shift)) }
}
