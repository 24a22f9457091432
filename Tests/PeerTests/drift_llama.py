"""`quern verify` beside `llama-perplexity --kl-divergence`, on the same files and text.

    drift_llama.py VENV QUERN TEXT MODEL [--chunks 20] [--types Q8_0,Q6_K,Q4_K_M,Q2_K] [--tool PATH]

The reference is the model's F16 GGUF in both. llama.cpp rounds what it multiplies to 8 bits where weights are blocks and to 16
where they are F16, and keys and values to 16; so both models are also given to llama-perplexity with the same weights written
out in F32 and a cache in F32, where nothing is rounded but the reference's log-probabilities, which it stores in 16 bits without
those below e^-16 of the likeliest. `quern verify --logits` reads that file, and is held to what llama-perplexity finds in it:
mean divergence and root mean square of the change of probability 0.1 % and what its last digit may hide, perplexities 0.01 %,
top-1 agreement 0.2 %. So what the columns differ by is explained: `quern` and `its file` by the 16 bits, `in F32` and
`llama.cpp` by the rounding of its kernels. Against these the perplexity of F16 is held to 0.1 %, and a quantized model's to
0.5 %.
"""
import json
import os
import re
import sys
import tempfile

import peer
from llama_perplexity import estimate, said

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


# One thread: on a busy machine more of them wait for one another.
COMMON = ["-c", "512", "-t", "1"]
EXACT = ["-fa", "off", "-ctk", "f32", "-ctv", "f32"]


def theirs_of(path, logits, *more):
    """What llama-perplexity prints, percentages as shares."""
    def parse(text):
        values = {}
        for name, label in ROWS.items():
            squeezed = r"\s+".join(map(re.escape, label.split()))
            found = re.search(rf"^\s*{squeezed}\s*:\s*(-?[0-9.]+)", text, re.M)
            if not found:
                return None
            share = name.startswith("delta_p") or name in ("top1_agreement", "correlation")
            values[name] = float(found[1]) / (100 if share else 1)
        return values

    return said(parse, tool, "-m", path, "--kl-divergence-base", logits, "--kl-divergence", *COMMON, *more)


def ours_of(report, name):
    part = name.split(".")
    return report[part[0]] if len(part) == 1 else report[part[0]][part[1]]


failed = False
with tempfile.TemporaryDirectory() as work:
    f16, logits, plain_logits = f"{work}/f16.gguf", f"{work}/logits", f"{work}/plain.logits"
    quern("convert", o.model, "--type", "F16", "-o", f16)
    quern("convert", f16, "--type", "F32", "-o", f"{work}/plain.gguf")
    for path, kept, more in ((f16, logits, []), (f"{work}/plain.gguf", plain_logits, EXACT)):
        estimate(tool, "-m", path, "-f", o.text, "--chunks", str(o.chunks), "--kl-divergence-base", kept, *COMMON, *more)
    kinds = ["F16"] + o.types.split(",")
    files = [f16] + [f"{work}/{kind}.gguf" for kind in kinds[1:]]
    for kind, path in list(zip(kinds, files))[1:]:
        quern("convert", o.model, "--type", kind, "-o", path)
    reports = json.loads(quern(
        "verify", *files, "--against", f16, "--text", o.text, "--chunks", str(o.chunks), "--json"))["candidates"]
    print(f"{os.path.basename(o.model)}, {o.chunks} chunks of 512 of {os.path.basename(o.text)}; logits file "
          f"{os.path.getsize(logits) / 1e6:.0f} MB")
    filed = json.loads(quern("verify", *files, "--logits", plain_logits, "--json"))["candidates"]
    for kind, path, report, kept in zip(kinds, files, reports, filed):
        theirs = theirs_of(path, logits)
        quern("convert", path, "--type", "F32", "-o", f"{work}/plain.gguf", "--force")
        plain = theirs_of(f"{work}/plain.gguf", plain_logits, *EXACT)
        bars = {
            "perplexity_reference": 1e-4 * plain["perplexity_reference"],
            "perplexity_quantized": 1e-4 * plain["perplexity_quantized"],
            "kld.mean": 1e-3 * abs(plain["kld.mean"]) + 1e-6,
            "delta_p.rms": 1e-3 * plain["delta_p.rms"] + 1e-5,
            "top1_agreement": 2e-3}
        print(f"{kind}\n  {'':22}{'quern':>12}{'its file':>12}{'in F32':>12}{'llama.cpp':>12}")
        for name in ROWS:
            a, b = ours_of(report, name), ours_of(kept, name)
            mark = ""
            if name in bars and not abs(b - plain[name]) <= bars[name]:
                failed, mark = True, "  FAILED"
            if name.startswith("perplexity"):
                beside = abs(a / theirs[name] - 1)
                blocks = kind != "F16" and name == "perplexity_quantized"
                share = 5e-3 if blocks else 1e-3
                mark += f"  {100 * beside:.3f} % from its own kernels"
                if beside > share:
                    failed, mark = True, mark + "  FAILED"
            print(f"  {name:22}{a:12.6f}{b:12.6f}{plain[name]:12.6f}{theirs[name]:12.6f}{mark}")
sys.exit(1 if failed else 0)
