import Bytes

/// Models × recipes, as a file of YAML asks for them: every job that follows from it, and where what is known of them is kept.
///
/// ```yaml
/// output: out/{model}-{recipe}.gguf
/// defaults: {text: wiki.txt, max-kld: 0.1}
/// models:
///   - {name: llama-1b, path: "${MODELS:-./models}/Llama-3.2-1B"}
/// recipes:
///   - {name: q4, type: Q4_K_M}
///   - {name: q8, type: Q8_0, max-kld: 0.005}
/// exclude:
///   - {model: llama-1b, recipe: q8}
/// ```
///
/// What a recipe says counts for more than what its model says, that for more than the defaults, and what an entry of `include`
/// says of one job for most; nothing (`~`) takes a setting back. Files are looked for beside the manifest.
public struct BatchManifest: Sendable {
  public let path: String
  /// The folder of records, logs and reports.
  public let state: String
  public let jobs: [BatchJob]

  /// Bytes that a manifest may have, and jobs that may follow from it.
  private static let (byteLimit, jobLimit) = (1 << 20, 10_000)

  /// - Parameter environment: of variables.
  /// - Throws: `YAML`, `NAME` with the nearest known name, `DUP`, `MISSING`, `TYPE`, `LIMIT`, naming line and key.
  public init(
    reading path: String, environment: @escaping @Sendable (String) -> String? = { Machine.environment($0) }
  ) throws {
    let file = try YAMLFile(
      reading: path, limit: BatchManifest.byteLimit, expecting: "models and recipes", remedy: "see docs/pipeline.md")
    // The same wherever the batch is run from.
    let folder = OutputFile.split(try Machine.absolute(path)).folder
    let reader = Reader(folder: folder)
    var parts: [String: ManifestNode] = [:]
    let root = file.entries.map {
      ($0.key, ManifestNode($0.value, file: path, key: $0.key, environment: environment))
    }
    for (name, value) in root {
      guard Reader.topKeys.contains(name) else { throw value.unknown(name, among: Reader.topKeys) }
      if !value.isNull { parts[name] = value }
    }
    let missing = { (key: String) in
      InputError(.missing, "the manifest has none", file: path, subject: key, remedy: "see docs/pipeline.md")
    }
    guard let models = parts["models"] else { throw missing("models") }
    guard let recipes = parts["recipes"] else { throw missing("recipes") }
    var defaults = try parts["defaults"].map { try reader.settings($0.members()) } ?? [:]
    if let output = parts["output"] { defaults["output"] = .values([reader.path(try output.string())]) }
    self.path = path
    state = try parts["state"].map { reader.path(try $0.string()) } ?? folder + ".quern-batch"
    let combinations = try Combinations(
      models: reader.named(models, needsPath: true), recipes: reader.named(recipes, needsPath: false),
      include: parts["include"], exclude: parts["exclude"], reader)
    guard combinations.all.count <= BatchManifest.jobLimit else {
      throw models.error(.limit, "\(combinations.all.count) jobs, at most \(BatchManifest.jobLimit) are run")
    }
    var jobs: [BatchJob] = []
    var owners: [ExactString: String] = [:]
    for (model, recipe, more) in combinations.all {
      let settings = defaults.overridden(by: model.settings, recipe.settings, more).compactMapValues(\.self)
      let job = try BatchJob(
        model: model.name, recipe: recipe.name, input: model.path, settings: settings, file: path)
      if let owner = owners.updateValue(job.name, forKey: ExactString(job.output)) {
        throw InputError(
          .duplicate, "\(owner) and \(job.name) would both write it", file: path, subject: job.output,
          remedy: "have {model} and {recipe} in output")
      }
      jobs.append(job)
    }
    guard !jobs.isEmpty else { throw models.error(.missing, "no job is left") }
    self.jobs = jobs
  }

  // MARK: Reading

  private struct Reader {
    static let topKeys = ["output", "state", "defaults", "models", "recipes", "include", "exclude"]
    let folder: String

    func path(_ name: String) -> String { name.hasPrefix("/") ? name : folder + name }

    /// - Parameter others: keys that are no settings.
    func settings(
      _ members: [(name: String, value: ManifestNode)], others: [String] = []
    ) throws(InputError) -> [String: BatchSetting.Value?] {
      var settings: [String: BatchSetting.Value?] = [:]
      for (name, value) in members where !others.contains(name) {
        guard let setting = BatchSetting.byName[name] else {
          throw value.unknown(name, among: others + BatchSetting.all.map(\.name))
        }
        if value.isNull {
          settings[name] = .some(nil)
          continue
        }
        switch setting.kind {
        case .flag: settings[name] = .flag(try value.flag())
        case .value: settings[name] = .values([try value.string()])
        case .file: settings[name] = .values([path(try value.string())])
        case .values: settings[name] = .values(try value.strings())
        case .files: settings[name] = .values(try value.strings().map(path))
        }
      }
      return settings
    }

    func named(_ list: ManifestNode, needsPath: Bool) throws(InputError) -> [Model] {
      var all: [Model] = []
      for element in try list.elements() {
        let members = try element.members()
        let own = needsPath ? ["name", "path"] : ["name"]
        guard let name = try members.first(where: { $0.name == "name" })?.value.string() else {
          throw element.error(.missing, "it has no name")
        }
        guard BatchManifest.isName(name) else {
          throw element.error(
            .name, "\(printable(name, limit: 60)) is no name for files",
            remedy: "use letters, digits, hyphens, underscores and full stops, and no full stop at the beginning")
        }
        guard !all.contains(where: { $0.name == name }) else {
          throw element.error(.duplicate, "\(name) is there twice")
        }
        var model = Model(name: name, path: "", settings: try settings(members, others: own))
        if needsPath {
          guard let path = members.first(where: { $0.name == "path" }) else {
            throw element.error(.missing, "\(name) has no path")
          }
          model.path = self.path(try path.value.string())
        }
        all.append(model)
      }
      return all
    }
  }

  /// A model, or a recipe, which has no path.
  private struct Model {
    var name: String
    var path: String
    var settings: [String: BatchSetting.Value?]
  }

  private struct Combinations {
    var all: [(model: Model, recipe: Model, more: [String: BatchSetting.Value?])] = []

    init(
      models: [Model], recipes: [Model], include: ManifestNode?, exclude: ManifestNode?, _ reader: Reader
    ) throws(InputError) {
      for model in models { for recipe in recipes { all.append((model, recipe, [:])) } }
      for entry in try exclude?.elements() ?? [] {
        let (model, recipe, _) = try Self.pair(entry, models, recipes, reader, allowsSettings: false)
        guard model != nil || recipe != nil else { throw entry.error(.missing, "it names neither model nor recipe") }
        let count = all.count
        all.removeAll { (model ?? $0.model.name, recipe ?? $0.recipe.name) == ($0.model.name, $0.recipe.name) }
        if all.count == count { throw entry.error(.missing, "there is no such job to leave out") }
      }
      for entry in try include?.elements() ?? [] {
        let (model, recipe, more) = try Self.pair(entry, models, recipes, reader, allowsSettings: true)
        guard let model = models.first(where: { $0.name == model }),
          let recipe = recipes.first(where: { $0.name == recipe })
        else { throw entry.error(.missing, "it needs a model and a recipe") }
        if let index = all.firstIndex(where: { ($0.model.name, $0.recipe.name) == (model.name, recipe.name) }) {
          all[index].more.merge(more) { $1 }
        } else {
          all.append((model, recipe, more))
        }
      }
    }

    private static func pair(
      _ entry: ManifestNode, _ models: [Model], _ recipes: [Model], _ reader: Reader, allowsSettings: Bool
    ) throws(InputError) -> (String?, String?, [String: BatchSetting.Value?]) {
      let members = try entry.members()
      func name(_ key: String, among known: [Model]) throws(InputError) -> String? {
        guard let value = members.first(where: { $0.name == key })?.value else { return nil }
        let name = try value.string()
        guard known.contains(where: { $0.name == name }) else { throw value.unknown(name, among: known.map(\.name)) }
        return name
      }
      if !allowsSettings, let other = members.first(where: { $0.name != "model" && $0.name != "recipe" }) {
        throw other.value.unknown(other.name, among: ["model", "recipe"])
      }
      return (
        try name("model", among: models), try name("recipe", among: recipes),
        try reader.settings(members, others: ["model", "recipe"])
      )
    }
  }

  /// Whether it can be part of a file's name everywhere.
  private static func isName(_ name: String) -> Bool {
    (1...100).contains(name.utf8.count) && !name.hasPrefix(".") && !name.hasPrefix("-")
      && name.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
          true
        default: false
        }
      }
  }
}

extension [String: BatchSetting.Value?] {
  /// What later ones say counts.
  fileprivate func overridden(by others: Self...) -> Self {
    others.reduce(self) { $0.merging($1) { $1 } }
  }
}
