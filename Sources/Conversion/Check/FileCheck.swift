import Bytes
import GGUF
import Models
import Tensors
import Tokenizers

/// Proves a GGUF file, or the set that it is of: its structure, every block of every tensor, what its model needs, the rules of
/// those who are to load it, and that its bytes are the published ones.
public struct FileCheck: Sendable {
  /// Whose rules a file can be held against.
  public enum Consumer: String, Sendable, CaseIterable {
    case llamaCpp = "llama.cpp"
    case ollama
  }

  public let path: String
  private let consumer: Consumer?
  private let published: PublishedDigests?
  private let source: ModelInput?

  /// - Parameters:
  ///   - published: digests to compare with; by default those that lie beside the file, if any do.
  ///   - source: a model that the file should have been made from.
  public init(
    of path: String, for consumer: Consumer? = nil, published: PublishedDigests? = nil,
    against source: ModelInput? = nil
  ) {
    (self.path, self.consumer, self.published, self.source) = (path, consumer, published, source)
  }

  /// Reads every byte once; a file that is not the published one, a second time.
  /// - Throws: `MISSING` and `PATH` when there is no file, `CHANGED`, errors of the system; what is wrong with the file is in
  ///   the report.
  public func run(jobs: Int, progress: ProgressHandler? = nil) throws -> CheckReport {
    let given = try RandomAccessFile(path)
    var report = CheckReport(file: path, consumer: consumer?.rawValue)
    let model = try report.findings.catching(.structure, in: path) { try GGUFModel(opening: path) }
    if let model {
      report.tensors = model.tensors.count
      try rules(of: model, &report)
      if let source {
        try compare(model, with: source, &report)
        try compareSources(model, source, jobs: jobs, progress, &report)
      }
    }
    let files = model?.files.map(\.file) ?? [given]
    let scan = try (model.map { ByteScan($0) } ?? ByteScan(given)).run(jobs: jobs, progress: progress)
    for (tensor, block) in scan.broken {
      let size = tensor.dtype.blockElements
      let place =
        size == 1 ? "element \(block)" : "block \(block) (elements \(block * size) to \((block + 1) * size - 1))"
      report.findings.add(
        .finite, tensor.name, "\(place) of \(tensor.dtype) is infinite or NaN",
        remedy: "convert the model again; if that does not help, its weights are damaged")
    }
    report.files = zip(files, scan.digests).map { WrittenFile(path: $0.path, bytes: $0.size, sha256: $1) }
    try compare(files, with: published ?? beside(model), jobs: jobs, &report)
    return report
  }

  private func rules(of model: GGUFModel, _ report: inout CheckReport) throws {
    switch consumer {
    case .llamaCpp: llamaCpp(model, &report)
    case .ollama:
      llamaCpp(model, &report)
      var ollama = OllamaRules(model)
      try ollama.run()
      report.findings.add(ollama.findings)
      report.notes += ollama.notes
    case nil: try ownRules(of: model, &report)
    }
  }

  private func llamaCpp(_ model: GGUFModel, _ report: inout CheckReport) {
    var rules = LlamaCppRules(model, path: path)
    rules.run()
    report.findings.add(rules.findings)
  }

  /// What Quern needs of a model to work with it.
  private func ownRules(of model: GGUFModel, _ report: inout CheckReport) throws {
    let kind = model.metadata["general.type"]?.string ?? "model"
    guard kind == "model" else {
      return report.notes.append(
        "the file is no model (general.type is \"\(kind)\"), so of keys and tensors nothing is asked")
    }
    let architecture = model.metadata["general.architecture"]?.string
    guard architecture == nil || architecture == LlamaCppRules.architecture else {
      return report.notes.append(
        "of the architecture \"\(architecture ?? "")\" no rules are known, so of keys and tensors nothing is asked")
    }
    _ = try report.findings.catching(.model, in: path) {
      try model.checkModel()
      _ = try ModelSource(metadata: model.metadata, tensors: model.tensors)
    }
    _ = try report.findings.catching(.tokenizer, in: path) { _ = try Tokenizer(metadata: model.metadata) }
  }

  private func beside(_ model: GGUFModel?) throws -> PublishedDigests? {
    let name = ProofFacts.name(path)
    let plain = name.hasSuffix(".gguf") ? String(name.dropLast(".gguf".count)) : name
    for name in [model?.name ?? plain, plain] {
      if let digests = try PublishedDigests.beside(path, name: name) { return digests }
    }
    return nil
  }

  /// What was published of the files, beside what they are; which tensor differs, where the publisher says so much.
  private func compare(
    _ files: [RandomAccessFile], with published: PublishedDigests?, jobs: Int, _ report: inout CheckReport
  ) throws {
    guard let published else { return }
    report.published = published.path
    for (file, found) in zip(files, report.files) {
      let name = ProofFacts.name(file.path)
      guard let expected = published.sha256(of: file.path) else {
        report.findings.add(
          .digest, name, "\(ProofFacts.name(published.path)) does not name this file",
          remedy: "give the list that was published with it, with --sums")
        continue
      }
      guard expected != found.sha256 else { continue }
      report.findings.add(
        .digest, name, "its SHA-256 is \(found.sha256), published is \(expected)", remedy: "download the file again")
      for part in try published.differences(in: file, jobs: jobs) {
        report.findings.add(
          .digest, part.isHeader ? "header" : part.name,
          "its \(part.bytes) bytes from \(part.offset) of \(name) on are not the published ones",
          remedy: "download the file again")
      }
    }
  }

  /// Whether `model` can have been made from `source`.
  private func compare(_ model: GGUFModel, with source: ModelInput, _ report: inout CheckReport) throws {
    let remedy = "it was made from another model, or by a tool that means something else by the same names"
    for tensor in source.model.tensors {
      guard let found = model.tensor(tensor.name) else {
        report.findings.add(.source, tensor.name, "the source has this tensor and the file not", remedy: remedy)
        continue
      }
      if found.shape != tensor.shape {
        report.findings.add(
          .source, tensor.name, "expected \(tensor.shape) as in the source, found \(found.shape)", remedy: remedy)
      }
    }
    for tensor in model.tensors where source.model[tensor.name] == nil {
      report.findings.add(.source, tensor.name, "the file has this tensor and the source not", remedy: remedy)
    }
    guard let quantized = try? ModelInput(opening: path) else { return }
    for difference in ProofFacts.differences(of: quantized, from: source) {
      report.findings.add(
        .source, difference.key, "expected \(difference.reference) as in the source, found \(difference.candidate)",
        remedy: remedy)
    }
  }

  /// The files that the model says it was made from, beside those of `source`.
  private func compareSources(
    _ model: GGUFModel, _ source: ModelInput, jobs: Int, _ progress: ProgressHandler?, _ report: inout CheckReport
  ) throws {
    guard let names = model.metadata[ConversionProvenance.sourceFilesKey]?.strings,
      let digests = model.metadata[ConversionProvenance.sourceDigestsKey]?.strings
    else { return }
    guard names.count == digests.count else {
      return report.findings.add(
        .source, ConversionProvenance.sourceDigestsKey, "expected \(names.count) digests, found \(digests.count)")
    }
    let found = Set(
      try DigestedFile.list(source.sourcePaths, jobs: jobs, progress: progress).map {
        [ExactString($0.name), ExactString($0.sha256)]
      })
    for (name, digest) in zip(names, digests) where !found.contains([ExactString(name), ExactString(digest)]) {
      report.findings.add(
        .source, name,
        "the file says that it was made from one with SHA-256 \(printable(digest, limit: 64)), which the source has not",
        remedy: "it was made from another copy of the model")
    }
  }
}
