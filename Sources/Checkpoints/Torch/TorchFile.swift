import Bytes
import Tensors

/// A file of `torch.save`, its archive and its pickle proved whole: every tensor of it can be read, and nothing in it was
/// run.
struct TorchFile {
  let file: RandomAccessFile
  /// In the order of the state dict, which is the one in which llama.cpp's converter meets them (0c1e57098).
  let tensors: [Tensor]
  /// Keys beside the tensors that stand for none.
  let otherKeys: [String]

  static let maximumPickleBytes = 32 << 20
  /// Views may repeat what a file holds, but not without end.
  private static let maximumRepetition = 16

  init(_ file: RandomAccessFile, kind: FileKind) throws {
    self.file = file
    do {
      switch kind {
      case .torchZip: (tensors, otherKeys) = try TorchArchive.read(file)
      case .torchLegacy: (tensors, otherKeys) = try TorchLegacy.read(file)
      case .tar:
        throw InputError(
          .unsupported, "is a tar archive, the form of PyTorch before 0.1.10",
          remedy: "load and save it with PyTorch 1.x")
      default: throw kind.refusal(expected: "a file of torch.save", file: file.path)
      }
    } catch let error as InputError { throw error.adding(file: file.path) }
  }

  /// The tensors of a state dict over its storages.
  static func tensors(
    of root: PickleValue, _ arena: PickleArena, file: RandomAccessFile, storages: [any StorageBytes]
  ) throws -> ([Tensor], [String]) {
    let state = try StateDict(root, arena)
    var total = 0
    let tensors = try state.tensors.map { name, view in
      let tensor = try Tensor(
        name: name.string, dtype: view.dtype, shape: view.shape, source: StridedRows(view, in: storages[view.root]))
      total = try SizeArithmetic.sum(total, tensor.byteCount)
      return tensor
    }
    guard total / maximumRepetition <= file.size else {
      throw InputError(
        .limit, "the tensors take \(total) bytes, the file has \(file.size): they repeat one another too often")
    }
    return (tensors, state.others)
  }
}

/// The form since PyTorch 1.6: a zip archive with one folder, `data.pkl` in it and a file `data/KEY` for each storage.
enum TorchArchive {
  static func read(_ file: RandomAccessFile) throws -> ([Tensor], [String]) {
    let archive = try ZipArchive(file)
    let root = try folder(of: archive)
    guard let pickle = archive[root + "data.pkl"] else {
      throw InputError(
        .unsupported, "is a zip archive without data.pkl, not a file of torch.save",
        remedy: "give the file of weights, or unpack the archive")
    }
    guard archive[root + "constants.pkl"] == nil else {
      throw InputError(
        .unsupported, "is a TorchScript module, which is a program", remedy: "save model.state_dict() instead")
    }
    try checkByteOrder(archive, root)

    let bytes = try archive.readAll(pickle, limit: TorchFile.maximumPickleBytes)
    do {
      var machine = Unpickler(bytes, base: pickle.isDeflated ? nil : pickle.dataOffset)
      let value = try machine.run()
      guard machine.position == bytes.count else {
        throw InputError(.pickle, "\(bytes.count - machine.position) bytes follow the pickle's STOP")
      }
      let storages = try machine.arena.storages.roots.map { try storage($0, archive, root) }
      return try TorchFile.tensors(of: value, machine.arena, file: file, storages: storages)
    } catch let error as InputError { throw error.adding(subject: pickle.name.string) }
  }

  /// `NAME/`, the one folder that everything lies in.
  private static func folder(of archive: ZipArchive) throws(InputError) -> String {
    var root: Substring.UTF8View?
    for entry in archive.entries {
      guard let slash = entry.name.utf8.firstIndex(of: UInt8(ascii: "/")) else {
        throw InputError(.zip, "lies in no folder, as all in a file of torch.save does", subject: entry.name.string)
      }
      let folder = entry.name.utf8[...slash]
      guard root.map({ $0.elementsEqual(folder) }) ?? true else {
        throw InputError(.zip, "lies in another folder than the entries before it", subject: entry.name.string)
      }
      root = folder
    }
    guard let root else { throw InputError(.zip, "the archive is empty") }
    return String(Substring(root))
  }

  private static func checkByteOrder(_ archive: ZipArchive, _ root: String) throws {
    guard let entry = archive[root + "byteorder"] else { return }
    let order = try archive.readAll(entry, limit: 64)
    guard order.elementsEqual("little".utf8) else {
      throw InputError(
        .endian, "byte order '\(printable(String(decoding: order, as: UTF8.self)))', only little is read",
        subject: entry.name.string, remedy: "save it on a little-endian machine")
    }
  }

  /// The entry of a storage, which must hold exactly what the pickle says.
  private static func storage(
    _ storage: TorchStorages.Root, _ archive: ZipArchive, _ root: String
  ) throws -> any StorageBytes {
    let name = root + "data/" + storage.key.string
    guard let entry = archive[name] else {
      throw InputError(.missing, "the archive has no such storage", subject: name, remedy: "download the file again")
    }
    guard entry.size == storage.byteCount else {
      throw InputError(
        .bounds, "the pickle says \(storage.byteCount) bytes, the entry has \(entry.size)", subject: name,
        offset: UInt64(entry.dataOffset))
    }
    return archive.bytes(of: entry)
  }
}
