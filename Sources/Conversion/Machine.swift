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
  public static func seconds(since instant: ContinuousClock.Instant) -> Double {
    Conversion.seconds(ContinuousClock.now - instant)
  }
}

/// The version that `--version` prints and that outputs name.
public enum Version {
  public static let current = "0.1.0"
}
