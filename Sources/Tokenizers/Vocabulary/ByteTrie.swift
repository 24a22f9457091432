import Bytes

/// Byte strings with a number each, walked byte by byte.
struct ByteTrie: Sendable {
  static let root: Int32 = 0

  /// The number at each node; -1 when no string ends there.
  private var values: [Int32] = [-1]
  /// Open-addressed: a node above a byte, plus one; 0 is free.
  private var keys: [UInt64]
  private var nodes: [Int32]
  private let seed = ByteHash.currentSeed | 1

  /// - Parameter capacity: nodes expected; more are taken.
  init(capacity: Int) {
    let size = 1 << (Int.bitWidth - (max(capacity * 2, 16) - 1).leadingZeroBitCount)
    keys = [UInt64](repeating: 0, count: size)
    nodes = [Int32](repeating: -1, count: size)
  }

  @inline(__always)
  private func slot(of key: UInt64) -> Int {
    let mask = keys.count - 1
    var index = Int(truncatingIfNeeded: ByteHash.mix(key ^ seed, 0x9E37_79B9_7F4A_7C15)) & mask
    while keys[index] != 0 && keys[index] != key { index = (index + 1) & mask }
    return index
  }

  @inline(__always)
  private static func key(_ node: Int32, _ byte: UInt8) -> UInt64 { UInt64(node) << 8 + UInt64(byte) + 1 }

  mutating func insert(_ text: some Sequence<UInt8>, _ value: Int32) {
    var node = ByteTrie.root
    for byte in text {
      var next = child(of: node, byte)
      if next < 0 {
        if values.count * 2 > keys.count { grow() }
        next = Int32(values.count)
        values.append(-1)
        let slot = slot(of: ByteTrie.key(node, byte))
        keys[slot] = ByteTrie.key(node, byte)
        nodes[slot] = next
      }
      node = next
    }
    values[Int(node)] = value
  }

  private mutating func grow() {
    let old = (keys, nodes)
    keys = [UInt64](repeating: 0, count: old.0.count * 2)
    nodes = [Int32](repeating: -1, count: keys.count)
    for (index, key) in old.0.enumerated() where key != 0 {
      let slot = slot(of: key)
      keys[slot] = key
      nodes[slot] = old.1[index]
    }
  }

  /// -1 when nothing begins so.
  @inline(__always)
  func child(of node: Int32, _ byte: UInt8) -> Int32 { nodes[slot(of: ByteTrie.key(node, byte))] }

  @inline(__always)
  func value(of node: Int32) -> Int32 { values[Int(node)] }
}
