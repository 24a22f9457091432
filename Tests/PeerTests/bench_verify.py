"""Wall clock of one `quern verify` in F32 beside the two runs of llama-perplexity that it stands for: the F16 model's logits
written, then the quantized model held against them. Whole commands, the same files, text, chunks and threads, in turn.

    bench_verify.py VENV QUERN MODEL [--text FILE] [--chunks 8] [--threads 2] [--runs 3] [--type Q4_K_M]

Exit 1 below 1.5 times. Logits on disk: what each leaves in a folder that is empty before.
"""
import os
import statistics
import subprocess
import sys
import tempfile
import time

import peer

parser = peer.bench_parser()
parser.add_argument("--type", default="Q4_K_M")
o = parser.parse_args()
o.text, o.quern = os.path.abspath(o.text), os.path.abspath(o.quern)
llama = o.llama or os.path.abspath(f"{o.venv}/llama.cpp/build/bin/llama-perplexity")
chunks, threads = ["--chunks", str(o.chunks)], str(o.threads)


def seconds(*commands):
    """Of the commands one after the other, and the bytes that they left in their folder."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        for command in commands:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{command}: status {done.returncode}\n{(done.stdout + done.stderr)[-2000:]}")
        spent = time.perf_counter() - began
        return spent, sum(os.path.getsize(f"{folder}/{name}") for name in os.listdir(folder))


with tempfile.TemporaryDirectory() as work:
    f16, quantized = f"{work}/f16.gguf", f"{work}/quantized.gguf"
    for type, path in (("F16", f16), (o.type, quantized)):
        subprocess.run([o.quern, "convert", o.model, "--type", type, "-o", path, "-q"], check=True, stdout=subprocess.DEVNULL)
    theirs = [[llama, "-m", model, "-c", "512", "-t", threads, "--kl-divergence-base", "logits", *rest]
              for model, rest in ((f16, ["-f", o.text, *chunks]), (quantized, ["--kl-divergence"]))]
    ours = [o.quern, "verify", quantized, "--against", f16, "--text", o.text, "--ctx", "512", *chunks, "-j", threads, "-q"]
    rows = [(seconds(*theirs), seconds(ours)) for _ in range(o.runs + 1)][1:]

ratio = statistics.median(a[0] / b[0] for a, b in rows)
print(f"{os.path.basename(o.model.rstrip('/'))}, F16 and {o.type}, {o.chunks} chunks of 512, {threads} threads, "
      f"medians of {o.runs}\n")
print("| | seconds | ratio | bytes of logits on disk |\n|---|---|---|---|")
for i, name in enumerate(("llama-perplexity, two runs", "quern verify")):
    print(f"| {name} | {statistics.median(row[i][0] for row in rows):.2f} | {ratio if i else 1:.2f} | {rows[0][i][1]:,} |")
sys.exit(0 if ratio >= 1.5 else "missed: 1.5 times")
