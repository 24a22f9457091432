import Bytes
import Tensors

/// A name that a pickle may ask for. Each is a case and never code; nothing that is not listed here can be reached.
enum PickleGlobal: Hashable, Sendable {
  case orderedDict, size
  case rebuildTensor, rebuildTensorV2, rebuildTensorV3, rebuildParameter
  case storage(DType), untypedStorage
  case dtype(DType)
  /// Makes a value that no tensor needs (a set, a device, a NumPy scalar in the state of an optimizer).
  case skipped

  /// `module` and `name`, byte for byte.
  private static let allowed: [ExactString: PickleGlobal] = {
    var table: [ExactString: PickleGlobal] = [
      "collections OrderedDict": .orderedDict, "torch Size": .size,
      "torch._utils _rebuild_tensor": .rebuildTensor, "torch._utils _rebuild_tensor_v2": .rebuildTensorV2,
      "torch._utils _rebuild_tensor_v3": .rebuildTensorV3, "torch._utils _rebuild_parameter": .rebuildParameter,
      "torch.storage UntypedStorage": .untypedStorage,
      "torch device": .skipped, "builtins set": .skipped, "__builtin__ set": .skipped, "_codecs encode": .skipped,
      "numpy dtype": .skipped, "numpy.core.multiarray scalar": .skipped, "numpy._core.multiarray scalar": .skipped,
    ]
    let storages: [(String, DType)] = [
      ("Double", .f64), ("Float", .f32), ("Half", .f16), ("BFloat16", .bf16), ("Long", .i64), ("Int", .i32),
      ("Short", .i16), ("Char", .i8), ("Byte", .u8), ("Bool", .bool),
    ]
    for (name, dtype) in storages {
      table[ExactString("torch \(name)Storage")] = .storage(dtype)
      table[ExactString("torch.cuda \(name)Storage")] = .storage(dtype)
    }
    let dtypes: [(String, DType)] = [
      ("float64", .f64), ("float32", .f32), ("float16", .f16), ("bfloat16", .bf16), ("float8_e4m3fn", .f8E4M3),
      ("float8_e5m2", .f8E5M2), ("int64", .i64), ("int32", .i32), ("int16", .i16), ("int8", .i8), ("uint64", .u64),
      ("uint32", .u32), ("uint16", .u16), ("uint8", .u8), ("bool", .bool),
    ]
    for (name, dtype) in dtypes { table[ExactString("torch \(name)")] = .dtype(dtype) }
    return table
  }()

  /// What is known and refused, with what the user can do. The first that the name begins with counts.
  private static let refused: [(prefix: String, what: String, remedy: String)] = [
    ("torch._utils _rebuild_qtensor", "a quantized tensor", "save the model before quantizing it"),
    ("torch._utils _rebuild_sparse", "a sparse tensor", "save it dense (tensor.to_dense())"),
    ("torch._utils _rebuild_nested", "a nested tensor", "save it padded"),
    (
      "torch._utils _rebuild_wrapper_subclass", "a tensor subclass (FSDP, DTensor)",
      "gather the full state dict before saving it"
    ),
    ("torch._tensor _rebuild_from_type", "a tensor subclass", "save plain tensors"),
    ("torch._utils _rebuild_", "a tensor of a kind that is not read", "save plain tensors"),
    ("torch.distributed", "a sharded tensor (FSDP, DTensor)", "gather the full state dict before saving it"),
    ("deepspeed", "a DeepSpeed checkpoint", "run the zero_to_fp32.py that lies in its folder"),
    ("__torch__", "a TorchScript module", "save model.state_dict() instead"),
    ("torch Q", "a quantized storage", "save the model before quantizing it"),
    ("torch Complex", "complex numbers", "save real tensors"),
    ("torch complex", "complex numbers", "save real tensors"),
    ("torch float", "an element type that is not read", "save the tensors as bfloat16"),
  ]

  init(module: ArraySlice<UInt8>, name: ArraySlice<UInt8>) throws(InputError) {
    let text = String(validating: module + [UInt8(ascii: " ")] + name, as: UTF8.self)
    // A space within either could make two names look like two others.
    let isPlain = (module + name).allSatisfy(PickleGlobal.isPlain)
    if isPlain, let text, let global = PickleGlobal.allowed[ExactString(text)] {
      self = global
      return
    }
    if isPlain, let text, let known = PickleGlobal.refused.first(where: { text.utf8.starts(with: $0.prefix.utf8) }) {
      throw InputError(.unsupported, "holds \(known.what) (\(printable(text)))", remedy: known.remedy)
    }
    throw InputError(
      .global,
      "asks for '\(printable(text ?? "bytes that are not UTF-8"))', which no checkpoint needs; nothing was run",
      remedy: "do not load this file; if it is your own, save model.state_dict() and not the model")
  }

  /// A letter, digit, underscore or dot of ASCII.
  private static func isPlain(_ byte: UInt8) -> Bool {
    switch Unicode.Scalar(byte) {
    case "a"..."z", "A"..."Z", "0"..."9", "_", ".": true
    default: false
    }
  }
}
