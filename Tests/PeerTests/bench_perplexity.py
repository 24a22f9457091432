"""Tokens a second of `quern perplexity` beside llama-perplexity on an F16 GGUF of the same model, one after the other in turn.

    bench_perplexity.py VENV QUERN MODEL [--text FILE] [--chunks 8] [--threads 2] [--runs 3]

Then the speed of Quern's products beside OpenBLAS's sgemm in the same run, both in time of processors with as many threads
busy, and how far BF16 is from F32. Exit 1 when a bar is missed: 1.15 times llama-perplexity in F32, 1.6 times in BF16 where
the processor has it, 80 % of the sgemm peak.
"""
import argparse
import concurrent.futures
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

SGEMM = """
import numpy, time
a = numpy.ones((1024, 2048), numpy.float32)
b = numpy.ones((2048, 2048), numpy.float32)
best = 1e9
for _ in range(24):
    began = time.thread_time()
    a @ b.T
    best = min(best, time.thread_time() - began)
print(2 * 1024 * 2048 * 2048 / best / 1e9)
"""

parser = argparse.ArgumentParser()
parser.add_argument("venv")
parser.add_argument("quern")
parser.add_argument("model")
here = os.path.dirname(os.path.abspath(__file__))
parser.add_argument("--text", default=f"{here}/../../fixtures/text/python-docs-evaluate.txt")
parser.add_argument("--chunks", type=int, default=8)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--runs", type=int, default=3)
parser.add_argument("--llama", help="llama-perplexity, when it is not the one in VENV")
o = parser.parse_args()
llama = o.llama or f"{o.venv}/llama.cpp/build/bin/llama-perplexity"
size = ["--chunks", str(o.chunks)]
# What OpenBLAS picks by itself, one thread a process.
peak_environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"} | {"OPENBLAS_NUM_THREADS": "1"}


def peak(_):
    return float(subprocess.run([f"{o.venv}/bin/python", "-c", SGEMM], env=peak_environment, check=True,
                                capture_output=True, text=True).stdout)


def ours(model, *more):
    return json.loads(subprocess.run(
        [o.quern, "perplexity", model, "--text", o.text, "--ctx", "512", *size, "-j", str(o.threads), "--json", "-q", *more],
        check=True, capture_output=True, text=True).stdout)


def theirs(model):
    """From the log's clock: loading and tokenizing are not counted, as they are not in Quern's figure."""
    for _ in range(6):
        done = subprocess.run([llama, "-m", model, "-f", o.text, "-c", "512", "-t", str(o.threads), *size],
                              capture_output=True, text=True)
        log = done.stdout + done.stderr
        times = [re.search(rf"^(\d+)\.(\d+)\.(\d+)\.(\d+) \S+ .*{what}", log, re.M)
                 for what in ("calculating perplexity", "Final estimate")]
        if all(times):
            began, ended = (60 * int(t[1]) + int(t[2]) + int(t[3]) / 1e3 + int(t[4]) / 1e6 for t in times)
            return o.chunks * 512 / (ended - began)
        if done.returncode:
            break
    sys.exit(f"llama-perplexity gave no times (exit {done.returncode}):\n{log[-2000:]}")


with tempfile.TemporaryDirectory() as work:
    f16 = f"{work}/f16.gguf"
    subprocess.run([o.quern, "convert", o.model, "--type", "F16", "-o", f16, "-q"], check=True, stdout=subprocess.DEVNULL)
    ours(f16), theirs(f16)
    rows = []
    for _ in range(o.runs):
        with concurrent.futures.ThreadPoolExecutor(o.threads) as pool:
            sgemm = statistics.mean(pool.map(peak, range(o.threads)))
        rows.append((ours(f16), ours(f16, "--arithmetic", "bf16"), theirs(f16), sgemm))
    floor = ours(f16, "--arithmetic", "bf16", "--floor-chunks", str(o.chunks))["floor"]

f32, bf16 = ([row[i]["tokens_per_second"] for row in rows] for i in (0, 1))
reference, sgemm = [row[2] for row in rows], statistics.median(row[3] for row in rows)
median = statistics.median
ratios = [median(a / b for a, b in zip(x, reference)) for x in (f32, bf16)]
products = [median(row[i]["matmul_gflops_per_thread"] for row in rows) for i in (0, 1)]
shares = [median(row[i]["matmul_gflops_per_thread"] / row[3] for row in rows) for i in (0, 1)]
print(f"{os.path.basename(o.model.rstrip('/'))}, {o.chunks} chunks of 512, {o.threads} threads, medians of {o.runs}; "
      f"sgemm peak {sgemm:.0f} GFLOP/s a thread\n")
print("| | tokens/s | of llama-perplexity | products, GFLOP/s a thread | of sgemm peak |")
print("|---|---|---|---|---|")
print(f"| llama-perplexity F16 | {median(reference):.0f} | 1 | | |")
for name, speed, ratio, rate, share in zip(("quern f32", "quern bf16"), (f32, bf16), ratios, products, shares):
    print(f"| {name} | {median(speed):.0f} | {ratio:.2f} | {rate:.0f} | {share * 100:.0f}% |")
print(f"\nbf16 beside f32 over {floor['tokens_scored']} tokens: mean KL divergence {floor['kld']['mean']:.6f} ± "
      f"{floor['kld']['standard_error']:.6f}, ln ratio {floor['ln_ratio']:.6f} ± {floor['ln_ratio_standard_error']:.6f}, "
      f"same token first {floor['top1_agreement'] * 100:.2f} %")
missed = [bar for bar, met in [
    ("f32 1.15 times", ratios[0] >= 1.15), ("80 % of sgemm", shares[0] >= 0.8),
    ("bf16 1.6 times", ratios[1] >= 1.6 or shares[1] < 1)] if not met]
sys.exit(f"missed: {', '.join(missed)}" if missed else 0)
