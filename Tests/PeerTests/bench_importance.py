"""Wall clock of `quern calibrate` beside llama-imatrix: the same F16 model, text, chunks and threads, in turn.

    bench_importance.py VENV QUERN MODEL [--text FILE] [--chunks 32] [--threads 2] [--runs 3]

Exit 1 below 1.3 times. Whole commands, neither computing logits (llama-imatrix with --no-ppl).
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

parser = argparse.ArgumentParser()
parser.add_argument("venv")
parser.add_argument("quern")
parser.add_argument("model")
here = os.path.dirname(os.path.abspath(__file__))
parser.add_argument("--text", default=f"{here}/../../fixtures/text/python-docs-calibrate.txt")
parser.add_argument("--chunks", type=int, default=32)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--runs", type=int, default=3)
parser.add_argument("--llama", help="llama-imatrix, when it is not the one in VENV")
o = parser.parse_args()
llama = o.llama or f"{o.venv}/llama.cpp/build/bin/llama-imatrix"
chunks, threads = ["--chunks", str(o.chunks)], str(o.threads)


def seconds(command):
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command}: status {done.returncode}\n{(done.stdout + done.stderr)[-2000:]}")
    return time.perf_counter() - began


with tempfile.TemporaryDirectory() as work:
    f16 = f"{work}/f16.gguf"
    seconds([o.quern, "convert", o.model, "--type", "F16", "-o", f16, "-q"])
    theirs = [llama, "-m", f16, "-f", o.text, "-c", "512", "-t", threads, *chunks, "--no-ppl", "-o", f"{work}/theirs.gguf"]
    ours = [o.quern, "calibrate", f16, "--text", o.text, "--ctx", "512", "-j", threads, *chunks, "-q", "--force", "-o",
            f"{work}/ours.gguf"]
    rows = [(seconds(theirs), seconds(ours)) for _ in range(o.runs + 1)][1:]

ratio = statistics.median(a / b for a, b in rows)
print(f"{os.path.basename(o.model.rstrip('/'))}, F16, {o.chunks} chunks of 512, {threads} threads, medians of {o.runs}\n")
print("| | seconds | ratio |\n|---|---|---|")
for i, name in enumerate(("llama-imatrix", "quern calibrate")):
    print(f"| {name} | {statistics.median(row[i] for row in rows):.2f} | {ratio if i else 1:.2f} |")
sys.exit(0 if ratio >= 1.3 else "missed: 1.3 times")
