/// The files in `fixtures/`, found from where this file lies.
package enum Fixtures {
  package static let folder: String = {
    let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
    return parts.dropLast(3).joined(separator: "/") + "/fixtures"
  }()

  package static func path(_ name: String) -> String { folder + "/" + name }
}
