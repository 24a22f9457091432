import Bytes
import GGUF
import Tensors
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

@Suite struct HostileFileTests {
  @Test(arguments: HostileFile.all) func endsInItsNamedError(_ file: HostileFile) throws {
    let folder = try TemporaryFolder()
    let path = try file.write(folder)
    var found: InputError?
    do { _ = try GGUFFile(reading: path) } catch let error as InputError { found = error }
    #expect(found?.code == file.code, "\(found.map(String.init(describing:)) ?? "accepted")")
    if let found { #expect(found.file == path) }
  }

  /// Peak memory only grows, so the cases get a process of their own.
  @Test func noCaseTakesMoreThan64MiB() async {
    await #expect(processExitsWith: .success) {
      let folder = try TemporaryFolder()
      let files = try HostileFile.all.enumerated().map { try $0.element.write(folder, "\($0.offset).gguf") }
      let before = HostileFileTests.peakMemory()
      for path in files { _ = try? GGUFFile(reading: path) }
      #expect(HostileFileTests.peakMemory() - before < 64 << 20)
    }
  }

  @Test(arguments: HostileFile.models) func aModelEndsInItsNamedError(_ file: HostileFile) throws {
    let folder = try TemporaryFolder()
    let opened = try GGUFFile(reading: file.write(folder))
    do throws(InputError) {
      try opened.checkModel(architectures: ["llama", "mistral"])
      #expect(file.code == nil)
    } catch {
      #expect(error.code == file.code, "\(error)")
      #expect(error.subject != nil)
    }
  }

  @Test(arguments: DType.allCases.filter { $0.ggmlID != nil })
  func case129TheLargestSizeIsTakenAndOneBlockMoreOverflows(_ dtype: DType) throws {
    let block = dtype.blockElements
    // The longest row whose elements × bytes of a block fit 63 bits.
    let most = Int.max / dtype.blockBytes / block * block
    #expect(try GGUFRules.byteCount(dtype, Shape([most])) == most / block * dtype.blockBytes)
    // A file that claims half of it fails for want of bytes, not of bits.
    let folder = try TemporaryFolder()
    for (elements, code) in [
      (UInt64(most / 2 / block * block), InputError.Code.bounds), (UInt64(most) + UInt64(block), .overflow),
    ] {
      let file = FileBuilder.tensor([elements], type: dtype.ggmlID!, data: 128)
      let path = try folder.write("a.gguf", file.bytes)
      #expect { try GGUFFile(reading: path) } throws: { ($0 as? InputError)?.code == code }
    }
  }

  @Test func aHeaderLargerThanTheLimitIsRefusedWithoutBeingRead() throws {
    let folder = try TemporaryFolder()
    let file = FileBuilder(key: "k") {
      $0.put(UInt32(9))
      $0.put(UInt32(0))
      $0.put(UInt64(1) << 30)
    }
    let path = try folder.writeSparse("a.gguf", head: file.bytes, size: 1 << 34)
    #expect { try GGUFFile(reading: path) } throws: { ($0 as? InputError)?.code == .limit }
  }

  private static func peakMemory() -> Int {
    var usage = rusage()
    guard unsafe getrusage(0, &usage) == 0 else { return 0 }  // RUSAGE_SELF, whose type differs between systems
    #if canImport(Darwin)
      return Int(usage.ru_maxrss)
    #else
      return Int(usage.ru_maxrss) << 10
    #endif
  }
}
