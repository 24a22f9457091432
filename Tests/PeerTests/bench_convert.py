"""Whole commands beside llama.cpp's, on a synthetic Llama of 1 B weights: wall clock as ratios, medians of pairs.

    bench_convert.py QUERN VENV [--runs 3] [--work FOLDER] [--types Q4_K_M,...] [--skip-8b]

Then the peak memory on a checkpoint of 8 B shape (sparse: zeros that take no room on the disk), and the scaling from one
thread to two with the output in memory, where there is a folder for that. Exit 1 when a tensor's bytes differ from
llama-quantize's.
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
parser.add_argument("--types", default="Q4_K_M,Q6_K,Q8_0,IQ4_XS")
parser.add_argument("--skip-8b", action="store_true")
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
    """Ours in `out`, theirs in `reference`. The first pair warms up; its outputs are compared."""
    timed(*ours), timed(*theirs)
    comparison = subprocess.run([sys.executable, f"{here}/compare_gguf.py", out, reference], capture_output=True, text=True)
    failures.extend([label] * (comparison.returncode != 0))
    rows = [(timed(*ours), timed(*theirs)) for _ in range(o.runs)]
    a = statistics.median(r[0][0] for r in rows)
    b = statistics.median(r[1][0] for r in rows)
    ratio = statistics.median(r[1][0] / r[0][0] for r in rows)
    print(f"| {label} | {a:.2f} | {b:.2f} | {ratio:.1f} | {rows[0][0][1]:.0f} | {rows[0][1][1]:.0f} | "
          f"{'differ' if comparison.returncode else 'equal'} |", flush=True)


failures = []
with tempfile.TemporaryDirectory(dir=o.work) as work:
    model, f16, step = f"{work}/model", f"{work}/f16.gguf", f"{work}/step.gguf"
    out, reference = f"{work}/out.gguf", f"{work}/reference.gguf"
    synthetic = [sys.executable, f"{here}/synthetic.py", tokenizer]
    subprocess.run([*synthetic, model], check=True)
    ours = lambda source, kind, jobs="2", out=out: [[o.quern, "convert", source, "--type", kind, "-o", out, "--force", "-q", "-j", jobs]]
    timed([o.quern, "convert", model, "--type", "F16", "-o", f16, "-q"])
    print("\n| command | quern s | llama.cpp s | ratio | quern MiB | llama.cpp MiB | tensors |")
    print("|---|---|---|---|---|---|---|")
    for kind in o.types.split(","):
        pair(f"F16 GGUF to {kind}, 2 threads", ours(f16, kind), [[quantize, f16, reference, kind, "2"]])
    convert = [sys.executable, f"{here}/reference_gguf.py", o.venv, model, step, "--outtype", "bf16"]
    pair("safetensors to Q4_K_M", ours(model, "Q4_K_M"), [convert, [quantize, step, reference, "Q4_K_M", "2"]])

    if not o.skip_8b:
        subprocess.run([*synthetic, f"{work}/8b", "--hidden", "4096", "--layers", "32", "--ffn", "14336", "--sparse"], check=True)
        spent, peak = timed(*ours(f"{work}/8b", "Q4_K_M"))
        print(f"\n8 B shape, sparse, to Q4_K_M: {spent:.1f} s, {peak:.0f} MiB")
    in_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=in_memory) as memory:
        target = f"{memory}/out.gguf"
        rows = [[timed(*ours(f16, "Q4_K_M", jobs, target))[0] for jobs in "12"] for _ in range(max(5, o.runs))]
    # The fastest of each: a kernel may leave both threads on one processor for as long as such a run takes.
    one, two = (min(row[jobs] for row in rows) for jobs in (0, 1))
    print(f"\n1 to 2 threads, F16 GGUF to Q4_K_M: {one / two:.2f} ×")
if failures:
    sys.exit(f"bytes differ: {', '.join(failures)}")
