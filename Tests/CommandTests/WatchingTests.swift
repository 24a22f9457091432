import Bytes
import Foundation
import TestSupport
import Testing

/// What a run tells those who watch it.
@Suite struct WatchingTests {
  private let tiny = Fixtures.path("tiny-llama")

  private func events(_ path: String) throws -> [JSONValue] {
    try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
      try JSONDocument(parsing: Array($0.utf8)).root
    }
  }

  private func text(_ value: JSONValue?) throws -> String { try #require(value).string() }

  @Test func eventsTellARunFromItsStartToItsEnd() throws {
    let folder = try TemporaryFolder()
    let (path, out) = (folder.path("events"), folder.path("out.gguf"))
    let run = try CommandRun.quern("convert", tiny, "--type", "Q4_K_M", "-o", out, "--events", path, "--json")
    #expect(run.code == 0 && run.errors.isEmpty, "\(run.errors)")
    let events = try events(path)
    let names = try events.map { try text($0["event"]) }
    #expect(names.first == "started" && names.last == "ended")
    #expect(names.contains("progress"))
    var last = 0.0
    for event in events {
      let seconds = try #require(event["seconds"]).double()
      #expect(seconds >= last)
      last = seconds
    }
    #expect(try #require(events.last?["exit_code"]).int() == 0)
    for (event, name) in zip(events, names) where name == "progress" {
      #expect(try text(event["activity"]) == "quantizing")
      #expect(try #require(event["done"]).int() <= #require(event["total"]).int())
    }
    let output = try #require(zip(events, names).first { $1 == "output" }?.0)
    #expect(try text(output["path"]) == out)
    let printed = try JSONDocument(parsing: Array(run.output.utf8)).root
    #expect(try text(output["sha256"]) == text(printed["sha256"]))
    #expect(try #require(output["file_bytes"]).int() == FileManager.default.contents(atPath: out)?.count)
  }

  @Test func whatFailsIsTold() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("events")
    let run = try CommandRun.quern(
      "verify", folder.path("none.gguf"), "--against", tiny, "--text", tiny + "/config.json", "--events", path, "-q")
    let events = try events(path)
    #expect(run.code == 69)
    #expect(try #require(events.last?["exit_code"]).int() == 69)
    let note = try #require(try events.first { try text($0["event"]) == "note" })
    #expect(try text(note["level"]) == "error")
    #expect(run.errors == (try text(note["message"])) + "\n")
  }

  /// One run after another adds to the same stream.
  @Test func eventsAreAdded() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("events")
    for _ in 0..<2 { _ = try CommandRun.quern("tokenize", tiny, "a", "--events", path) }
    #expect(try events(path).map { try text($0["event"]) } == ["started", "ended", "started", "ended"])
  }

  @Test func eventsOnStandardErrorLeaveTheResultAlone() throws {
    let plain = try CommandRun.quern("tokenize", tiny, "Hello", "--ids")
    let told = try CommandRun.quern("tokenize", tiny, "Hello", "--ids", "--events", "-")
    #expect(plain.output == told.output && plain.errors.isEmpty)
    #expect(told.errors.split(separator: "\n").count == 2)
  }

  /// Of every sample its own HELP and TYPE, nothing twice, and labels that tell it from samples of other files.
  @Test func metricsAreTheTextfileCollectors() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("night \"1\".prom")
    let run = try CommandRun.quern(
      "convert", tiny, "--type", "Q8_0", "-o", folder.path("out.gguf"), "--metrics", path, "-q")
    #expect(run.code == 0, "\(run.errors)")
    let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map(String.init)
    #expect(lines.count % 3 == 0)
    var seen: Set<String> = []
    for start in stride(from: 0, to: lines.count, by: 3) {
      let name = try #require(lines[start + 2].split(separator: "{").first).description
      #expect(seen.insert(name).inserted)
      #expect(lines[start].hasPrefix("# HELP \(name) ") && lines[start + 1] == "# TYPE \(name) gauge")
      #expect(lines[start + 2].hasPrefix(#"\#(name){command="convert",run="night \"1\""#))
      #expect(Double(try #require(lines[start + 2].split(separator: " ").last)) != nil)
    }
    #expect(seen.isSuperset(of: ["quern_progress_ratio", "quern_eta_seconds", "quern_bytes_done", "quern_exit_code"]))
    #expect(try folder.names() == ["night \"1\".prom", "out.gguf"])
  }

  @Test(arguments: ["--events", "--metrics"]) func aFileThatCannotBeToldToIsRefusedAtOnce(_ flag: String) throws {
    let folder = try TemporaryFolder()
    let run = try CommandRun.quern(
      "convert", tiny, "-t", "Q8_0", "-o", folder.path("out.gguf"), flag, folder.path("no/such/folder"))
    #expect(run.code == 74 && run.errors.contains("no/such"))
    #expect(try folder.names().isEmpty)
  }

  @Test func nobodyWhoReadsAFIFOIsAnErrorAndNoWait() throws {
    let folder = try TemporaryFolder()
    let run = try CommandRun.quern("tokenize", tiny, "a", "--events", folder.makeFIFO("fifo"))
    #expect(run.code == 74)
  }
}
