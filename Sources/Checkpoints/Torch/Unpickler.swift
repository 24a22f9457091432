import Bytes

/// Reads a pickle (Python `pickletools`, protocol 2) of which nothing is ever run: 31 opcodes that build plain values,
/// and a list of names (`PickleGlobal`) each of which stands for a case.
struct Unpickler {
  private static let maximumMarks = 256
  private static let maximumStack = 1 << 20
  private static let maximumMemo = 1 << 20
  /// Values made by one pickle; a model of 100,000 tensors makes 3 million.
  private static let maximumValues = 1 << 22

  private(set) var arena: PickleArena
  /// After the STOP.
  private(set) var position = 0
  private let bytes: [UInt8]
  private let base: Int?
  private var start = 0
  private var stack: [PickleValue] = []
  private var marks: [Int] = []
  private var memo: [UInt32: PickleValue] = [:]
  private var made = 0

  /// - Parameters:
  ///   - position: where in `bytes` the pickle begins.
  ///   - base: the offset in the file of the first byte of `bytes`, for messages; `nil` when they lie deflated.
  init(_ bytes: [UInt8], from position: Int = 0, base: Int? = 0) {
    self.bytes = bytes
    self.position = position
    self.base = base
    arena = PickleArena(bytes)
  }

  /// Runs up to the STOP and returns the one value that is left.
  mutating func run() throws(InputError) -> PickleValue {
    do {
      return try steps()
    } catch { throw error.adding(offset: base.map { UInt64($0 + start) }) }
  }

  private mutating func steps() throws(InputError) -> PickleValue {
    guard try byte() == 0x80 else { throw InputError(.pickle, "a pickle of protocol 2 expected") }
    let version = try byte()
    guard version == 2 || version == 3 else {
      throw InputError(
        .version, "a pickle of protocol 2 expected, found \(version)", remedy: "save with pickle_protocol=2")
    }
    repeat { start = position } while try !step()
    guard stack.count == 1, marks.isEmpty else { throw InputError(.pickle, "more than one value is left at the end") }
    try arena.checkCircles(from: stack[0])
    return stack[0]
  }

  /// One opcode. True after STOP.
  private mutating func step() throws(InputError) -> Bool {
    let opcode = try byte()
    switch Unicode.Scalar(opcode) {
    case ".": return true
    case "(": try mark()
    case "N": try push(.none)
    case "\u{88}": try push(.bool(true))
    case "\u{89}": try push(.bool(false))
    case "J": try push(.int(Int(Int32(bitPattern: UInt32(try integer(4))))))
    case "K": try push(.int(Int(try integer(1))))
    case "M": try push(.int(Int(try integer(2))))
    case "\u{8A}": try pushLong()
    case "G":
      _ = try take(8)
      try push(.float)
    case "X":
      let count = Int(try integer(4))
      try push(arena.addString(take(count)))
    case ")": try push(arena.addTuple([]))
    case "\u{85}": try pushTuple(1)
    case "\u{86}": try pushTuple(2)
    case "\u{87}": try pushTuple(3)
    case "t":
      let items = try popToMark()
      try push(arena.addTuple(items))
    case "]": try push(arena.addList())
    case "}": try push(arena.addDict())
    case "a": try append([pop()])
    case "e": try append(popToMark())
    case "s":
      let value = try pop()
      try set([pop(), value])
    case "u": try set(popToMark())
    case "q": try put(UInt32(try integer(1)))
    case "r": try put(UInt32(try integer(4)))
    case "h": try get(UInt32(try integer(1)))
    case "j": try get(UInt32(try integer(4)))
    case "c":
      let module = try line()
      let name = try line()
      try push(.global(PickleGlobal(module: bytes[module], name: bytes[name])))
    case "R":
      let arguments = try pop()
      try push(TorchBuilder.reduce(pop(), arguments, &arena))
    case "b":
      let state = try pop()
      try TorchBuilder.build(top(), state, arena)
    case "Q": try push(TorchBuilder.persistent(pop(), &arena))
    default:
      throw InputError(
        .opcode, "opcode 0x\(String(opcode, radix: 16)) is not one that a checkpoint needs; nothing was run",
        remedy: "do not load this file; if it is your own, save it with torch.save(model.state_dict())")
    }
    return false
  }

  // MARK: Bytes

  private mutating func byte() throws(InputError) -> UInt8 { bytes[try take(1).lowerBound] }

  private mutating func take(_ count: Int) throws(InputError) -> Range<Int> {
    guard count <= bytes.count - position else {
      throw InputError(.truncated, "the pickle ends before its STOP", remedy: "download the file again")
    }
    defer { position += count }
    return position..<position + count
  }

  /// Little-endian.
  private mutating func integer(_ count: Int) throws(InputError) -> UInt64 {
    bytes[try take(count)].reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// Up to a line feed, which is left out. Names are short; a long search would make many of them slow.
  private mutating func line() throws(InputError) -> Range<Int> {
    let limit = min(bytes.count, position + 512)
    guard let end = bytes[position..<limit].firstIndex(of: 0x0A) else {
      guard limit == bytes.count else { throw InputError(.global, "a name of more than 512 bytes") }
      throw InputError(.truncated, "the pickle ends within a name", remedy: "download the file again")
    }
    defer { position = end + 1 }
    return position..<end
  }

  private mutating func pushLong() throws(InputError) {
    let count = Int(try byte())
    let range = try take(count)
    guard count <= 8 else { return try push(.hugeInt) }
    var value: Int64 = 0
    for (place, byte) in bytes[range].enumerated() {
      value |= Int64(truncatingIfNeeded: UInt64(byte) << UInt64(8 * place))
    }
    if count > 0, count < 8 { value = (value << Int64(64 - 8 * count)) >> Int64(64 - 8 * count) }
    try push(.int(Int(value)))
  }

  // MARK: Stack

  private mutating func push(_ value: PickleValue) throws(InputError) {
    made += 1
    guard stack.count < Unpickler.maximumStack, made <= Unpickler.maximumValues else {
      throw InputError(.limit, "more values than any checkpoint needs")
    }
    stack.append(value)
  }

  private func checkNotEmpty() throws(InputError) {
    guard stack.count > marks.last ?? 0 else { throw InputError(.pickle, "a value is taken from an empty stack") }
  }

  private func top() throws(InputError) -> PickleValue {
    try checkNotEmpty()
    return stack[stack.count - 1]
  }

  private mutating func pop() throws(InputError) -> PickleValue {
    try checkNotEmpty()
    return stack.removeLast()
  }

  private mutating func mark() throws(InputError) {
    guard marks.count < Unpickler.maximumMarks else {
      throw InputError(.limit, "more than \(Unpickler.maximumMarks) marks at once")
    }
    marks.append(stack.count)
  }

  private mutating func popToMark() throws(InputError) -> ArraySlice<PickleValue> {
    guard let mark = marks.popLast() else { throw InputError(.pickle, "a mark is missing") }
    let items = Array(stack[mark...])
    stack.removeSubrange(mark...)
    return items[...]
  }

  private mutating func pushTuple(_ count: Int) throws(InputError) {
    guard stack.count - (marks.last ?? 0) >= count else {
      throw InputError(.pickle, "a value is taken from an empty stack")
    }
    let items = Array(stack.suffix(count))
    stack.removeLast(count)
    try push(arena.addTuple(items[...]))
  }

  // MARK: Containers and memo

  private mutating func append(_ items: ArraySlice<PickleValue>) throws(InputError) {
    guard case .list(let index) = try top() else {
      throw InputError(.pickle, "something is appended to \(try top().kindName)")
    }
    try arena.append(items, toList: index)
  }

  private mutating func set(_ items: ArraySlice<PickleValue>) throws(InputError) {
    guard case .dict(let index) = try top() else {
      throw InputError(.pickle, "an item is set in \(try top().kindName)")
    }
    guard items.count % 2 == 0 else { throw InputError(.pickle, "a key without a value") }
    try arena.set(items, inDict: index)
  }

  private mutating func put(_ index: UInt32) throws(InputError) {
    guard memo.count < Unpickler.maximumMemo else { throw InputError(.limit, "more memos than any checkpoint needs") }
    memo[index] = try top()
  }

  private mutating func get(_ index: UInt32) throws(InputError) {
    guard let value = memo[index] else { throw InputError(.pickle, "memo \(index) was never set") }
    try push(value)
  }
}
