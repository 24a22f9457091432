import Bytes
import Quantization
import TestSupport
import Testing

@Suite struct NamePatternTests {
  @Test func findsWhatTheStandardLibraryOfCppFinds() throws {
    let bytes = try RandomAccessFile(Fixtures.path("recipes/patterns.txt")).readAll(limit: 1 << 20)
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    let names = lines[0].dropFirst("# names: ".count).split(separator: " | ").map(String.init)
    #expect(names.count == 5 && lines.count == 401)
    for line in lines.dropFirst() {
      let space = try #require(line.firstIndex(of: " "))
      let pattern = try? NamePattern(String(line[line.index(after: space)...]))
      let found = pattern.map { pattern in names.map { pattern.matches($0) ? "1" : "0" }.joined() } ?? "invalid"
      #expect(found == line[..<space], "\(line)")
    }
  }

  @Test(arguments: [
    ("attn_v", "blk.0.attn_v.weight", true), ("^attn_v", "blk.0.attn_v.weight", false),
    ("blk\\.(?!0\\.)", "blk.0.attn_v.weight", false), ("blk\\.(?!0\\.)", "blk.10.attn_v.weight", true),
    ("\\.1?[0-9]\\..*_v", "blk.12.attn_v.weight", true), ("(ab){2,3}c", "ababababc", true),
    ("^(ab){2,3}c", "ababababc", false), ("^(a|b){3}$", "aba", true), ("(a*)*b", "", false), ("(a*)*", "", true),
    ("^[^]$", "x", true), ("[]", "x", false), ("\\bv\\b", "attn.v.weight", true), ("\\bv\\b", "attn_v", false),
    ("é", "café", true), ("^.$", "é", false), ("a{0}b", "b", true), ("x*?y", "xxy", true),
  ])
  func patternsMeanWhatECMAScriptSays(pattern: String, name: String, isFound: Bool) throws {
    #expect(try NamePattern(pattern).matches(name) == isFound)
  }

  /// Which a search that tries one way after the other would not end in a lifetime.
  @Test(
    .timeLimit(.minutes(1)),
    arguments: [
      "(a*)*c", "((((a+)+)+)+)+c", "(a|aa)+$c", ".*.*.*.*.*.*.*.*.*.*x", "(a?){30}a{30}c",
      String(repeating: "(?=.*", count: 80) + "b" + String(repeating: ")", count: 80),
      String(repeating: "(?!", count: 99) + "a+b" + String(repeating: ")", count: 99) + "b",
    ])
  func noPatternTakesLong(pattern: String) throws {
    #expect(try !NamePattern(pattern).matches(String(repeating: "a", count: 200)))
  }

  @Test(arguments: [
    "a{5000}", "a{1000000}", "a{99999999999999999999}", "(((a{99}){99}){99})", "(){4999}{4999}", "(()*){9999}",
    String(repeating: "(", count: 100_000), "(a)\\1", "\\cj", "\\xff", "\\u0100", "(?<a>b)", "(?i)a", "[[.a.]]",
    "[\\w-a]",
  ])
  func whatIsTooLargeOrUnknownIsRefused(pattern: String) {
    #expect(throws: NamePattern.Invalid.self) { try NamePattern(pattern) }
  }

  @Test func noTextTraps() {
    var generator = SeededGenerator(seed: 37)
    let bytes = Array("()[]{}*+?|\\^$.-,:=!abdwsxu019_".utf8) + [0, 10, 0xC3, 0xA9]
    var sound = 0
    for _ in 0..<20_000 {
      let text = (0..<Int.random(in: 0...12, using: &generator)).map { _ in bytes.randomElement(using: &generator)! }
      guard let pattern = try? NamePattern(String(decoding: text, as: UTF8.self)) else { continue }
      sound += 1
      _ = pattern.matches("blk.0.attn_v.weight")
    }
    #expect(sound > 1_000)
  }
}
