import Bytes
import Testing

@Suite struct SizeArithmeticTests {
  private func overflows(_ body: () throws -> Int) -> Bool {
    do {
      _ = try body()
      return false
    } catch { return (error as? InputError)?.code == .overflow }
  }

  @Test func resultsAreExactOrAnError() throws {
    #expect(try SizeArithmetic.sum(.max - 1, 1) == .max)
    #expect(overflows { try SizeArithmetic.sum(.max, 1) })
    #expect(overflows { try SizeArithmetic.sum(-1, 5) })
    #expect(try SizeArithmetic.product(1 << 31, 1 << 31) == 1 << 62)
    #expect(overflows { try SizeArithmetic.product(1 << 32, 1 << 31) })
    #expect(overflows { try SizeArithmetic.product(-1, -1) })
    #expect(try SizeArithmetic.int(UInt64(Int.max)) == .max)
    #expect(overflows { try SizeArithmetic.int(UInt64(Int.max) + 1) })
    #expect(try SizeArithmetic.aligned(33, to: 32) == 64)
    #expect(try SizeArithmetic.aligned(64, to: 32) == 64)
    #expect(try SizeArithmetic.aligned(0, to: 1) == 0)
    #expect(overflows { try SizeArithmetic.aligned(.max, to: 32) })
  }

  @Test func theVerdictOnDimensionsIsTheSameInAnyOrder() throws {
    #expect(try SizeArithmetic.product([]) == 1)
    #expect(try SizeArithmetic.product([3, 0, 5]) == 0)
    #expect(try SizeArithmetic.product([2, 3, 4]) == 24)
    for dimensions in [[0, 1 << 62, 1 << 62], [1 << 62, 0, 1 << 62], [1 << 62, 1 << 62, 0]] {
      #expect(overflows { try SizeArithmetic.product(dimensions) })
    }
  }
}

@Suite struct ByteCursorTests {
  @Test func readsLittleEndianAndCounts() throws {
    var cursor = ByteCursor([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0xC3, 0xA9], file: "f", base: 100)
    #expect(try cursor.uint8("a") == 1)
    #expect(try cursor.uint16("b") == 0x0302)
    #expect(try cursor.uint32("c") == 0x0706_0504)
    #expect(try cursor.uint64("d") == 0x0F0E_0D0C_0B0A_0908)
    #expect(cursor.fileOffset == 115)
    #expect(try cursor.string(2, "e") == "é")
    #expect(cursor.remaining == 0)
  }

  @Test func whatIsCutOffIsNamedWithItsOffset() throws {
    var cursor = ByteCursor([1, 2, 3], file: "f", base: 100)
    _ = try cursor.uint8("first")
    #expect { try cursor.uint32("tensor count") } throws: { error in
      let error = error as? InputError
      return error?.code == .truncated && error?.offset == 101 && error?.problem.contains("tensor count") == true
    }
    #expect(cursor.remaining == 2)
    for count in [3, UInt64(Int.max), .max] {
      #expect { try cursor.take(count, "text") } throws: { ($0 as? InputError)?.code == .truncated }
    }
    #expect(try cursor.take(2, "text") == [2, 3])
  }

  @Test func textMustBeUTF8() throws {
    var cursor = ByteCursor([0x61, 0xFF], file: "f")
    #expect { try cursor.string(2, "name") } throws: { ($0 as? InputError)?.code == .utf8 }
  }
}

@Suite struct ExactStringTests {
  @Test func stringsAreEqualOnlyByTheirBytes() {
    let (composed, decomposed) = (ExactString("\u{E9}"), ExactString("e\u{301}"))
    #expect(composed.string == decomposed.string)
    #expect(composed != decomposed)
    #expect(Set([composed, decomposed, composed]).count == 2)
    #expect(ExactString("a\0") != ExactString("a"))
  }

  @Test func theirOrderIsThatOfTheCodePoints() {
    let texts = ["", "A", "a", "a.10", "a.2", "\u{E9}", "\u{FFFD}", "\u{1F600}"]
    #expect(texts.reversed().map(ExactString.init).sorted().map(\.string) == texts)
  }
}

@Suite struct InputErrorTests {
  @Test func aMessageIsOneLineInAFixedOrder() {
    let error = InputError(
      .shape, "4 expected,\n5 found", file: "a\u{1B}[2J.gguf", subject: "blk.0\n", offset: 12, remedy: "try again")
    #expect(
      "\(error)"
        == #"a\u{1b}[2J.gguf: "blk.0\u{a}": at byte 12: 4 expected,\u{a}5 found; try again [SHAPE]"#)
  }

  @Test func whatIsKnownAlreadyIsKept() {
    let error = InputError(.type, "x", subject: "inner").adding(file: "f", subject: "outer", offset: 3)
    #expect(error.subject == "inner" && error.file == "f" && error.offset == 3)
  }

  @Test func longTextsAreCut() {
    #expect(printable(String(repeating: "a", count: 1_000)).unicodeScalars.count == 201)
  }
}
