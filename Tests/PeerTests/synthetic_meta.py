"""A checkpoint in Meta's form and a real Llama's shape whose weights are zeros that take no room on the disk.

    synthetic_meta.py OUT [--shards 8] [--layers 80] [--dim 8192] [--heads 64] [--kv-heads 8] [--multiple-of 4096]
                      [--multiplier 1.3] [--rows 128256]

The default is the shape of Llama 3.1 70B: 141 GB in 8 shards. tokenizer.model has the bytes and whatever more tokens are
needed. For measuring memory and time on files that no test machine has room for.
"""
import argparse
import base64
import json
import os
import struct
import zlib

parser = argparse.ArgumentParser()
parser.add_argument("out")
for name, value in dict(shards=8, layers=80, dim=8192, heads=64, kv_heads=8, multiple_of=4096, rows=128256).items():
    parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
parser.add_argument("--multiplier", type=float, default=1.3)
o = parser.parse_args()

ffn = int(o.multiplier * (8 * o.dim // 3))
ffn = -(-ffn // o.multiple_of) * o.multiple_of
kv, n = o.kv_heads * o.dim // o.heads, o.shards
layer = {
    "attention.wq": (o.dim // n, o.dim), "attention.wk": (kv // n, o.dim), "attention.wv": (kv // n, o.dim), "attention.wo": (o.dim, o.dim // n),
    "feed_forward.w1": (ffn // n, o.dim), "feed_forward.w2": (o.dim, ffn // n), "feed_forward.w3": (ffn // n, o.dim),
    "attention_norm": (o.dim,), "ffn_norm": (o.dim,)}
shapes = {"tok_embeddings": (o.rows // n, o.dim), "norm": (o.dim,), "output": (o.rows // n, o.dim)}
for index in range(o.layers):
    shapes |= {f"layers.{index}.{name}": shape for name, shape in layer.items()}


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def integer(value):
    return b"J" + struct.pack("<i", value) if value < 2**31 else b"\x8a\x08" + struct.pack("<q", value)


def tuple_of(*items):
    return b"(" + b"".join(items) + b"t"


def tensor(key, shape):
    count = shape[0] * (shape[1] if len(shape) > 1 else 1)
    strides = (shape[1], 1) if len(shape) > 1 else (1,)
    storage = tuple_of(text("storage"), b"ctorch\nBFloat16Storage\n", text(str(key)), text("cpu"), integer(count)) + b"Q"
    ordered = b"ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + tuple_of(
        storage, integer(0), tuple_of(*map(integer, shape)), tuple_of(*map(integer, strides)), b"\x89", ordered) + b"R"


checksums = {}


def zeros_checksum(size):
    if size not in checksums:
        crc, block, left = 0, bytes(1 << 24), size
        while left:
            crc = zlib.crc32(block[: min(left, len(block))], crc)
            left -= min(left, len(block))
        checksums[size] = crc
    return checksums[size]


def write_shard(path):
    body = b"\x80\x02}("
    sizes = []
    for key, (name, shape) in enumerate(shapes.items()):
        body += text(name + ".weight") + tensor(key, shape)
        sizes.append(2 * shape[0] * (shape[1] if len(shape) > 1 else 1))
    pickled = body + b"u."
    entries = [("data.pkl", pickled), ("byteorder", b"little"), ("version", b"3\n")] + [(f"data/{key}", size) for key, size in enumerate(sizes)]
    with open(path, "wb") as file:
        directory = b""
        for name, content in entries:
            name = ("consolidated/" + name).encode()
            size = content if isinstance(content, int) else len(content)
            crc = zeros_checksum(size) if isinstance(content, int) else zlib.crc32(content)
            offset = file.tell()
            file.write(struct.pack("<IHHHHHIIIHH", 0x04034B50, 45, 0x800, 0, 0, 0, crc, size, size, len(name), 0) + name)
            if isinstance(content, int):
                file.seek(size, os.SEEK_CUR)
            else:
                file.write(content)
            extra = struct.pack("<HHQ", 1, 8, offset) if offset >= 0xFFFFFFFF else b""
            directory += struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 45, 45, 0x800, 0, 0, 0, crc, size, size, len(name), len(extra), 0, 0, 0, 0,
                                     0xFFFFFFFF if extra else offset) + name + extra
        start = file.tell()
        file.write(directory)
        end = file.tell()
        file.write(struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, len(entries), len(entries), len(directory), start))
        file.write(struct.pack("<IIQI", 0x07064B50, 0, end, 1))
        file.write(struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, len(entries), len(entries), len(directory), min(start, 0xFFFFFFFF), 0))


os.makedirs(o.out, exist_ok=True)
for index in range(n):
    write_shard(f"{o.out}/consolidated.{index:02d}.pth")
json.dump(dict(dim=o.dim, n_layers=o.layers, n_heads=o.heads, n_kv_heads=o.kv_heads, vocab_size=o.rows, multiple_of=o.multiple_of,
               ffn_dim_multiplier=o.multiplier, norm_eps=1e-5, rope_theta=500000.0, use_scaled_rope=True), open(f"{o.out}/params.json", "w"))
with open(f"{o.out}/tokenizer.model", "wb") as file:
    for index in range(o.rows - 256):
        token = bytes([index]) if index < 256 else b"~" + index.to_bytes(3, "big")
        file.write(base64.b64encode(token) + f" {index}\n".encode())
