"""Tokens a second of `quern perplexity` beside llama-perplexity on an F16 GGUF of the same model, one after the other in turn.

    bench_perplexity.py VENV QUERN MODEL [--text FILE] [--chunks 8] [--threads 2] [--runs 3]

With one thread the time of processors of the whole commands is compared too, which tells more on a busy machine: llama.cpp's
threads wait for one another by spinning. Then the speed of Quern's products beside OpenBLAS's sgemm in the same run, both in
time of processors with as many threads busy, and how far BF16 is from F32. Exit 1 when a bar is missed: 1.15 times llama-perplexity in F32, 1.6 times in BF16 where
the processor has it, 80 % of the sgemm peak.
"""
import concurrent.futures
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

import peer

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

o = peer.bench_parser().parse_args()
llama = o.llama or f"{o.venv}/llama.cpp/build/bin/llama-perplexity"
size = ["--chunks", str(o.chunks)]
# What OpenBLAS picks by itself, one thread a process.
peak_environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"} | {"OPENBLAS_NUM_THREADS": "1"}


def peak(_):
    return float(subprocess.run([f"{o.venv}/bin/python", "-c", SGEMM], env=peak_environment, check=True,
                                capture_output=True, text=True).stdout)


def run(*command):
    """What was printed, seconds of wall clock and of processors."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command}: status {status}\n{output[-2000:]}")
    return output, time.perf_counter() - began, usage.ru_utime + usage.ru_stime


def ours(threads, *more):
    output, _, spent = run(o.quern, "perplexity", f16, "--text", o.text, "--ctx", "512", *size, "-j", threads, "--json", "-q",
                           *more)
    return json.loads(output) | {"processor_seconds": spent}


def theirs(threads):
    """Loading and tokenizing are not counted in tokens a second, as they are not in Quern's: its log says when they were done.
    The end is that of the process, for the last lines of the log may be lost."""
    log, wall, spent = run(llama, "-m", f16, "-f", o.text, "-c", "512", "-t", threads, *size)
    ready = re.search(r"^(\d+)\.(\d+)\.(\d+)\.\d+ \S+ .*calculating perplexity", log, re.M)
    if not ready:
        sys.exit(f"llama-perplexity does not say when it began:\n{log[-2000:]}")
    began = 60 * int(ready[1]) + int(ready[2]) + int(ready[3]) / 1e3
    return {"tokens_per_second": o.chunks * 512 / (wall - began), "processor_seconds": spent}


with tempfile.TemporaryDirectory() as work:
    f16 = f"{work}/f16.gguf"
    subprocess.run([o.quern, "convert", o.model, "--type", "F16", "-o", f16, "-q"], check=True, stdout=subprocess.DEVNULL)
    threads = str(o.threads)
    ours(threads), theirs(threads)
    many, one = [], []
    for _ in range(o.runs):
        with concurrent.futures.ThreadPoolExecutor(o.threads) as pool:
            sgemm = statistics.mean(pool.map(peak, range(o.threads)))
        many.append((theirs(threads), ours(threads), ours(threads, "--arithmetic", "bf16"), sgemm))
        one.append((theirs("1"), ours("1"), ours("1", "--arithmetic", "bf16")))
    floor = ours(threads, "--arithmetic", "bf16", "--floor-chunks", str(o.chunks))["floor"]

median = statistics.median
print(f"{os.path.basename(o.model.rstrip('/'))}, {o.chunks} chunks of 512, medians of {o.runs}; sgemm peak "
      f"{median(row[3] for row in many):.0f} GFLOP/s a thread\n")
print(f"| | tokens/s, {threads} threads | ratio | processor s, 1 thread | ratio | products, GFLOP/s a thread | of sgemm peak |")
print("|---|---|---|---|---|---|---|")
ratios, shares = [], []
for i, name in enumerate(("llama-perplexity F16", "quern f32", "quern bf16")):
    speed, spent = median(row[i]["tokens_per_second"] for row in many), median(row[i]["processor_seconds"] for row in one)
    ratios.append(median(row[i]["tokens_per_second"] / row[0]["tokens_per_second"] for row in many))
    of_one = median(row[0]["processor_seconds"] / row[i]["processor_seconds"] for row in one)
    line = f"| {name} | {speed:.0f} | {ratios[i]:.2f} | {spent:.2f} | {of_one:.2f} | "
    if i:
        rates = [row[i]["matmul_gflops_per_thread"] for row in many]
        shares.append(median(rate / row[3] for rate, row in zip(rates, many)))
        line += f"{median(rates):.0f} | {shares[-1] * 100:.0f}% |"
    print(line if i else line + "| |")
print(f"\nbf16 beside f32 over {floor['tokens_scored']} tokens: mean KL divergence {floor['kld']['mean']:.6f} ± "
      f"{floor['kld']['standard_error']:.6f}, ln ratio {floor['ln_ratio']:.6f} ± {floor['ln_ratio_standard_error']:.6f}, "
      f"same token first {floor['top1_agreement'] * 100:.2f} %")
missed = [bar for bar, met in [
    ("f32 1.15 times", ratios[1] >= 1.15), ("80 % of sgemm", shares[0] >= 0.8),
    ("bf16 1.6 times", ratios[2] >= 1.6 or shares[1] < 1)] if not met]
sys.exit(f"missed: {', '.join(missed)}" if missed else 0)
