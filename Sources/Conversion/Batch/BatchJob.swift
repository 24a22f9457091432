import Bytes

/// One model by one recipe: what is read, what is run and what comes of it.
public struct BatchJob: Sendable {
  public let model: String
  public let recipe: String
  /// The path of the model.
  public let input: String
  /// The path of the file that is made; of a split set, what its names are made from.
  public let output: String
  /// Flags of `quern convert` that decide the output.
  package let conversion: [String]
  /// Flags of `quern verify`, where there is a text.
  package let proof: [String]?
  /// Files beside the model that the flags name.
  let conversionFiles: [String]
  let proofFiles: [String]
  /// What the manifest says of them; else the batch decides.
  let threads: Int?
  let memory: Int?

  public var name: String { "\(model)/\(recipe)" }
  /// What the names of its files in the state folder begin with: no other job's.
  var stem: String { "\(model)@\(recipe)" }

  /// Where the output is made, and stays until it is proved: under its own name, in a folder that nobody looks for models in.
  var unproved: String {
    let (folder, name) = OutputFile.split(output)
    return "\(folder).unproved/\(name)"
  }

  /// - Parameter file: the manifest, for messages.
  init(model: String, recipe: String, input: String, settings: BatchSettings, file: String) throws(InputError) {
    let name = "\(model)/\(recipe)"
    func refuse(_ code: InputError.Code, _ problem: String, remedy: String? = nil) -> InputError {
      InputError(code, problem, file: file, subject: name, remedy: remedy)
    }
    func one(_ key: String) -> String? { settings[key]?.strings.first }
    (self.model, self.recipe, self.input) = (model, recipe, input)
    guard let template = one("output") else {
      throw refuse(.missing, "nothing says where it goes", remedy: "write output: out/{model}-{recipe}.gguf")
    }
    let values = ["model": model, "recipe": recipe, "type": one("type") ?? ""]
    output = try PathTemplate(template).filled { placeholder throws(InputError) in
      guard let value = values[placeholder], !value.isEmpty else {
        throw refuse(
          .name, "output has {\(printable(placeholder, limit: 40))}, where {model}, {recipe} and {type} are known")
      }
      return value
    }
    guard !OutputFile.split(output).name.isEmpty else { throw refuse(.path, "its output has no name") }
    guard !(one("type") ?? "").contains(",") else {
      throw refuse(.unsupported, "several types", remedy: "write a recipe for each")
    }
    threads = try one("jobs").map { text throws(InputError) in
      guard let count = Int(text), (1...1024).contains(count) else { throw refuse(.limit, "jobs is from 1 to 1024") }
      return count
    }
    memory = try one("memory").map { text throws(InputError) in
      guard let bytes = byteCount(text), bytes >= 64 << 20 else {
        throw refuse(.limit, "memory is a size from 64M on, such as 4G")
      }
      return bytes
    }
    var (conversion, proof, conversionFiles, proofFiles) = ([String](), [String](), [String](), [String]())
    for setting in BatchSetting.all {
      guard let value = settings[setting.name] else { continue }
      let namesFiles = setting.kind == .file || setting.kind == .files
      if setting.stage == .convert || setting.stage == .both {
        conversion += setting.arguments(value)
        if namesFiles { conversionFiles += value.strings }
      }
      if setting.stage == .verify || setting.stage == .both {
        proof += setting.arguments(value)
        if namesFiles { proofFiles += value.strings }
      }
    }
    (self.conversion, self.conversionFiles, self.proofFiles) = (conversion, conversionFiles, proofFiles)
    self.proof = settings["text"] == nil ? nil : proof
    guard settings["text"] != nil || Gates.Kind.allCases.allSatisfy({ settings[$0.rawValue] == nil }),
      settings["text"] != nil || settings["gates"] == nil
    else { throw refuse(.missing, "it has gates and no text to measure on", remedy: "write text: FILE") }
  }

  // MARK: Command lines

  /// Of the conversion into `unproved`.
  func convertArguments(_ demand: BatchScheduler.Demand) -> [String] {
    ["convert", input, "--output=\(unproved)", "--force", "--json"] + conversion + BatchJob.share(demand)
  }

  /// The same without anything being written.
  func planArguments() -> [String] { ["convert", input, "--output=\(output)", "--dry-run", "--json"] + conversion }

  /// Of the proof of the file at `path`.
  func verifyArguments(_ path: String, report: String, _ demand: BatchScheduler.Demand) -> [String]? {
    proof.map {
      ["verify", path, "--against=\(input)", "--html=\(report)", "--force", "--json"] + $0 + BatchJob.share(demand)
    }
  }

  private static func share(_ demand: BatchScheduler.Demand) -> [String] {
    ["--jobs=\(demand.threads)", "--memory=\(demand.memory)"]
  }
}

/// Bytes of a size such as `512M`, `4G` or `4GiB`, in powers of 1024.
public func byteCount(_ text: String) -> Int? {
  let units: [(String, Int)] = [("K", 10), ("M", 20), ("G", 30), ("T", 40)]
  var digits = text.uppercased()
  if digits.hasSuffix("IB") { digits.removeLast(2) } else if digits.hasSuffix("B") { digits.removeLast() }
  var shift = 0
  if let unit = units.first(where: { digits.hasSuffix($0.0) }) {
    digits.removeLast()
    shift = unit.1
  }
  guard let number = Double(digits), number >= 0, number.isFinite, number * Double(1 << shift) < 1e18 else {
    return nil
  }
  return Int(number * Double(1 << shift))
}
