import Bytes

extension HostileFile {
  /// The keys of a small right model, each as the bytes of its type and value.
  private struct Keys {
    var pairs: [(String, [UInt8])] = []

    init() {
      set("general.architecture", 8) { $0.string("llama") }
      set("llama.block_count", 4) { $0.put(1 as UInt32) }
      set("llama.embedding_length", 4) { $0.put(8 as UInt32) }
      set("llama.attention.head_count", 4) { $0.put(2 as UInt32) }
      set("tokenizer.ggml.tokens", 9) { Keys.strings(&$0, 3) }
      set("tokenizer.ggml.scores", 9) { Keys.array(&$0, 6, 3, bytes: 4) }
      set("tokenizer.ggml.token_type", 9) { Keys.array(&$0, 5, 3, bytes: 4) }
    }

    static func array(_ file: inout FileBuilder, _ type: UInt32, _ count: Int, bytes: Int) {
      file.put(type)
      file.put(UInt64(count))
      file.zeros(count * bytes)
    }

    static func strings(_ file: inout FileBuilder, _ count: Int) {
      file.put(8 as UInt32)
      file.put(UInt64(count))
      for index in 0..<count { file.string("t\(index)") }
    }

    mutating func set(_ key: String, _ type: UInt32, _ build: (inout FileBuilder) -> Void) {
      var value = FileBuilder()
      value.bytes = []
      value.put(type)
      build(&value)
      remove(key)
      pairs.append((key, value.bytes))
    }

    mutating func remove(_ key: String) { pairs.removeAll { $0.0 == key } }

    var file: FileBuilder {
      var file = FileBuilder(tensors: 1, keys: UInt64(pairs.count))
      for (key, value) in pairs {
        file.string(key)
        file.bytes += value
      }
      file.tensor("blk.0.w", [8])
      file.align()
      file.zeros(32)
      return file
    }
  }

  private static func model(
    _ number: Int, _ what: String, _ code: InputError.Code?, _ change: (inout Keys) -> Void
  ) -> HostileFile {
    var keys = Keys()
    change(&keys)
    return HostileFile(number, what, code, keys.file)
  }

  static let models: [HostileFile] =
    [
      model(137, "a right model", nil) { _ in },
      model(137, "scores of int8", .type) { $0.set("tokenizer.ggml.scores", 9) { Keys.array(&$0, 1, 3, bytes: 1) } },
      model(137, "one score", .type) { $0.set("tokenizer.ggml.scores", 6) { $0.put(0 as UInt32) } },
      model(137, "token types of uint8", .type) {
        $0.set("tokenizer.ggml.token_type", 9) { Keys.array(&$0, 0, 3, bytes: 1) }
      },
      model(137, "tokens of int32", .type) { $0.set("tokenizer.ggml.tokens", 9) { Keys.array(&$0, 5, 3, bytes: 4) } },
      model(137, "merges of int32", .type) { $0.set("tokenizer.ggml.merges", 9) { Keys.array(&$0, 5, 3, bytes: 4) } },
      model(138, "fewer scores than tokens", .shape) {
        $0.set("tokenizer.ggml.scores", 9) { Keys.array(&$0, 6, 2, bytes: 4) }
      },
      model(138, "more token types than tokens", .shape) {
        $0.set("tokenizer.ggml.token_type", 9) { Keys.array(&$0, 5, 4, bytes: 4) }
      },
      model(140, "no architecture", .type) { $0.remove("general.architecture") },
      model(140, "an architecture of 4", .type) { $0.set("general.architecture", 4) { $0.put(4 as UInt32) } },
      model(140, "an unknown architecture", .unsupported) { $0.set("general.architecture", 8) { $0.string("llamb") } },
    ]
    + ["block_count", "attention.head_count", "embedding_length"].flatMap { name in
      let key = "llama.\(name)"
      return [
        model(139, "no \(name)", .type) { $0.remove(key) },
        model(139, "\(name) 0", .shape) { $0.set(key, 4) { $0.put(0 as UInt32) } },
        model(139, "\(name) a string", .type) { $0.set(key, 8) { $0.string("32") } },
        model(139, "\(name) a float", .type) { $0.set(key, 6) { $0.put(Float(32).bitPattern) } },
        model(139, "\(name) 2^32-1", .shape) { $0.set(key, 4) { $0.put(UInt32.max) } },
        model(139, "\(name) 2^64-1", .shape) { $0.set(key, 10) { $0.put(UInt64.max) } },
        model(139, "\(name) -1", .shape) { $0.set(key, 5) { $0.put(-1 as Int32) } },
      ]
    }
    + [
      model(139, "more blocks than tensors", .shape) { $0.set("llama.block_count", 4) { $0.put(2 as UInt32) } },
      model(139, "heads of each block", nil) {
        $0.set("llama.attention.head_count", 9) {
          $0.put(5 as UInt32)
          $0.put(1 as UInt64)
          $0.put(2 as Int32)
        }
      },
      model(139, "a block of -1 heads", .shape) {
        $0.set("llama.attention.head_count", 9) {
          $0.put(5 as UInt32)
          $0.put(1 as UInt64)
          $0.put(-1 as Int32)
        }
      },
    ]
}
