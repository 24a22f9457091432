"""Wall clock of `quern calibrate` beside llama-imatrix: the same F16 model, text, chunks and threads, in turn.

    bench_importance.py VENV QUERN MODEL [--text FILE] [--chunks 32] [--threads 2] [--runs 3]

Exit 1 below 1.3 times. Whole commands, neither computing logits (llama-imatrix with --no-ppl).
"""
import os
import statistics
import sys
import tempfile
import time

import peer

parser = peer.bench_parser()
parser.set_defaults(text=f"{peer.here}/../../fixtures/text/python-docs-calibrate.txt", chunks=32)
o = parser.parse_args()
llama = o.llama or f"{o.venv}/llama.cpp/build/bin/llama-imatrix"
chunks, threads = ["--chunks", str(o.chunks)], str(o.threads)


def seconds(command):
    began = time.perf_counter()
    peer.output(*command)
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
