"""Block kernels beside libgguf and beside the memory, as Markdown: millions of weights a second and ratios.

    bench_blocks.py [--weights 16777216] [--runs 5] [--types Q4_K,...] [--sets v4,v3,baseline] [--only quantize|decode]

The kernels are built from Sources/CKernels as the package builds them and called in this process, so that libgguf and every
instruction set work in turn on the same normal weights. One thread; CPU time; medians. A number in brackets falls short of
the bar in the last column.
"""
import argparse
import concurrent.futures
import ctypes
import glob
import os
import statistics
import subprocess
import tempfile
import time

import numpy as np

import ggml

# A format's bars over libgguf, plain and with importance, at AVX-512; with AVX2 0.65 of each is asked. None is "memory": the
# speed of a copy of the floats.
BARS = {
    "Q8_0": (None, None), "Q4_0": (None, 8), "Q4_1": (0, 8), "Q5_0": (0, 8), "Q5_1": (0, 8),
    "Q2_K": (10, 9), "Q3_K": (8, 8), "Q4_K": (10, 9), "Q5_K": (10, 9), "Q6_K": (8, 8),
    "IQ4_NL": (12, 12), "IQ4_XS": (12, 12),
    "IQ1_S": (4, 4), "IQ1_M": (4, 4), "IQ2_XXS": (4, 4), "IQ2_XS": (4, 4), "IQ2_S": (4, 4), "IQ3_XXS": (4, 4), "IQ3_S": (4, 4),
    "TQ1_0": (0, 0), "TQ2_0": (0, 0), "MXFP4": (0, 0), "NVFP4": (0, 0), "Q1_0": (0, 0), "Q2_0": (0, 0),
    "F16": (0, 0), "BF16": (0, 0),
}
IGNORES_IMPORTANCE = {"F16", "BF16", "Q8_0", "TQ1_0", "TQ2_0", "MXFP4", "NVFP4", "Q1_0", "Q2_0"}
NEEDS_IMPORTANCE = {"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS"}
SLOW = {"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S"}  # a sixteenth of the weights will do
MEMORY_BAR = 0.6
AVX2_PART = 0.65
COLUMNS = 4096

parser = argparse.ArgumentParser()
parser.add_argument("--weights", type=int, default=1 << 24)
parser.add_argument("--runs", type=int, default=5)
parser.add_argument("--types", default=",".join(BARS))
parser.add_argument("--sets", default="v4,v3,baseline,arm64")
parser.add_argument("--only", choices=["quantize", "decode"])
o = parser.parse_args()


def kernels(folder):
    """CKernels as a shared library."""
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../Sources/CKernels")
    library = f"{folder}/libkernels.so"
    subprocess.run([os.environ.get("CLANG", "clang"), "-O2", "-fPIC", "-shared", f"-I{source}/include", f"-I{source}",
                    *sorted(glob.glob(f"{source}/*.c")), "-lm", "-o", library], check=True)
    k = ctypes.CDLL(library)
    u32, size, pointer = ctypes.c_uint32, ctypes.c_int64, ctypes.c_void_p
    for name, result, arguments in (
            ("use", ctypes.c_bool, [ctypes.c_char_p]), ("quantizes", ctypes.c_bool, [u32, ctypes.c_bool]),
            ("dequantizes", ctypes.c_bool, [u32])):
        function = getattr(k, f"quern_kernels_{name}")
        function.restype, function.argtypes = result, arguments
    k.quern_quantize.restype, k.quern_quantize.argtypes = ctypes.c_bool, [u32, pointer, pointer, size, size, pointer]
    k.quern_dequantize.restype, k.quern_dequantize.argtypes = ctypes.c_bool, [u32, pointer, pointer, size]
    return k


def seconds(work):
    began = time.process_time()
    work()
    return time.process_time() - began


def medians(works, runs):
    """Medians of the CPU time of each of `works`, which take turns; the first turn only warms up."""
    times = {name: [] for name in works}
    for turn in range(runs + 1):
        for name, work in works.items():
            spent = seconds(work)
            if turn:
                times[name].append(spent)
    return {name: statistics.median(spent) for name, spent in times.items()}


def address(array):
    return None if array is None else array.ctypes.data


def judged(text, value, bar):
    return f"({text})" if bar and value < bar else text


def bar_on(isa, bar):
    return bar if isa in ("v4", "arm64") else bar * AVX2_PART if isa == "v3" else 0


def quantize_row(k, name, weighted, x, sets):
    qtype = ggml.number(name)
    elements, size = ggml.block(name)
    rows = len(x) // (16 if name in SLOW else 1)
    x = x[:rows]
    importance = np.random.default_rng(2).standard_normal(COLUMNS, dtype=np.float32) ** 2 + np.float32(1e-3) if weighted else None
    out, theirs = (np.zeros(x.size // elements * size, np.uint8) for _ in range(2))
    copy = np.zeros_like(x)

    def ours(isa, first=0, last=rows):
        start = first * COLUMNS // elements * size
        return k.quern_quantize(qtype, address(x) + 4 * first * COLUMNS, address(out) + start, last - first, COLUMNS,
                                address(importance))

    def on(isa):
        k.quern_kernels_use(isa.encode())
        ours(isa)

    works = {"libgguf": lambda: ggml.quantize_into(name, x, theirs, rows, COLUMNS, importance),
             "copy": lambda: ctypes.memmove(address(copy), address(x), x.nbytes)}
    works.update({isa: (lambda isa=isa: on(isa)) for isa in sets})
    spent = medians(works, o.runs)
    different = int(np.count_nonzero(out != theirs))
    bar = BARS[name][weighted]
    speed = lambda key: x.size / spent[key] / 1e6
    cells = [f"{name}{', importance' if weighted else ''}", f"{speed('libgguf'):.1f}"]
    for isa in sets:
        ratio, memory = spent["libgguf"] / spent[isa], spent["copy"] / spent[isa]
        ratio_text = f"{ratio:.1f} ×" if bar is None else judged(f"{ratio:.1f} ×", ratio, bar_on(isa, bar))
        memory_text = f"{memory:.0%}" if bar is not None else judged(f"{memory:.0%}", memory, bar_on(isa, MEMORY_BAR))
        cells += [f"{speed(isa):.0f}", ratio_text, memory_text]

    # All threads, wall clock, with the best set: parts of the rows, as the pipeline cuts them.
    k.quern_kernels_use(sets[0].encode())
    threads = len(os.sched_getaffinity(0))
    step = max(1, (1 << 17) // COLUMNS)
    parts = [(first, min(rows, first + step)) for first in range(0, rows, step)]
    walls = {}
    for count in (1, threads):
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            times = []
            for _ in range(o.runs):
                began = time.perf_counter()
                list(pool.map(lambda part: ours(sets[0], *part), parts))
                times.append(time.perf_counter() - began)
            walls[count] = statistics.median(times)
    cells += [f"{x.size / walls[threads] / 1e6:.0f}", f"{walls[1] / walls[threads]:.2f} ×"]
    cells += [str(different), f"{MEMORY_BAR:.0%} of copy" if bar is None else f"{bar} ×" if bar else ""]
    print(f"| {' | '.join(cells)} |", flush=True)


# Floats of a piece that stays in the cache, as the converter decodes them.
PIECE = 1 << 17
# Written is a byte other than zero: some processors clear memory at twice the speed of writing it.
WRITTEN = 0x3c


def decode_row(k, name, x, sets):
    qtype = ggml.number(name)
    importance = np.ones(COLUMNS, np.float32) if name in NEEDS_IMPORTANCE else None
    blocks = np.tile(ggml.quantize(name, x[:64], 64, COLUMNS, importance), len(x) // 64)
    y, theirs = np.zeros_like(x), np.zeros_like(x)
    works = {"libgguf": lambda: ggml.dequantize_into(name, blocks, theirs, len(x), COLUMNS),
             "write": lambda: ctypes.memset(address(y), WRITTEN, y.nbytes)}
    if name in ("F16", "BF16"):
        # These are stored as they are and libgguf decodes none of them.
        plain = blocks.view(np.uint16).reshape(x.shape)
        works["libgguf"] = lambda: theirs.view(np.uint32).__setitem__(..., plain.astype(np.uint32) << 16)
        if name == "F16":
            works["libgguf"] = lambda: theirs.__setitem__(..., plain.view(np.float16))

    def on(isa):
        k.quern_kernels_use(isa.encode())
        k.quern_dequantize(qtype, address(blocks), address(y), y.size)

    def in_pieces(isa):
        k.quern_kernels_use(isa.encode())
        size = len(blocks) * PIECE // y.size
        for first in range(0, y.size, PIECE):
            k.quern_dequantize(qtype, address(blocks) + first // PIECE * size, address(y), PIECE)

    def write_pieces():
        for _ in range(0, y.size, PIECE):
            ctypes.memset(address(y), WRITTEN, 4 * PIECE)

    works.update({isa: (lambda isa=isa: on(isa)) for isa in sets})
    spent = medians(works, o.runs)
    different = int(np.count_nonzero(y.view(np.uint32) != theirs.view(np.uint32)))
    pieces = medians({"write": write_pieces, **{isa: (lambda isa=isa: in_pieces(isa)) for isa in sets}}, o.runs)
    speed = lambda key: x.size / spent[key] / 1e6
    cells = [name, f"{speed('libgguf'):.0f}"]
    for isa in sets:
        part = spent["write"] / spent[isa]
        cells += [f"{speed(isa):.0f}", f"{spent['libgguf'] / spent[isa]:.1f} ×",
                  judged(f"{part:.0%}", part, bar_on(isa, MEMORY_BAR)), f"{pieces['write'] / pieces[isa]:.0%}"]
    print(f"| {' | '.join(cells)} | {different} |", flush=True)


with tempfile.TemporaryDirectory() as folder:
    k = kernels(folder)
    sets = [isa for isa in o.sets.split(",") if k.quern_kernels_use(isa.encode())]
    x = np.random.default_rng(1).standard_normal((o.weights // COLUMNS // 64 * 64, COLUMNS), dtype=np.float32) * np.float32(0.02)
    copy = np.zeros_like(x)
    memory = medians({"copy": lambda: ctypes.memmove(address(copy), address(x), x.nbytes),
                      "write": lambda: ctypes.memset(address(copy), WRITTEN, x.nbytes)}, o.runs)
    print(f"{x.size / 1e6:.1f} M normal weights; a copy of them takes {x.nbytes / memory['copy'] / 1e9:.1f} GB/s, writing as many "
          f"{x.nbytes / memory['write'] / 1e9:.1f} GB/s (one thread; M/s is million weights a second).\n")
    names = [name for name in o.types.split(",") if ggml.knows(name)]
    if o.only != "decode":
        titles = ["quantize", "libgguf M/s"] + [t for isa in sets for t in (f"{isa} M/s", "ratio", "of copy")]
        titles += ["all threads M/s", "scaling", "differing bytes", "bar"]
        print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
        for name in names:
            for weighted in (False, True):
                if weighted and name in IGNORES_IMPORTANCE or not weighted and name in NEEDS_IMPORTANCE:
                    continue
                if k.quern_kernels_quantizes(ggml.number(name), weighted):
                    quantize_row(k, name, weighted, x, sets)
        print()
    if o.only != "quantize":
        titles = ["decode", "libgguf M/s"] + [t for isa in sets for t in (f"{isa} M/s", "ratio", "of writing", "of writing in cache")]
        titles += ["differing floats"]
        print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
        for name in names:
            if k.quern_kernels_dequantizes(ggml.number(name)):
                decode_row(k, name, x, sets)
