"""Perplexity of an F16 GGUF beside llama-perplexity on the same file and text.

    perplexities.py VENV QUERN TEXT [--chunks 20] [--model FOLDER]

The bar is 0.1 %.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

from llama_perplexity import estimate

parser = argparse.ArgumentParser()
parser.add_argument("venv")
parser.add_argument("quern")
parser.add_argument("text")
parser.add_argument("--chunks", type=int, default=20)
parser.add_argument("--model")
o = parser.parse_args()
model = o.model or f"{o.venv}/smollm2"

with tempfile.TemporaryDirectory() as work:
    gguf = f"{work}/f16.gguf"
    subprocess.run([o.quern, "convert", model, "--type", "F16", "-o", gguf, "-q"], check=True, stdout=subprocess.DEVNULL)
    ours = json.loads(subprocess.run(
        [o.quern, "perplexity", gguf, "--text", o.text, "--chunks", str(o.chunks), "--json", "-q"],
        check=True, capture_output=True, text=True).stdout)
    theirs, error = estimate(
        f"{o.venv}/llama.cpp/build/bin/llama-perplexity", "-m", gguf, "-f", o.text, "-c", "512", "-t", "2",
        "--chunks", str(o.chunks))
    difference = abs(ours["perplexity"] / theirs - 1)
    print(f"{os.path.basename(model)}, {o.chunks} chunks of 512: quern {ours['perplexity']:.4f} ± {ours['standard_error']:.4f}, "
          f"llama-perplexity {theirs:.4f} ± {error}: {difference * 100:.4f} % apart")
sys.exit(0 if difference < 1e-3 else 1)
