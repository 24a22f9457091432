"""`quern verify` beside `llama-perplexity --kl-divergence`, on the same files and text.

    drift_llama.py VENV QUERN TEXT MODEL [--chunks 20] [--types Q8_0,Q6_K,Q4_K_M,Q2_K] [--tool PATH]

The reference is the model's F16 GGUF in both. The bars: its perplexity within 0.1 %, a quantized model's within 0.5 %. The
other statistics differ since llama.cpp's kernels round activations to 8 bits where weights are blocks. So every candidate is
also given to llama-perplexity with the same weights written out in F32, where nothing is rounded but the reference's
log-probabilities, which it stores in 16 bits: there the mean divergence must agree within 1 %, the root mean square of the
change of probability within 1 % and top-1 agreement within 0.3 %, beside the floor, which is what the F16 model shows against
its own stored logits.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

import peer
from llama_perplexity import estimate

parser = peer.parser("venv", "quern", "text", "model")
parser.add_argument("--chunks", type=int, default=20)
parser.add_argument("--types", default="Q8_0,Q6_K,Q4_K_M,Q2_K")
parser.add_argument("--tool")
o = parser.parse_args()
tool = o.tool or f"{o.venv}/llama.cpp/build/bin/llama-perplexity"


def quern(*arguments):
    return peer.output(o.quern, *arguments, "-q")


ROWS = {
    "perplexity_quantized": "Mean PPL(Q)", "perplexity_reference": "Mean PPL(base)", "correlation": "Cor(ln(PPL(Q)), ln(PPL(base)))",
    "ln_ratio": "Mean ln(PPL(Q)/PPL(base))", "kld.mean": "Mean    KLD", "kld.max": "Maximum KLD", "kld.p999": "99.9%   KLD",
    "kld.p99": "99.0%   KLD", "kld.p95": "95.0%   KLD", "kld.p90": "90.0%   KLD", "kld.median": "Median  KLD",
    "kld.p10": "10.0%   KLD", "kld.p05": "5.0%   KLD", "kld.p01": "1.0%   KLD", "delta_p.mean": "Mean    Δp",
    "delta_p.max": "Maximum Δp", "delta_p.p999": "99.9%   Δp", "delta_p.p99": "99.0%   Δp", "delta_p.p95": "95.0%   Δp",
    "delta_p.p90": "90.0%   Δp", "delta_p.p75": "75.0%   Δp", "delta_p.median": "Median  Δp", "delta_p.p25": "25.0%   Δp",
    "delta_p.p10": "10.0%   Δp", "delta_p.p05": "5.0%   Δp", "delta_p.p01": "1.0%   Δp", "delta_p.p001": "0.1%   Δp",
    "delta_p.min": "Minimum Δp", "delta_p.rms": "RMS Δp", "top1_agreement": "Same top p"}


def theirs_of(path, logits):
    """What llama-perplexity prints, percentages as shares."""
    for _ in range(6):
        done = subprocess.run(
            [tool, "-m", path, "--kl-divergence-base", logits, "--kl-divergence", "-c", "512", "-t", "2"],
            capture_output=True, text=True)
        text, values = done.stdout + done.stderr, {}
        for name, label in ROWS.items():
            squeezed = r"\s+".join(map(re.escape, label.split()))
            found = re.search(rf"^\s*{squeezed}\s*:\s*(-?[0-9.]+)", text, re.M)
            if found:
                share = name.startswith("delta_p") or name in ("top1_agreement", "correlation")
                values[name] = float(found[1]) / (100 if share else 1)
        if len(values) == len(ROWS):
            return values
    sys.exit(f"llama-perplexity printed {sorted(values)} only (exit {done.returncode}):\n{text[-3000:]}")


def ours_of(report, name):
    part = name.split(".")
    return report[part[0]] if len(part) == 1 else report[part[0]][part[1]]


failed = False
with tempfile.TemporaryDirectory() as work:
    f16, logits = f"{work}/f16.gguf", f"{work}/logits"
    quern("convert", o.model, "--type", "F16", "-o", f16)
    estimate(tool, "-m", f16, "-f", o.text, "-c", "512", "-t", "2", "--chunks", str(o.chunks),
             "--kl-divergence-base", logits)
    kinds = ["F16"] + o.types.split(",")
    files = [f16] + [f"{work}/{kind}.gguf" for kind in kinds[1:]]
    for kind, path in list(zip(kinds, files))[1:]:
        quern("convert", o.model, "--type", kind, "-o", path)
    reports = json.loads(quern(
        "verify", *files, "--against", f16, "--text", o.text, "--chunks", str(o.chunks), "--json"))["candidates"]
    print(f"{os.path.basename(o.model)}, {o.chunks} chunks of 512 of {os.path.basename(o.text)}; logits file "
          f"{os.path.getsize(logits) / 1e6:.0f} MB")
    floor = None
    for kind, path, report in zip(kinds, files, reports):
        theirs = theirs_of(path, logits)
        floor = floor or theirs
        plain = theirs
        if kind != "F16":
            quern("convert", path, "--type", "F32", "-o", f"{work}/plain.gguf", "--force")
            plain = theirs_of(f"{work}/plain.gguf", logits)
        share = 1e-3 if kind == "F16" else 5e-3
        bars = {
            "perplexity_reference": (theirs, 1e-3 * theirs["perplexity_reference"]),
            "perplexity_quantized": (theirs, share * theirs["perplexity_quantized"]),
            "kld.mean": (plain, 0.01 * plain["kld.mean"] + 2e-6),
            "delta_p.rms": (plain, 0.01 * plain["delta_p.rms"] + 2e-5),
            "top1_agreement": (plain, 3e-3)}
        print(f"{kind}\n  {'':22}{'quern':>12}{'llama.cpp':>12}{'in F32':>12}{'apart':>12}{'floor':>12}")
        for name in ROWS:
            a = ours_of(report, name)
            mark = ""
            if name in bars and not abs(a - bars[name][0][name]) <= bars[name][1]:
                failed, mark = True, "  FAILED"
            same = "" if name.startswith("perplexity") else f"{floor[name]:12.6f}"
            print(f"  {name:22}{a:12.6f}{theirs[name]:12.6f}{plain[name]:12.6f}{a - plain[name]:12.6f}{same}{mark}")
sys.exit(1 if failed else 0)
