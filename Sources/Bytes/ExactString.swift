/// A string that is equal to another only if their UTF-8 bytes are.
///
/// Swift's `String` compares by canonical equivalence, which merges names that a file keeps apart ("é" composed and
/// decomposed; five pairs of tokens in Llama 3's vocabulary). Names and keys from outside are therefore held in this.
public struct ExactString: Hashable, Sendable, Comparable, ExpressibleByStringLiteral, CustomStringConvertible {
  public let string: String

  public init(_ string: String) { self.string = string }
  public init(stringLiteral value: StaticString) { string = value.description }

  public var description: String { string }
  public var utf8: String.UTF8View { string.utf8 }

  public static func == (a: ExactString, b: ExactString) -> Bool { a.string.utf8.elementsEqual(b.string.utf8) }

  /// Order of the UTF-8 bytes, which is also the order of the code points.
  public static func < (a: ExactString, b: ExactString) -> Bool {
    a.string.utf8.lexicographicallyPrecedes(b.string.utf8)
  }

  public func hash(into hasher: inout Hasher) {
    var copy = string
    copy.withUTF8 { unsafe hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    hasher.combine(0xFF as UInt8)
  }
}
