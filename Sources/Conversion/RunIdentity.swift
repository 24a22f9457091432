import Bytes
import Crypto
import GGUF
public import Quantization

/// Named values that tell one run from another.
public typealias RunIdentity = [(name: String, value: String)]

extension RunIdentity {
  /// The names of values that `other` has not, or not the same.
  func differences(from other: RunIdentity) -> [String] {
    let others = Dictionary(other.map { ($0.name, $0.value) }) { first, _ in first }
    return filter { others[$0.name] != $0.value }.map(\.name)
  }
}

extension RunState {
  /// Of a conversion as it was asked for: `plan` as the recipe has it, before types are chosen.
  /// - Parameter options: all that decides the output beside model, recipe, texts and importance.
  public static func identity(
    converting input: ModelInput, _ plan: ConversionPlan, text: CalibrationText?, importance: ImportanceMatrix?,
    hessians: HessianFolder?, options: String
  ) -> RunIdentity {
    [
      ("version", Version.current), ("model", input.stamp),
      ("recipe", RunState.hash { hash in for layout in plan.layouts { hash.update(data: layout.header) } }),
      ("calibration", text?.hash ?? "none"), ("importance", importance?.hash ?? "none"),
      ("hessians", hessians?.identity.slices.joined(separator: " ") ?? "none"), ("options", options),
    ]
  }

  /// Of a conversion into `output`. What another plain conversion left counts for nothing without the file that it was
  /// writing.
  public convenience init(converting identity: RunIdentity, into output: OutputSet, resumes: Bool) throws {
    try self.init(
      beside: output.path, identity: identity, resumes: resumes,
      isWorthless: { records in output.isNew && records.allSatisfy(OrderedOutput.isMark) })
  }

  /// Of chunks of tokens, and where one ends and the next begins.
  static func hash(of chunks: [[Int32]]) -> String {
    hash { hash in
      for chunk in chunks {
        hash.update(numbers: [chunk.count])
        hash.update(numbers: chunk)
      }
    }
  }

  static func hash(_ update: (inout SHA256) -> Void) -> String {
    var hash = SHA256()
    update(&hash)
    return hexadecimalText(hash.finalize())
  }
}

extension SHA256 {
  /// The bytes of some numbers as they are in memory.
  mutating func update<Number: BitwiseCopyable>(numbers: [Number]) {
    unsafe numbers.withUnsafeBytes { unsafe update(bufferPointer: $0) }
  }
}

extension ModelInput {
  /// Changes when a file of the model is written to, or another model stands there.
  var stamp: String {
    let files =
      switch origin {
      case .checkpoint(let checkpoint): checkpoint.inputFiles
      case .gguf(let gguf): gguf.files.map(\.file)
      }
    return RunState.hash { hash in
      for file in files { hash.update(data: Array("\(file.stamp)\n".utf8)) }
      for tensor in model.tensors { hash.update(data: Array("\(tensor.name) \(tensor.dtype) \(tensor.shape)\n".utf8)) }
      // What is computed with beside the weights comes from other files and from flags.
      hash.update(data: Array("\(model.parameters)\n".utf8))
      if let divisors = model["rope_freqs.weight"], let values = try? divisors.values(of: 0..<divisors.rows) {
        hash.update(numbers: values)
      }
    }
  }
}

extension CalibrationText {
  var hash: String { RunState.hash(of: chunks) }
}

extension ImportanceMatrix {
  var hash: String {
    RunState.hash { hash in
      for (name, values) in entries.sorted(by: { $0.key < $1.key }) {
        hash.update(data: Array("\(name) \(values.count)\n".utf8))
        hash.update(numbers: values)
      }
    }
  }
}
