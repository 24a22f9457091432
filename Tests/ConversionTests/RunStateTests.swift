import Bytes
import Conversion
import Foundation
import TestSupport
import Testing

@Suite struct RunStateTests {
  private let identity: RunIdentity = [("version", "1"), ("model", "abc")]

  private func open(_ folder: TemporaryFolder) throws -> RunState {
    try RunState(beside: folder.path("out"), identity: identity)
  }

  /// Of the three records, as they are read again.
  private func contents(_ state: RunState) throws -> [[UInt8]] { try state.records.map { try state.read($0) } }

  private func make(_ folder: TemporaryFolder) throws -> (path: String, sizes: [Int]) {
    let state = try open(folder)
    var sizes: [Int] = []
    for number in 0..<3 {
      try state.append("part \(number)", [UInt8](repeating: UInt8(number), count: 1000 * number))
      sizes.append(try Data(contentsOf: URL(fileURLWithPath: state.path)).count)
    }
    return (state.path, sizes)
  }

  @Test func whatWasAddedIsThereAgain() throws {
    let folder = try TemporaryFolder()
    _ = try make(folder)
    let state = try open(folder)
    #expect(state.records.map(\.name) == ["part 0", "part 1", "part 2"])
    #expect(try contents(state) == (0..<3).map { [UInt8](repeating: UInt8($0), count: 1000 * $0) })
    try state.append("more", [9])
    #expect(try state.first("more").map(state.read) == [9])
    try state.remove()
    #expect(try folder.names().isEmpty)
  }

  @Test func replacingLeavesWhatIsNew() throws {
    let folder = try TemporaryFolder()
    _ = try make(folder)
    do {
      let state = try open(folder)
      try state.replace(with: [("other", { [1, 2] })])
      #expect(try state.first("other").map(state.read) == [1, 2])
    }
    let again = try open(folder)
    #expect(again.records.map(\.name) == ["other"])
    #expect(try folder.names() == ["out.resume"])
  }

  /// Cut anywhere or with any byte changed, it holds the records before that place and takes new ones.
  @Test func aDamagedTailDoesNotCount() throws {
    let folder = try TemporaryFolder()
    let (path, sizes) = try make(folder)
    let whole = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
    let steps = [-33, -32, -1, 0, 1, 8, 20]
    let places = Set(sizes.flatMap { size in steps.map { size + $0 } })
    for place in places.sorted() where place < whole.count && place >= sizes[0] - 1 {
      var changed = whole
      changed[place] ^= 0x40
      for bytes in [Array(whole[..<place]), changed] {
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        do {
          let state = try open(folder)
          #expect(state.records.count == sizes.count { $0 <= place }, "at \(place)")
          #expect(try contents(state).allSatisfy { $0.count % 1000 == 0 })
          try state.append("more", [1])
        }
        #expect(try open(folder).records.last?.name == "more")
      }
    }
  }

  @Test(arguments: [Array("text".utf8), [], [UInt8](repeating: 0, count: 100)])
  func whatIsNoStateIsRefused(_ bytes: [UInt8]) throws {
    let folder = try TemporaryFolder()
    try Data(bytes).write(to: URL(fileURLWithPath: folder.path("out.resume")))
    let error = #expect(throws: InputError.self) { try open(folder) }
    #expect(error?.code == .path)
  }

  @Test func oneRunAtATime() throws {
    let folder = try TemporaryFolder()
    let state = try open(folder)
    try state.append("part", [1])
    let error = #expect(throws: InputError.self) { try open(folder) }
    #expect(error?.problem.contains("another process") == true)
    try state.remove()
  }

  @Test func whatDiffersIsNamed() throws {
    let folder = try TemporaryFolder()
    _ = try make(folder)
    let error = #expect(throws: InputError.self) {
      try RunState(beside: folder.path("out"), identity: [("version", "1"), ("model", "abd"), ("new", "")])
    }
    #expect(error?.problem.hasSuffix("differs in: model, new") == true)
  }

  @Test func whatIsWorthNothingIsDroppedAndNotRefused() throws {
    let folder = try TemporaryFolder()
    let other: RunIdentity = [("version", "2")]
    for isWorthless in [false, true] {
      let (path, sizes) = try make(folder)
      if isWorthless {
        #expect(try RunState(beside: folder.path("out"), identity: other) { $0.count == 3 }.records.isEmpty)
      } else {
        // Nothing was done: only the first record is there.
        let whole = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
        try Data(whole[..<(sizes[0] - 1)]).write(to: URL(fileURLWithPath: path))
        #expect(try RunState(beside: folder.path("out"), identity: other).records.isEmpty)
      }
      #expect(try folder.names().isEmpty)
    }
  }
}
