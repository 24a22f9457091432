public import Bytes
import Models
import Tokenizers

/// The texts that a model is calibrated on, cut into chunks of one length: the same number from each text, so that none
/// drowns the others.
public struct CalibrationText: Sendable {
  public let paths: [String]
  /// Tokens in a chunk.
  public let context: Int
  /// What the model is given, text after text.
  package private(set) var chunks: [[Int32]]

  /// - Parameters:
  ///   - tokens: of all texts together, at most.
  ///   - context: tokens in a chunk.
  ///   - seed: draws the chunks of each text; without one they are spread evenly over it.
  /// - Throws: `LIMIT` for a text of less than a chunk.
  public init(
    _ texts: [TextFile], for model: ModelInput, tokens: Int, context: Int = 512, seed: UInt64? = nil
  ) throws(InputError) {
    guard !texts.isEmpty, context >= 16, tokens >= context else {
      throw InputError(
        .limit, "\(tokens) tokens in chunks of \(context) of \(texts.count) texts are nothing to calibrate on",
        remedy: "name at least one text and at least a chunk of 16 tokens")
    }
    var chunks: [[Int32]] = []
    var generator = seed.map(SplitMix64.init)
    let tokenizer = model.tokenizer
    for (index, text) in texts.enumerated() {
      let ids = tokenizer.encode(text.bytes, addSpecial: true, parseSpecial: false)
      let available = ids.count / context
      guard available > 0 else {
        throw InputError(
          .limit, "the text has \(ids.count) tokens, a chunk of \(context) is needed", file: text.path,
          remedy: "use a longer text or a shorter context")
      }
      // What remains is shared by the texts that remain, so that a short one leaves its share to the others.
      let share = (tokens / context - chunks.count) / (texts.count - index)
      let count = min(available, max(1, share))
      // Spread over the whole text.
      let even = (0..<count).map { $0 * available / count }
      for number in generator?.draw(count, below: available) ?? even {
        let start = number * context
        var chunk = Array(ids[start..<start + context])
        if tokenizer.addsBOS, let bos = tokenizer.bosID { chunk[0] = bos }
        chunks.append(chunk)
      }
    }
    (paths, self.context, self.chunks) = (texts.map(\.path), context, chunks)
  }

  /// `count` chunks spread over all texts, to be scored.
  /// - Throws: `LIMIT` when there are fewer than two.
  func probe(_ count: Int) throws(InputError) -> TextChunks { try spread(count, from: 0) }

  /// The same, of chunks between those that `probe` takes where there are enough.
  func check(_ count: Int) throws(InputError) -> TextChunks { try spread(count, from: 1) }

  private func spread(_ count: Int, from halves: Int) throws(InputError) -> TextChunks {
    guard chunks.count > 1 else {
      throw InputError(
        .limit, "one chunk of \(context) tokens, types are chosen on at least two", file: paths.joined(separator: ", "),
        remedy: "use longer texts, more --calibration-tokens or a shorter --calibration-context")
    }
    return try TextChunks(Array(chunks(max(2, count), from: halves).joined()), context: context, bos: nil)
  }

  /// Chunks spread over all texts, of at most `tokens` but at least one chunk.
  func part(tokens: Int) -> CalibrationText {
    var part = self
    part.chunks = chunks(max(1, tokens / context), from: 0)
    return part
  }

  var chunkCount: Int { chunks.count }

  /// Consecutive chunks: the text is cut into `count` slices as evenly as can be.
  func slice(_ number: Int, of count: Int) -> CalibrationText {
    var slice = self
    slice.chunks = Array(chunks[number * chunks.count / count..<(number + 1) * chunks.count / count])
    return slice
  }

  /// - Parameter halves: half distances between the chunks that the first is from the beginning.
  private func chunks(_ count: Int, from halves: Int) -> [[Int32]] {
    let count = min(chunks.count, count)
    return (0..<count).map { chunks[(2 * $0 + halves) * chunks.count / (2 * count)] }
  }

  public var tokenCount: Int { chunks.count * context }
}

/// Sebastiano Vigna's generator (https://prng.di.unimi.it/splitmix64.c, public domain): the same numbers everywhere.
private struct SplitMix64 {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  /// `count` different numbers below `limit`, rising: each that comes is kept with the chance that fills the rest.
  mutating func draw(_ count: Int, below limit: Int) -> [Int] {
    var drawn: [Int] = []
    for number in 0..<limit where next().multipliedFullWidth(by: UInt64(limit - number)).high < count - drawn.count {
      drawn.append(number)
    }
    return drawn
  }
}
