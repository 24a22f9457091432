"""Records fixtures/blocks with libgguf: what ggml's quantizers write for hard rows, and what random blocks mean.

    record_blocks.py [--check] [--types Q4_K,...]

`--check` writes nothing and exits with 1 when a file would change. Of a super-block on which ggml (libggml-base)
aborts, what is recorded is how we mark it as refused: zeros with a scale that is NaN.
"""
import argparse
import sys
from pathlib import Path

import numpy as np

import ggml
import ggml_aborts
from block_data import importance, weights

FOLDER = Path(__file__).resolve().parents[2] / "fixtures/blocks"
COLUMNS = 512
NEEDS_IMPORTANCE = {"IQ2_XXS", "IQ2_XS", "IQ1_S"}
ROWS = ["normal", "uniform", "heavy-tailed", "mixed", "sparse", "offset", "constant", "levels", "denormal squares",
        "huge squares", "all bits", "zero"]
PLAIN = {"F16", "BF16", "Q8_0", "TQ1_0", "TQ2_0", "Q1_0", "Q2_0", "MXFP4", "NVFP4"}  # importance is ignored by these

parser = argparse.ArgumentParser()
parser.add_argument("--check", action="store_true")
parser.add_argument("--types", default="F16,BF16,Q8_0,Q4_0,Q4_1,Q5_0,Q5_1,Q2_K,Q3_K,Q4_K,Q5_K,Q6_K,IQ2_XXS,IQ2_XS,IQ2_S,IQ1_S,IQ1_M,IQ3_XXS,IQ3_S,IQ4_NL,IQ4_XS,"
                    "TQ1_0,TQ2_0,MXFP4,NVFP4,Q1_0,Q2_0,F8_E4M3,F8_E5M2")
o = parser.parse_args()
changed = []


def record(name, array):
    path, data = FOLDER / name, np.ascontiguousarray(array).tobytes()
    if path.exists() and path.read_bytes() == data:
        return
    changed.append(name)
    if not o.check:
        path.write_bytes(data)


def quantized(name, importance=None):
    if name.startswith(("IQ1", "IQ2", "IQ3")):
        return ggml_aborts.block_by_block(name, x, importance)
    return ggml.quantize(name, x, len(ROWS), COLUMNS, importance)


def decoded(name, blocks):
    """The first COLUMNS weights of random bytes."""
    match name:
        case "F16":
            return blocks.view(np.float16)[:COLUMNS].astype(np.float32)
        case "BF16":
            return (blocks.view(np.uint16)[:COLUMNS].astype(np.uint32) << 16).view(np.float32)
        case "F8_E4M3" | "F8_E5M2":
            import torch

            kind = torch.float8_e4m3fn if name == "F8_E4M3" else torch.float8_e5m2
            return torch.from_numpy(blocks[:COLUMNS].copy()).view(kind).float().numpy()
    elements, size = ggml.block(name)
    blocks = blocks[: COLUMNS // elements * size]
    return ggml.dequantize(name, blocks, 1, COLUMNS)


FOLDER.mkdir(exist_ok=True)
random = np.random.default_rng(2)
x = np.concatenate([weights(kind, (1, COLUMNS), random) for kind in ROWS])
w = importance("holes", COLUMNS, random)
bits = random.integers(0, 256, 4 * COLUMNS, np.uint8)
record("x.bin", x)
record("importance.bin", w)
record("random.bin", bits)
for name in o.types.split(","):
    record(f"{name}.values.bin", decoded(name, bits))
    if name.startswith("F8"):
        continue
    if name not in NEEDS_IMPORTANCE:
        record(f"{name}.bin", quantized(name))
    if name not in PLAIN:
        record(f"{name}.importance.bin", quantized(name, w))
print(f"{len(changed)} files {'would change' if o.check else 'changed'} {' '.join(changed)}")
sys.exit(1 if changed else 0)
