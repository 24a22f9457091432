import ArgumentParser
import Bytes
import Conversion

struct Tokenize: WatchedCommand {
  static let configuration = CommandConfiguration(
    abstract: "Turn text into a model's tokens.",
    discussion: """
      EXAMPLES
        quern tokenize ./Llama-3.2-1B 'Hello world'
        quern tokenize model.gguf --text wiki.txt --ids
      """)

  @Argument(help: "A model folder or a GGUF.")
  var model: String

  @Argument(help: "The text.")
  var string: String?

  @Option(help: ArgumentHelp("Read the text from a file.", valueName: "file"))
  var text: String?

  @Flag(help: "Print ids only.")
  var ids = false

  @Flag(help: "Do not add the tokens that the model expects at the beginning and end.")
  var noSpecial = false

  @Flag(help: "Read special tokens such as <|eot_id|> where they stand in the text.")
  var parseSpecial = false

  @OptionGroup var shared: SharedOptions

  func validate() throws {
    if (string == nil) == (text == nil) { throw ValidationError("Give either a string or --text FILE.") }
  }

  func run() throws {
    let tokenizer = try ModelInput.tokenizer(of: model)
    let bytes = try string.map { Array($0.utf8) } ?? TextFile(reading: text!).bytes
    let tokens = tokenizer.encode(bytes, addSpecial: !noSpecial, parseSpecial: parseSpecial)
    let texts = { tokens.map { String(decoding: tokenizer.tokenBytes($0), as: UTF8.self) } }
    if shared.json {
      var members: [(String, JSONText)] = [("ids", .array(tokens.map { .int(Int($0)) }))]
      members.append(("tokens", .array(texts().map { .string($0) })))
      print(JSONText.object(members).text())
    } else if ids {
      print(tokens.map { "\($0)" }.joined(separator: " "))
    } else {
      for (id, text) in zip(tokens, texts()) { print("\(id)\t\(printable(text))") }
    }
  }
}
