import Bytes
import Foundation
import TestSupport
import Testing

/// `quern verify --html --markdown` as a user runs it.
@Suite struct ReportFileTests {
  private let tiny = Fixtures.path("tiny-llama")
  private let text = Fixtures.path("text/python-docs-evaluate.txt")

  private func models(_ folder: TemporaryFolder, _ types: [String]) throws -> [String] {
    try types.map { type in
      let out = folder.path("\(type).gguf")
      let run = try CommandRun.quern("convert", tiny, "--type", type, "-o", out, "-q")
      #expect(run.code == 0, "\(run.errors)")
      return out
    }
  }

  private func verify(_ models: [String], _ arguments: String...) throws -> CommandRun {
    try CommandRun(
      CommandRun.quern,
      ["verify"] + models + ["--against", tiny, "--text", text, "--ctx", "64", "--chunks", "4", "-q"] + arguments)
  }

  @Test func writesBothFilesTheSameEveryTimeAndAlsoWhenAGateFails() throws {
    let folder = try TemporaryFolder()
    let models = try models(folder, ["Q8_0", "Q2_K"])
    var pages: [String] = []
    for (index, jobs) in ["1", "3"].enumerated() {
      let (page, card) = (folder.path("\(index).html"), folder.path("\(index).md"))
      let run = try verify(models, "--html", page, "--markdown", card, "--max-kld", "0.01", "-j", jobs)
      #expect(run.code == 3 && run.errors.contains("max-kld"), "\(run.errors)")
      pages.append(try String(contentsOfFile: page, encoding: .utf8))
      let table = try String(contentsOfFile: card, encoding: .utf8)
      #expect(table.contains("| Q8\\_0.gguf | Q8\\_0 |") && table.contains("| Q2\\_K.gguf | Q2\\_K |"))
    }
    #expect(pages[0] == pages[1])
    #expect(pages[0].hasPrefix("<!DOCTYPE html>\n<html") && pages[0].hasSuffix("</html>\n"))
    #expect(
      pages[0].contains("1 of 2 failed") && !pages[0].contains(folder.path) && !pages[0].contains(Fixtures.folder))
    #expect(try folder.names().sorted() == ["0.html", "0.md", "1.html", "1.md", "Q2_K.gguf", "Q8_0.gguf"])
  }

  @Test func takesNoNameThatIsTakenAndSaysSoBeforeItWalks() throws {
    let folder = try TemporaryFolder()
    let models = try models(folder, ["Q8_0"])
    let taken = try folder.write("report.html", "precious")
    let refused = try verify(models, "--html", taken, "--markdown", folder.path("card.md"))
    #expect(refused.code == 74 && refused.errors.contains("--force"), "\(refused.errors)")
    #expect(refused.output.isEmpty)
    #expect(try String(contentsOfFile: taken, encoding: .utf8) == "precious")
    #expect(try folder.names().sorted() == ["Q8_0.gguf", "report.html"])
    let forced = try verify(models, "--html", taken, "--force")
    #expect(forced.code == 0, "\(forced.errors)")
    #expect(try String(contentsOfFile: taken, encoding: .utf8).contains("Measured without gates"))
  }

  @Test func neverReplacesWhatItReads() throws {
    let folder = try TemporaryFolder()
    let models = try models(folder, ["Q8_0"])
    let before = try Data(contentsOf: URL(fileURLWithPath: models[0]))
    try folder.makeLink("link.html", to: models[0])
    for path in [models[0], folder.path("link.html"), tiny + "/config.json"] {
      let run = try verify(models, "--html", path, "--force")
      #expect(run.code == 74 && run.errors.contains("another name"), "\(path): \(run.errors)")
    }
    let same = try verify(models, "--html", folder.path("x"), "--markdown", folder.path("x"))
    #expect(same.code == 74 && same.errors.contains("two names"), "\(same.errors)")
    #expect(try Data(contentsOf: URL(fileURLWithPath: models[0])) == before)
    let nowhere = try verify(models, "--html", folder.path("no/such/folder.html"))
    #expect(nowhere.code == 74 && nowhere.output.isEmpty, "\(nowhere.errors)")
    #expect(try verify(models, "--force").code == 2)
  }
}
