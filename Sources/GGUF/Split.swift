import Bytes

/// What a file says about the set that it belongs to.
struct Split {
  static let numberKey = "split.no"
  static let countKey = "split.count"
  static let tensorsKey = "split.tensors.count"
  static let keys = [numberKey, countKey, tensorsKey]

  let number: Int
  let count: Int

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

  /// - Throws: `MISSING` when `file` is not number `number` of this set.
  func checkMember(_ file: GGUFFile, _ number: Int) throws(InputError) {
    guard let split = try Split(file), split.number == number, split.count == count else {
      throw InputError(
        .missing, "the file is not number \(number + 1) of \(count), as its name says", file: file.path,
        remedy: "download the set again")
    }
  }

  static func checkTotal(_ first: GGUFFile, tensors: Int) throws(InputError) {
    guard let total = try integer(tensorsKey, first) else { return }
    guard total == tensors else {
      throw InputError(
        .missing, "the set should hold \(total) tensors and holds \(tensors)", file: first.path, subject: tensorsKey,
        remedy: "download the set again")
    }
  }

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
