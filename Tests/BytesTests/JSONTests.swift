import Bytes
import Testing

@Suite struct JSONTests {
  private func parse(_ text: String) throws -> JSONValue {
    try JSONDocument(parsing: Array(text.utf8), file: "t.json").root
  }

  @Test func readsEveryKindOfValue() throws {
    let root = try parse(#" {"a": [1, -2.5e3, true, null], "b": {"c": "é\n\ud83d\ude00\/"}, "": {}} "#)
    let items = Array(try root.required("a").elements())
    #expect(try items[0].int() == 1)
    #expect(try items[1].double() == -2500)
    #expect(try items[2].bool())
    #expect(items[3].isNull)
    #expect(try root["b"]?["c"]?.string() == "é\n😀/")
    #expect(root[""]?.count == 0)
    #expect(try root.members().map { try $0.key.string() } == ["a", "b", ""])
    #expect(root["missing"] == nil)
  }

  @Test(arguments: [
    "", " ", "{", "[1,]", "{\"a\":1,}", "[1 2]", "{\"a\" 1}", "{a:1}", "[01]", "[1.]", "[.5]", "[+1]", "[1e]", "[-]",
    "tru", "nul", "\"a", "\"\\x\"", "\"\\u12g4\"", "\"\u{1}\"", "1 2", "{} x", "{}\u{0}", "\u{FEFF}{}", "[NaN]",
    "[Infinity]", "{\"a\":}", "[,1]", "{,}", "'a'", "[1]]", "// c\n1",
  ]) func refusesWhatIsNoJSON(_ text: String) {
    #expect { try parse(text) } throws: { ($0 as? InputError)?.code == .json }
  }

  @Test(arguments: [
    #"{"w":1,"w":1}"#, #"{"w":1,"\u0077":2}"#, #"{"x":{"dtype":1,"dtype":2}}"#, #"{"\n":1,"a":2,"\u000A":3}"#,
  ]) func refusesEqualKeys(_ text: String) {
    #expect { try parse(text) } throws: { ($0 as? InputError)?.code == .duplicate }
  }

  @Test func keepsCanonicallyEquivalentKeysApart() throws {
    let root = try parse("{\"\u{E9}\":1,\"e\u{301}\":2,\"\u{212B}\":3,\"\u{C5}\":4}")
    #expect(root.count == 4)
    #expect(try root["e\u{301}"]?.int() == 2)
    #expect(try root["\u{C5}"]?.int() == 4)
  }

  @Test(arguments: [#""\ud800""#, #""\udc00""#, #""\ud800\u0041""#, #""\ud800x""#])
  func refusesHalfSurrogates(_ text: String) {
    #expect { try parse(text) } throws: { ($0 as? InputError)?.code == .utf8 }
  }

  @Test func refusesBytesThatAreNotUTF8() {
    #expect { try JSONDocument(parsing: [0x22, 0xFF, 0x22]) } throws: {
      ($0 as? InputError)?.code == .utf8 && ($0 as? InputError)?.offset == 1
    }
  }

  @Test(arguments: ["[", "{\"a\":"]) func refusesDeepNestingWithoutRecursion(_ opener: String) {
    let text = String(repeating: opener, count: 100_000)
    #expect { try parse(text) } throws: { ($0 as? InputError)?.code == .limit }
  }

  @Test(arguments: ["16.0", "1.6e1", "99999999999999999999", "\"16\"", "true", "null", "[]"])
  func wholeNumbersAreWrittenAsSuch(_ text: String) throws {
    let value = try parse(text)
    #expect { try value.int() } throws: { ($0 as? InputError)?.code == .type }
  }

  @Test func namesTheByteOfAnError() {
    #expect { try parse("{\"a\": [1, x]}") } throws: {
      let error = $0 as? InputError
      return error?.offset == 10 && error?.file == "t.json" && "\($0)".contains("at byte 10")
    }
  }

  @Test func sizesAreWholeAndOf64Bits() throws {
    let items = Array(try parse("[0, 18446744073709551615, 18446744073709551616, -0, 1.0, \"1\"]").elements())
    #expect(try items[0].uint64() == 0)
    #expect(try items[1].uint64() == .max)
    #expect { try items[2].uint64() } throws: { ($0 as? InputError)?.code == .overflow }
    for item in items[3...] {
      #expect { try item.uint64() } throws: { ($0 as? InputError)?.code == .type }
    }
  }

  @Test(arguments: 0..<20) func readsEightBytesAtOnceAsOneByOne(_ count: Int) throws {
    let plain = String(repeating: "x", count: count)
    for tail in ["", "~", "\u{7F}", "é", "漢", "!", "#", "]", "[", "\u{A2}\u{DC}"] {
      let items = Array(try parse("[\"\(plain)\(tail)\", 1, \"\(tail)\(plain)\"]").elements())
      #expect(try items[0].string() == plain + tail)
      #expect(try items[2].string() == tail + plain)
    }
    #expect(try parse("\"\(plain)\\n\(plain)\"").string() == plain + "\n" + plain)
    for control in ["\u{0}", "\u{1F}", "\n"] {
      #expect { try parse("\"\(plain)\(control)12345678\"") } throws: {
        ($0 as? InputError)?.code == .json && ($0 as? InputError)?.offset == UInt64(count + 1)
      }
    }
    let spaces = String(repeating: " ", count: count)
    #expect(try parse("\n\(spaces)[\t\(spaces)1,\r\n\(spaces)2\(spaces)]\(spaces)\n").count == 2)
    for other in ["\u{B}", "\u{A0}", "\u{0}"] {
      #expect { try parse("[1\n\(spaces)\(other)        ]") } throws: {
        ($0 as? InputError)?.code == .json && ($0 as? InputError)?.offset == UInt64(count + 3)
      }
    }
  }

  @Test(arguments: [2, 9, 1000]) func findsTheOneKeyThatStandsTwiceAmongMany(_ count: Int) throws {
    let keys = (0..<count).map { "\"a key with number \($0)\"" }
    let members = keys.map { "\($0): 0" }.joined(separator: ",")
    #expect(try parse("{\(members)}").count == count)
    for key in [keys[0], keys[count - 1], keys[count / 2].replacing("k", with: "\\u006B")] {
      #expect { try parse("{\(members), \(key): 0}") } throws: { ($0 as? InputError)?.code == .duplicate }
    }
  }

  @Test func theNumberOfValuesCanBeLimited() throws {
    let text = Array("[1, {\"a\": 2}, 3]".utf8)
    #expect(try JSONDocument(parsing: text, maximumNodes: 6).root.count == 3)
    #expect { try JSONDocument(parsing: text, maximumNodes: 5) } throws: { ($0 as? InputError)?.code == .limit }
  }

  @Test func offsetsCountFromTheBeginningOfTheFile() throws {
    let document = try JSONDocument(parsing: Array("{\"a\": \"x\"}".utf8), file: "t.json", base: 8)
    #expect { try document.root.required("a").int() } throws: { ($0 as? InputError)?.offset == 15 }
    #expect { try JSONDocument(parsing: Array("{x}".utf8), base: 8) } throws: { ($0 as? InputError)?.offset == 9 }
  }
}
