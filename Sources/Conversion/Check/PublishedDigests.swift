import Bytes
import Crypto
import Synchronization
import Tensors

/// What a publisher says that files are: SHA-256 digests as `sha256sum` prints them, or an in-toto statement, which also
/// knows the parts of a file.
public struct PublishedDigests: Sendable {
  /// Consecutive bytes of a file with a digest of their own: the header or a tensor.
  struct Part: Hashable, Sendable {
    /// What it is called in messages: the tensor's name.
    var name: String
    var isHeader: Bool
    /// The file's name without folders.
    var file: String
    var offset: Int
    var bytes: Int
    var sha256: String
  }

  /// What was read.
  let path: String
  /// SHA-256 in hexadecimal, by the name of the file without folders.
  let files: [(name: String, sha256: String)]
  let parts: [Part]

  static let suffixes = (sums: ".sha256", statement: ".intoto.json")
  static let commonSums = "SHA256SUMS"

  /// - Throws: `TYPE`, `JSON`, `UTF8`, `DUP`, `LIMIT`, `MISSING` for a file that is neither.
  public init(reading path: String) throws {
    let bytes = try RandomAccessFile(path).readAll(limit: 1 << 26)
    self.path = path
    if bytes.first(where: { $0 > 0x20 }) == UInt8(ascii: "{") {
      (files, parts) = try PublishedDigests.statement(bytes, path)
    } else {
      (files, parts) = (try PublishedDigests.sums(bytes, path), [])
    }
    var seen: Set<ExactString> = []
    for file in files {
      guard seen.insert(ExactString(file.name)).inserted else {
        throw InputError(.duplicate, "the file is named twice", file: path, subject: file.name)
      }
    }
  }

  /// What lies beside the model at `path`: its statement, its list of digests, or the folder's list if that names it.
  /// - Parameter name: the model's, without `.gguf` and number.
  static func beside(_ path: String, name: String) throws -> PublishedDigests? {
    let folder = OutputFile.split(path).folder
    for suffix in [suffixes.statement, suffixes.sums] {
      let own = folder + name + suffix
      if try SystemCalls.status(at: own)?.isRegular == true { return try PublishedDigests(reading: own) }
    }
    let common = folder + commonSums
    guard try SystemCalls.status(at: common)?.isRegular == true else { return nil }
    let digests = try PublishedDigests(reading: common)
    return digests.sha256(of: path) == nil ? nil : digests
  }

  /// The published digest of the file at `path`.
  func sha256(of path: String) -> String? {
    let name = ExactString(ProofFacts.name(path))
    return files.first { ExactString($0.name) == name }?.sha256
  }

  /// The parts of the file that are not what was published.
  func differences(in file: RandomAccessFile, jobs: Int) throws -> [Part] {
    let name = ExactString(ProofFacts.name(file.path))
    let parts = parts.filter { ExactString($0.file) == name }
    let differs = try Parallel.map(parts.count, jobs: jobs) { index in
      let part = parts[index]
      guard part.offset <= file.size, part.bytes <= file.size - part.offset else { return true }
      return try file.sha256(of: part.offset..<part.offset + part.bytes) != part.sha256
    }
    return zip(parts, differs).filter(\.1).map(\.0)
  }
}

extension PublishedDigests {
  private static func sums(_ bytes: [UInt8], _ path: String) throws(InputError) -> [(name: String, sha256: String)] {
    try ChecksumList(parsing: bytes, digestBytes: 32, file: path, what: "a SHA-256").entries.map {
      (ProofFacts.name($0.name), hexadecimalText($0.digest))
    }
  }

  private static func statement(
    _ bytes: [UInt8], _ path: String
  ) throws(InputError) -> (files: [(name: String, sha256: String)], parts: [Part]) {
    let root = try JSONDocument(parsing: bytes, file: path, maximumNodes: 1 << 23).root
    guard try root.required("_type").string("_type") == ProvenanceStatement.type else {
      throw InputError(
        .type, "\(ProvenanceStatement.type) expected", file: path, subject: "_type",
        remedy: "give the statement that lies beside the published file, or a list that sha256sum has written")
    }
    var files: [(name: String, sha256: String)] = []
    for subject in try root.required("subject").elements("subject") {
      files.append((ProofFacts.name(try subject.required("name").string("name")), try digest(subject)))
    }
    var parts: [Part] = []
    if let products = root["predicate"]?["runDetails"]?.optional("byproducts") {
      for product in try products.elements("byproducts") {
        guard let notes = product.optional("annotations"), let kind = notes.optional("part") else { continue }
        let limit = 0...Int(Int32.max) << 24
        parts.append(
          Part(
            name: try product.required("name").string("name"), isHeader: try kind.string("part") == "header",
            file: try notes.required("file").string("file"),
            offset: try notes.required("offset").int(in: limit, "offset"),
            bytes: try notes.required("bytes").int(in: limit, "bytes"), sha256: try digest(product)))
      }
    }
    return (files, parts)
  }

  private static func digest(_ resource: JSONValue) throws(InputError) -> String {
    let value = try resource.required("digest").required("sha256")
    let text = try value.string("sha256").lowercased()
    guard text.utf8.count == 64, text.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) }) else {
      throw InputError(
        .type, "64 hexadecimal digits expected", file: resource.file, subject: "sha256", offset: value.offset)
    }
    return text
  }
}

extension RandomAccessFile {
  /// SHA-256 of a range in hexadecimal, read in pieces.
  func sha256(of range: Range<Int>, read: (Int) throws -> Void = { _ in }) throws -> String {
    var hash = SHA256()
    try update(&hash, with: range, read: read)
    return hexadecimalText(hash.finalize())
  }

  /// - Parameter read: told of every piece how many bytes it has.
  func update(_ hash: inout some HashFunction, with range: Range<Int>, read: (Int) throws -> Void) throws {
    try unsafe self.read(range) { piece in
      unsafe hash.update(bufferPointer: piece)
      try read(piece.count)
    }
  }
}
