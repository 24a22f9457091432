"""Type decisions beside `llama-quantize --dry-run`: every file type, on models of zeros in many shapes.

    recipes.py PROBE LLAMA_QUANTIZE [--only MODEL]
    recipes.py --record SNAPSHOTS > fixtures/recipes/dense.txt

PROBE is the executable quern-peer. Prints a line a model and exits with 1 when any tensor's type differs. The second form
packs llama.cpp's golden files tests/snapshots/*.schema of dense models.
"""
import argparse
import os
import re
import struct
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

NAMES = """Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q2_K_S Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K IQ1_S IQ1_M IQ2_XXS
IQ2_XS IQ2_S IQ2_M IQ3_XXS IQ3_XS IQ3_S IQ3_M IQ4_NL IQ4_XS TQ1_0 TQ2_0 MXFP4_MOE Q1_0 Q2_0 F32 F16 BF16 Q3_K Q4_K
Q5_K""".split()

# Only what the rules look at is like the model named; rows are short. `apart` has a tensor an expert.
MODELS = {
    "tiny-llama": dict(layers=6, heads=8, kv=4, embedding=256, ff=768, head=32),
    "smollm2": dict(layers=30, heads=9, kv=3, embedding=576, ff=1536, head=64, tied=True),
    "untied-576": dict(layers=16, heads=9, kv=3, embedding=576, ff=1536, head=64),
    "llama-2-7b": dict(layers=32, heads=32, kv=32, embedding=512, ff=1024, head=16),
    "llama-3-8b": dict(layers=32, heads=32, kv=8, embedding=512, ff=1792, head=16),
    "llama-3.2-1b": dict(layers=16, heads=32, kv=8, embedding=512, ff=2048, head=16, tied=True),
    "65b": dict(layers=80, heads=64, kv=64, embedding=512, ff=1024, head=8),
    "70b": dict(layers=80, heads=64, kv=8, embedding=512, ff=1024, head=8),
    "70b-pairs": dict(layers=80, heads=64, kv=32, embedding=512, ff=1024, head=8),
    "mixtral": dict(layers=32, heads=32, kv=8, embedding=512, ff=1024, head=16, experts=8),
    "mixtral-mha": dict(layers=32, heads=32, kv=32, embedding=512, ff=1024, head=16, experts=8),
    "mixtral-tied": dict(layers=17, heads=8, kv=4, embedding=512, ff=1024, head=64, experts=8, tied=True),
    "mixtral-apart": dict(layers=16, heads=8, kv=4, embedding=512, ff=1024, head=64, experts=8, apart=True),
    "mixtral-80": dict(layers=80, heads=64, kv=8, embedding=512, ff=1024, head=8, experts=8),
    "four-experts": dict(layers=9, heads=8, kv=4, embedding=512, ff=1024, head=64, experts=4),
    "four-experts-80": dict(layers=80, heads=64, kv=8, embedding=512, ff=1024, head=8, experts=4),
    "two-experts": dict(layers=24, heads=8, kv=4, embedding=512, ff=1024, head=64, experts=2),
    "many-experts": dict(layers=12, heads=8, kv=2, embedding=512, ff=288, head=64, experts=60),
    "one-layer": dict(layers=1, heads=4, kv=4, embedding=256, ff=512, head=64),
    "rows-of-96": dict(layers=10, heads=6, kv=2, embedding=96, ff=352, head=16),
    "odd-feed-forward": dict(layers=24, heads=8, kv=8, embedding=512, ff=1344 + 16, head=64),
    "odd-rows": dict(layers=8, heads=4, kv=2, embedding=100, ff=300, head=26),
    "odd-tied": dict(layers=8, heads=4, kv=2, embedding=100, ff=300, head=26, tied=True),
    "qwen2-72b": dict(architecture="qwen2", layers=80, heads=64, kv=8, embedding=512, ff=1024, head=8, bias=True),
    "qwen2-80-mha": dict(architecture="qwen2", layers=80, heads=8, kv=8, embedding=512, ff=1024, head=64, bias=True),
    "biases": dict(layers=12, heads=8, kv=2, embedding=512, ff=1024, head=64, bias=True, rope_freqs=True),
}

# Flags of llama-quantize, the same for the probe, and the file types tried with them.
FLAGS = [
    (["--pure"], ["pure"], NAMES),
    (["--leave-output-tensor"], ["leave-output"], NAMES),
    (["--output-tensor-type", "q8_0"], ["output=q8_0"], NAMES),
    (["--token-embedding-type", "q8_0"], ["embedding=q8_0"], NAMES),
    (["--output-tensor-type", "f16", "--token-embedding-type", "bf16", "--pure"],
     ["output=f16", "embedding=bf16", "pure"], ["Q4_K_M", "IQ2_M", "F16", "MXFP4_MOE"]),
    (["--tensor-type", "blk\\.[0-3]\\.ATTN_V=q8_0", "--tensor-type", "attn_(v|q)=iq4_xs"],
     ["override=blk\\.[0-3]\\.ATTN_V=q8_0", "override=attn_(v|q)=iq4_xs"], None),
    (["--tensor-type", "ffn_down=q4_k", "--pure"], ["override=ffn_down=q4_k", "pure"], None),
    (["--tensor-type", "(0|3|5)\\.ffn_down=q6_k", "--tensor-type", "^token_embd\\.weight$=q5_0",
      "--output-tensor-type", "q4_0"],
     ["override=(0|3|5)\\.ffn_down=q6_k", "override=^token_embd\\.weight$=q5_0", "output=q4_0"], None),
]
BLOCKED = [name for name in NAMES if name not in ("F32", "F16", "BF16")]


def tensors(m):
    """Name and shape (rows first) of every tensor, in an order of no meaning."""
    e, ff, q, kv = m["embedding"], m["ff"], m["heads"] * m["head"], m["kv"] * m["head"]
    yield "token_embd.weight", (512, e)
    yield "output_norm.weight", (e,)
    if not m.get("tied"):
        yield "output.weight", (512, e)
    if m.get("rope_freqs"):
        yield "rope_freqs.weight", (m["head"] // 2,)
    for layer in reversed(range(m["layers"])):
        b = f"blk.{layer}."
        yield b + "attn_norm.weight", (e,)
        yield b + "ffn_norm.weight", (e,)
        yield b + "attn_q.weight", (q, e)
        yield b + "attn_k.weight", (kv, e)
        yield b + "attn_v.weight", (kv, e)
        yield b + "attn_output.weight", (e, q)
        if m.get("bias"):
            for part, rows in (("q", q), ("k", kv), ("v", kv)):
                yield b + f"attn_{part}.bias", (rows,)
        n = m.get("experts", 0)
        parts = {"gate": (ff, e), "up": (ff, e), "down": (e, ff)}
        if n:
            yield b + "ffn_gate_inp.weight", (n, e)
        for part, shape in parts.items():
            if not n:
                yield b + f"ffn_{part}.weight", shape
            elif m.get("apart"):
                for expert in range(n):
                    yield b + f"ffn_{part}.{expert}.weight", shape
            else:
                yield b + f"ffn_{part}_exps.weight", (n, *shape)


def write(path, m):
    """A GGUF whose data is a hole in the file."""
    import gguf
    import numpy as np

    w = gguf.GGUFWriter(path, m.get("architecture", "llama"))
    w.add_block_count(m["layers"])
    w.add_context_length(512)
    w.add_embedding_length(m["embedding"])
    w.add_feed_forward_length(m["ff"])
    w.add_head_count(m["heads"])
    w.add_head_count_kv(m["kv"])
    w.add_key_length(m["head"])
    w.add_value_length(m["head"])
    w.add_rope_dimension_count(m["head"])
    w.add_layer_norm_rms_eps(1e-5)
    w.add_vocab_size(512)
    if m.get("experts"):
        w.add_expert_count(m["experts"])
        w.add_expert_used_count(min(2, m["experts"]))
    size = 0
    for name, shape in tensors(m):
        full = len(shape) < 2 or "ffn_gate_inp" in name
        dtype = np.dtype(np.float32 if full else np.float16)
        count = int(np.prod(shape)) * dtype.itemsize
        w.add_tensor_info(name, shape, dtype, count)
        size += -(-count // 32) * 32
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_ti_data_to_file()
    w.close()
    start = -(-os.path.getsize(path) // 32) * 32
    os.truncate(path, start + size)


def write_imatrix(path):
    """One entry in the older format: that there is a matrix is all that the rules ask."""
    name = b"blk.0.ffn_up.weight"
    with open(path, "wb") as f:
        f.write(struct.pack("<ii", 1, len(name)) + name + struct.pack("<ii", 1, 4) + struct.pack("<4f", 1, 1, 1, 1))
        f.write(struct.pack("<ii", 1, 1) + b"x")


LINE = re.compile(r"^\[ *\d+/ *\d+\] (\S+) +- \[.*?\], type = +(\S+), size = .*?(?:-> .* \((\S+)\))?$")


def theirs(quantize, path, name, flags):
    run = subprocess.run([quantize, "--dry-run", *flags, path, name], capture_output=True, text=True)
    text = run.stdout + run.stderr
    types = {"importance": "needed"} if "will require an imatrix" in text else {}
    for line in text.splitlines():
        if match := LINE.match(line.rstrip()):
            types[match[1]] = (match[3] or match[2]).upper()
    return (types, None) if run.returncode == 0 else (None, "; ".join(text.strip().splitlines()[-2:]))


def ours(probe, path, name, flags):
    run = subprocess.run([probe, "recipe", path, name, *flags], capture_output=True, text=True,
                         env=os.environ | {"SWIFT_BACKTRACE": "enable=no"})
    if run.returncode:
        return None, run.stderr.strip().splitlines()[0].partition("top level: ")[2]
    return dict(line.split("\t")[:2] for line in run.stdout.splitlines()), None


def compare(o):
    failed = False
    with tempfile.TemporaryDirectory() as work:
        imatrix = f"{work}/imatrix.dat"
        write_imatrix(imatrix)
        total = 0
        for model, m in MODELS.items():
            if o.only and model != o.only:
                continue
            path = f"{work}/{model}.gguf"
            write(path, m)
            names = {name for name, _ in tensors(m)}
            runs = [([], [], name) for name in NAMES] + [(["--imatrix", imatrix], ["imatrix"], name) for name in NAMES]
            runs += [(a, b, name) for a, b, chosen in FLAGS for name in chosen or BLOCKED]
            if m["embedding"] % 32:  # llama-quantize does not hold its flags against the rows, we do
                runs = [r for r in runs if not any("=q" in word and "override" not in word for word in r[1])]
            decisions = refused = 0
            both = lambda run: (theirs(o.quantize, path, run[2], run[0]), ours(o.probe, path, run[2], run[1]))
            with ThreadPoolExecutor() as pool:
                results = list(pool.map(both, runs))
            for (flags, words, name), ((a, error), (b, problem)) in zip(runs, results):
                where = f"{model} {name} {' '.join(words)}"
                if a is None or b is None:
                    refused += 1
                    if "no tensor type fallback" not in str(error) or "do not fill" not in str(problem):
                        failed = True
                        print(f"DIFFERS {where}: ours {problem or 'accepted'}; theirs {error or 'accepted'}")
                    continue
                if a.pop("importance", "") != b.pop("importance", "") and "imatrix" not in words:
                    failed = True
                    print(f"DIFFERS {where}: which of the two needs an importance matrix")
                if set(a) != names or set(b) != names:
                    failed = True
                    print(f"DIFFERS {where}: not every tensor listed ({len(a)} and {len(b)} of {len(names)})")
                    continue
                wrong = [t for t in a if a[t] != b[t]]
                decisions += len(a)
                if wrong:
                    failed = True
                    t = wrong[0]
                    print(f"DIFFERS {where}: {len(wrong)} tensors, first {t}: ours {b[t]}, theirs {a[t]}")
            os.remove(path)
            total += decisions
            print(f"{model}: {decisions} decisions in {len(runs)} runs, {refused} refused by both", flush=True)
        print(f"{total} decisions compared; {'some differ' if failed else '0 differ'}")
    return failed


def ranges(numbers):
    out = []
    for n in sorted(numbers):
        if out and out[-1][1] == n - 1:
            out[-1][1] = n
        else:
            out.append([n, n])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in out)


def record(folder):
    for model in ("meta-llama-3.1-70b-instruct", "qwen3-14b", "qwen3-0.6b", "gemma-3-4b-it"):
        lines = open(f"{folder}/{model}.schema").read().splitlines()
        facts = dict(re.findall(r"n_(\w+)=(\d+)", lines[1]))
        tied = not any(line.startswith("output.weight") for line in lines)
        print(f"model {lines[0].split()[-1]} {facts['embd']} {facts['ff']} {facts['layer']} {facts['head']} "
              f"{facts['head_kv']} {'tied' if tied else 'untied'}")
        sections = []
        for line in lines[2:]:
            if line.startswith("["):
                name, base = line.split()
                sections.append((name.strip("[]"), base.upper(), {}))
            elif line:
                tensor, kind = line.split()
                layer = re.match(r"blk\.(\d+)\.(.*)", tensor)
                sections[-1][2].setdefault((layer[2] if layer else tensor, kind.upper()), []).extend(
                    [int(layer[1])] if layer else [])
        for name, base, raised in sections:
            print(" | ".join([f"{name} {base}"] + [f"{part} {kind} {ranges(n)}".rstrip() for (part, kind), n in raised.items()]))


parser = argparse.ArgumentParser()
parser.add_argument("probe", nargs="?")
parser.add_argument("quantize", nargs="?")
parser.add_argument("--only")
parser.add_argument("--record")
o = parser.parse_args()
if o.record:
    record(o.record)
else:
    sys.exit(compare(o))
