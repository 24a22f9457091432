/// What a manifest can say of a job: a flag of `quern convert` or `quern verify`, or how the job is run.
///
/// What a value means is for those commands to judge: here is only known which of them takes it, and what names a file.
struct BatchSetting {
  enum Kind { case flag, value, file, values, files }

  /// Who takes it.
  enum Stage { case convert, verify, both, batch }

  /// The key, and where nothing else is said the flag.
  let name: String
  let kind: Kind
  let stage: Stage
  let flag: String

  private init(_ name: String, _ kind: Kind, _ stage: Stage, flag: String? = nil) {
    (self.name, self.kind, self.stage, self.flag) = (name, kind, stage, "--" + (flag ?? name))
  }

  static let all: [BatchSetting] =
    [
      BatchSetting("output", .file, .batch),
      BatchSetting("jobs", .value, .batch),
      BatchSetting("memory", .value, .batch),
      BatchSetting("layout", .value, .both),
      BatchSetting("rope-factor", .value, .both),
      BatchSetting("verify-input", .flag, .convert),
      BatchSetting("type", .value, .convert),
      BatchSetting("types", .file, .convert, flag: "recipe"),
      BatchSetting("output-tensor-type", .value, .convert),
      BatchSetting("token-embedding-type", .value, .convert),
      BatchSetting("tensor-type", .values, .convert),
      BatchSetting("pure", .flag, .convert),
      BatchSetting("leave-output-tensor", .flag, .convert),
      BatchSetting("imatrix", .file, .convert),
      BatchSetting("override-kv", .values, .convert),
      BatchSetting("method", .value, .convert),
      BatchSetting("search", .value, .convert),
      BatchSetting("calibration", .files, .convert),
      BatchSetting("calibration-tokens", .value, .convert),
      BatchSetting("calibration-context", .value, .convert),
      BatchSetting("calibration-seed", .value, .convert),
      BatchSetting("hessian", .file, .convert),
      BatchSetting("awq", .flag, .convert),
      BatchSetting("allocate", .flag, .convert),
      BatchSetting("target-size", .value, .convert),
      BatchSetting("target-bpw", .value, .convert),
      BatchSetting("quality", .value, .convert),
      BatchSetting("gptq", .values, .convert),
      BatchSetting("split-max-size", .value, .convert),
      BatchSetting("split-max-tensors", .value, .convert),
      BatchSetting("provenance", .flag, .convert),
      BatchSetting("quantized-by", .value, .convert),
      BatchSetting("text", .file, .verify),
      BatchSetting("ctx", .value, .verify),
      BatchSetting("chunks", .value, .verify),
      BatchSetting("arithmetic", .value, .verify),
      BatchSetting("gates", .file, .verify),
    ] + Gates.Kind.allCases.map { BatchSetting($0.rawValue, .value, .verify) }

  static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

  /// The arguments that say `value` to the command.
  func arguments(_ value: Value) -> [String] {
    switch value {
    case .flag(let isSet): isSet ? [flag] : []
    // In one argument, so that a value that begins with a hyphen is one all the same.
    case .values(let values): values.map { "\(flag)=\($0)" }
    }
  }

  enum Value: Hashable, Sendable {
    case flag(Bool)
    case values([String])

    var strings: [String] { if case .values(let values) = self { values } else { [] } }
  }
}

/// Settings by name.
typealias BatchSettings = [String: BatchSetting.Value]
