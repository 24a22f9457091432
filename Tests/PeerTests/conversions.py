"""`quern convert` beside llama.cpp's two steps, every tensor byte for byte.

    conversions.py VENV QUERN TINY_LLAMA

For tiny-llama and, when it was made, SmolLM2: convert_hf_to_gguf.py --outtype bf16, then llama-quantize to each type, beside
one `quern convert --type`. The metadata of the BF16 conversion is compared key by key as well, and a GGUF of ours must
come through `llama-quantize COPY` unchanged.
"""
import os
import subprocess
import sys
import tempfile

venv, quern, tiny = sys.argv[1:4]
here = os.path.dirname(os.path.abspath(__file__))
python = sys.executable
TYPES = "Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K".split()
quantize = f"{venv}/llama.cpp/build/bin/llama-quantize"

# Keys that may differ, with the reason.
REASONS = {
    "general.name": "the same rule, but convert_hf_to_gguf.py also reads model cards",
    "tokenizer.ggml.eot_token_id": "the converter leaves the token that ends a turn for a reader to guess by its text",
    "tokenizer.ggml.eom_token_id": "the same",
}


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


failed = False


def compare(label, ours, theirs, *flags):
    global failed
    done = subprocess.run([python, f"{here}/compare_gguf.py", ours, theirs, *flags], capture_output=True, text=True)
    print(f"{label}: {done.stdout.strip()}")
    if done.returncode:
        failed = True
        print(done.stderr[-2000:])


models = [("tiny-llama", tiny, ["--pre", "llama-bpe"])]
if os.path.exists(f"{venv}/smollm2/config.json"):
    models.append(("SmolLM2-135M", f"{venv}/smollm2", []))
else:
    print("SmolLM2-135M: skipped, it was not made")

with tempfile.TemporaryDirectory() as work:
    for name, folder, flags in models:
        base, ours = f"{work}/base.gguf", f"{work}/ours.gguf"
        run(python, f"{here}/reference_gguf.py", venv, folder, base, "--outtype", "bf16", *flags)
        run(quern, "convert", folder, "-o", ours, "--type", "BF16", "--force", "--quiet")
        allow = [f"--allow={key}={reason}" for key, reason in REASONS.items()]
        compare(f"{name} BF16, metadata", ours, base, "--metadata", *allow)
        for kind in TYPES:
            theirs = f"{work}/theirs.gguf"
            run(quantize, base, theirs, kind, "2")
            run(quern, "convert", folder, "-o", ours, "--type", kind, "--force", "--quiet")
            compare(f"{name} {kind}", ours, theirs)
        copy = f"{work}/copy.gguf"
        run(quantize, ours, copy, "COPY")
        same = open(ours, "rb").read() == open(copy, "rb").read()
        print(f"{name}: llama-quantize COPY of ours is {'identical' if same else 'DIFFERENT'}")
        failed = failed or not same
sys.exit(1 if failed else 0)
