"""Safetensors and PyTorch files beside `safetensors` and `torch.load`: no file that Quern accepts may be read differently.

    checkpoints.py PROBE [--count N] [--seed S]

PROBE is the `quern-peer` executable. N files of each kind are made: right ones of random names, types, shapes and views,
and damaged ones, in which a field of the header, the pickle or the archive was changed. Every right file must be accepted;
of the damaged ones, all that are accepted must give the same names, types, shapes and bytes. Exit 1 on any difference.
"""
import argparse
import collections
import io
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import warnings
import zipfile

import safetensors
import torch
from safetensors.torch import load_file, save

warnings.filterwarnings("ignore")
DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2", torch.int64: "I64", torch.int32: "I32",
    torch.int16: "I16", torch.int8: "I8", torch.uint64: "U64", torch.uint32: "U32", torch.uint16: "U16",
    torch.uint8: "U8", torch.bool: "BOOL",
}
UNTYPED = [torch.float8_e4m3fn, torch.float8_e5m2, torch.uint64, torch.uint32, torch.uint16]
SIZES = {name: torch.empty(0, dtype=dtype).element_size() for dtype, name in DTYPES.items()}


def raw(tensor):
    flat = tensor.detach().clone(memory_format=torch.contiguous_format).reshape(-1)
    return bytes(flat.view(torch.uint8).tolist()) if tensor.numel() else b""


def random_name(rng):
    return "".join(rng.choice("abz.0_é\"\\/ 😀\n") for _ in range(rng.randint(1, 8)))


def random_tensor(rng, dtype):
    shape = [rng.randint(0, 4) for _ in range(rng.randint(0, 4))]
    count = torch.Size(shape).numel()
    if dtype is torch.bool:
        return torch.tensor([rng.random() < 0.5 for _ in range(count)], dtype=dtype).reshape(shape)
    data = torch.tensor(list(rng.randbytes(count * SIZES[DTYPES[dtype]])), dtype=torch.uint8)
    return data.view(dtype).reshape(shape)


def random_view(rng, tensor):
    for _ in range(rng.randint(0, 3)):
        if tensor.dim() == 0:
            break
        axis, other = rng.randrange(tensor.dim()), rng.randrange(tensor.dim())
        kind = rng.randrange(3)
        if kind == 0:
            tensor = tensor.transpose(axis, other)
        elif kind == 1 and tensor.shape[axis] > 0:
            start = rng.randrange(tensor.shape[axis])
            tensor = tensor.narrow(axis, start, rng.randint(0, tensor.shape[axis] - start))
        elif kind == 2 and tensor.shape[axis] > 0:
            tensor = tensor.select(axis, rng.randrange(tensor.shape[axis]))
    return tensor


# Safetensors

def safetensors_file(rng):
    tensors = {random_name(rng): random_tensor(rng, rng.choice(list(DTYPES))) for _ in range(rng.randint(0, 5))}
    return save(tensors, metadata={"a": "b"} if rng.random() < 0.3 else None)


def damaged_safetensors(rng):
    blob = safetensors_file(rng)
    size = struct.unpack("<Q", blob[:8])[0]
    header, data = json.loads(blob[8 : 8 + size]), blob[8 + size :]
    numbers = [0, 1, 2, 3, 4, 8, len(data), len(data) + 1, 2**31, 2**63, 2**64 - 1, 2**64, -1, 1.0, "1", None]
    for _ in range(rng.randint(1, 2)):
        entries = [value for key, value in header.items() if isinstance(value, dict) and "shape" in value]
        kind = rng.randrange(7)
        if kind == 0 or not entries:
            header[random_name(rng)] = {"dtype": rng.choice(list(SIZES)), "shape": [0], "data_offsets": [len(data)] * 2}
        elif kind == 1:
            rng.choice(entries)["dtype"] = rng.choice(list(SIZES) + ["F4", "F8_E8M0", "C64", "f32", 1])
        elif kind == 2:
            shape = rng.choice(entries)["shape"]
            shape.insert(rng.randint(0, len(shape)), rng.choice(numbers))
        elif kind == 3:
            rng.choice(entries)["data_offsets"][rng.randrange(2)] = rng.choice(numbers)
        elif kind == 4:
            header["__metadata__"] = rng.choice([None, {}, {"a": 1}, {"a": "b"}, []])
        elif kind == 5:
            rng.choice(entries)["extra"] = rng.choice(numbers)
        else:
            data = data[: -rng.randint(1, 3)] if rng.random() < 0.5 else data + b"\0"
    text = json.dumps(header, ensure_ascii=rng.random() < 0.5).encode()
    if rng.random() < 0.3 and len(text) > 3:
        text = bytearray(text)
        text[rng.randrange(len(text))] = rng.choice(b'0123456789{}[]",: \\-.eu\0\xff')
        text = bytes(text)
    if rng.random() < 0.2:
        text = rng.choice([b" ", b"\n", b"", b"\xef\xbb\xbf"]) + text + rng.choice([b" ", b"\0", b"x", b"  "])
    length = len(text) + (rng.choice([-1, 1]) if rng.random() < 0.05 else 0)
    return struct.pack("<Q", length) + text + data


def read_safetensors(path):
    names = {dtype: name for dtype, name in DTYPES.items()}
    return {name: (names[t.dtype], list(t.shape), raw(t)) for name, t in load_file(path).items()}


# PyTorch

def torch_file(rng):
    tensors = collections.OrderedDict()
    is_zip = rng.random() < 0.7
    # torch.load reads no untyped storages of the legacy form.
    dtypes = [dtype for dtype in DTYPES if is_zip or dtype not in UNTYPED]
    base = [random_tensor(rng, rng.choice(dtypes)) for _ in range(3)]
    for _ in range(rng.randint(1, 6)):
        tensors[random_name(rng)] = random_view(rng, rng.choice(base))
    if rng.random() < 0.2:
        tensors = {"model": dict(tensors), "epoch": 1}
    out = io.BytesIO()
    torch.save(tensors, out, _use_new_zipfile_serialization=is_zip)
    return out.getvalue()


def damaged_torch(rng):
    blob = bytearray(torch_file(rng))
    if blob[:2] == b"PK" and rng.random() < 0.7:
        # A changed pickle in a right archive: the only damage that no checksum tells.
        source = zipfile.ZipFile(io.BytesIO(bytes(blob)))
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as target:
            for info in source.infolist():
                data = bytearray(source.read(info))
                if info.filename.endswith("data.pkl"):
                    for _ in range(rng.randint(1, 2)):
                        place = rng.randrange(2, len(data))
                        data[place] = rng.choice([data[place] ^ 1, rng.randrange(256), *b"\x85\x86\x87t(KMJ)}]R"])
                target.writestr(zipfile.ZipInfo(info.filename), bytes(data))
        return out.getvalue()
    for _ in range(rng.randint(1, 3)):
        blob[rng.randrange(len(blob))] = rng.randrange(256)
    return bytes(blob)


def read_torch(path):
    value = torch.load(path, weights_only=True)
    for key in "state_dict", "model_state_dict", "model", "module":
        if not any(isinstance(item, torch.Tensor) for item in value.values()) and isinstance(value.get(key), dict):
            value = value[key]
    return {
        name: (DTYPES[t.dtype], list(t.shape), raw(t)) for name, t in value.items() if isinstance(t, torch.Tensor)
    }


# Comparison

def probe(executable, paths, folder):
    (folder / "list").write_text("\n".join(map(str, paths)))
    subprocess.run([executable, "read-checkpoints", folder / "list", folder / "out"], check=True)
    lines = iter((folder / "out").read_text().splitlines())
    for _ in paths:
        kind, value = next(lines).split()
        if kind == "error":
            yield value
            continue
        tensors = {}
        for _ in range(int(value)):
            name, dtype, shape, *data = next(lines).split(" ")
            shape = [] if shape == "-" else [int(part) for part in shape.split(",")]
            tensors[bytes.fromhex(name).decode()] = (dtype, shape, bytes.fromhex(data[0]))
        yield tensors


def compare(title, executable, make, read, suffix, count, seed, is_right):
    rng = random.Random(seed)
    accepted = differences = refused_by_peer = 0
    codes = collections.Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        paths = []
        for index in range(count):
            paths.append(folder / f"{index}{suffix}")
            paths[-1].write_bytes(make(rng))
        for path, found in zip(paths, probe(executable, paths, folder)):
            if isinstance(found, str):
                codes[found] += 1
                if is_right:
                    try:
                        expected = read(path)
                    except Exception:
                        continue
                    if expected:
                        differences += 1
                        print(f"{title} {path.name}: refused ({found}), the peer reads {list(expected)}")
                continue
            accepted += 1
            try:
                expected = read(path)
            except Exception as error:
                refused_by_peer += 1
                print(f"{title} {path.name}: accepted, the peer refuses: {str(error)[:150]!r}")
                continue
            if found != expected:
                differences += 1
                print(f"{title} {path.name} (seed {seed}): read differently: {list(found)} and {list(expected)}")
    print(
        f"{title}: {count} files, {accepted} accepted, {differences} differences, {refused_by_peer} that only the peer "
        f"refuses; refused: {dict(codes)}"
    )
    return differences


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("probe")
    parser.add_argument("--count", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=4)
    options = parser.parse_args()
    print(f"safetensors {safetensors.__version__}, torch {torch.__version__}, seed {options.seed}")
    runs = [
        ("safetensors", safetensors_file, read_safetensors, ".safetensors", True),
        ("damaged safetensors", damaged_safetensors, read_safetensors, ".safetensors", False),
        ("torch", torch_file, read_torch, ".pt", True),
        ("damaged torch", damaged_torch, read_torch, ".pt", False),
    ]
    total = 0
    for title, make, read, suffix, is_right in runs:
        total += compare(title, options.probe, make, read, suffix, options.count, options.seed, is_right)
    sys.exit(1 if total else 0)


if __name__ == "__main__":
    main()
