import Conversion
import Foundation
import FoundationXML
import Tensors
import TestSupport
import Testing

/// The page and the table of a report that was made up.
@Suite struct ReportTests {
  private let failing = [
    Gates.Result(name: "max-kld", limit: 0.05, value: 0.0625, passed: false),
    Gates.Result(name: "min-top1", limit: 0.9, value: 0.93, passed: true),
  ]

  @Test(arguments: [[DType.q4_K], [.q8_0, .q4_K, .q2_K]]) func isWellFormed(_ types: [DType]) throws {
    let report = MadeUpReport.make(types, gates: failing)
    let page = try Page(report.html)
    #expect(page.names.count == Set(page.ids).count || page.ids.count == Set(page.ids).count)
    for kind in ["script", "link", "img", "iframe", "object"] { #expect(!page.names.contains(kind), "\(kind)") }
  }

  @Test func preview() throws {
    for (name, types, gates) in [
      ("multi", [DType.q8_0, .q6_K, .q4_K, .q3_K, .q2_K], failing), ("single", [.q4_K], failing),
    ] {
      let report = MadeUpReport.make(types, layers: 16, gates: gates)
      try report.html.write(toFile: "/tmp/w/rep/\(name).html", atomically: true, encoding: .utf8)
      try report.markdown.write(toFile: "/tmp/w/rep/\(name).md", atomically: true, encoding: .utf8)
    }
  }
}

/// What a parser of XML finds on a page.
private final class Page: NSObject, XMLParserDelegate {
  private(set) var names: [String] = []
  private(set) var ids: [String] = []
  private(set) var text = ""

  init(_ source: String) throws {
    super.init()
    let parser = XMLParser(data: Data(source.utf8))
    parser.delegate = self
    let isWhole = parser.parse()
    try #require(isWhole, "\(String(describing: parser.parserError)) in line \(parser.lineNumber)")
  }

  func parser(
    _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
    attributes: [String: String]
  ) {
    names.append(name)
    if let id = attributes["id"] { ids.append(id) }
  }

  func parser(_ parser: XMLParser, foundCharacters string: String) { text += string }
}
