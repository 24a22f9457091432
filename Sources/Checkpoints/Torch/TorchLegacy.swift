import Bytes
import Tensors

/// The form before PyTorch 1.6, and of `torch.save(…, _use_new_zipfile_serialization=False)`:
///
/// 1. five pickles: a magic number, the protocol 1001, facts about the system, the object, the keys of the storages;
/// 2. for each key its element count, 64 bits little-endian, and the elements.
///
/// There is no checksum. Source: torch/serialization.py, `_legacy_load`, PyTorch 2.13.
enum TorchLegacy {
  /// Protocol 2, LONG1 of 10 bytes: 0x1950a86a20f9469cfc6c; STOP. Then protocol 2, BININT2 1001; STOP.
  private static let opening: [UInt8] = [
    0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E,
    0x80, 2, 0x4D, 0xE9, 0x03, 0x2E,
  ]

  /// What the pickles say.
  private struct Pickles {
    var value: PickleValue
    var arena: PickleArena
    var keys: [ExactString]
    /// Bytes of all of them.
    var count: Int
  }

  static func read(_ file: RandomAccessFile) throws -> ([Tensor], [String]) {
    let pickles = try pickles(file)
    let storages = try storages(pickles.keys, pickles.arena.storages, file, from: pickles.count)
    return try TorchFile.tensors(of: pickles.value, pickles.arena, file: file, storages: storages)
  }

  /// How long the pickles are is known only by reading them, so ever more of the file is tried.
  private static func pickles(_ file: RandomAccessFile) throws -> Pickles {
    var count = min(file.size, 256 << 10)
    while true {
      do {
        return try pickles(in: file.read(at: 0, count: count))
      } catch let error as InputError where error.code == .truncated && count < file.size {
        guard count < TorchFile.maximumPickleBytes else {
          throw InputError(.limit, "pickles of more than \(TorchFile.maximumPickleBytes) bytes")
        }
        count = min(file.size, count * 4)
      }
    }
  }

  private static func pickles(in head: [UInt8]) throws(InputError) -> Pickles {
    guard head.starts(with: opening) else {
      throw InputError(
        .magic, "a bare pickle that does not begin as torch.save begins", offset: 0,
        remedy: "do not load this file; if it is your own, save it with torch.save(model.state_dict())")
    }
    var system = Unpickler(head, from: opening.count)
    try checkSystem(system.run(), system.arena)
    var object = Unpickler(head, from: system.position)
    let value = try object.run()
    var list = Unpickler(head, from: object.position)
    let keys = try keys(list.run(), list.arena)
    return Pickles(value: value, arena: object.arena, keys: keys, count: list.position)
  }

  private static func checkSystem(_ value: PickleValue, _ arena: PickleArena) throws(InputError) {
    guard case .dict(let index) = value else { throw InputError(.pickle, "facts about the system expected") }
    let items = arena.dicts[index].items
    for place in stride(from: 0, to: items.count, by: 2) {
      guard case .string(let key) = items[place], arena.string(key, equals: "little_endian") else { continue }
      if case .bool(true) = items[place + 1] { return }
    }
    throw InputError(.endian, "saved on a machine that is not little-endian", remedy: "save it on another machine")
  }

  private static func keys(_ value: PickleValue, _ arena: PickleArena) throws(InputError) -> [ExactString] {
    guard case .list(let index) = value else { throw InputError(.pickle, "a list of storage keys expected") }
    var keys: [ExactString] = []
    for item in arena.lists[index].items {
      guard case .string(let key) = item else { throw InputError(.pickle, "a storage key is \(item.kindName)") }
      keys.append(ExactString(arena.string(key)))
    }
    return keys
  }

  /// Where each storage lies. All that the object speaks of must be there, once, and nothing after the last.
  private static func storages(
    _ keys: [ExactString], _ storages: TorchStorages, _ file: RandomAccessFile, from start: Int
  ) throws -> [any StorageBytes] {
    let roots = Dictionary(uniqueKeysWithValues: storages.roots.enumerated().map { ($1.key, $0) })
    var found: [Int: FileBytes] = [:]
    var position = start
    for key in keys {
      guard let place = roots[key] else {
        throw InputError(.missing, "no tensor lies in the storage", subject: key.string, offset: UInt64(position))
      }
      let root = storages.roots[place]
      var cursor = ByteCursor(try file.read(at: position, count: 8), file: file.path, base: position)
      let count = try cursor.uint64("element count")
      guard count == UInt64(root.count) else {
        throw InputError(
          .bounds, "the pickle says \(root.count) elements, the storage says \(count)", subject: key.string,
          offset: UInt64(position))
      }
      position += 8
      guard root.byteCount <= file.size - position else {
        throw InputError(
          .bounds, "\(root.byteCount) bytes announced, the file has \(file.size - position) more", subject: key.string,
          offset: UInt64(position), remedy: "download the file again")
      }
      guard found.updateValue(FileBytes(file: file, offset: position, size: root.byteCount), forKey: place) == nil
      else {
        throw InputError(.duplicate, "the storage stands twice", subject: key.string, offset: UInt64(position))
      }
      position += root.byteCount
    }
    guard position == file.size else {
      throw InputError(.gap, "\(file.size - position) bytes follow the last storage", offset: UInt64(position))
    }
    return try storages.roots.indices.map { place -> any StorageBytes in
      guard let bytes = found[place] else {
        throw InputError(.missing, "the storage is not in the file", subject: storages.roots[place].key.string)
      }
      return bytes
    }
  }
}
