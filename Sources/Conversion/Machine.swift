import Bytes

/// What the machine offers and what this process used.
public enum Machine {
  public static var processorCount: Int { SystemCalls.processorCount }
  /// The largest resident set so far.
  public static var peakResidentBytes: Int { SystemCalls.peakResidentBytes }
  public static func seconds(since instant: ContinuousClock.Instant) -> Double {
    seconds(ContinuousClock.now - instant)
  }
  private static func seconds(_ duration: Duration) -> Double { Conversion.seconds(duration) }
}

/// The version that `--version` prints and that outputs name.
public enum Version {
  public static let current = "0.1.0"
}
