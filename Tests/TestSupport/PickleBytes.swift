/// Pieces of pickles, put together opcode by opcode, well-formed or not.
package enum P {
  package static let proto: [UInt8] = [0x80, 2]
  package static let stop: [UInt8] = [0x2E]
  package static let mark: [UInt8] = [0x28]
  package static let reduce: [UInt8] = [0x52]
  package static let emptyDict: [UInt8] = [0x7D]
  package static let emptyTuple: [UInt8] = [0x29]
  package static let none: [UInt8] = [0x4E]
  package static let no: [UInt8] = [0x89]
  package static let setItem: [UInt8] = [0x73]
  package static let setItems: [UInt8] = [0x75]
  package static let persistent: [UInt8] = [0x51]
  package static let build: [UInt8] = [0x62]

  package static func text(_ text: String) -> [UInt8] { [0x58] + le(UInt32(text.utf8.count)) + Array(text.utf8) }
  package static func name(_ module: String, _ name: String) -> [UInt8] { Array("c\(module)\n\(name)\n".utf8) }
  package static func put(_ index: UInt8) -> [UInt8] { [0x71, index] }
  package static func get(_ index: UInt8) -> [UInt8] { [0x68, index] }
  package static func tuple(_ items: [[UInt8]]) -> [UInt8] { mark + items.flatMap { $0 } + [0x74] }

  /// The shortest opcode of a whole number.
  package static func int(_ value: Int) -> [UInt8] {
    switch value {
    case 0..<256: [0x4B, UInt8(value)]
    case 0..<65_536: [0x4D] + le(UInt16(value))
    case Int(Int32.min)...Int(Int32.max): [0x4A] + le(Int32(value))
    default: [0x8A, 8] + le(Int64(value))
    }
  }

  package static func ints(_ values: [Int]) -> [UInt8] { tuple(values.map(int)) }

  package static func storage(_ count: [UInt8], key: String = "0", type: [UInt8] = name("torch", "FloatStorage"))
    -> [UInt8]
  {
    tuple([text("storage"), type, text(key), text("cpu"), count]) + persistent
  }

  package static let orderedDict = name("collections", "OrderedDict") + emptyTuple + reduce

  package static func tensor(
    _ storage: [UInt8], offset: [UInt8] = int(0), size: [UInt8], strides: [UInt8],
    function: String = "_rebuild_tensor_v2", more: [UInt8] = []
  ) -> [UInt8] {
    name("torch._utils", function) + mark + storage + offset + size + strides + no + orderedDict + more + [0x74]
      + reduce
  }

  /// A tensor of four floats, whole and right.
  package static let tensor4 = tensor(storage(int(4)), size: ints([4]), strides: ints([1]))

  /// A pickle of the dict `{"w": value}`.
  package static func file(_ value: [UInt8]) -> [UInt8] { proto + emptyDict + text("w") + value + setItem + stop }

  /// The archive that `torch.save` makes of a pickle and the bytes of its storages.
  package static func archive(_ pickle: [UInt8], storages: [(String, [UInt8])] = [("0", [UInt8](0..<16))]) -> [UInt8] {
    zip(pickle, storages).bytes
  }

  package static func zip(
    _ pickle: [UInt8] = file(tensor4), _ storages: [(String, [UInt8])] = [("0", [UInt8](0..<16))],
    _ more: [ZipBytes.Entry] = []
  ) -> ZipBytes {
    ZipBytes(
      [.init("archive/data.pkl", pickle), .init("archive/byteorder", Array("little".utf8))] + more
        + storages.map { .init("archive/data/\($0.0)", $0.1) })
  }
}
