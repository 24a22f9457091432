import Bytes

/// A value on the stack of a pickle: a number or the index of something in the arena. Nothing here owns anything, so no
/// depth of nesting can overflow the stack when it is freed.
enum PickleValue: Sendable {
  case none
  case bool(Bool)
  case int(Int)
  /// A whole number of more than 64 bits.
  case hugeInt
  case float
  /// UTF-8 in the pickle's bytes.
  case string(Int)
  case tuple(Int)
  case list(Int)
  case dict(Int)
  case global(PickleGlobal)
  case storage(Int)
  case tensor(Int)
  /// Something that no tensor needs.
  case opaque

  var kindName: String {
    switch self {
    case .none: "None"
    case .bool: "a truth value"
    case .int, .hugeInt: "a whole number"
    case .float: "a number"
    case .string: "a string"
    case .tuple: "a tuple"
    case .list: "a list"
    case .dict: "a dict"
    case .global: "a name"
    case .storage: "a storage"
    case .tensor: "a tensor"
    case .opaque: "an object"
    }
  }
}

/// All that a pickle has built, flat.
struct PickleArena {
  struct Container {
    var items: [PickleValue] = []
    /// Levels of containers below this one, and this one.
    var depth = 1
    /// `collections.OrderedDict`, which alone may carry a state.
    var isOrdered = false
  }

  /// Optimizer states, the deepest that checkpoints hold, take six.
  static let maximumDepth = 32

  let bytes: [UInt8]
  private(set) var strings: [Range<Int>] = []
  private(set) var tuples: [(items: Range<Int>, depth: Int)] = []
  private(set) var tupleItems: [PickleValue] = []
  private(set) var lists: [Container] = []
  /// Keys and values alternate.
  private(set) var dicts: [Container] = []
  var storages = TorchStorages()
  var tensors: [TorchView] = []

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  func string(_ index: Int) -> String { String(decoding: bytes[strings[index]], as: UTF8.self) }
  func string(_ index: Int, equals text: StaticString) -> Bool {
    bytes[strings[index]].elementsEqual(text.description.utf8)
  }

  func items(ofTuple index: Int) -> ArraySlice<PickleValue> { tupleItems[tuples[index].items] }

  mutating func addString(_ range: Range<Int>) throws(InputError) -> PickleValue {
    do {
      _ = try UTF8Span(validating: bytes.span.extracting(range))
    } catch { throw InputError(.utf8, "a string is not valid UTF-8") }
    strings.append(range)
    return .string(strings.count - 1)
  }

  mutating func addTuple(_ items: ArraySlice<PickleValue>) throws(InputError) -> PickleValue {
    let depth = try depth(above: items)
    tuples.append((tupleItems.count..<tupleItems.count + items.count, depth))
    tupleItems += items
    return .tuple(tuples.count - 1)
  }

  mutating func addList() -> PickleValue {
    lists.append(Container())
    return .list(lists.count - 1)
  }

  mutating func addDict(isOrdered: Bool = false) -> PickleValue {
    dicts.append(Container(isOrdered: isOrdered))
    return .dict(dicts.count - 1)
  }

  mutating func append(_ items: ArraySlice<PickleValue>, toList index: Int) throws(InputError) {
    lists[index].depth = max(lists[index].depth, try depth(above: items))
    lists[index].items += items
  }

  /// - Parameter items: keys and values in turn.
  mutating func set(_ items: ArraySlice<PickleValue>, inDict index: Int) throws(InputError) {
    for place in stride(from: items.startIndex, to: items.endIndex, by: 2) {
      let key = items[place]
      switch key {
      case .dict, .list: throw InputError(.pickle, "\(key.kindName) as a key")
      default: break
      }
    }
    dicts[index].depth = max(dicts[index].depth, try depth(above: items))
    dicts[index].items += items
  }

  private func depth(above items: ArraySlice<PickleValue>) throws(InputError) -> Int {
    var deepest = 0
    for item in items {
      switch item {
      case .tuple(let index): deepest = max(deepest, tuples[index].depth)
      case .list(let index): deepest = max(deepest, lists[index].depth)
      case .dict(let index): deepest = max(deepest, dicts[index].depth)
      default: break
      }
    }
    guard deepest < PickleArena.maximumDepth else {
      throw InputError(.limit, "nested deeper than \(PickleArena.maximumDepth) levels")
    }
    return deepest + 1
  }

  // MARK: Circles

  /// Proves that no container reachable from `root` contains itself, without recursion.
  func checkCircles(from root: PickleValue) throws(InputError) {
    var colours = [[UInt8](repeating: 0, count: tuples.count), [], []]
    colours[1] = [UInt8](repeating: 0, count: lists.count)
    colours[2] = [UInt8](repeating: 0, count: dicts.count)
    var path: [(kind: Int, index: Int, next: Int)] = []

    func enter(_ value: PickleValue) throws(InputError) {
      let place: (kind: Int, index: Int)
      switch value {
      case .tuple(let index): place = (0, index)
      case .list(let index): place = (1, index)
      case .dict(let index): place = (2, index)
      default: return
      }
      switch colours[place.kind][place.index] {
      case 0:
        colours[place.kind][place.index] = 1
        path.append((place.kind, place.index, 0))
      case 1: throw InputError(.pickle, "a container contains itself")
      default: break
      }
    }

    try enter(root)
    while let top = path.last {
      let count = top.kind == 0 ? tuples[top.index].items.count : (top.kind == 1 ? lists : dicts)[top.index].items.count
      if top.next == count {
        colours[top.kind][top.index] = 2
        path.removeLast()
        continue
      }
      path[path.count - 1].next += 1
      switch top.kind {
      case 0: try enter(tupleItems[tuples[top.index].items.lowerBound + top.next])
      case 1: try enter(lists[top.index].items[top.next])
      default: try enter(dicts[top.index].items[top.next])
      }
    }
  }
}
