import Bytes
import Tensors

/// What a file says of its making: no path, no time, no name of a machine, so that the same conversion is the same bytes
/// anywhere.
public struct ConversionProvenance: Sendable {
  /// What decided the output beside its type: flags in a fixed order, a value each.
  public typealias Recipe = [(name: String, value: String)]

  public let quantizedBy: String
  /// `rtn`, `gptq`, with `awq+` before it when channels were scaled.
  public let method: String
  public let recipe: Recipe
  public let sources: [DigestedFile]
  public let texts: [DigestedFile]
  private let calibrationTokens: Int
  /// SHA-256 of the tokens that stored Hessians are of.
  private let hessianSlices: [String]
  public let imatrix: DigestedFile?

  /// Reads all files of the input once.
  /// - Parameters:
  ///   - quantizedBy: who answers for the file; the program by default.
  ///   - imatrix: the path of the importance matrix.
  public init(
    of input: ModelInput, quantizedBy: String? = nil, method: String, recipe: Recipe, text: CalibrationText? = nil,
    hessians: HessianFolder? = nil, imatrix: String? = nil, jobs: Int, progress: ProgressHandler? = nil
  ) throws {
    self.quantizedBy = quantizedBy ?? "Quern \(Version.current)"
    (self.method, self.recipe) = (method, recipe)
    sources = try DigestedFile.list(input.sourcePaths, jobs: jobs, progress: progress)
    texts = try text.map { try DigestedFile.list($0.paths, jobs: jobs, progress: nil) } ?? []
    calibrationTokens = text?.tokenCount ?? 0
    hessianSlices = hessians?.identity.slices ?? []
    self.imatrix = try imatrix.map { try DigestedFile.list([$0], jobs: 1, progress: nil)[0] }
  }

  /// The recipe as one line.
  /// - Parameter type: what the output is quantized to.
  func recipeText(_ type: String) -> String {
    ([("type", type)] + recipe).map { $0.1.isEmpty ? $0.0 : "\($0.0)=\($0.1)" }.joined(separator: "; ")
  }

  /// The keys of the output.
  func metadata(type: String) -> Metadata {
    var keys = Metadata()
    keys["general.quantized_by"] = .string(quantizedBy)
    keys["quern.version"] = .string(Version.current)
    keys["quern.method"] = .string(method)
    keys["quern.recipe"] = .string(recipeText(type))
    keys[ConversionProvenance.sourceFilesKey] = .strings(sources.map(\.name))
    keys[ConversionProvenance.sourceDigestsKey] = .strings(sources.map(\.sha256))
    if !texts.isEmpty {
      keys["quern.calibration.sha256"] = .strings(texts.map(\.sha256))
      keys["quern.calibration.tokens"] = .uint64(UInt64(calibrationTokens))
    }
    if !hessianSlices.isEmpty { keys["quern.hessian.sha256"] = .strings(hessianSlices) }
    if let imatrix { keys["quern.imatrix.sha256"] = .string(imatrix.sha256) }
    return keys
  }

  /// Of a file that a flag names.
  public static func sha256(of path: String) throws -> String {
    try DigestedFile.list([path], jobs: 1, progress: nil)[0].sha256
  }

  static let sourceFilesKey = "quern.source.files"
  static let sourceDigestsKey = "quern.source.sha256"
}
