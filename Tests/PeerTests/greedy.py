"""Text that llama.cpp generates from our Q4_K_M file, beside what it generates from its own.

    greedy.py VENV QUERN MODEL

Both files are loaded by xllamacpp, a build of llama.cpp, and continue the same prompts greedily.
"""
import os
import subprocess
import sys
import tempfile

import xllamacpp

venv, quern, model = sys.argv[1:4]
here = os.path.dirname(os.path.abspath(__file__))
PROMPTS = ["The capital of France is", "def fibonacci(n):", "Once upon a time, in a small village"]


def continuations(path):
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx = 512
    params.cpuparams.n_threads = 2
    params.warmup = False
    server = xllamacpp.Server(params)
    texts = []
    for prompt in PROMPTS:
        answer = server.handle_completions({"prompt": prompt, "max_tokens": 48, "temperature": 0, "seed": 1})
        texts.append(answer["choices"][0]["text"])
    return texts


with tempfile.TemporaryDirectory() as work:
    base, theirs, ours = f"{work}/base.gguf", f"{work}/theirs.gguf", f"{work}/ours.gguf"
    quiet = dict(check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.run([sys.executable, f"{here}/reference_gguf.py", venv, model, base, "--outtype", "bf16"], **quiet)
    subprocess.run([f"{venv}/llama.cpp/build/bin/llama-quantize", base, theirs, "Q4_K_M", "2"], **quiet)
    subprocess.run([quern, "convert", model, "--type", "Q4_K_M", "-o", ours, "-q"], **quiet)
    a, b = continuations(ours), continuations(theirs)
for prompt, x, y in zip(PROMPTS, a, b):
    print(f"{prompt!r} -> {x[:60]!r}: {'equal' if x == y else 'DIFFERENT: ' + repr(y[:60])}")
sys.exit(0 if a == b and all(text.strip() for text in a) else 1)
