/// A Llama in Meta's form, put together and cut into shards as fairscale does it.
package struct MetaModel {
  package struct Part {
    package var name: String
    package var shape: [Int]
    /// The class of its storage in `torch`, which says what its elements are.
    package var storage: String
    package var bytes: [UInt8]

    package init(_ name: String, _ shape: [Int], storage: String = "BFloat16Storage", bytes: [UInt8]) {
      (self.name, self.shape, self.storage, self.bytes) = (name, shape, storage, bytes)
    }

    /// The part number `index` of `count` along `axis`. Elements have two bytes.
    func cut(_ index: Int, of count: Int, axis: Int) -> Part {
      var part = self
      part.shape[axis] /= count
      if axis == 0 {
        let size = bytes.count / count
        part.bytes = Array(bytes[index * size..<(index + 1) * size])
      } else {
        let (whole, width) = (shape[1] * 2, part.shape[1] * 2)
        part.bytes = []
        for row in 0..<shape[0] {
          let start = row * whole + index * width
          part.bytes += bytes[start..<start + width]
        }
      }
      return part
    }
  }

  package var parts: [Part]
  /// The members of params.json: key and JSON.
  package var params: [(String, String)]
  /// As in Llama 1 and 2.
  package var cutsEmbeddingByColumns = false
  /// How many neighbouring shards have the same key-value heads.
  package var keyValueCopies = 1

  package init(parts: [Part], params: [(String, String)]) { (self.parts, self.params) = (parts, params) }

  /// Two layers of 64, 4 heads of 16, feed-forward 192, 64 tokens; whatever numbers, each another.
  package static var small: MetaModel {
    var generator = SeededGenerator(seed: 7)
    func part(_ name: String, _ shape: [Int]) -> Part {
      let count = shape.reduce(1, *)
      // Below 2 in magnitude: no exponent of infinity.
      let bytes = (0..<count).flatMap { _ in
        le(UInt16.random(in: 0..<0x4000, using: &generator) | UInt16.random(in: 0...1, using: &generator) << 15)
      }
      return Part(name + ".weight", shape, bytes: bytes)
    }
    var parts = [part("tok_embeddings", [64, 64])]
    for layer in 0..<2 {
      let shapes = [
        ("attention.wq", [64, 64]), ("attention.wk", [32, 64]), ("attention.wv", [32, 64]), ("attention.wo", [64, 64]),
        ("feed_forward.w1", [192, 64]), ("feed_forward.w2", [64, 192]), ("feed_forward.w3", [192, 64]),
        ("attention_norm", [64]), ("ffn_norm", [64]),
      ]
      parts += shapes.map { part("layers.\(layer).\($0.0)", $0.1) }
    }
    parts += [part("norm", [64]), part("output", [64, 64])]
    parts.append(Part("rope.freqs", [8], bytes: [UInt8](repeating: 0, count: 16)))
    return MetaModel(
      parts: parts,
      params: [
        ("dim", "64"), ("n_layers", "2"), ("n_heads", "4"), ("n_kv_heads", "2"), ("vocab_size", "64"),
        ("multiple_of", "32"), ("norm_eps", "1e-05"), ("rope_theta", "500000.0"),
      ])
  }

  /// Where a matrix is cut; `nil` for what every shard has all of.
  private func axis(of name: String) -> Int? {
    switch name.split(separator: ".").dropLast().last ?? "" {
    case "wq", "wk", "wv", "w1", "w3", "output": 0
    case "wo", "w2": 1
    case "tok_embeddings": cutsEmbeddingByColumns ? 1 : 0
    default: nil
    }
  }

  /// The tensors of every shard.
  package func shards(_ count: Int) -> [[Part]] {
    (0..<count).map { index in
      parts.map { part in
        guard let axis = axis(of: part.name) else { return part }
        let copies = part.name.contains(".wk.") || part.name.contains(".wv.") ? keyValueCopies : 1
        return part.cut(index / copies, of: count / copies, axis: axis)
      }
    }
  }

  package var paramsText: String {
    "{" + params.map { "\"\($0.0)\": \($0.1)" }.joined(separator: ", ") + "}"
  }

  /// Sets a member of params.json, or takes it out.
  package mutating func set(_ key: String, _ json: String?) {
    params.removeAll { $0.0 == key }
    if let json { params.append((key, json)) }
  }

  /// Writes `params.json` and the shards into the folder `name` and returns its path.
  @discardableResult
  package func write(
    to folder: TemporaryFolder, _ name: String = "model", shards count: Int = 1,
    changing change: (inout [[Part]]) -> Void = { _ in }
  ) throws -> String {
    var shards = shards(count)
    change(&shards)
    for (index, parts) in shards.enumerated() {
      try folder.write("\(name)/\(MetaModel.shardName(index))", MetaModel.file(parts))
    }
    try folder.write("\(name)/params.json", paramsText)
    return folder.path(name)
  }

  package static func shardName(_ index: Int) -> String { "consolidated.\(index < 10 ? "0" : "")\(index).pth" }

  /// What `torch.save` makes of a dict of tensors.
  package static func file(_ parts: [Part]) -> [UInt8] {
    var pickle = P.proto + P.emptyDict
    for (place, part) in parts.enumerated() {
      let strides = part.shape.indices.map { part.shape[($0 + 1)...].reduce(1, *) }
      let storage = P.storage(
        P.int(part.shape.reduce(1, *)), key: "\(place)", type: P.name("torch", part.storage))
      pickle += P.text(part.name)
      pickle += P.tensor(storage, size: P.ints(part.shape), strides: P.ints(strides)) + P.setItem
    }
    return P.archive(pickle + P.stop, storages: parts.enumerated().map { ("\($0)", $1.bytes) })
  }
}
