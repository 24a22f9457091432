import Quantization
import Tensors
import Testing

@Suite struct RecipeFileTypeTests {
  @Test(arguments: FileType.allCases)
  func namesAndAliasesFindTheTypeInAnyCase(type: FileType) {
    for name in [type.name] + type.aliases {
      #expect(FileType(name: name) == type)
      #expect(FileType(name: name.lowercased()) == type)
    }
    #expect(FileType(rawValue: type.id) == type)
    #expect(!type.summary.isEmpty && type.summary.count <= 69 && !type.summary.contains("\n"))
  }

  @Test func aliasesMeanTheMediumMixture() {
    #expect(FileType(name: "Q3_K") == .q3_K_M)
    #expect(FileType(name: "q4_k") == .q4_K_M)
    #expect(FileType(name: "Q5_k") == .q5_K_M)
  }

  @Test(arguments: [
    (DType.f32, FileType.f32), (.f16, .f16), (.bf16, .bf16), (.q8_0, .f16), (.f8E4M3, .f16),
  ])
  func theNativeTypeIsThatOfTheFirstMatrix(dtype: DType, expected: FileType) {
    let tensors = [
      makeTensor("a", [4], .f32), makeTensor("b", [2, 32], dtype), makeTensor("c", [2, 32], .f32),
    ]
    #expect(FileType.native(of: tensors) == expected)
    #expect(FileType.native(of: []) == .f16)
  }
}
