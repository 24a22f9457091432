import Bytes
import Tensors

/// The storages that a pickle speaks of. Many tensors may share one; each storage has one type and one length.
struct TorchStorages {
  struct Root {
    let key: ExactString
    /// `nil` for an untyped storage, which counts bytes.
    let element: DType?
    let count: Int
    let byteCount: Int
  }

  /// All of a root, or the part of it that the legacy format calls a view.
  struct Slice {
    let root: Int
    let element: DType?
    /// In elements of the root.
    let offset: Int
    let count: Int
  }

  private(set) var roots: [Root] = []
  private(set) var slices: [Slice] = []
  private var places: [ExactString: Int] = [:]

  mutating func add(
    key: ExactString, element: DType?, count: Int, view: (offset: Int, count: Int)?
  ) throws(InputError) -> Int {
    let root: Int
    if let place = places[key] {
      root = place
      guard roots[root].element == element else {
        throw InputError(
          .type, "storage '\(key)' is \(name(element)) here and \(name(roots[root].element)) before")
      }
      guard roots[root].count == count else {
        throw InputError(.bounds, "storage '\(key)' has \(count) elements here and \(roots[root].count) before")
      }
    } else {
      let byteCount = try SizeArithmetic.product(count, element?.blockBytes ?? 1)
      root = roots.count
      roots.append(Root(key: key, element: element, count: count, byteCount: byteCount))
      places[key] = root
    }
    let (offset, length) = view ?? (0, count)
    guard try SizeArithmetic.sum(offset, length) <= count else {
      throw InputError(.bounds, "a view ends at \(offset + length) of storage '\(key)', which has \(count) elements")
    }
    slices.append(Slice(root: root, element: element, offset: offset, count: length))
    return slices.count - 1
  }

  private func name(_ element: DType?) -> String { element?.name ?? "untyped" }
}

/// A tensor as PyTorch keeps it: a storage, and where in it the elements lie. Proved to stay within the storage.
struct TorchView {
  let root: Int
  let dtype: DType
  /// In elements, from the beginning of the root.
  let offset: Int
  let shape: Shape
  let strides: [Int]
}

/// What the names in a pickle build, and what they are built from; arguments of another number or kind are errors.
enum TorchBuilder {
  private typealias Arguments = ArraySlice<PickleValue>

  /// What NumPy and PyTorch allow.
  private static let maximumRank = 64

  // MARK: Opcodes

  static func reduce(
    _ callable: PickleValue, _ arguments: PickleValue, _ arena: inout PickleArena
  ) throws(InputError) -> PickleValue {
    guard case .global(let global) = callable else {
      throw InputError(.pickle, "\(callable.kindName) is called")
    }
    guard case .tuple(let index) = arguments else {
      throw InputError(.pickle, "called with \(arguments.kindName), a tuple of arguments expected")
    }
    let items = arena.items(ofTuple: index)
    switch global {
    case .orderedDict: return try orderedDict(items, &arena)
    case .size:
      guard items.count == 1, case .tuple = items[items.startIndex] else { throw wrongArguments("torch.Size") }
      return items[items.startIndex]
    case .rebuildTensor: return try tensor(items, "_rebuild_tensor", 4...4, &arena)
    case .rebuildTensorV2: return try tensor(items, "_rebuild_tensor_v2", 6...7, &arena)
    case .rebuildTensorV3: return try tensor(items, "_rebuild_tensor_v3", 7...8, &arena)
    case .rebuildParameter:
      guard items.count == 3, case .tensor = items[items.startIndex], case .bool = items[items.startIndex + 1] else {
        throw wrongArguments("_rebuild_parameter")
      }
      return items[items.startIndex]
    case .skipped: return .opaque
    case .storage, .untypedStorage, .dtype: throw InputError(.pickle, "a type is called")
    }
  }

  /// The state of an ordered dict (`_metadata`) and of what is skipped anyway is not needed; nothing else may have one.
  static func build(_ object: PickleValue, _ state: PickleValue, _ arena: PickleArena) throws(InputError) {
    switch object {
    case .opaque: return
    case .dict(let index) where arena.dicts[index].isOrdered:
      if case .dict = state { return }
    default: break
    }
    throw InputError(.pickle, "a state is set on \(object.kindName)")
  }

  /// `("storage", type, key, device, count)`, and in the legacy form a view `(key, offset, count)` or None.
  static func persistent(_ id: PickleValue, _ arena: inout PickleArena) throws(InputError) -> PickleValue {
    guard case .tuple(let index) = id else {
      throw InputError(.pickle, "a persistent id that is \(id.kindName), a storage expected")
    }
    let items = Array(arena.items(ofTuple: index))
    guard items.count == 5 || items.count == 6, case .string(let tag) = items[0],
      arena.string(tag, equals: "storage"), case .global(let type) = items[1], case .string(let key) = items[2],
      case .string = items[3]
    else { throw InputError(.pickle, "a persistent id that is no storage") }
    let element: DType?
    switch type {
    case .storage(let dtype): element = dtype
    case .untypedStorage: element = nil
    default: throw InputError(.pickle, "a storage of a type that is none")
    }
    let view = items.count == 6 ? try storageView(items[5], arena) : nil
    return .storage(
      try arena.storages.add(
        key: ExactString(arena.string(key)), element: element, count: int(items[4], "the length of a storage"),
        view: view))
  }

  private static func storageView(
    _ value: PickleValue, _ arena: PickleArena
  ) throws(InputError) -> (offset: Int, count: Int)? {
    switch value {
    case .none: return nil
    case .tuple(let index) where arena.tuples[index].items.count == 3:
      let items = Array(arena.items(ofTuple: index))
      return (try int(items[1], "the offset of a view"), try int(items[2], "the length of a view"))
    default: throw InputError(.pickle, "a storage with a view that is none")
    }
  }

  // MARK: Calls

  private static func orderedDict(_ arguments: Arguments, _ arena: inout PickleArena) throws(InputError) -> PickleValue
  {
    guard arguments.count <= 1 else { throw wrongArguments("OrderedDict") }
    let dict = arena.addDict(isOrdered: true)
    guard let pairs = arguments.first else { return dict }
    guard case .list(let index) = pairs, case .dict(let target) = dict else { throw wrongArguments("OrderedDict") }
    for pair in arena.lists[index].items {
      let items: ArraySlice<PickleValue>
      switch pair {
      case .tuple(let index): items = arena.items(ofTuple: index)
      case .list(let index): items = arena.lists[index].items[...]
      default: throw wrongArguments("OrderedDict")
      }
      guard items.count == 2 else { throw wrongArguments("OrderedDict") }
      try arena.set(items, inDict: target)
    }
    return dict
  }

  /// `(storage, offset, size, stride[, requires_grad, backward_hooks[, dtype][, metadata]])`.
  private static func tensor(
    _ arguments: Arguments, _ name: String, _ arity: ClosedRange<Int>, _ arena: inout PickleArena
  ) throws(InputError) -> PickleValue {
    let items = Array(arguments)
    guard arity.contains(items.count), case .storage(let slice) = items[0] else { throw wrongArguments(name) }
    let storage = arena.storages.slices[slice]
    let dtype: DType
    if arity.lowerBound == 7 {
      guard case .global(.dtype(let type)) = items[6] else { throw wrongArguments(name) }
      dtype = type
    } else {
      guard let element = storage.element else { throw InputError(.type, "an untyped storage without a dtype") }
      dtype = element
    }
    if arity.lowerBound > 4 {
      guard case .bool = items[4] else { throw wrongArguments(name) }
      switch items[5] {
      case .dict, .none: break
      default: throw wrongArguments(name)
      }
    }
    let view = try view(
      of: storage, arena.storages.roots[storage.root], dtype, offset: int(items[1], "a storage offset"),
      size: ints(items[2], name, arena), strides: ints(items[3], name, arena))
    arena.tensors.append(view)
    return .tensor(arena.tensors.count - 1)
  }

  /// Proves that every element lies in the storage.
  private static func view(
    of storage: TorchStorages.Slice, _ root: TorchStorages.Root, _ dtype: DType, offset: Int, size: [Int],
    strides: [Int]
  ) throws(InputError) -> TorchView {
    guard size.count == strides.count else {
      throw InputError(.shape, "\(size.count) dimensions, but \(strides.count) strides")
    }
    guard size.count <= maximumRank else {
      throw InputError(.limit, "\(size.count) dimensions, at most \(maximumRank) are read")
    }
    let shape = try Shape(size)
    // In bytes, since an untyped storage and its tensor count different things.
    let unit = storage.element?.blockBytes ?? 1
    let available = storage.count * unit / dtype.blockBytes
    var last = offset
    if shape.elementCount > 0 {
      for (size, stride) in zip(size, strides) {
        last = try SizeArithmetic.sum(last, SizeArithmetic.product(size - 1, stride))
      }
    }
    // An empty tensor touches nothing, and PyTorch saves some that begin past the end.
    guard last < available || shape.elementCount == 0 else {
      throw InputError(
        .bounds, "\(shape) at \(offset) with strides \(strides) ends at element \(last), the storage has \(available)")
    }
    guard shape.elementCount <= available else {
      throw InputError(
        .limit, "\(shape) repeats the \(available) elements of its storage", remedy: "save tensor.contiguous() instead")
    }
    let begin = storage.offset * unit
    guard begin % dtype.blockBytes == 0, storage.element == nil || storage.element == dtype else {
      throw InputError(.type, "a tensor of \(dtype) over a storage of \(storage.element?.name ?? "bytes")")
    }
    return TorchView(
      root: storage.root, dtype: dtype, offset: try SizeArithmetic.sum(begin / dtype.blockBytes, offset), shape: shape,
      strides: strides)
  }

  // MARK: Arguments

  private static func int(_ value: PickleValue, _ what: String) throws(InputError) -> Int {
    switch value {
    case .int(let value) where value >= 0: return value
    case .int(let value): throw InputError(.shape, "\(what) is negative: \(value)")
    case .hugeInt: throw InputError(.overflow, "\(what) does not fit 64 bits")
    default: throw InputError(.pickle, "\(what) is \(value.kindName)")
    }
  }

  private static func ints(_ value: PickleValue, _ name: String, _ arena: PickleArena) throws(InputError) -> [Int] {
    guard case .tuple(let index) = value else { throw wrongArguments(name) }
    var out: [Int] = []
    for item in arena.items(ofTuple: index) { out.append(try int(item, "a size or stride")) }
    return out
  }

  private static func wrongArguments(_ name: String) -> InputError {
    InputError(.pickle, "\(name) with arguments of another number or kind than it takes")
  }
}
