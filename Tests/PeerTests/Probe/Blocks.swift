import Bytes
import Quantization
import Tensors

/// `quantize TYPE COLUMNS IN OUT [IMPORTANCE|-] [kernel|definition]`: raw floats to blocks, rows of COLUMNS.
func quantizeBlocks(_ arguments: [String]) throws {
  let (type, columns) = try typeAndColumns(arguments)
  let x = try floats(RandomAccessFile(arguments[2]))
  let importance = try arguments[4] == "-" ? nil : floats(RandomAccessFile(arguments[4]))
  var out = [UInt8](repeating: 0, count: try type.byteCount(of: x.count))
  var span = out.mutableSpan
  var bytes = unsafe span.mutableBytes
  if arguments[5] == "definition" {
    BlockQuantizer.quantizeReference(x.span, columns: columns, as: type, importance: importance?.span, into: &bytes)
  } else {
    BlockQuantizer.quantize(x.span, columns: columns, as: type, importance: importance?.span, into: &bytes)
  }
  let file = try OutputFile(arguments[3], overwrites: true)
  try unsafe file.write(out.span.bytes, at: 0)
  try file.publish()
}

/// `dequantize TYPE COUNT IN OUT [kernel|definition]`: blocks to COUNT raw floats.
func dequantizeBlocks(_ arguments: [String]) throws {
  let (type, count) = try typeAndColumns(arguments)
  let file = try RandomAccessFile(arguments[2])
  let stored = try file.read(at: 0, count: file.size)
  var x = [Float](repeating: 0, count: count)
  do {
    var span = x.mutableSpan
    if arguments[4] == "definition" {
      unsafe BlockDecoder.decodeReference(stored.span.bytes, as: type, into: &span)
    } else {
      unsafe BlockDecoder.decode(stored.span.bytes, as: type, into: &span)
    }
  }
  let out = try OutputFile(arguments[3], overwrites: true)
  try unsafe out.write(x.span.bytes, at: 0)
  try out.publish()
}

private func typeAndColumns(_ arguments: [String]) throws -> (DType, Int) {
  guard arguments.count >= 5, let type = DType(name: arguments[0]), let columns = Int(arguments[1]) else {
    throw InputError(.name, "TYPE COLUMNS IN OUT … expected")
  }
  return (type, columns)
}

private func floats(_ file: RandomAccessFile) throws -> [Float] {
  try unsafe [Float](unsafeUninitializedCapacity: file.size / 4) { buffer, count in
    try unsafe file.read(at: 0, into: UnsafeMutableRawBufferPointer(buffer))
    count = file.size / 4
  }
}
