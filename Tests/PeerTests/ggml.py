"""ggml's quantizers, through libgguf, or through llama.cpp's own library for what libgguf does not know yet: Q2_0, and the way
in which IQ1_M adds up since it got faster."""
import ctypes
import sys
from pathlib import Path

import libgguf
import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

# Name: number, weights and bytes of a block (ggml-common.h, llama.cpp 0c1e57098).
NEWER = {"Q2_0": (42, 64, 18), "IQ1_M": (29, 256, 56)}
_library = None


def _ggml():
    global _library
    if _library is None:
        _library = ctypes.CDLL(str(Path(sys.prefix) / "llama.cpp/build/bin/libggml-base.so"))
        for kind, _, _ in NEWER.values():
            _library.ggml_quantize_init(kind)
    return _library


def number(name):
    return NEWER[name][0] if name in NEWER else int(GGMLQuantizationType[name])


def block(name):
    """Weights and bytes of a block."""
    return NEWER[name][1:] if name in NEWER else GGML_QUANT_SIZES[GGMLQuantizationType[name]]


def knows(name):
    return name in NEWER or name in GGMLQuantizationType.__members__


def quantize_into(name, x, out, rows, columns, importance=None):
    if name not in NEWER:
        return libgguf.quantize_rows_into_raw(GGMLQuantizationType[name], x, out, rows, columns, importance)
    address = lambda array: None if array is None else ctypes.c_void_p(array.ctypes.data)
    getattr(_ggml(), f"quantize_{name.lower()}")(
        address(x), address(out), ctypes.c_int64(rows), ctypes.c_int64(columns), address(importance))


def quantize(name, x, rows, columns, importance=None):
    elements, size = block(name)
    out = np.zeros(rows * columns // elements * size, np.uint8)
    quantize_into(name, np.ascontiguousarray(x), out, rows, columns, importance)
    return out


def dequantize_into(name, blocks, out, rows, columns):
    if name not in NEWER:
        return libgguf.dequantize_rows_into_raw(GGMLQuantizationType[name], blocks, out, rows, columns)
    getattr(_ggml(), f"dequantize_row_{name.lower()}")(
        ctypes.c_void_p(blocks.ctypes.data), ctypes.c_void_p(out.ctypes.data), ctypes.c_int64(rows * columns))


def dequantize(name, blocks, rows, columns):
    out = np.zeros(rows * columns, np.float32)
    dequantize_into(name, np.ascontiguousarray(blocks), out, rows, columns)
    return out
