import Bytes

/// What a file says about the set that it belongs to.
struct Split {
  static let numberKey = "split.no"
  static let countKey = "split.count"
  static let tensorsKey = "split.tensors.count"
  static let keys = [numberKey, countKey, tensorsKey]

  let number: Int
  let count: Int
  /// Tensors in the whole set, where the file says it.
  let total: Int?

  /// `nil` for a file that belongs to no set. A merged file keeps a count of 0.
  init?(_ file: GGUFFile) throws(InputError) {
    guard let count = try Split.integer(Split.countKey, file), count > 0 else { return nil }
    guard let number = try Split.integer(Split.numberKey, file) else {
      throw InputError(.missing, "a file of a split set must say its number", file: file.path, subject: Split.numberKey)
    }
    guard number < count else {
      throw InputError(
        .missing, "file number \(number) of a set of \(count), where numbers begin at 0", file: file.path,
        subject: Split.numberKey)
    }
    (self.number, self.count) = (number, count)
    total = try Split.integer(Split.tensorsKey, file)
  }

  /// `PREFIX-00001-of-00002.gguf` for number 0 of 2.
  static func name(_ prefix: String, _ number: Int, of count: Int) -> String {
    "\(prefix)-\(padded(number + 1))-of-\(padded(count)).gguf"
  }

  /// - Throws: `NAME` when the file's name is not that of its number in the set, so the others cannot be found.
  func prefix(of path: String) throws(InputError) -> String {
    let suffix = Split.name("", number, of: count)
    guard path.utf8.count > suffix.utf8.count, path.utf8.suffix(suffix.utf8.count).elementsEqual(suffix.utf8) else {
      throw InputError(
        .name, "file \(number + 1) of a set of \(count), whose name does not end in \(suffix)", file: path,
        remedy: "give the files of the set their names back")
    }
    return String(decoding: path.utf8.dropLast(suffix.utf8.count), as: UTF8.self)
  }

  /// The paths of all files of the set that the file at `path` is in.
  /// - Throws: `NAME` as `prefix`; `MISSING` naming those that are not there.
  func paths(beside path: String) throws -> [String] {
    let prefix = try prefix(of: path)
    let paths = (0..<count).map { Split.name(prefix, $0, of: count) }
    var missing: [String] = []
    // A count that no set has costs a few looks, not 65,535.
    for other in paths where other != path && missing.count <= Split.namesToTell {
      if try SystemCalls.status(at: other) == nil { missing.append(other) }
    }
    guard missing.isEmpty else {
      let names = missing.prefix(Split.namesToTell).map { printable($0, limit: 120) }.joined(separator: ", ")
      throw InputError(
        .missing,
        "one of a set of \(count) files, of which \(missing.count > Split.namesToTell ? "many are" : missing.count == 1 ? "one is" : "\(missing.count) are") not beside it: "
          + names + (missing.count > Split.namesToTell ? ", …" : ""),
        file: path, remedy: "download the whole set into one folder")
    }
    return paths
  }

  /// - Throws: `MISSING` when `file` is not number `number` of this set.
  func checkMember(_ file: GGUFFile, _ number: Int) throws(InputError) {
    guard let split = try Split(file), split.number == number, split.count == count else {
      throw InputError(
        .missing, "the file is not number \(number + 1) of \(count), as its name says", file: file.path,
        remedy: "download the set again")
    }
    guard split.total == total else {
      func said(_ total: Int?) -> String { total.map { "\($0) tensors" } ?? "an unsaid number of tensors" }
      throw InputError(
        .missing,
        "it is of a set of \(said(split.total)), and the file that was opened of a set of \(said(total))",
        file: file.path, subject: Split.tensorsKey, remedy: "the files are of different models; download the set again")
    }
  }

  /// - Parameter tensors: that all files hold together.
  func checkTotal(_ file: GGUFFile, tensors: Int) throws(InputError) {
    guard let total, total != tensors else { return }
    throw InputError(
      .missing, "the set should hold \(total) tensors and holds \(tensors)", file: file.path,
      subject: Split.tensorsKey, remedy: "download the set again")
  }

  private static let namesToTell = 3

  private static func integer(_ key: String, _ file: GGUFFile) throws(InputError) -> Int? {
    guard let value = file.metadata[key] else { return nil }
    guard let integer = value.integer, integer >= 0, integer <= Int(Int32.max) else {
      throw InputError(.type, "expected a whole number from 0 on", file: file.path, subject: key)
    }
    return integer
  }

  private static func padded(_ number: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, 5 - digits.utf8.count)) + digits
  }
}
