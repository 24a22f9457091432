import Bytes
import Crypto
import GGUF

extension SpreadFolder {
  /// How a task went.
  public enum Outcome: String, Sendable {
    /// It was done now.
    case done
    /// An earlier run had done it, and what it made is there.
    case known
  }

  /// Carries out one task. What it had done before is looked at again, and only made anew when it is not as it was.
  /// - Throws: `CHANGED` when `work` is not what was planned; `LOCKED` when tasks of the stage before have not ended;
  ///   `Interrupted`; what converting throws.
  public func run(
    _ stage: SpreadPlan.Stage, _ task: Int, of work: SpreadWork, jobs: Int, memory: Int, overwrites: Bool,
    progress: ProgressHandler?
  ) throws -> Outcome {
    try plan.check(work, file: path)
    if try finished() != nil { return .known }
    switch stage {
    case .calibrate:
      for slice in plan.slices[task] {
        try work.calibrate(
          slice, of: plan.sliceCount, into: slicePath(slice), jobs: jobs, memory: memory, progress: progress)
      }
      try note(stage, task, [], [])
      return .done
    case .convert:
      try requireAll(.calibrate)
      let output = try OutputSet(
        plan.output, work.plan.layouts, overwrites: overwrites, resumes: true, isShared: true)
      if let pieces = try result(stage, task), try pieces.allSatisfy({ try output.holds($0) }) { return .known }
      let share = plan.shares[task]
      let blocks = work.rounding.feedback == nil ? 0..<0 : work.plan.blocks(within: share)
      let rounding = try work.rounding(self, blocks: blocks, progress: progress)
      let made = try Converter(plan: work.plan, jobs: jobs, rounding: rounding, memory: memory)
        .run(share: share, of: output, checking: work.input, progress: progress)
      try note(
        stage, task, made.pieces,
        [("fallbacks", .array(made.fallbacks.map { .string("\($0)") }))])
      if work.text != nil { try HessianFolder.remove(blocks, in: sumPath) }
      return .done
    }
  }

  private func requireAll(_ stage: SpreadPlan.Stage) throws {
    let missing = try missing(stage)
    guard missing.isEmpty else {
      throw InputError(
        .locked, "tasks of \(stage.rawValue) have not ended: \(SpreadFolder.list(missing))", file: path,
        remedy: "run them first")
    }
  }

  private static func list(_ tasks: [Int]) -> String {
    tasks.prefix(8).map(String.init).joined(separator: ", ") + (tasks.count > 8 ? " and \(tasks.count - 8) more" : "")
  }

  /// Publishes the output when all tasks have ended. Every byte is read again and held against what its task noted.
  ///
  /// Where it was published already, that is looked at instead.
  /// - Throws: `LOCKED` when a task has not ended or is under way; `CRC` naming tasks whose part is not what they wrote: they
  ///   are to be run again.
  public func finish(
    _ work: SpreadWork, overwrites: Bool, progress: ProgressHandler?
  ) throws -> [WrittenFile] {
    try plan.check(work, file: path)
    if let pieces = try finished() { return try files(of: pieces, work) }
    for stage in plan.stages { try requireAll(stage) }
    let output = try OutputSet(plan.output, work.plan.layouts, overwrites: overwrites, resumes: true)
    output.keep()
    let pieces = try proved(output, work.plan.layouts, progress)
    try output.publish()
    try noteFinished(pieces)
    for slice in 0..<plan.sliceCount {
      try HessianFolder.remove(0..<work.input.model.parameters.layerCount, in: slicePath(slice))
    }
    return try files(of: pieces, work)
  }

  private func files(of pieces: [OutputPiece], _ work: SpreadWork) throws -> [WrittenFile] {
    let names = OutputSet.names(plan.output, work.plan.layouts)
    guard pieces.map(\.file) == Array(names.indices) else {
      throw InputError(.changed, "is of another plan", file: "\(path)/finished.json", remedy: "plan again")
    }
    return zip(names, pieces).map { WrittenFile(path: $0, bytes: $1.bytes.count, sha256: $1.sha256) }
  }

  /// Whole files, from the parts of the tasks.
  private func proved(
    _ output: OutputSet, _ layouts: [GGUFLayout], _ progress: ProgressHandler?
  ) throws -> [OutputPiece] {
    var files: [OutputPiece] = []
    var whole = SHA256()
    var (position, wrong) = (0, [Int]())
    let total = plan.shares.last?.upperBound ?? 0
    var done = 0
    for task in plan.shares.indices {
      var isWhole = true
      for piece in try result(.convert, task) ?? [] {
        if piece.file > files.count {
          files.append(OutputPiece(file: files.count, bytes: 0..<position, sha256: hexadecimalText(whole.finalize())))
          (whole, position) = (SHA256(), 0)
        }
        guard piece.file == files.count, piece.file < output.files.count, piece.bytes.lowerBound == position,
          piece.bytes.upperBound <= output.files[piece.file].leftBytes
        else {
          throw InputError(
            .gap, "the parts of the tasks do not join", file: path, subject: "task \(task)", remedy: "plan again")
        }
        var part = SHA256()
        try unsafe output.files[piece.file].read(piece.bytes) { bytes in
          unsafe part.update(bufferPointer: bytes)
          unsafe whole.update(bufferPointer: bytes)
        }
        isWhole = isWhole && hexadecimalText(part.finalize()) == piece.sha256
        position = piece.bytes.upperBound
        done += piece.bytes.count
        progress?(Progress("proving", unit: .bytes, done: done, total: total))
      }
      if !isWhole { wrong.append(task) }
    }
    for task in wrong { try forget(.convert, task) }
    guard wrong.isEmpty else {
      throw InputError(
        .checksum, "the parts of these tasks are not what they wrote: \(SpreadFolder.list(wrong))", file: plan.output,
        remedy: "run them again, and check the disk")
    }
    files.append(OutputPiece(file: files.count, bytes: 0..<position, sha256: hexadecimalText(whole.finalize())))
    guard files.map(\.bytes.count) == layouts.map(\.fileSize) else {
      throw InputError(.gap, "the parts of the tasks are not the whole output", file: path, remedy: "plan again")
    }
    return files
  }
}

extension OutputSet {
  /// Whether a part is what it was when it was written.
  fileprivate func holds(_ piece: OutputPiece) throws -> Bool {
    guard files.indices.contains(piece.file), files[piece.file].leftBytes >= piece.bytes.upperBound else {
      return false
    }
    return try files[piece.file].sha256(of: piece.bytes) == piece.sha256
  }
}
