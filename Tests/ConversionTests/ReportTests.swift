import Conversion
import Foundation
import FoundationXML
import TestSupport
import Testing

/// The page and the table that a report is shown as.
@Suite struct ReportTests {
  private static let reports = [SampleReport.ofOne, SampleReport.ofTwo]

  @Test(arguments: reports.indices) func pageIsWellFormedAndNeedsNothingElse(_ index: Int) throws {
    let page = try Page(Self.reports[index].get().html)
    #expect(page.ids.count == Set(page.ids).count)
    for kind in ["script", "link", "img", "iframe", "object", "image", "use"] {
      #expect(!page.elements.contains(kind), "\(kind)")
    }
    for (name, value) in page.attributes {
      #expect(!name.hasPrefix("on") && name != "src" && name != "style", "\(name)")
      if name == "href" { #expect(value.hasPrefix("#") && page.ids.contains(String(value.dropFirst()))) }
      if name == "aria-labelledby" { #expect(value.split(separator: " ").allSatisfy { page.ids.contains(String($0)) }) }
    }
    #expect(!page.source.contains("http://") && !page.source.contains("https://") && !page.source.contains("url("))
  }

  @Test(arguments: reports.indices) func sameReportGivesTheSameBytes(_ index: Int) throws {
    let report = try Self.reports[index].get()
    #expect(report.html == report.html && report.markdown == report.markdown)
    var elsewhere = report
    elsewhere.reference.path = "/another/folder/tiny-llama"
    elsewhere.text.path = "/another/folder/text"
    for index in elsewhere.candidates.indices { elsewhere.candidates[index].path = "/another/folder/x.gguf" }
    #expect(elsewhere.html == report.html && elsewhere.markdown == report.markdown)
    #expect(!report.html.contains(Fixtures.folder) && !report.markdown.contains(Fixtures.folder))
  }

  /// Whoever made a file chose its names and values, and whoever wrote a text its tokens: they are shown, not obeyed.
  @Test func foreignTextIsShownAndNotObeyed() throws {
    let evil = "<script>alert('1')</script>&amp;\"\u{1B}[2J\u{202E}\u{0}\u{FFFE}]]>"
    let shown = "<script>alert('1')</script>&amp;\"\\u{1b}[2J\\u{202e}\\u{0}\\u{fffe}]]>"
    var report = try SampleReport.ofTwo.get()
    report.reference.name = evil
    report.text.name = evil
    report.candidates[1].name = evil
    report.candidates[1].provenance = [(key: evil, value: evil)]
    report.candidates[1].tensors[0].name = evil
    report.candidates[1].differences[0].key = evil
    report.candidates[1].worst[0].before = evil
    report.candidates[1].worst[0].token = evil
    report.candidates[1].worst[0].referenceChoice = evil
    let page = try Page(report.html)
    #expect(!page.elements.contains("script"))
    #expect(page.text.components(separatedBy: shown).count > 8)
    #expect(page.attributes.contains { $0.value.contains(shown) })

    let card = report.markdown
    #expect(!card.contains("<script") && !card.unicodeScalars.contains { $0.value < 10 || $0 == "\u{202E}" })
    report.candidates[1].name = "a|b\nc*d*[e](f)"
    let row = try #require(report.markdown.split(separator: "\n").first { $0.contains("Q2\\_K") })
    #expect(row.hasPrefix("| a\\|b\\\\u{a}c\\*d\\*\\[e\\](f) | "), "\(row)")
  }

  @Test func foldersOfOneMachineAreNobodysBusiness() throws {
    var report = try SampleReport.ofOne.get()
    for path in ["/home/someone/imatrix.gguf", "C:\\Users\\someone\\imatrix.gguf", "~/someone/imatrix.gguf"] {
      report.candidates[0].provenance = [(key: "quantize.imatrix.file", value: path)]
      #expect(report.html.contains(">imatrix.gguf<") && !report.html.contains("someone"), "\(path)")
    }
  }

  @Test func pageShowsEveryNumberOfTheReport() throws {
    let report = try SampleReport.ofTwo.get()
    let page = try Page(report.html)
    for candidate in report.candidates {
      let drift = candidate.drift
      for value in [
        candidate.name, candidate.fileType, try #require(candidate.sha256), megabytes(candidate.fileBytes),
        decimals(candidate.bitsPerWeight, 2), decimals(drift.quantized.perplexity, 1),
        decimals(drift.topOneAgreement * 100, 1),
        "± ",
      ] {
        #expect(page.text.contains(value), "\(value)")
      }
      for gate in candidate.gates { #expect(page.text.contains(gate.name)) }
      for layer in candidate.layers {
        #expect(page.text.contains("after layer \(layer.layer): \(decimals(layer.relativeRMSError * 100, 3)) %"))
      }
      for tensor in candidate.tensors where tensor.relativeRMSError != 0 {
        #expect(
          page.attributes.contains { $0.name == "title" && $0.value.hasPrefix("\(tensor.name): \(tensor.type.name), ") }
        )
      }
      for token in candidate.worst { #expect(page.text.contains("at token \(token.position) of chunk \(token.chunk)")) }
      for difference in candidate.differences { #expect(page.text.contains(difference.key)) }
    }
    #expect(report.candidates[1].differences.count == 1)
    #expect(page.text.contains(report.text.sha256) && page.text.contains("quern \(report.version)"))
  }

  @Test func verdictStandsOnTop() throws {
    var report = try SampleReport.ofTwo.get()
    #expect(!report.candidates[1].passed, "the sample is to fail a gate")
    #expect(try Page(report.html).headline == "1 of 2 failed")
    for index in report.candidates.indices {
      for gate in report.candidates[index].gates.indices { report.candidates[index].gates[gate].passed = true }
    }
    #expect(try Page(report.html).headline == "Passed")
    report.candidates[0].gates = []
    report.candidates[1].gates = []
    #expect(try Page(report.html).headline == "Measured without gates")
    var one = try SampleReport.ofOne.get()
    one.candidates[0].gates[0].passed = false
    #expect(try Page(one.html).headline == "Failed")
    #expect(one.markdown.contains("**failed**"))
  }

  /// Of models that end alike the names stand below one another, whatever the places round to.
  @Test(arguments: [0.0331, 0.0338, 0.05, 0.0999]) func labelsOfModelsThatEndAlikeDoNotMeet(_ error: Double) throws {
    var report = try SampleReport.ofTwo.get()
    report.candidates = (0..<6).map { number in
      var candidate = report.candidates[number % 2]
      candidate.fileType = "T\(number)"
      let last = candidate.layers.count - 1
      candidate.layers[last].relativeRMSError = error
      return candidate
    }
    let chart = try #require(report.html.components(separatedBy: "after each layer, by model").last)
    let heights = try (0..<6).map { number in
      let label = try #require(chart.components(separatedBy: ">T\(number)</text>").first)
      let tag = try #require(label.components(separatedBy: "<text").last)
      return try #require(
        tag.components(separatedBy: " y=\"").last?.split(separator: "\"").first.flatMap { Double($0) })
    }.sorted()
    for (above, below) in zip(heights, heights.dropFirst()) { #expect(below - above > 12.5) }
  }

  /// Numbers that are none, and models of any depth, break no drawing.
  @Test(arguments: [Double.nan, .infinity, 0, 1e-300, 1e300]) func numbersThatAreNoneBreakNothing(_ value: Double)
    throws
  {
    var report = try SampleReport.ofTwo.get()
    for index in report.candidates[0].layers.indices {
      report.candidates[0].layers[index].relativeRMSError = value
      report.candidates[0].layers[index].added = value
    }
    for index in report.candidates[0].tensors.indices {
      report.candidates[0].tensors[index].relativeRMSError = value
      report.candidates[0].tensors[index].attributedDivergence = value
    }
    report.candidates[0].gates[0].value = value
    report.candidates[0].worst[0].divergence = value
    report.candidates[0].drift = .init()
    report.candidates[0].bitsPerWeight = value
    let page = try Page(report.html)
    for (name, number) in page.attributes where ["x", "y", "width", "height", "cx", "cy", "x1", "y2"].contains(name) {
      let number = try #require(Double(number), "\(name) \(number)")
      #expect(-100...1000 ~= number, "\(name) \(number)")
    }
    report.candidates[0].layers = []
    report.candidates[0].tensors = []
    report.candidates[0].worst = []
    _ = try Page(report.html)
  }

  @Test func cardIsOneTableAndSaysHowItWasMeasured() throws {
    let report = try SampleReport.ofTwo.get()
    let lines = report.markdown.split(separator: "\n", omittingEmptySubsequences: false)
    let cells = lines.prefix(5).map { $0.split(separator: "|", omittingEmptySubsequences: false).count }
    #expect(cells == [12, 12, 12, 12, 12])
    #expect(lines[0].hasPrefix("| model | type | size | bpw (bits) | PPL ± | ΔPPL ± | KLD ± (nats) |"))
    #expect(lines[5].isEmpty && lines[6].hasPrefix("Measured with quern \(report.version): "))
    #expect(lines[6].contains(report.text.sha256) && lines[6].contains("chunks of 64"))
  }
}

/// What a parser of XML finds on a page.
private final class Page: NSObject, XMLParserDelegate {
  let source: String
  private(set) var elements: Set<String> = []
  private(set) var ids: [String] = []
  private(set) var attributes: [(name: String, value: String)] = []
  private(set) var text = ""
  /// The word of the verdict.
  private(set) var headline = ""
  private var isHeadline = false

  init(_ source: String) throws {
    self.source = source
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
    elements.insert(name)
    if let id = attributes["id"] { ids.append(id) }
    isHeadline = attributes["class"] == "word"
    self.attributes += attributes.map { (name: $0.key, value: $0.value) }
  }

  func parser(
    _ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?
  ) {
    isHeadline = false
  }

  func parser(_ parser: XMLParser, foundCharacters string: String) {
    text += string
    if isHeadline { headline += string }
  }
}
