import Bytes
import Tensors
import Testing

@Suite struct DTypeTests {
  /// `ggml.h` and `ggml-common.h` at llama.cpp 0c1e57098: id, elements and bytes of a block.
  @Test(
    arguments: [
      (DType.f32, 0, 1, 4), (.f16, 1, 1, 2), (.q4_0, 2, 32, 18), (.q4_1, 3, 32, 20), (.q5_0, 6, 32, 22),
      (.q5_1, 7, 32, 24), (.q8_0, 8, 32, 34), (.q8_1, 9, 32, 36), (.q2_K, 10, 256, 84), (.q3_K, 11, 256, 110),
      (.q4_K, 12, 256, 144), (.q5_K, 13, 256, 176), (.q6_K, 14, 256, 210), (.q8_K, 15, 256, 292),
      (.iq2_XXS, 16, 256, 66), (.iq2_XS, 17, 256, 74), (.iq3_XXS, 18, 256, 98), (.iq1_S, 19, 256, 50),
      (.iq4_NL, 20, 32, 18), (.iq3_S, 21, 256, 110), (.iq2_S, 22, 256, 82), (.iq4_XS, 23, 256, 136), (.i8, 24, 1, 1),
      (.i16, 25, 1, 2), (.i32, 26, 1, 4), (.i64, 27, 1, 8), (.f64, 28, 1, 8), (.iq1_M, 29, 256, 56), (.bf16, 30, 1, 2),
      (.tq1_0, 34, 256, 54), (.tq2_0, 35, 256, 66), (.mxfp4, 39, 32, 17), (.nvfp4, 40, 64, 36), (.q1_0, 41, 128, 18),
      (.q2_0, 42, 64, 18),
    ] as [(DType, UInt32, Int, Int)])
  func idsAndSizesAreThoseOfGGML(type: DType, id: UInt32, elements: Int, bytes: Int) {
    #expect(type.ggmlID == id)
    #expect(DType(ggmlID: id) == type)
    #expect(type.blockElements == elements && type.blockBytes == bytes)
    #expect(type.bitsPerElement == Double(bytes) * 8 / Double(elements))
  }

  @Test(arguments: DType.allCases)
  func aNameFindsItsTypeInAnyCase(type: DType) {
    #expect(DType(name: type.name) == type && DType(name: type.name.lowercased()) == type)
    #expect(type.description == type.name)
  }

  @Test func unknownNamesAndNumbersAreNone() {
    for name in ["", "Q9_K", "Q4_K ", "q4-k", "Q4_K\0"] { #expect(DType(name: name) == nil) }
    for id: UInt32 in [4, 5, 31, 32, 33, 36, 37, 38, 43, .max] { #expect(DType(ggmlID: id) == nil) }
  }

  @Test func elementsThatDoNotFillBlocksHaveNoSize() throws {
    #expect(try DType.q4_K.byteCount(of: 512) == 288)
    #expect(try DType.q4_K.byteCount(of: 0) == 0)
    for count in [1, 255, 257] { #expect(throws: InputError.self) { try DType.q4_K.byteCount(of: count) } }
    #expect(throws: InputError.self) { try DType.f64.byteCount(of: .max) }
  }
}
