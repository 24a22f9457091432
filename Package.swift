// swift-tools-version: 6.2
import PackageDescription

// The arrows of docs/architecture.md, kept by the compiler: a room sees only what its line names.
let strict: [SwiftSetting] = [.strictMemorySafety()]

func room(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ room: String, _ more: [Target.Dependency] = []) -> Target {
  .testTarget(
    name: "\(room)Tests", dependencies: [.init(stringLiteral: room), "TestSupport"] + more, swiftSettings: strict)
}

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let yams = Target.Dependency.product(name: "Yams", package: "Yams")

let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")

let logging = Target.Dependency.product(name: "Logging", package: "swift-log")

let package = Package(
  name: "quern",
  products: [.executable(name: "quern", targets: ["quern"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),
    .systemLibrary(name: "CLinux"),
    .target(name: "CKernels"),
    room("Bytes", ["CLinux"]),
    room("Tensors", ["Bytes", "CKernels"]),
    room("Checkpoints", ["Tensors", "CZlib"]),
    room("GGUF", ["Tensors"]),
    room("Tokenizers", ["Tensors"]),
    room("Models", ["Tensors"]),
    room("Quantization", ["Tensors"]),
    room("Conversion", ["Checkpoints", "GGUF", "Tokenizers", "Models", "Quantization", crypto, yams]),
    .executableTarget(
      name: "quern", dependencies: ["Conversion", "Quantization", argumentParser, logging], swiftSettings: strict),

    .executableTarget(
      name: "quern-peer", dependencies: ["Tokenizers", "GGUF", "Quantization", "Models", "Checkpoints"],
      path: "Tests/PeerTests/Probe", swiftSettings: strict),
    .systemLibrary(name: "CFuzzer", path: "Tests/Fuzzing/CFuzzer"),
    .target(
      name: "FuzzTargets", dependencies: ["Conversion", "TestSupport"], path: "Tests/Fuzzing/Targets",
      swiftSettings: strict),
    .executableTarget(
      name: "quern-fuzz", dependencies: ["FuzzTargets", "CFuzzer"], path: "Tests/Fuzzing/Program", swiftSettings: strict
    ),
    .target(name: "TestSupport", dependencies: ["Bytes"], path: "Tests/TestSupport", swiftSettings: strict),
    tests("Bytes"),
    tests("Tensors"),
    tests("Checkpoints"),
    tests("GGUF"),
    tests("Tokenizers"),
    tests("Models", ["Checkpoints"]),
    tests("Quantization"),
    tests("Conversion", [crypto, "Checkpoints", "GGUF", "Tokenizers"]),
    .testTarget(
      name: "FuzzTests", dependencies: ["FuzzTargets"], path: "Tests/Fuzzing/Suite", swiftSettings: strict),
    .testTarget(
      name: "PeerTests", dependencies: ["quern", "TestSupport"], path: "Tests/PeerTests/Suite", swiftSettings: strict),
    .testTarget(name: "CommandTests", dependencies: ["quern", "TestSupport", crypto], swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
