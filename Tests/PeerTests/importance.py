"""Importance matrices beside llama-imatrix of the same F16 GGUF, text and chunks.

    importance.py VENV QUERN MODEL TEXT [--chunks 16] [--tolerance 0.01] [--type IQ3_S] [--exact] [--tools FOLDER]

The bars: every value within 1 %, the files of both in the same form, `llama-quantize --imatrix` and `quern convert --imatrix`
make the same tensors of either file, byte for byte. The time of both is printed.
With --exact all is F32: llama.cpp rounds what it multiplies by F16 weights to F16, which turns near ties between experts and moves
some sums by more than 1 %: of SmolLM2's 149,970 values two, from its own F32 as from ours.
"""
import os
import subprocess
import sys
import tempfile
import time

import numpy
from gguf import GGUFReader

import peer

parser = peer.parser("venv", "quern", "model", "text")
parser.add_argument("--chunks", type=int, default=16)
parser.add_argument("--tolerance", type=float, default=0.01)
parser.add_argument("--type", default="IQ3_S")
parser.add_argument("--exact", action="store_true", help="F32 weights, keys and values")
parser.add_argument("--tools", help="the folder of llama.cpp's programs, when it is not the one in VENV")
o = parser.parse_args()
tools = o.tools or f"{o.venv}/llama.cpp/build/bin"
failed = []


def check(sound, what):
    print(("ok    " if sound else "WRONG ") + what)
    if not sound:
        failed.append(what)


def run(*command):
    began = time.monotonic()
    peer.output(*command)
    return time.monotonic() - began


def read(path):
    file = GGUFReader(path)
    keys = {name: field.contents() for name, field in file.fields.items() if not name.startswith("GGUF.")}
    return keys, {t.name: (list(map(int, t.shape)), numpy.array(t.data, dtype=numpy.float64).ravel()) for t in file.tensors}


def compare(what, ours, theirs):
    (our_keys, our), (their_keys, their) = read(ours), read(theirs)
    check(list(our) == list(their), f"{what}: the same {len(their)} tensors in the same order")
    check(list(our_keys.items()) == list(their_keys.items()), f"{what}: the same metadata, {their_keys}")
    worst, where, all_values = 0.0, "", []
    for name in their:
        if name not in our:
            continue
        (shape, x), (their_shape, y) = our[name], their[name]
        if shape != their_shape:
            check(False, f"{what}: {name} has {shape}, expected {their_shape}")
            continue
        if name.endswith(".counts"):
            moved = numpy.abs(x - y).sum()
            routed = len(y) > 1
            check(abs(x.sum() - y.sum()) == 0 and (moved == 0 or routed and moved <= 0.01 * y.sum()),
                  f"{what}: {name} of {y.sum():.0f}, {moved:.0f} apart") if moved else None
            continue
        # A token that another expert gets shows in sums, not in their means.
        counts = [numpy.repeat(m[name.removesuffix(".in_sum2") + ".counts"][1], shape[0]) for m in (our, their)]
        seen = (counts[0] > 0) & (counts[1] > 0)
        x, y = x[seen] / counts[0][seen], y[seen] / counts[1][seen]
        apart = numpy.abs(x - y) / numpy.maximum(y, 1e-30)
        all_values.append(apart)
        if apart.size and apart.max() > worst:
            worst, where = apart.max(), name
    every = numpy.concatenate(all_values)
    check(worst <= o.tolerance,
          f"{what}: {every.size} values, at most {worst * 100:.4f} % apart ({where}), median {numpy.median(every) * 100:.5f} %")


with tempfile.TemporaryDirectory() as work:
    f16 = f"{work}/f16.gguf"
    run(o.quern, "convert", o.model, "--type", "F32" if o.exact else "F16", "-o", f16, "-q")
    common = ["-m", f16, "-f", o.text, "-c", "512", "-t", "2", "--chunks", str(o.chunks)]
    if o.exact:
        common += ["-ctk", "f32", "-ctv", "f32", "-fa", "off"]
    ours, theirs = f"{work}/ours.gguf", f"{work}/theirs.gguf"
    their_time = run(f"{tools}/llama-imatrix", *common, "-o", theirs, "--no-ppl")
    our_time = run(o.quern, "calibrate", f16, "--text", o.text, "--chunks", str(o.chunks), "-j", "2", "-o", ours, "-q")
    print(f"{os.path.basename(o.model)}, {o.chunks} chunks of 512: quern {our_time:.2f} s, llama-imatrix {their_time:.2f} s, "
          f"{their_time / our_time:.2f} times as long")
    compare("gguf", ours, theirs)

    # The output matrix, and the sum of two files.
    run(f"{tools}/llama-imatrix", *common, "-o", f"{work}/theirs-2.gguf", "--no-ppl", "--process-output", "--in-file", theirs)
    run(o.quern, "calibrate", f16, "--text", o.text, "--chunks", str(o.chunks), "-o", f"{work}/ours-2.gguf", "-q",
        "--merge", ours)
    ours_output = f"{work}/ours-output.gguf"
    run(o.quern, "calibrate", f16, "--text", o.text, "--chunks", str(o.chunks), "-o", ours_output, "-q", "--output-tensor",
        "--merge", ours)
    tied = "output.weight" not in {t.name for t in GGUFReader(f16).tensors}
    compare("merged", f"{work}/ours-2.gguf" if tied else ours_output, f"{work}/theirs-2.gguf")
    name = "token_embd.weight" if tied else "output.weight"
    check(f"{name}.in_sum2" in read(ours_output)[1], f"--output-tensor measures {name}")

    # The older form, read by each other.
    run(f"{tools}/llama-imatrix", "-m", f16, "--in-file", ours, "-o", f"{work}/theirs.dat", "--output-format", "dat")
    run(o.quern, "calibrate", f16, "--text", o.text, "--chunks", str(o.chunks), "-o", f"{work}/ours.dat", "-q")
    their_dat, our_dat = (open(f"{work}/{name}.dat", "rb").read() for name in ("theirs", "ours"))
    check(our_dat == their_dat, f"the older form of ours as llama-imatrix writes it, {len(our_dat)} bytes")

    for matrix in [ours, theirs, f"{work}/ours.dat", ours_output]:
        run(f"{tools}/llama-quantize", "--imatrix", matrix, f16, f"{work}/a.gguf", o.type, "2")
        run(o.quern, "convert", f16, "--type", o.type, "--imatrix", matrix, "-o", f"{work}/b.gguf", "-q", "--force")
        compare_files = [sys.executable, f"{peer.here}/compare_gguf.py", f"{work}/b.gguf", f"{work}/a.gguf"]
        done = subprocess.run(compare_files, capture_output=True, text=True)
        check(done.returncode == 0,
              f"{o.type} with {os.path.basename(matrix)} beside llama-quantize: {done.stdout.strip()}{done.stderr[-500:]}")
sys.exit(1 if failed else 0)
