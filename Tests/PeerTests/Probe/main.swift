// quern-peer: what the peer tests ask of the libraries, one file a subcommand. Not a product.
//   quern-peer SUBCOMMAND ARGUMENTS…
import Bytes

let arguments = Array(CommandLine.arguments.dropFirst())
switch arguments.first {
case "tokenize": try tokenize(Array(arguments.dropFirst()))
case "character-classes": try characterClasses(Array(arguments.dropFirst()))
case "logits": try logits(Array(arguments.dropFirst()))
case "evaluate": try evaluate(Array(arguments.dropFirst()))
case "quantize": try quantizeBlocks(Array(arguments.dropFirst()))
case "dequantize": try dequantizeBlocks(Array(arguments.dropFirst()))
case "recipe": try recipe(Array(arguments.dropFirst()))
case "read-checkpoints": try readCheckpoints(Array(arguments.dropFirst()))
case "feedback": try feedback(Array(arguments.dropFirst()))
case "vocabulary": try vocabulary(Array(arguments.dropFirst()))
case let name: throw InputError(.name, "no such subcommand", subject: name)
}
