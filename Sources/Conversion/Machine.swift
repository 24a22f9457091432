import Bytes
import Tensors

/// What the machine offers and what this process used.
public enum Machine {
  public static var processorCount: Int { SystemCalls.processorCount }
  /// The largest resident set so far.
  public static var peakResidentBytes: Int { SystemCalls.peakResidentBytes }
  /// What QUERN_ISA asks for in vain: an instruction set that this machine has not.
  public static var unknownInstructionSet: String? { Kernels.unknownInstructionSet }
  /// Has a program told of what it could not write by an error, instead of being ended by a signal.
  public static func reportFailuresOfWriting() { SystemCalls.ignoreFailureSignals() }
  /// The value of a variable of the environment.
  public static func environment(_ name: String) -> String? { SystemCalls.environment(name) }

  /// Where relative paths begin.
  public static func currentFolder() throws -> String { try SystemCalls.canonicalPath(".") ?? "." }
  public static func enterFolder(_ path: String) throws { try SystemCalls.enterFolder(path) }
  /// `path`, whatever the current folder is later.
  public static func absolute(_ path: String) throws -> String {
    path.hasPrefix("/") ? path : try currentFolder() + "/" + path
  }

  /// The file of this program.
  public static func program() throws -> String { try SystemCalls.canonicalPath("/proc/self/exe") ?? "quern" }

  /// Has the shell carry out `script` in the place of this program.
  public static func becomeShell(running script: String) throws -> Never {
    try SystemCalls.becomeShell(running: script)
  }

  /// The variable of the environment that names the process with which this one is to end.
  static let parentVariable = "QUERN_PARENT"
  /// Has this process asked to end with the one that `parentVariable` names, if it does.
  /// - Returns: whether that is there.
  public static var endsWithParent: Bool {
    guard let parent = SystemCalls.environment(parentVariable).flatMap(Int32.init) else { return true }
    return SystemCalls.endWithParent(parent)
  }
  public static func seconds(since instant: ContinuousClock.Instant) -> Double {
    Conversion.seconds(ContinuousClock.now - instant)
  }
}

/// The version that `--version` prints and that outputs name.
public enum Version {
  public static let current = "0.1.0"
}
