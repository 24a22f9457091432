"""Logits of quern beside transformers in F32, and the same at any number of threads.

    logits.py QUERN_PEER MODEL TEXT [--tokens 512] [--gguf FILE]

MODEL is a Hugging Face folder; quern reads it as it is, or the GGUF made from it. Exit 1 when any logit differs by 1e-3
or more, or any bit between 1 and 2 threads.
"""
import argparse
import subprocess
import sys
import tempfile

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

parser = argparse.ArgumentParser()
parser.add_argument("quern_peer")
parser.add_argument("model")
parser.add_argument("text")
parser.add_argument("--tokens", type=int, default=512)
parser.add_argument("--gguf")
options = parser.parse_args()

tokenizer = Tokenizer.from_file(f"{options.model}/tokenizer.json")
with open(options.text, encoding="utf-8") as file:
    ids = tokenizer.encode(file.read(options.tokens * 16)).ids[: options.tokens]

results = []
with tempfile.TemporaryDirectory() as folder:
    np.array(ids, dtype="<i4").tofile(f"{folder}/ids")
    for jobs in ("1", "2"):
        subprocess.run(
            [options.quern_peer, "logits", options.gguf or options.model, f"{folder}/ids", f"{folder}/logits", jobs],
            check=True,
        )
        results.append(np.fromfile(f"{folder}/logits", dtype="<f4").reshape(len(ids), -1))

model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32, attn_implementation="eager").eval()
with torch.no_grad():
    expected = model(torch.tensor([ids])).logits[0].numpy()
difference = np.abs(results[0] - expected)
print(f"{len(ids)} positions of {expected.shape[1]}: greatest difference {difference.max():.3g}, mean {difference.mean():.3g}")
same = np.array_equal(results[0].view(np.uint32), results[1].view(np.uint32))
print(f"1 and 2 threads: {'equal' if same else 'DIFFERENT'}")
sys.exit(0 if difference.max() < 1e-3 and same else 1)
