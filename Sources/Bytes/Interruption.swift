import Synchronization

/// Whether the process was asked to end. Long work asks between two pieces and stops with `Interrupted`.
///
/// One for the process, as signals are.
public enum Interruption {
  private static let isRequested = Atomic(false)

  /// From here on, the first signal makes `check()` throw and the second ends the process at once with code 130.
  public static func listen() {
    isRequested.store(false, ordering: .relaxed)
    SystemCalls.onEnding { _ in
      if Interruption.isRequested.exchange(true, ordering: .relaxed) { SystemCalls.exitNow(130) }
    }
  }

  /// From here on, a signal ends the process: there is nothing to be finished any more.
  public static func stopListening() {
    SystemCalls.onEndingEnd()
    isRequested.store(false, ordering: .relaxed)
  }

  /// Whether `check()` would throw.
  public static var isPending: Bool { isRequested.load(ordering: .relaxed) }

  public static func check() throws(Interrupted) {
    if isPending { throw Interrupted() }
  }
}

/// The process was asked to end, and did so in good order.
public struct Interrupted: Error, CustomStringConvertible {
  public init() {}

  public var description: String { "interrupted: the same command goes on from what is done" }
}
