"""Block quantizers beside ggml's own, through libgguf: every byte, with and without importance weights.

    blocks.py PROBE [--weights 10000000] [--types Q4_K,...] [--path kernel|definition]

PROBE is the executable quern-peer. Weights are counted over all data sets together, each with rows of its own kind; with
importance, each data set meets importance of every kind. Then blocks of random bytes are dequantized. Prints a line a
format, exits with 1 when any byte of blocks, or any bit of a dequantized float, differs; a NaN equals any other.
"""
import argparse
import subprocess
import sys
import tempfile

import libgguf
import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

COLUMNS = 2048
PLAIN = {"F32", "F16", "BF16", "Q8_0"}  # importance is ignored by these


def floats(x):
    return np.ascontiguousarray(x, np.float32)


def data(kind, rows, random):
    """Finite weights (rows, COLUMNS)."""
    shape = (rows, COLUMNS)
    normal = random.standard_normal(shape, np.float32)
    match kind:
        case "normal":
            return floats(0.02 * normal)
        case "uniform":
            return floats(random.uniform(-1, 1, shape))
        case "heavy-tailed":
            return floats(np.clip(random.standard_cauchy(shape), -1e6, 1e6))
        case "outliers":
            return floats(np.where(random.random(shape) < 0.004, 1e4, 1) * normal)
        case "zero":
            return floats(np.zeros(shape) * random.choice([1, -1], shape))
        case "sparse":
            return floats(np.where(random.random(shape) < 0.97, 0, normal))
        case "constant":
            return floats(np.repeat(normal[:, ::32], 32, axis=1))
        case "offset":
            return floats(3 + 0.01 * normal)
        case "levels":  # many ties in every rounding
            return floats(random.integers(-16, 16, shape) / 2)
        case "ternary":
            return floats(random.integers(-1, 2, shape))
        case "bf16":
            return (normal.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
        case "denormal":
            return floats(random.integers(-99, 100, shape) * 2.0**-149)
        case "denormal squares":
            return floats(normal * np.float32(2.0**-70))
        case "huge":  # scales overflow a half, which makes them infinite here and there
            return floats(normal * np.float32(2.0**100))
        case "huge squares":  # sums of squares overflow a float, but not all do
            return floats(normal * np.float32(2.0**60))
        case "all bits":
            bits = random.integers(0, 2**32, shape, np.uint32).view(np.float32)
            return floats(np.where(np.isfinite(bits), bits, 0))
        case "wide":
            return floats(normal * np.exp2(random.integers(-60, 60, shape)))
        case "mixed":  # every group of 16 of another kind, many of them zero, of one sign or constant
            x = normal.reshape(-1, 16)
            which = random.integers(0, 6, len(x))
            x[which == 0] = 0
            x[which == 1] = np.abs(x[which == 1])
            x[which == 2] = -np.abs(x[which == 2])
            x[which == 3] = x[which == 3][:, :1]
            x[which == 4] *= np.float32(2.0**-20)
            return x.reshape(shape)


SHARES = {"normal": 3, "uniform": 1, "heavy-tailed": 1, "mixed": 2, "wide": 1, "bf16": 1, "outliers": 0.5, "sparse": 0.5,
          "offset": 0.5, "constant": 0.5, "levels": 0.5, "ternary": 0.3, "denormal": 0.3, "denormal squares": 0.3,
          "huge": 0.3, "huge squares": 0.3, "all bits": 0.3, "zero": 0.1}


def importance(kind, random):
    """Of each column. Calibration gives columns that were never excited, and whole blocks of them."""
    positive = random.standard_normal(COLUMNS) ** 2
    match kind:
        case "positive":
            return floats(positive + 1e-3)
        case "holes":
            return floats(np.where(random.random(COLUMNS) < 0.5, 0, positive))
        case "holes of blocks":
            return floats(np.repeat(random.random(COLUMNS // 32) < 0.5, 32) * positive)
        case "zero":
            return floats(np.zeros(COLUMNS))
        case "wide":
            return floats(np.exp2(random.uniform(-40, 40, COLUMNS)))
        case "denormal":
            return floats(random.integers(0, 99, COLUMNS) * 2.0**-149)
        case "huge":
            return floats(1e36 * positive)


KINDS = {"positive": 4, "holes": 1, "holes of blocks": 1, "zero": 0.2, "wide": 1, "denormal": 0.3, "huge": 0.3}

parser = argparse.ArgumentParser()
parser.add_argument("probe")
parser.add_argument("--weights", type=int, default=10_000_000)
parser.add_argument("--types", default="F16,BF16,Q8_0,Q4_0,Q4_1,Q5_0,Q5_1,Q2_K,Q3_K,Q4_K,Q5_K,Q6_K")
parser.add_argument("--path", default="kernel", choices=["kernel", "definition"])
o = parser.parse_args()


def dequantized(qtype, blocks, rows):
    """By libgguf, or by numpy where that has no such type."""
    match qtype.name:
        case "F16":
            return blocks.view(np.float16).astype(np.float32)
        case "BF16":
            return (blocks.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(libgguf.dequantize_rows_raw(qtype, blocks, rows, COLUMNS), np.float32)


def differing_floats(a, b):
    """Bits of a and b differ, save that both may be any NaN."""
    return int(np.count_nonzero((a.view(np.uint32) != b.view(np.uint32)) & ~(np.isnan(a) & np.isnan(b))))


def main(work):
    path = lambda name: f"{work}/{name}"

    def quantize(name, x, weights):
        x.tofile(path("x"))
        if weights is not None:
            weights.tofile(path("w"))
        subprocess.run([o.probe, "quantize", name, str(COLUMNS), path("x"), path("q"),
                        "-" if weights is None else path("w"), o.path], check=True)
        return np.fromfile(path("q"), np.uint8)

    def dequantize(name, blocks, count):
        blocks.tofile(path("q"))
        subprocess.run([o.probe, "dequantize", name, str(count), path("q"), path("y"), o.path], check=True)
        return np.fromfile(path("y"), np.float32)

    failed = False
    for name in o.types.split(","):
        qtype = GGMLQuantizationType[name]
        for weighted in [False] if name in PLAIN else [False, True]:
            total = wrong = 0
            differing = []
            every = sum(SHARES.values()) * (sum(KINDS.values()) if weighted else 1)
            for i, (kind, share) in enumerate(SHARES.items()):
                for j, (weights_kind, weights_share) in enumerate(KINDS.items() if weighted else [(None, 1)]):
                    random = np.random.default_rng([i, j, weighted])
                    rows = int(o.weights * share * weights_share / every / COLUMNS) + 1
                    x = data(kind, rows, random)
                    weights = importance(weights_kind, random) if weighted else None
                    ours = quantize(name, x, weights)
                    theirs = np.frombuffer(libgguf.quantize_rows_raw(qtype, x, rows, COLUMNS, weights), np.uint8)
                    total += x.size
                    if len(ours) != len(theirs) or not np.array_equal(ours, theirs):
                        bad = int(np.count_nonzero(ours != theirs)) if len(ours) == len(theirs) else max(len(ours), len(theirs))
                        wrong += bad
                        differing.append(f"{kind}{' with ' + weights_kind if weighted else ''} {bad}")
            failed = failed or wrong > 0
            note = f" ({', '.join(differing)})" if differing else ""
            print(f"{name}{' with importance' if weighted else ''}: {total} weights, {wrong} differing bytes{note}", flush=True)

        elements, size = GGML_QUANT_SIZES[qtype]
        rows = max(1, min(o.weights, 2_000_000) // COLUMNS)
        blocks = np.random.default_rng(1).integers(0, 256, rows * COLUMNS // elements * size, np.uint8)
        ours = dequantize(name, blocks, rows * COLUMNS)
        theirs = dequantized(qtype, blocks, rows)
        wrong = differing_floats(ours, theirs)
        failed = failed or wrong > 0
        print(f"{name} dequantized: {len(ours)} weights of random blocks, {wrong} differing floats", flush=True)
    return failed


with tempfile.TemporaryDirectory() as folder:
    sys.exit(1 if main(folder) else 0)
