import Bytes
import Tensors

/// `model.safetensors.index.json` or `pytorch_model.bin.index.json`: which tensor lies in which file.
struct ShardIndex {
  /// Its path, for messages.
  let path: String
  /// Names of the files, sorted by their bytes.
  let shards: [String]
  /// The place in `shards` of the file that holds a tensor.
  private let places: [ExactString: Int]

  /// 100,000 tensors with long names take a fifth of it.
  private static let maximumBytes = 64 << 20

  init(_ file: RandomAccessFile) throws {
    path = file.path
    let json = try JSONDocument(
      parsing: file.readAll(limit: ShardIndex.maximumBytes), file: path, maximumNodes: SafetensorsFile.maximumNodes)
    let map = try json.root.required("weight_map")
    guard map.count > 0 else {
      throw InputError(.missing, "the weight_map names no tensor", file: path, offset: map.offset)
    }
    var tensors: [(name: ExactString, shard: ExactString)] = []
    tensors.reserveCapacity(map.count)
    for (key, value) in try map.members("weight_map") {
      let name = try key.string()
      tensors.append((ExactString(name), ExactString(try value.string(name))))
    }
    let names = Set(tensors.map(\.shard)).sorted()
    let places = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
    shards = names.map(\.string)
    self.places = Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, places[$0.shard] ?? 0) })
  }

  /// Proves that the files hold the tensors that the index says, each of them once and no others.
  /// - Parameter tensors: of each file, in the order of `shards`.
  func check(_ tensors: [[Tensor]]) throws(InputError) {
    var found: [ExactString: Int] = [:]
    for (place, tensors) in tensors.enumerated() {
      for tensor in tensors {
        if let other = found.updateValue(place, forKey: ExactString(tensor.name)) {
          throw InputError(
            .duplicate, "the tensor stands in both \(shards[other]) and \(shards[place])", file: path,
            subject: tensor.name)
        }
      }
    }
    for (name, place) in places.sorted(by: { $0.key < $1.key }) where found[name] != place {
      let elsewhere = found[name].map { "; it is in \(shards[$0])" } ?? ""
      throw InputError(
        .missing, "the index says that \(shards[place]) holds the tensor, but it does not\(elsewhere)", file: path,
        subject: name.string, remedy: "download index and shards of one revision")
    }
    if let extra = found.first(where: { places[$0.key] == nil }) {
      throw InputError(
        .missing, "\(shards[extra.value]) holds a tensor that the index does not name", file: path,
        subject: extra.key.string, remedy: "download index and shards of one revision")
    }
  }
}
