"""`quern convert` beside llama.cpp's two steps, every tensor byte for byte.

    conversions.py VENV QUERN TINY_LLAMA

For tiny-llama and, when it was made, SmolLM2: convert_hf_to_gguf.py --outtype bf16, then llama-quantize to each type, beside
one `quern convert --type`; of tiny-llama also every other type that llama-quantize has. With an importance matrix of random
numbers, in both forms of file, every type of tiny-llama again, from convert_hf_to_gguf.py's GGUF: the whole files are the same,
metadata and all. (llama-quantize notes the paths of matrix and text as they were given, Quern the names of the files: here both are
names.) The metadata of the BF16 conversion is compared key by key, and a GGUF of ours must come through
`llama-quantize COPY` unchanged.
"""
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np
from gguf import GGUFReader, GGUFWriter

venv, quern, tiny = map(os.path.abspath, sys.argv[1:4])
here = os.path.dirname(os.path.abspath(__file__))
python = sys.executable
TYPES = "Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K".split()
OTHERS = """F16 Q2_K Q3_K_S Q3_K_M Q3_K_L IQ3_S IQ3_M IQ4_NL IQ4_XS TQ1_0 TQ2_0 MXFP4_MOE Q1_0 Q2_0""".split()
WITH_IMPORTANCE = TYPES + OTHERS + "F32 BF16 IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ2_M Q2_K_S IQ3_XXS IQ3_XS".split()
quantize = f"{venv}/llama.cpp/build/bin/llama-quantize"

# Keys that may differ, with the reason.
REASONS = {
    "tokenizer.ggml.eot_token_id": "the converter leaves the token that ends a turn for a reader to guess by its text",
    "tokenizer.ggml.eom_token_id": "the same",
}


def run(*command, folder=None):
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
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


def same_bytes(a, b):
    with open(a, "rb") as x, open(b, "rb") as y:
        return x.read() == y.read()


def write_importance(model, path):
    """A random importance matrix for every matrix of a GGUF, in llama-imatrix's two forms."""
    random = np.random.default_rng(5)
    matrices = [t for t in GGUFReader(model).tensors if len(t.shape) > 1]
    writer = GGUFWriter(path + ".gguf", "")
    writer.kv_data[0].pop("general.architecture", None)
    writer.add_string("general.type", "imatrix")
    writer.add_array("imatrix.datasets", ["one.txt", "two.txt"])
    writer.add_uint32("imatrix.chunk_count", 7)
    writer.add_uint32("imatrix.chunk_size", 512)
    for tensor in matrices:
        squares = (random.standard_normal((1, int(tensor.shape[0]))) ** 2 * 3584 + 1).astype("<f4")
        writer.add_tensor(tensor.name + ".in_sum2", squares)
        writer.add_tensor(tensor.name + ".counts", np.array([[3584]], "<f4"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with open(path + ".dat", "wb") as file:
        file.write(struct.pack("<i", len(matrices)))
        for tensor in matrices:
            name, columns = tensor.name.encode(), int(tensor.shape[0])
            file.write(struct.pack("<i", len(name)) + name + struct.pack("<ii", 1, columns))
            file.write((random.standard_normal(columns) ** 2 + 1e-3).astype("<f4").tobytes())
        file.write(struct.pack("<i", 1) + struct.pack("<i", 4) + b"text")


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
        theirs = f"{work}/theirs.gguf"
        for kind in TYPES + (OTHERS if name == "tiny-llama" else []):
            run(quantize, base, theirs, kind, "2")
            run(quern, "convert", folder, "-o", ours, "--type", kind, "--force", "--quiet")
            compare(f"{name} {kind}", ours, theirs)
        write_importance(base, f"{work}/importance")
        for kind in WITH_IMPORTANCE if name == "tiny-llama" else []:
            for form in "dat", "gguf":
                matrix = "importance." + form
                run(quantize, "--imatrix", matrix, base, theirs, kind, "2", folder=work)
                run(quern, "convert", base, "-o", ours, "--type", kind, "--imatrix", matrix, "--force", "--quiet", folder=work)
                same = same_bytes(ours, theirs)
                print(f"{name} {kind} with {matrix}: the whole files are {'identical' if same else 'DIFFERENT'}")
                if not same:
                    failed = True
                    compare(f"{name} {kind} with importance", ours, theirs, "--metadata")
        # Not of one with importance: COPY moves two keys behind those of the matrix, in llama-quantize's own files too.
        run(quern, "convert", folder, "-o", ours, "--type", "Q4_K_M", "--force", "--quiet")
        copy = f"{work}/copy.gguf"
        run(quantize, ours, copy, "COPY")
        same = same_bytes(ours, copy)
        print(f"{name}: llama-quantize COPY of ours is {'identical' if same else 'DIFFERENT'}")
        failed = failed or not same
sys.exit(1 if failed else 0)
