"""Block quantizers beside ggml's own, through libgguf (ggml.py): every byte, with and without importance weights.

    blocks.py PROBE [--weights 10000000] [--types Q4_K,...] [--path kernel|definition] [--ggml LIBRARY]

PROBE is the executable quern-peer. Weights are counted over all data sets together, each with rows of its own kind; with
importance, each data set meets importance of every kind. Then blocks of random bytes are dequantized. Prints a line a
format, exits with 1 when any byte of blocks, or any bit of a dequantized float, differs; a NaN equals any other.

Rows on which ggml (libggml-base, LIBRARY) aborts are counted apart: ours must be blocks that are refused, because they do not
mean finite numbers.
"""
import argparse
import subprocess
import sys
import tempfile

import numpy as np

import ggml
import ggml_aborts
from block_data import IMPORTANCE, WEIGHTS, importance, weights

COLUMNS = 2048
NEEDS_IMPORTANCE = {"IQ2_XXS", "IQ2_XS", "IQ1_S"}
# ggml takes seconds for a million of these: a tenth of the weights will do.
SLOW = {"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S"}
DEFAULT = ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS",
           "IQ3_XXS", "IQ3_S", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ1_S", "IQ1_M", "TQ1_0", "TQ2_0", "MXFP4", "NVFP4", "Q1_0", "Q2_0"]
PLAIN = {"F32", "F16", "BF16", "Q8_0", "TQ1_0", "TQ2_0", "Q1_0", "Q2_0", "MXFP4", "NVFP4"}  # importance is ignored by these


parser = argparse.ArgumentParser()
parser.add_argument("probe")
parser.add_argument("--weights", type=int, default=10_000_000)
parser.add_argument("--types", default=",".join(DEFAULT))
parser.add_argument("--path", default="kernel", choices=["kernel", "definition"])
parser.add_argument("--ggml", default=ggml_aborts.LIBRARY)
o = parser.parse_args()


def dequantized(name, blocks, rows):
    """By libgguf, or by numpy where that has no such type."""
    match name:
        case "F16":
            return blocks.view(np.float16).astype(np.float32)
        case "BF16":
            return (blocks.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return ggml.dequantize(name, blocks, rows, COLUMNS)


def differing_floats(a, b):
    """Bits of a and b differ, save that both may be any NaN."""
    return int(np.count_nonzero((a.view(np.uint32) != b.view(np.uint32)) & ~(np.isnan(a) & np.isnan(b))))


def main(work):
    path = lambda name: f"{work}/{name}"

    def quantize(name, x, w):
        x.tofile(path("x"))
        if w is not None:
            w.tofile(path("w"))
        subprocess.run([o.probe, "quantize", name, str(COLUMNS), path("x"), path("q"),
                        "-" if w is None else path("w"), o.path], check=True)
        return np.fromfile(path("q"), np.uint8)

    def dequantize(name, blocks, count):
        blocks.tofile(path("q"))
        subprocess.run([o.probe, "dequantize", name, str(count), path("q"), path("y"), o.path], check=True)
        return np.fromfile(path("y"), np.float32)

    def compared(name, x, w, ours, theirs):
        """Differing bytes, and rows that ggml aborts on."""
        ours, theirs = ours.reshape(len(x), -1), theirs.reshape(len(x), -1)
        bad = aborted = 0
        for row in np.flatnonzero((ours != theirs).any(axis=1)):
            if name in SLOW and ggml_aborts.aborts(name, x[row], w, o.ggml):
                aborted += 1
                bad += bool(np.isfinite(dequantize(name, ours[row], COLUMNS)).all())
            else:
                bad += int(np.count_nonzero(ours[row] != theirs[row]))
        return bad, aborted

    failed = False
    for name in o.types.split(","):
        count = o.weights // 10 if name in SLOW else o.weights
        for weighted in [False] if name in PLAIN else [True] if name in NEEDS_IMPORTANCE else [False, True]:
            total = wrong = aborted = 0
            differing = []
            every = sum(WEIGHTS.values()) * (sum(IMPORTANCE.values()) if weighted else 1)
            for i, (kind, share) in enumerate(WEIGHTS.items()):
                for j, (w_kind, w_share) in enumerate(IMPORTANCE.items() if weighted else [(None, 1)]):
                    random = np.random.default_rng([i, j, weighted])
                    rows = int(count * share * w_share / every / COLUMNS) + 1
                    x = weights(kind, (rows, COLUMNS), random)
                    w = importance(w_kind, COLUMNS, random) if weighted else None
                    ours = quantize(name, x, w)
                    theirs = ggml_aborts.quantized(name, x, w) if name in SLOW else ggml.quantize(name, x, rows, COLUMNS, w)
                    total += x.size
                    if len(ours) != len(theirs) or not np.array_equal(ours, theirs):
                        bad = max(len(ours), len(theirs))
                        if len(ours) == len(theirs):
                            bad, given_up = compared(name, x, w, ours, theirs)
                            aborted += given_up
                        if not bad:
                            continue
                        wrong += bad
                        differing.append(f"{kind}{' with ' + w_kind if weighted else ''} {bad}")
            failed = failed or wrong > 0
            note = f", {aborted} rows on which ggml aborts" if aborted else ""
            note += f" ({', '.join(differing)})" if differing else ""
            print(f"{name}{' with importance' if weighted else ''}: {total} weights, {wrong} differing bytes{note}", flush=True)

        elements, size = ggml.block(name)
        rows = max(1, min(o.weights, 2_000_000) // COLUMNS)
        blocks = np.random.default_rng(1).integers(0, 256, rows * COLUMNS // elements * size, np.uint8)
        ours = dequantize(name, blocks, rows * COLUMNS)
        theirs = dequantized(name, blocks, rows)
        wrong = differing_floats(ours, theirs)
        failed = failed or wrong > 0
        print(f"{name} dequantized: {len(ours)} weights of random blocks, {wrong} differing floats", flush=True)
    return failed


with tempfile.TemporaryDirectory() as folder:
    sys.exit(1 if main(folder) else 0)
