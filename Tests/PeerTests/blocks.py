"""Block quantizers beside ggml's own, through libgguf: every byte, with and without importance weights.

    blocks.py PROBE [--weights 10000000] [--types Q4_K,...] [--path kernel|definition]

PROBE is the executable quern-peer. Weights are counted over all data sets together, each with rows of its own kind. Prints a
line a format, exits with 1 when any byte of blocks, or any bit of a dequantized float, differs.
"""
import argparse
import os
import subprocess
import sys
import tempfile

import libgguf
import numpy as np
from gguf import GGMLQuantizationType

parser = argparse.ArgumentParser()
parser.add_argument("probe")
parser.add_argument("--weights", type=int, default=10_000_000)
parser.add_argument("--types", default="F16,BF16,Q8_0,Q4_0,Q4_1,Q5_0,Q5_1,Q2_K,Q3_K,Q4_K,Q5_K,Q6_K")
parser.add_argument("--path", default="kernel")
o = parser.parse_args()

COLUMNS = 2048
PLAIN = {"F16", "BF16", "Q8_0"}  # importance is ignored by these


def data(kind, rows, random):
    shape = (rows, COLUMNS)
    normal = lambda: random.standard_normal(shape, dtype=np.float32)
    if kind == "normal":
        return 0.02 * normal()
    if kind == "uniform":
        return random.uniform(-1, 1, shape).astype(np.float32)
    if kind == "heavy-tailed":
        return np.clip(random.standard_cauchy(shape), -1e6, 1e6).astype(np.float32)
    if kind == "zero":
        return np.zeros(shape, np.float32) * random.choice([1, -1], shape).astype(np.float32)
    if kind == "constant":
        return np.repeat(normal()[:, ::32], 32, axis=1).copy()
    if kind == "denormal":
        return (normal() * np.float32(2.0**-132)).astype(np.float32)
    if kind == "huge":
        return (normal() * np.float32(2.0**100)).astype(np.float32)
    if kind == "bf16":
        return (normal().view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    if kind == "wide":
        return (normal() * np.exp2(random.integers(-60, 60, shape)).astype(np.float32)).astype(np.float32)
    # mixed: every group of 16 of another kind, many of them zero, of one sign or constant
    x = normal().reshape(-1, 16)
    which = random.integers(0, 6, len(x))
    x[which == 0] = 0
    x[which == 1] = np.abs(x[which == 1])
    x[which == 2] = -np.abs(x[which == 2])
    x[which == 3] = x[which == 3][:, :1]
    x[which == 4] *= np.float32(2.0**-20)
    return x.reshape(shape)


SHARES = {"normal": 3, "uniform": 1, "heavy-tailed": 1, "mixed": 2, "wide": 1, "bf16": 1, "zero": 0.1, "constant": 0.5,
          "denormal": 0.5, "huge": 0.5}
# F16 cannot hold every scale: where one overflows, ggml writes infinity, and so do we; such blocks dequantize to NaN.
failed = False
with tempfile.TemporaryDirectory() as work:
    path = lambda name: f"{work}/{name}"
    for name in o.types.split(","):
        qtype = GGMLQuantizationType[name]
        for weighted in (False, True):
            if weighted and name in PLAIN:
                continue
            total = wrong = wrong_floats = 0
            kinds = []
            for index, (kind, share) in enumerate(SHARES.items()):
                random = np.random.default_rng([index, weighted])
                rows = max(1, int(o.weights * share / sum(SHARES.values()) / COLUMNS) + 1)
                x = data(kind, rows, random)
                importance = None
                x.tofile(path("x"))
                if weighted:
                    importance = (random.standard_normal(COLUMNS).astype(np.float32) ** 2 + np.float32(1e-3)).astype(np.float32)
                    importance.tofile(path("w"))
                subprocess.run([o.probe, "quantize", name, str(COLUMNS), path("x"), path("q"),
                                path("w") if weighted else "-", o.path], check=True)
                ours = np.fromfile(path("q"), np.uint8)
                theirs = np.frombuffer(libgguf.quantize_rows_raw(qtype, x, rows, COLUMNS, importance), np.uint8)
                bad = int(np.count_nonzero(ours != theirs)) + abs(len(ours) - len(theirs))
                total += x.size
                wrong += bad
                if bad:
                    kinds.append(f"{kind} {bad}")
                if not weighted and name not in ("F16", "BF16"):
                    subprocess.run([o.probe, "dequantize", name, str(x.size), path("q"), path("y"), o.path], check=True)
                    y = np.fromfile(path("y"), np.uint32)
                    z = np.ascontiguousarray(
                        np.frombuffer(libgguf.dequantize_rows_raw(qtype, theirs, rows, COLUMNS), np.float32)).view(np.uint32)
                    finite = (z & 0x7F800000) != 0x7F800000
                    wrong_floats += int(np.count_nonzero(y[finite] != z[finite]))
            failed = failed or wrong > 0 or wrong_floats > 0
            note = f" ({', '.join(kinds)})" if kinds else ""
            print(f"{name}{' with importance' if weighted else ''}: {total} weights, {wrong} differing bytes{note}, "
                  f"{wrong_floats} differing floats", flush=True)
sys.exit(1 if failed else 0)
