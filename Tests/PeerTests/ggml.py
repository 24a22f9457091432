"""ggml's quantizers, through libgguf, or through llama.cpp's own library for types that libgguf does not know yet."""
import ctypes
import mmap
import os
import resource
import sys
from pathlib import Path

import libgguf
import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

# Name: number, weights and bytes of a block (ggml-common.h, llama.cpp 0c1e57098).
NEWER = {"Q2_0": (42, 64, 18)}
# ggml stops the process where sums overflow so far that no entry of a grid is nearer than another. Our blocks have a scale then
# that is NaN: bytes and place of it (IQ1_M has a nibble of it at the top of each of four words).
NAN = b"\x00\x7e"
STOPS = {"IQ2_XXS": NAN, "IQ2_XS": NAN, "IQ2_S": NAN, "IQ1_S": NAN, "IQ1_M": bytes(48) + b"\x00\x00\x00\x00\x00\xe0\x00\x70"}
# For these we ask llama.cpp too: libgguf 0.2 is built without assertions and goes on with entry -1 of a grid, and its search of
# IQ1_M is an older one, which rounds differently.
CHANGED = set(STOPS)
NEEDS_IMPORTANCE = {"IQ2_XXS", "IQ2_XS", "IQ1_S"}
_library = None


def _ggml():
    global _library
    if _library is None:
        _library = ctypes.CDLL(str(Path(sys.prefix) / "llama.cpp/build/bin/libggml-base.so"))
    return _library


def number(name):
    return NEWER[name][0] if name in NEWER else int(GGMLQuantizationType[name])


def block(name):
    """Weights and bytes of a block."""
    return NEWER[name][1:] if name in NEWER else GGML_QUANT_SIZES[GGMLQuantizationType[name]]


def knows(name):
    return name in NEWER or name in GGMLQuantizationType.__members__


def quantize_into(name, x, out, rows, columns, importance=None):
    if name not in NEWER and name not in CHANGED:
        return libgguf.quantize_rows_into_raw(GGMLQuantizationType[name], x, out, rows, columns, importance)
    address = lambda array: None if array is None else ctypes.c_void_p(array.ctypes.data)
    if name in STOPS:
        _ggml().ggml_quantize_init(ctypes.c_int(number(name)))
    getattr(_ggml(), f"quantize_{name.lower()}")(
        address(x), address(out), ctypes.c_int64(rows), ctypes.c_int64(columns), address(importance))


def quantize(name, x, rows, columns, importance=None):
    elements, size = block(name)
    x = np.ascontiguousarray(x, np.float32)
    if name in STOPS:
        return _quantize_in_children(name, x.reshape(rows, columns), importance)
    out = np.zeros(rows * columns // elements * size, np.uint8)
    quantize_into(name, x, out, rows, columns, importance)
    return out


def _quantize_in_children(name, x, importance):
    """Where a child process is stopped, its part is halved, down to the blocks that stop it."""
    elements, size = block(name)
    rows, columns = x.shape
    shared = mmap.mmap(-1, x.size // elements * size)
    out = np.frombuffer(shared, np.uint8).reshape(rows, columns // elements * size)
    # Tables are made here, once, and not in every child.
    quantize_into(name, np.ones(elements, np.float32), np.zeros(size, np.uint8), 1, elements, np.ones(elements, np.float32))

    def attempt(first_row, last_row, first, last):
        child = os.fork()
        if child == 0:
            os.environ["GGML_NO_BACKTRACE"] = "1"
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            try:
                part = np.ascontiguousarray(x[first_row:last_row, first:last])
                blocks = np.zeros(part.size // elements * size, np.uint8)
                w = None if importance is None else np.ascontiguousarray(importance[first:last])
                quantize_into(name, part, blocks, last_row - first_row, last - first, w)
                out[first_row:last_row, first // elements * size:last // elements * size] = blocks.reshape(last_row - first_row, -1)
                os._exit(0)
            finally:
                os._exit(1)
        status = os.waitpid(child, 0)[1]
        if os.WIFEXITED(status):
            if status != 0:
                raise RuntimeError(f"{name} cannot be quantized")
        elif last_row - first_row > 1:
            middle = (first_row + last_row) // 2
            attempt(first_row, middle, first, last)
            attempt(middle, last_row, first, last)
        elif last - first > elements:
            middle = (first + last) // 2 // elements * elements
            attempt(first_row, last_row, first, middle)
            attempt(first_row, last_row, middle, last)
        else:
            out[first_row, first // elements * size:last // elements * size] = np.frombuffer(STOPS[name].ljust(size, b"\0"), np.uint8)

    attempt(0, rows, 0, columns)
    return out.reshape(-1)


def dequantize_into(name, blocks, out, rows, columns):
    if name not in NEWER:
        return libgguf.dequantize_rows_into_raw(GGMLQuantizationType[name], blocks, out, rows, columns)
    getattr(_ggml(), f"dequantize_row_{name.lower()}")(
        ctypes.c_void_p(blocks.ctypes.data), ctypes.c_void_p(out.ctypes.data), ctypes.c_int64(rows * columns))


def dequantize(name, blocks, rows, columns):
    out = np.zeros(rows * columns, np.float32)
    dequantize_into(name, np.ascontiguousarray(blocks), out, rows, columns)
    return out
