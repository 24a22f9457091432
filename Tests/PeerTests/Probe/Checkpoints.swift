import Bytes
import Checkpoints

/// `read-checkpoints LIST OUTPUT`: LIST names files, one a line. OUTPUT gets for each `error CODE`, or `tensors COUNT` and
/// for each tensor the UTF-8 of its name in hexadecimal, the type, the shape (`2,3` or `-`) and its bytes in hexadecimal.
func readCheckpoints(_ arguments: [String]) throws {
  guard arguments.count == 2 else { throw InputError(.missing, "read-checkpoints needs a list and an output") }
  let list = String(decoding: try RandomAccessFile(arguments[0]).readAll(limit: 1 << 26), as: UTF8.self)
  var out = ""
  for path in list.split(separator: "\n") {
    do {
      var text = ""
      let tensors = try Checkpoint(opening: String(path)).tensors
      for tensor in tensors {
        let shape = tensor.shape.dimensions.map(String.init).joined(separator: ",")
        let bytes = hexadecimal(try tensor.read(rows: 0..<tensor.rows))
        text += "\(hexadecimal(Array(tensor.name.utf8))) \(tensor.dtype) \(shape.isEmpty ? "-" : shape) \(bytes)\n"
      }
      out += "tensors \(tensors.count)\n" + text
    } catch let error as InputError {
      out += "error \(error.code.rawValue)\n"
    }
  }
  let file = try OutputFile(arguments[1], overwrites: true)
  let bytes = Array(out.utf8)
  try unsafe file.write(bytes.span.bytes, at: 0)
  try file.publish()
}

private func hexadecimal(_ bytes: [UInt8]) -> String {
  let digits = Array("0123456789abcdef".utf8)
  return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}
