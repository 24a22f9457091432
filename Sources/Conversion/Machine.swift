import Bytes
import Tensors

/// What the machine offers and what this process used.
public enum Machine {
  public static var processorCount: Int { SystemCalls.processorCount }
  /// The largest resident set so far.
  public static var peakResidentBytes: Int { SystemCalls.peakResidentBytes }
  /// What QUERN_ISA asks for in vain: an instruction set that this machine has not.
  public static var unknownInstructionSet: String? { Kernels.unknownInstructionSet }
  public static func seconds(since instant: ContinuousClock.Instant) -> Double {
    seconds(ContinuousClock.now - instant)
  }
  private static func seconds(_ duration: Duration) -> Double { Conversion.seconds(duration) }
}

/// The version that `--version` prints and that outputs name.
public enum Version {
  public static let current = "0.1.0"
}
