import Bytes
import Checkpoints
import TestSupport
import Testing

/// Cases 50 to 103 of the list of bad inputs.
@Suite struct TorchHostileTests {
  /// In a valid archive, the value of the one entry of the state dict.
  private static func value(_ number: Int, _ what: String, _ code: InputError.Code, _ value: [UInt8]) -> Hostile {
    Hostile(number, what, code, P.archive(P.file(value)))
  }

  private static func view(
    _ number: Int, _ what: String, _ code: InputError.Code, storage: [UInt8] = P.storage(P.int(4)),
    offset: [UInt8] = P.int(0), size: [UInt8] = P.ints([4]), strides: [UInt8] = P.ints([1])
  ) -> Hostile {
    value(number, what, code, P.tensor(storage, offset: offset, size: size, strides: strides))
  }

  private static let x = P.tuple([P.text("x")])

  static let pickles: [Hostile] = [
    value(50, "posix.system", .global, P.name("posix", "system") + x + P.reduce),
    value(51, "STACK_GLOBAL", .opcode, P.text("posix") + P.text("system") + [0x93] + x + P.reduce),
    value(52, "INST", .opcode, P.mark + P.text("x") + Array("iposix\nsystem\n".utf8)),
    value(52, "OBJ", .opcode, P.mark + P.name("collections", "OrderedDict") + [0x6F]),
    value(53, "EXT1", .opcode, [0x82, 1]), value(53, "EXT2", .opcode, [0x83, 1, 0]),
    value(53, "EXT4", .opcode, [0x84, 1, 0, 0, 0]),
    value(54, "dotted name", .global, P.name("torch.serialization", "os.system") + x + P.reduce),
    value(54, "dotted module", .global, P.name("torch", "_utils._rebuild_tensor_v2") + x + P.reduce),
    value(55, "CR after a name", .global, P.name("collections", "OrderedDict\r") + P.emptyTuple + P.reduce),
    value(55, "NUL after a name", .global, P.name("collections", "OrderedDict\0") + P.emptyTuple + P.reduce),
    value(55, "a name split elsewhere", .global, P.name("torch._utils _rebuild_tensor_v2", "") + x + P.reduce),
    value(56, "a string is called", .pickle, P.text("f") + x + P.reduce),
    value(56, "a type is called", .pickle, P.name("torch", "FloatStorage") + x + P.reduce),
    value(57, "too few arguments", .pickle, P.name("torch._utils", "_rebuild_tensor_v2") + P.emptyTuple + P.reduce),
    value(57, "arguments that are no tuple", .pickle, P.name("torch._utils", "_rebuild_tensor_v2") + P.none + P.reduce),
    value(
      57, "a size that is a string", .pickle,
      P.tensor(P.storage(P.int(4)), size: P.text("4"), strides: P.ints([1]))),
    value(
      57, "a parameter of None", .pickle,
      P.name("torch._utils", "_rebuild_parameter") + P.tuple([P.none, P.no, P.none]) + P.reduce),
    value(58, "BUILD on a tensor", .pickle, P.tensor4 + P.emptyDict + P.build),
    value(58, "BUILD on a dict", .pickle, P.emptyDict + P.emptyDict + P.build),
    value(59, "SETITEM on a tensor", .pickle, P.tensor4 + P.int(0) + P.int(1) + P.setItem),
    value(60, "APPEND to a dict", .pickle, P.emptyDict + P.int(1) + [0x61]),
    value(60, "SETITEMS on a list", .pickle, [0x5D] + P.mark + P.int(1) + P.int(1) + P.setItems),
    value(60, "SETITEMS with an odd number", .pickle, P.emptyDict + P.mark + P.int(1) + P.setItems),
    Hostile(61, "TUPLE3 on an empty stack", .pickle, P.archive(P.proto + [0x87] + P.stop)),
    value(61, "TUPLE2 across a mark", .pickle, P.int(1) + P.mark + P.int(2) + [0x86]),
    value(61, "TUPLE without a mark", .pickle, [0x74]),
    value(62, "unset memo", .pickle, P.get(9)),
    value(63, "memo 2^32-1 set, another asked for", .pickle, P.none + [0x72, 0xFF, 0xFF, 0xFF, 0xFF] + P.get(9)),
    Hostile(64, "string of 2^31-1 bytes", .truncated, P.archive(P.proto + [0x58, 0xFF, 0xFF, 0xFF, 0x7F, 1, 2, 3])),
    value(65, "a length of 255 bytes", .overflow, P.storage([0x8A, 255] + [UInt8](repeating: 0x7F, count: 255))),
    value(66, "a million marks", .limit, [UInt8](repeating: 0x28, count: 1_000_000)),
    value(67, "a million nested tuples", .limit, P.none + [UInt8](repeating: 0x85, count: 1_000_000)),
    value(68, "a dict that contains itself", .pickle, P.emptyDict + P.put(1) + P.text("x") + P.get(1) + P.setItem),
    value(
      68, "a circle of two lists", .pickle,
      [0x5D] + P.put(1) + [0x5D] + P.get(1) + [0x61, 0x61]),
    value(
      69, "64 levels of (x, x)", .limit, P.none + (0..<64 as Range<UInt8>).flatMap { P.put($0) + P.get($0) + [0x86] }),
    Hostile(70, "no STOP", .truncated, P.archive(Array(P.file(P.tensor4).dropLast()))),
    Hostile(70, "an empty pickle", .truncated, P.archive([])),
    Hostile(70, "cut off in a name", .truncated, P.archive(P.proto + Array("ctorch".utf8))),
    Hostile(71, "a second pickle", .pickle, P.archive(P.file(P.tensor4) + P.file(P.tensor4))),
    Hostile(
      72, "a name twice", .duplicate,
      P.archive(P.proto + P.emptyDict + P.mark + (0..<2).flatMap { _ in P.text("w") + P.tensor4 } + P.setItems + P.stop)
    ),
    value(
      73, "a persistent module", .pickle, P.tuple([P.text("module"), P.none, P.text("f"), P.text("s")]) + P.persistent),
    value(73, "a persistent string", .pickle, P.text("storage") + P.persistent),
    value(73, "a storage of a type that is none", .pickle, P.storage(P.int(4), type: P.orderedDict)),
    Hostile(
      74, "a name that is not UTF-8", .utf8,
      P.archive(P.proto + P.emptyDict + [0x58, 1, 0, 0, 0, 0xFF] + P.tensor4 + P.setItem + P.stop)),
    value(75, "NEWOBJ", .opcode, P.name("collections", "OrderedDict") + P.emptyTuple + [0x81]),
    value(75, "EMPTY_SET", .opcode, [0x8F]), value(75, "FRAME", .opcode, [0x95, 0, 0, 0, 0, 0, 0, 0, 0]),
    Hostile(0, "protocol 4", .version, P.archive([0x80, 4] + P.emptyDict + P.stop)),
    Hostile(0, "protocol 0", .pickle, P.archive(Array("(dp0\n.".utf8))),
    Hostile(0, "two values are left", .pickle, P.archive(P.proto + P.none + P.none + P.stop)),
    Hostile(0, "a number and no dict", .unsupported, P.archive(P.proto + P.int(1) + P.stop)),
    Hostile(0, "no tensors", .missing, P.archive(P.file(P.int(1)))),
    Hostile(0, "an empty name", .name, P.archive(P.proto + P.emptyDict + P.text("") + P.tensor4 + P.setItem + P.stop)),
    Hostile(
      0, "a number as a name", .type, P.archive(P.proto + P.emptyDict + P.int(1) + P.tensor4 + P.setItem + P.stop)),
  ]

  static let views: [Hostile] = [
    view(76, "more elements than the entry", .bounds, storage: P.storage(P.int(5))),
    view(77, "fewer elements than the entry", .bounds, storage: P.storage(P.int(3)), size: P.ints([3])),
    view(78, "length that wraps in bytes", .overflow, storage: P.storage(P.int(1 << 62 + 4))),
    view(79, "negative length", .shape, storage: P.storage(P.int(-4))),
    view(79, "negative size", .shape, size: P.ints([-4])),
    view(79, "negative stride", .shape, offset: P.int(3), strides: P.ints([-1])),
    view(79, "negative offset", .shape, offset: P.int(-1)),
    view(80, "stride 10^6 over 16 bytes", .bounds, strides: P.ints([1_000_000])),
    view(80, "stride that wraps", .overflow, strides: P.ints([1 << 62])),
    view(81, "offset 100 in 4 elements", .bounds, offset: P.int(100)),
    view(82, "2^40 elements with stride 0", .limit, size: P.ints([1 << 40]), strides: P.ints([0])),
    view(83, "two sizes, one stride", .shape, size: P.ints([2, 2])),
    view(84, "2^32 by 2^32", .overflow, size: P.ints([1 << 32, 1 << 32]), strides: P.ints([0, 0])),
    view(
      85, "a thousand dimensions", .limit, size: P.ints([Int](repeating: 1, count: 1_000)),
      strides: P.ints([Int](repeating: 1, count: 1_000))),
    value(
      86, "one storage of two types", .type,
      P.tuple([P.storage(P.int(4)), P.storage(P.int(4), type: P.name("torch", "IntStorage"))])),
    value(86, "one storage of two lengths", .bounds, P.tuple([P.storage(P.int(4)), P.storage(P.int(8))])),
    value(88, "a sparse tensor", .unsupported, P.name("torch._utils", "_rebuild_sparse_csr_tensor") + x + P.reduce),
    value(89, "a quantized tensor", .unsupported, P.name("torch._utils", "_rebuild_qtensor") + x + P.reduce),
    value(0, "a sharded tensor", .unsupported, P.name("torch.distributed.tensor", "DTensor") + x + P.reduce),
    value(0, "a subclass", .unsupported, P.name("torch._tensor", "_rebuild_from_type_v2") + x + P.reduce),
    value(
      0, "an untyped storage without a dtype", .type,
      P.tensor(
        P.storage(P.int(16), type: P.name("torch.storage", "UntypedStorage")), size: P.ints([4]), strides: P.ints([1]))),
    Hostile(
      90, "byte order big", .endian,
      ZipBytes([
        .init("a/data.pkl", P.file(P.tensor4)), .init("a/byteorder", Array("big".utf8)),
        .init("a/data/0", [UInt8](repeating: 0, count: 16)),
      ]).bytes),
    Hostile(
      90, "byte order pdp", .endian,
      ZipBytes([
        .init("a/data.pkl", P.file(P.tensor4)), .init("a/byteorder", Array("pdp".utf8)),
        .init("a/data/0", [UInt8](repeating: 0, count: 16)),
      ]).bytes),
    Hostile(0, "no such storage", .missing, P.archive(P.file(P.tensor4), storages: [])),
  ]

  @Test(arguments: pickles + views + archives + legacy) func isRefusedByName(_ hostile: Hostile) throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("pytorch_model.bin", hostile.bytes)
    for opened in [path, folder.path] {
      #expect {
        let checkpoint = try Checkpoint(opening: opened)
        for tensor in checkpoint.tensors { _ = try tensor.read(rows: 0..<tensor.rows) }
      } throws: { error in
        (error as? InputError)?.code == hostile.code && (error as? InputError)?.file == path
      }
    }
  }

  @Test func case87ReadsTenThousandViewsOfOneStorage() throws {
    let folder = try TemporaryFolder()
    let items = (0..<10_000).flatMap {
      P.text("\($0)") + P.tensor(P.storage(P.int(4)), size: P.ints([2]), strides: P.ints([2]))
    }
    let pickle = P.proto + P.emptyDict + P.mark + items + P.setItems + P.stop
    let checkpoint = try Checkpoint(opening: folder.write("a.pt", P.archive(pickle)))
    #expect(checkpoint.tensors.count == 10_000)
    #expect(try checkpoint.tensors[9_999].read(rows: 0..<1) == [0, 1, 2, 3, 8, 9, 10, 11])
  }

  @Test func case99AcceptsWhatTorchWrites() throws {
    let folder = try TemporaryFolder()
    for hasEnd64 in [false, true] {
      var zip = P.zip()
      zip.hasEnd64 = hasEnd64
      zip.entries[2].localExtra = [0x46, 0x42, 4, 0, 0x5A, 0x5A, 0x5A, 0x5A]
      let checkpoint = try Checkpoint(opening: folder.write("a.pt", zip.bytes))
      #expect(try checkpoint.tensors[0].read(rows: 0..<1) == [UInt8](0..<16))
    }
  }

  @Test func messagesNameTheEntryAndItsByte() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("a.pt", P.archive(P.file(P.name("posix", "system"))))
    #expect { try Checkpoint(opening: path) } throws: {
      let error = $0 as? InputError
      // After the local header, the protocol, the dict and the key.
      return error?.subject == "archive/data.pkl" && error?.offset == UInt64(30 + 16 + 2 + 1 + 6)
    }
  }
}
