"""Wall clock of `quern convert --method gptq` beside llm-compressor's GPTQ on the CPU: the same model, text, tokens and threads.

    bench_gptq.py VENV QUERN MODEL [--text FILE] [--tokens 65536] [--threads 2] [--group 64]

Exit 1 below twice as fast. llm-compressor's part is its `oneshot` alone, without imports and loading, in float32, to symmetric
integers of 4 bits in groups (the width of the model must be a multiple of --group) and nothing stored; Quern's is the whole
command, to Q4_K_M, embedding and output included. One run each: llm-compressor takes minutes a layer.
"""
import glob
import os
import subprocess
import sys
import tempfile
import time

import peer

THEIRS = """
import sys, time, torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from llmcompressor import oneshot
from llmcompressor.modifiers.gptq import GPTQModifier
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
path, text, chunks, threads, group = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
torch.set_num_threads(threads)
model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
ids = AutoTokenizer.from_pretrained(path)(open(text).read()).input_ids
rows = [ids[i * 512:(i + 1) * 512] for i in range(chunks)]
weights = QuantizationArgs(num_bits=4, type="int", symmetric=True, strategy="group", group_size=group)
recipe = GPTQModifier(config_groups={"all": QuantizationScheme(targets=["Linear"], weights=weights)}, ignore=["lm_head"])
began = time.perf_counter()
oneshot(model=model, dataset=Dataset.from_dict({"input_ids": rows, "attention_mask": [[1] * 512] * chunks}), recipe=[recipe],
        max_seq_length=512, num_calibration_samples=chunks)
print("seconds", time.perf_counter() - began)
"""

parser = peer.bench_parser()
parser.set_defaults(text=f"{peer.here}/../../fixtures/text/python-docs-calibrate.txt")
parser.add_argument("--tokens", type=int, default=65536)
parser.add_argument("--group", type=int, default=64)
o = parser.parse_args()

with tempfile.TemporaryDirectory() as work:
    began = time.perf_counter()
    peer.output(o.quern, "convert", o.model, "--type", "Q4_K_M", "--method", "gptq", "--calibration", o.text,
                "--calibration-tokens", str(o.tokens), "-j", str(o.threads), "-o", f"{work}/ours.gguf", "-q")
    ours = time.perf_counter() - began
    print(f"quern convert --method gptq: {ours:.1f} s", flush=True)
    packages = glob.glob(f"{o.venv}/llm-compressor/lib/python3*/site-packages")
    done = subprocess.run([f"{o.venv}/bin/python", "-c", THEIRS, o.model, o.text, str(o.tokens // 512),
                           str(o.threads), str(o.group)], capture_output=True, text=True, cwd=work,
                          env=os.environ | {"PYTHONPATH": ":".join(packages)})
    lines = [line for line in done.stdout.splitlines() if line.startswith("seconds ")]
    if not lines:
        sys.exit(done.stderr[-2000:])
theirs = float(lines[0].split()[1])
print(f"llm-compressor: {theirs:.1f} s, {theirs / ours:.2f} times as long")
sys.exit(0 if theirs >= 2 * ours else "missed: 2 times")
