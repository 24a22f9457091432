"""Files of logits beside llama-perplexity's own, both ways.

    logits_files.py VENV QUERN QUERN_PEER TEXT [--chunks 4] [--model FOLDER]

An F16 GGUF's predictions are saved by `quern perplexity --save-logits` and by `llama-perplexity --kl-divergence-base`:

- header and tokens are the same bytes, and so are the rows that llama.cpp's formula makes of Quern's own logits, to a step;
- what both say of a token differs by what the two forward passes differ by (llama.cpp rounds activations to F16);
- llama-perplexity compares a Q4_K_M with either file and prints the same statistics, within that difference;
- `quern verify --logits` finds in either file what llama-perplexity finds in it. The compared model is the Q4_K_M, for which
  llama.cpp also rounds activations to eight bits, which is only shown, and its weights stored in F32, which is held to.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

import numpy as np

import peer
from llama_perplexity import said

parser = peer.parser("venv", "quern", "probe", "text")
parser.add_argument("--chunks", type=int, default=4)
parser.add_argument("--context", type=int, default=512)
parser.add_argument("--model")
o = parser.parse_args()
model = o.model or f"{o.venv}/smollm2"
tool = f"{o.venv}/llama.cpp/build/bin/llama-perplexity"
failed = False


def check(what, good):
    global failed
    failed |= not good
    print(f"{what}{'' if good else '  FAILED'}")


def quern(*arguments):
    printed = peer.output(o.quern, *arguments, "-q")
    return json.loads(printed) if "--json" in arguments else None


def llama(pattern, *arguments):
    """The first match in what llama-perplexity prints."""
    return said(lambda text: re.search(pattern, text, re.S), tool, "-t", "1", "-c", str(o.context), *arguments)


class LogitsFile:
    def __init__(self, path):
        data = open(path, "rb").read()
        self.magic = data[:8]
        self.context, self.vocabulary, self.chunks = (int(v) for v in np.frombuffer(data[8:20], "<i4"))
        end = 20 + 4 * self.context * self.chunks
        self.head = data[:end]
        self.tokens = np.frombuffer(data[20:end], "<i4").reshape(self.chunks, self.context)
        width = 2 * ((self.vocabulary + 1) // 2) + 4
        rows = np.frombuffer(data[end:], "<u2").reshape(self.chunks, self.context - 1 - self.context // 2, width)
        numbers = np.ascontiguousarray(rows[..., :4]).view("<f4")
        self.scale, self.minimum = numbers[..., 0], numbers[..., 1]
        self.codes = rows[..., 4:4 + self.vocabulary]
        self.padding = rows[..., 4 + self.vocabulary:]

    def log_probabilities(self, chunk):
        return self.scale[chunk][:, None] * self.codes[chunk] + self.minimum[chunk][:, None]


def packed(logits):
    """llama.cpp 0c1e57098, tools/perplexity: log_softmax with log_prob, in the same float32 steps."""
    top = logits.max(1, keepdims=True)
    low = np.maximum(logits.min(1, keepdims=True), top - np.float32(16))
    log_sum = np.log(np.exp(logits - top).astype(np.float64).sum(1, keepdims=True)).astype(np.float32)
    scale = (top - low) / np.float32(65535)
    codes = np.where(logits > low, np.rint((np.float32(1) / scale) * (logits - low)), 0)
    return scale[:, 0], (low - top - log_sum)[:, 0], codes.astype(np.int64)


STATISTICS = {
    "mean KLD": r"Mean\s+KLD:\s+(-?[0-9.]+)", "median KLD": r"Median\s+KLD:\s+(-?[0-9.]+)",
    "maximum KLD": r"Maximum KLD:\s+(-?[0-9.]+)", "PPL of Q": r"Mean PPL\(Q\)\s+:\s+([0-9.]+)",
    "PPL of base": r"Mean PPL\(base\)\s+:\s+([0-9.]+)", "same top %": r"Same top p:\s+([0-9.]+)",
    "RMS Δp %": r"RMS Δp\s+:\s+([0-9.]+)",
}


def llama_statistics(gguf, base, *more):
    text = llama(r"Mean PPL\(Q\).*Same top p: +[0-9.]+.*", "-m", gguf, "--kl-divergence", "--kl-divergence-base", base, *more)[0]
    return {name: float(re.search(pattern, text)[1]) for name, pattern in STATISTICS.items()}


def our_statistics(report):
    return {
        "mean KLD": report["kld"]["mean"], "median KLD": report["kld"]["median"], "maximum KLD": report["kld"]["max"],
        "PPL of Q": report["perplexity_quantized"], "PPL of base": report["perplexity_reference"],
        "same top %": report["top1_agreement"] * 100, "RMS Δp %": report["delta_p"]["rms"] * 100,
    }


with tempfile.TemporaryDirectory() as work:
    f16, q4, q4_f32 = f"{work}/f16.gguf", f"{work}/q4.gguf", f"{work}/q4-f32.gguf"
    ours, theirs = f"{work}/ours.kld", f"{work}/theirs.kld"
    for source, kind, path in [(model, "F16", f16), (model, "Q4_K_M", q4), (q4, "F32", q4_f32)]:
        subprocess.run([o.quern, "convert", source, "--type", kind, "-o", path, "-q"], check=True, stdout=subprocess.DEVNULL)
    text = ["--text", o.text, "--ctx", str(o.context), "--chunks", str(o.chunks)]
    quern("perplexity", f16, *text, "--save-logits", ours, "--json")
    # It writes as it goes, whatever becomes of its log.
    llama(r".", "-m", f16, "-f", o.text, "--chunks", str(o.chunks), "--kl-divergence-base", theirs)
    a, b = LogitsFile(ours), LogitsFile(theirs)
    check(f"header and {a.tokens.size} tokens, {len(a.head)} bytes: {'the same' if a.head == b.head else 'DIFFERENT'}",
          a.head == b.head)
    check(f"size: {os.path.getsize(ours)} bytes, theirs {os.path.getsize(theirs)}",
          os.path.getsize(ours) == os.path.getsize(theirs))

    # The formula, on our own logits of one chunk. The first token is as the model is given it.
    ids = a.tokens[0].copy()
    config = json.load(open(f"{model}/tokenizer_config.json"))
    if config.get("add_bos_token"):
        ids[0] = json.load(open(f"{model}/config.json"))["bos_token_id"]
    ids.astype("<i4").tofile(f"{work}/ids")
    subprocess.run([o.probe, "logits", f16, f"{work}/ids", f"{work}/logits", "2"], check=True)
    logits = np.fromfile(f"{work}/logits", "<f4").reshape(a.context, -1)[a.context // 2:-1]
    scale, minimum, codes = packed(logits)
    steps = np.abs(codes - a.codes[0])
    check(f"llama.cpp's formula on our logits: {(steps == 0).mean() * 100:.3f} % of {steps.size} codes equal, "
          f"the others at most {steps.max()} apart; minimum at most {np.abs(minimum - a.minimum[0]).max():.2g} apart",
          steps.max() <= 1 and np.abs(minimum - a.minimum[0]).max() < 1e-4
          and np.abs(scale / a.scale[0] - 1).max() < 1e-6)

    # The two forward passes: of what both keep.
    apart = []
    for chunk in range(a.chunks):
        x, y = a.log_probabilities(chunk), b.log_probabilities(chunk)
        kept = (a.codes[chunk] > 0) & (b.codes[chunk] > 0)
        apart.append(np.abs(x - y)[kept])
    apart = np.concatenate(apart)
    check(f"ln p of {apart.size} tokens in both files: mean {apart.mean():.5f} apart, 99.9 % within "
          f"{np.quantile(apart, 0.999):.4f}, at most {apart.max():.4f}", apart.mean() < 0.01 and apart.max() < 0.25)

    exact = ["-fa", "off", "-ctk", "f32", "-ctv", "f32"]  # nothing rounded but the products' own sums
    found = {}
    for name, candidate, more in [("Q4_K_M", q4, []), ("its weights in F32", q4_f32, exact)]:
        rows = {
            "llama.cpp, its file": llama_statistics(candidate, theirs, *more),
            "llama.cpp, our file": llama_statistics(candidate, ours, *more),
            "quern, its file": our_statistics(quern("verify", candidate, "--logits", theirs, "--json")),
            "quern, our file": our_statistics(quern("verify", candidate, "--logits", ours, "--json")),
            "quern --against": our_statistics(quern("verify", candidate, "--against", f16, *text, "--json")),
        }
        print(f"{name:<20}", *[f"{key:>12}" for key in STATISTICS])
        for row, values in rows.items():
            print(f"{row:<20}", *[f"{values[key]:>12.6f}" for key in STATISTICS])
        found[name] = rows

    def compare(rows, x, y, kld, perplexity):
        names, x, y = f"{rows}: {x} beside {y}", found[rows][x], found[rows][y]
        apart = {key: x[key] / y[key] - 1 for key in ("mean KLD", "PPL of Q", "PPL of base")}
        check(f"{names}: " + ", ".join(f"{key} {value * 100:+.3f} %" for key, value in apart.items()),
              abs(apart["mean KLD"]) < kld and max(abs(apart["PPL of Q"]), abs(apart["PPL of base"])) < perplexity)

    compare("Q4_K_M", "llama.cpp, our file", "llama.cpp, its file", 0.02, 0.001)
    compare("its weights in F32", "quern, its file", "llama.cpp, its file", 0.005, 0.0005)
    compare("its weights in F32", "quern, our file", "llama.cpp, our file", 0.005, 0.0005)
    compare("Q4_K_M", "quern, our file", "quern --against", 0.005, 0.0005)
    floor = quern("verify", f16, "--logits", ours, "--json")
    print(f"an F16 model beside its own file: mean KL {floor['kld']['mean']:.2e}, maximum {floor['kld']['max']:.2e}, "
          f"same token first {floor['top1_agreement'] * 100:.3f} %; llama-perplexity beside its own file: "
          f"{llama_statistics(f16, theirs)['mean KLD']:.2e}")
sys.exit(1 if failed else 0)
