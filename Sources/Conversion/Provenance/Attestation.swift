import Bytes
import Crypto
import GGUF
import Tensors

/// The two files beside an output that say what it is: a list of digests that `sha256sum -c` takes, and an in-toto statement.
///
/// Of `a/model.gguf` they are `a/model.sha256` and `a/model.intoto.json`; of a split set likewise, for all its files. They take
/// their names right after the output. A run that is killed between leaves an output without them, or beside older ones, which
/// `FileCheck` tells then.
public struct Attestation: Sendable {
  private let provenance: ConversionProvenance
  private let fileType: String
  private let sums: OutputFile
  private let statement: OutputFile

  /// The names that it will give.
  public var paths: (sums: String, statement: String) { (sums.path, statement.path) }

  /// Creates both under temporary names.
  /// - Parameters:
  ///   - output: as the user gave it.
  ///   - fileType: what the output is quantized to.
  /// - Throws: as `OutputFile`: `PATH` when a name is taken.
  public init(
    of provenance: ConversionProvenance, fileType: String, beside output: String, overwrites: Bool
  ) throws {
    (self.provenance, self.fileType) = (provenance, fileType)
    let stem = OutputSet.stem(output)
    sums = try OutputFile(stem + PublishedDigests.suffixes.sums, overwrites: overwrites)
    statement = try OutputFile(stem + PublishedDigests.suffixes.statement, overwrites: overwrites)
  }

  /// Writes both, of an output that is whole and has not its name yet; its parts are read from the disk again.
  func write(_ files: [WrittenFile], _ layouts: [GGUFLayout], from output: OutputSet, jobs: Int) throws {
    let names = files.map { ProofFacts.name($0.path) }
    let lines = zip(files, names).map { ChecksumList.line($0.sha256, $1) }.joined()
    try sums.write(text: lines)
    var parts: [PublishedDigests.Part] = []
    for (layout, name) in zip(layouts, names) {
      parts.append(.init(name: "header", isHeader: true, file: name, offset: 0, bytes: layout.header.count, sha256: ""))
      parts += layout.entries.map {
        .init(name: $0.name, isHeader: false, file: name, offset: $0.offset, bytes: $0.byteCount, sha256: "")
      }
    }
    let places = parts.map { part in (file: names.firstIndex(of: part.file) ?? 0, part.offset, part.bytes) }
    let digests = try Parallel.map(places.count, jobs: jobs) { index in
      let (file, offset, bytes) = places[index]
      return try output.files[file].sha256(of: offset..<offset + bytes)
    }
    for index in parts.indices { parts[index].sha256 = digests[index] }
    let text = ProvenanceStatement(provenance: provenance, fileType: fileType, files: files, parts: parts).json
    try statement.write(text: text.text(indented: true) + "\n")
  }

  func publish() throws {
    try sums.publish()
    try statement.publish()
  }
}
