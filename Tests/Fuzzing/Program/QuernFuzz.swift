import Bytes
import FuzzTargets
import TestSupport

#if FUZZING
  import CFuzzer
#endif

/// `quern-fuzz TARGET [FILE...]`: reads each file with the target and says how it went. `quern-fuzz targets` names the
/// targets, `quern-fuzz seeds TARGET` the files that one begins with, a line each.
///
/// Built with `-sanitize=fuzzer` and FUZZING defined (`make fuzz`), what follows the target is libFuzzer's: options and
/// folders of a corpus.
@main enum QuernFuzz {
  /// Set before anything runs; libFuzzer's callback has no context.
  nonisolated(unsafe) private static var target = FuzzTarget.safetensors
  nonisolated(unsafe) private static var folder: TemporaryFolder?

  static func main() throws {
    let names = FuzzTarget.allCases.map(\.rawValue)
    let arguments = CommandLine.arguments.dropFirst()
    if arguments.first == "targets" { return print(names.joined(separator: "\n")) }
    if arguments.first == "seeds", let target = FuzzTarget(rawValue: arguments.last ?? "") {
      for seed in try target.seeds { print(seed) }
      return
    }
    guard let chosen = FuzzTarget(rawValue: arguments.first ?? "") else {
      print("usage: quern-fuzz TARGET [...], TARGET one of \(names.joined(separator: " "))")
      return
    }
    unsafe target = chosen
    unsafe folder = try TemporaryFolder()
    defer { unsafe folder = nil }
    try run()
  }

  private static func read(_ bytes: [UInt8]) throws -> String {
    guard let folder = unsafe folder else { return "" }
    return try unsafe target.read(bytes, in: folder)?.description ?? "read"
  }

  #if FUZZING
    private static func run() throws {
      // The target's name is not for libFuzzer.
      var count = CommandLine.argc - 1
      var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe CommandLine.unsafeArgv + 1
      unsafe arguments?[0] = CommandLine.unsafeArgv[0]
      _ = unsafe LLVMFuzzerRunDriver(&count, &arguments) { data, size in
        let bytes = unsafe [UInt8](UnsafeBufferPointer(start: data, count: size))
        do {
          _ = try QuernFuzz.read(bytes)
        } catch {
          // Neither read nor refused: the fuzzer keeps the bytes of a program that traps.
          preconditionFailure("\(error)")
        }
        return 0
      }
    }
  #else
    private static func run() throws {
      for path in CommandLine.arguments.dropFirst(2) {
        print("\(path): \(try read(RandomAccessFile(path).readAll(limit: 1 << 30)))")
      }
    }
  #endif
}
