import Bytes

/// Why a recipe cannot be read, or cannot be carried out on a model. Always thrown before any work.
public struct RecipeError: Error, Hashable, Sendable {
  public enum Kind: Sendable, Hashable {
    /// A name that no type has.
    case type
    /// An override that is not `regex=type`, or whose regular expression is invalid.
    case pattern
    /// An override that decides no tensor.
    case override
    /// A type that needs an importance matrix, and none is given for the tensor.
    case importance
    /// A type whose blocks do not fill the rows of a tensor.
    case rows
    /// A tensor whose name does not fit the model.
    case name
    /// A type that cannot be written yet.
    case unsupported
  }

  public var kind: Kind
  /// The word that is wrong: a type, a pattern, a tensor.
  public var word: String
  public var problem: String
  /// What the user can do about it.
  public var remedy: String?

  init(_ kind: Kind, _ word: String, _ problem: String, remedy: String? = nil) {
    (self.kind, self.word, self.problem, self.remedy) = (kind, word, problem, remedy)
  }
}

extension RecipeError: CustomStringConvertible {
  /// One line: `"word": problem; remedy`.
  public var description: String {
    "\"\(printable(word))\": \(printable(problem, limit: 600))"
      + (remedy.map { "; " + printable($0, limit: 600) } ?? "")
  }
}
