import Bytes

extension Submission {
  /// Where tasks of Kubernetes run.
  public struct Cluster: Sendable {
    public var image: String
    /// The persistent volume claim that model and plan are on, and where it is mounted.
    public var claim: String
    public var mount: String
    /// What the names of the jobs begin with.
    public var name: String

    public init(image: String, claim: String, mount: String, name: String) {
      (self.image, self.claim, self.mount, self.name) = (image, claim, mount, name)
    }
  }

  /// Indexed Jobs, one a stage, and a Job that finalizes: to be applied together. A task whose turn has not come exits with
  /// 75, which Kubernetes is told not to count and to try again; bad data and wrong usage end an index at once.
  ///
  /// JSON, which Kubernetes reads as it reads YAML, one document after the other.
  public func kubernetes(_ cluster: Cluster) -> String {
    let arrays = stages.map { stage, tasks in
      job(
        "\(cluster.name)-\(stage.rawValue)", cluster, words(stage),
        [
          ("completions", .int(tasks)), ("parallelism", .int(tasks)), ("completionMode", .string("Indexed")),
          ("backoffLimitPerIndex", .int(3)), ("maxFailedIndexes", .int(tasks)),
        ], ending: "FailIndex")
    }
    let last = job("\(cluster.name)-finalize", cluster, finalWords, [("backoffLimit", .int(3))], ending: "FailJob")
    return (arrays + [last]).map { $0.text(indented: true) + "\n" }.joined(separator: "---\n")
  }

  private func job(
    _ name: String, _ cluster: Cluster, _ command: [String], _ facts: [(String, JSONText)], ending: String
  ) -> JSONText {
    let container = JSONText.object([
      ("name", .string("quern")), ("image", .string(cluster.image)),
      ("command", .array(command.map(JSONText.string))),
      (
        "resources",
        .object([
          ("requests", .object([("cpu", .string("\(jobs)")), ("memory", .string("\(memory >> 20)Mi"))])),
          ("limits", .object([("memory", .string("\((memory >> 20) + 256)Mi"))])),
        ])
      ),
      ("volumeMounts", .array([.object([("name", .string("data")), ("mountPath", .string(cluster.mount))])])),
    ])
    let pod = JSONText.object([
      ("restartPolicy", .string("Never")), ("containers", .array([container])),
      (
        "volumes",
        .array([
          .object([
            ("name", .string("data")),
            ("persistentVolumeClaim", .object([("claimName", .string(cluster.claim))])),
          ])
        ])
      ),
    ])
    let rules = JSONText.array([
      rule("Ignore", codes: [75]), rule(ending, codes: [2, 65, 69]),
      .object([
        ("action", .string("Ignore")),
        ("onPodConditions", .array([.object([("type", .string("DisruptionTarget")), ("status", .string("True"))])])),
      ]),
    ])
    return .object([
      ("apiVersion", .string("batch/v1")), ("kind", .string("Job")),
      ("metadata", .object([("name", .string(name))])),
      (
        "spec",
        .object(
          facts + [
            ("podFailurePolicy", .object([("rules", rules)])), ("template", .object([("spec", pod)])),
          ])
      ),
    ])
  }

  private func rule(_ action: String, codes: [Int]) -> JSONText {
    .object([
      ("action", .string(action)),
      (
        "onExitCodes",
        .object([
          ("containerName", .string("quern")), ("operator", .string("In")), ("values", .array(codes.map(JSONText.int))),
        ])
      ),
    ])
  }
}
