"""KL divergence at equal bytes: Quern's calibrated conversions beside llama-quantize with llama-imatrix from the same text.

    quality.py VENV QUERN MODEL --calibrate FILE... --evaluate FILE... [--types Q4_K_M,...] [--ways best,gptq]
               [--seeds 1,2,3] [--steps] [--chunks 60]

llama-imatrix reads the calibration texts one after the other, cut to the same length; Quern is given the same pieces. For each
type the model is also converted with `--quality best --target-size` of llama-quantize's file, with --ways gptq by
`--method gptq` in the types of llama-quantize, and all are held against the model itself by `quern verify` in one walk over each
text of --evaluate. Printed are Markdown tables: bytes, KL with its standard error, the ratio, and the loss of perplexity. With
--seeds everything is done once a seed, which draws the lines of the calibration texts for both. With --steps, the first type is
converted in the ways between too, each named by its flags. With --llama-perplexity every file is also measured by llama.cpp, on
the first text: its KL rounds the reference's log-probabilities to 16 bits and activations to 8.
"""
import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time

parser = argparse.ArgumentParser()
parser.add_argument("venv")
parser.add_argument("quern")
parser.add_argument("model")
parser.add_argument("--calibrate", nargs="+", required=True)
parser.add_argument("--evaluate", nargs="+", required=True)
parser.add_argument("--types", default="Q4_K_M")
parser.add_argument("--ways", default="best", help="best, gptq or both")
parser.add_argument("--seeds", default="", help="such as 1,2,3")
parser.add_argument("--bytes", type=int, default=250_000, help="of each calibration text")
parser.add_argument("--chunks", type=int, default=60)
parser.add_argument("--steps", action="store_true")
parser.add_argument("--llama-perplexity", action="store_true")
parser.add_argument("--flags", nargs="*", default=[], help="more flags of every way")
parser.add_argument("--work", help="a folder that keeps the files, for another run")
parser.add_argument("--llama", help="the folder of llama.cpp's tools, when it is not the one in VENV")
o = parser.parse_args()
tools = o.llama or f"{o.venv}/llama.cpp/build/bin"
held = tempfile.TemporaryDirectory()
work = os.path.abspath(o.work or held.name)
os.makedirs(work, exist_ok=True)
name = os.path.basename(o.model.rstrip("/"))

STEPS = [
    ("importance matrix", []),
    ("importance matrix, `--search thorough`", ["--search", "thorough"]),
    ("`--method gptq`, plain", ["--method", "gptq", "--gptq", "order=natural", "--gptq",
                                                 "sequential=off", "--gptq", "refine=off"]),
    ("… ordered", ["--method", "gptq", "--gptq", "sequential=off", "--gptq", "refine=off"]),
    ("… sequential", ["--method", "gptq", "--gptq", "asymmetry=0", "--gptq", "refine=off"]),
    ("… scales refined", ["--method", "gptq", "--gptq", "asymmetry=0"]),
    ("… asymmetric target: `--method gptq`", ["--method", "gptq"]),
    ("… `--search thorough` outside the blocks", ["--method", "gptq", "--search", "thorough"]),
]


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 3):
        sys.exit(f"{' '.join(command)}: status {done.returncode}\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout + done.stderr


def made(path, *command):
    """The seconds that it took, 0 when it was there."""
    if os.path.exists(path):
        return 0
    began = time.perf_counter()
    run(*command)
    return time.perf_counter() - began


def drawn(path, seed):
    """The first bytes of a text, or whole lines of it drawn by a seed, in their order."""
    with open(path, "rb") as file:
        if not seed:
            return file.read(o.bytes).decode("utf-8", "ignore")
        lines = file.read().decode().splitlines(True)
    order, kept, size = list(range(len(lines))), set(), 0
    random.Random(f"{seed} {os.path.basename(path)}").shuffle(order)
    for index in order:
        if size < o.bytes:
            kept.add(index)
            size += len(lines[index].encode())
    return "".join(lines[index] for index in sorted(kept))


made(f"{work}/f16.gguf", o.quern, "convert", o.model, "--type", "F16", "-o", f"{work}/f16.gguf", "-q")


class Calibration:
    """The texts of one seed, llama.cpp's importance matrix of them, and its files."""

    def __init__(self, seed):
        self.label = f", seed {seed}" if seed else ""
        self.folder = f"{work}/seed-{seed}" if seed else work
        os.makedirs(self.folder, exist_ok=True)
        self.flags, self.importance, mixed = [], f"{self.folder}/importance.gguf", f"{self.folder}/mixed.txt"
        with open(mixed, "w") as whole:
            for path in o.calibrate:
                text, piece = drawn(path, seed), f"{self.folder}/{os.path.basename(path)}"
                with open(piece, "w") as file:
                    file.write(text)
                whole.write(text)
                self.flags += ["--calibration", piece]
        made(self.importance, f"{tools}/llama-imatrix", "-m", f"{work}/f16.gguf", "-f", mixed, "-o", self.importance, "-c", "512",
             "-t", "1")

    def base(self, type):
        path = f"{self.folder}/{type}-llama.gguf"
        made(path, f"{tools}/llama-quantize", "--imatrix", self.importance, f"{work}/f16.gguf", path, type)
        return path

    def ways(self, type, steps):
        """By label the path and flags of every conversion."""
        size = os.path.getsize(self.base(type))
        flags = {"best": ["--quality", "best", "--target-size", str(size)], "gptq": ["--method", "gptq"]}
        rows = [(way, f"{self.folder}/{type}-{way}.gguf", [*flags[way], *self.flags, *o.flags]) for way in o.ways.split(",")]
        between = [(label, f"{self.folder}/{type}-step{index}.gguf",
                    more + (self.flags if "gptq" in more else ["--imatrix", self.importance]))
                   for index, (label, more) in enumerate(STEPS)]
        return (between if steps else []) + rows


def drifts(paths):
    """By text and file what `quern verify` says."""
    table = {}
    for text in o.evaluate:
        report = json.loads(run(o.quern, "verify", *paths, "--against", o.model, "--text", text, "--chunks", str(o.chunks),
                                "--json", "-q"))
        for path, candidate in zip(paths, report["candidates"]):
            table[text, path] = candidate
    return table


def measured_by_llama(path):
    logits = f"{work}/logits"
    made(logits, f"{tools}/llama-perplexity", "-m", f"{work}/f16.gguf", "-f", o.evaluate[0], "-c", "512", "-t", "1", "--chunks",
         str(o.chunks), "--kl-divergence-base", logits)
    for _ in range(6):
        text = run(f"{tools}/llama-perplexity", "-m", path, "-c", "512", "-t", "1", "--kl-divergence-base", logits,
                   "--kl-divergence")
        found = re.search(r"Mean\s+KLD:\s+([0-9.]+) ± +([0-9.]+)", text)
        if found:
            return f"{found[1]} ± {found[2]}"
    sys.exit(f"llama-perplexity prints no KL divergence of {path}:\n{text[-2000:]}")


def row(label, path, table, other=None):
    cells = [label, f"{os.path.getsize(path):,}"]
    for text in o.evaluate:
        now = table[text, path]
        cell = f"{now['kld']['mean']:.5f} ± {now['kld']['standard_error']:.5f}"
        if other:
            then = table[text, other]
            cell += f" ({now['kld']['mean'] / then['kld']['mean']:.3f})"
        cells.append(cell)
    now = table[o.evaluate[0], path]
    cells.append(f"{now['ln_ratio']:.5f} ± {now['ln_ratio_standard_error']:.5f}")
    if o.llama_perplexity:
        cells.append(measured_by_llama(path))
    print("| " + " | ".join(cells) + " |", flush=True)


texts = [f"KL, {os.path.basename(text)}" for text in o.evaluate]
head = ["", "bytes", *texts, f"ln PPL ratio, {os.path.basename(o.evaluate[0])}"]
head += ["KL by llama-perplexity"] if o.llama_perplexity else []
print(f"{name}, {o.chunks} chunks of 512\n\n| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|", flush=True)
calibrations = [Calibration(seed) for seed in o.seeds.split(",")]
for number, type in enumerate(o.types.split(",")):
    for calibration in calibrations:
        theirs, ways = calibration.base(type), calibration.ways(type, o.steps and number == 0)
        spent = {path: made(path, o.quern, "convert", o.model, "--type", type, "-o", path, "-q", *flags)
                 for _, path, flags in ways}
        table = drifts([theirs] + [path for _, path, _ in ways])
        row(f"{type}, llama.cpp with its importance matrix{calibration.label}", theirs, table)
        for label, path, _ in ways:
            seconds = f", {spent[path]:.0f} s" if spent[path] else ""
            row(f"{type}, {label}{calibration.label}{seconds}", path, table, theirs)
