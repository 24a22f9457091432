"""Whole commands beside llama.cpp's, on a synthetic Llama of 1 B weights: wall clock as ratios, medians of pairs.

    bench_convert.py QUERN VENV [--runs 3] [--work FOLDER]
"""
import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

parser = argparse.ArgumentParser()
parser.add_argument("quern")
parser.add_argument("venv")
parser.add_argument("--runs", type=int, default=3)
parser.add_argument("--work")
o = parser.parse_args()
here = os.path.dirname(os.path.abspath(__file__))
tokenizer = f"{o.venv}/smollm2"
if not os.path.exists(f"{tokenizer}/config.json"):
    sys.exit("SmolLM2 was not made, so there is no tokenizer to go with the synthetic model")
quantize = f"{o.venv}/llama.cpp/build/bin/llama-quantize"


def timed(*commands):
    """Seconds of wall clock and the largest resident set in MiB."""
    began, peak = time.perf_counter(), 0
    for command in commands:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"{command}: status {status}")
        peak = max(peak, usage.ru_maxrss / 1024)
    return time.perf_counter() - began, peak


def pair(label, ours, theirs):
    timed(*ours), timed(*theirs)
    rows = [(timed(*ours), timed(*theirs)) for _ in range(o.runs)]
    a = statistics.median(r[0][0] for r in rows)
    b = statistics.median(r[1][0] for r in rows)
    ratio = statistics.median(r[1][0] / r[0][0] for r in rows)
    print(f"| {label} | {a:.2f} | {b:.2f} | {ratio:.1f} | {rows[0][0][1]:.0f} | {rows[0][1][1]:.0f} |", flush=True)


with tempfile.TemporaryDirectory(dir=o.work) as work:
    model, f16, out, step = f"{work}/model", f"{work}/f16.gguf", f"{work}/out.gguf", f"{work}/step.gguf"
    subprocess.run([sys.executable, f"{here}/synthetic.py", tokenizer, model], check=True)
    ours = lambda source, kind, jobs="2": [[o.quern, "convert", source, "--type", kind, "-o", out, "--force", "-q", "-j", jobs]]
    timed([o.quern, "convert", model, "--type", "F16", "-o", f16, "-q"])
    print("| command | quern s | llama.cpp s | ratio | quern MiB | llama.cpp MiB |")
    print("|---|---|---|---|---|---|")
    for kind in ("Q4_K_M", "Q6_K", "Q8_0"):
        pair(f"F16 GGUF to {kind}, 2 threads", ours(f16, kind), [[quantize, f16, out, kind, "2"]])
    convert = [sys.executable, f"{here}/reference_gguf.py", o.venv, model, step, "--outtype", "bf16"]
    pair("safetensors to Q4_K_M", ours(model, "Q4_K_M"), [convert, [quantize, step, out, "Q4_K_M", "2"]])
    one = statistics.median(timed(*ours(f16, "Q4_K_M", "1"))[0] for _ in range(o.runs))
    two = statistics.median(timed(*ours(f16, "Q4_K_M", "2"))[0] for _ in range(o.runs))
    print(f"\n1 to 2 threads, F16 GGUF to Q4_K_M: {one / two:.2f} ×")
