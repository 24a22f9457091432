"""Where ggml itself gives up: the formats of grids end the process when an error is beyond all numbers.

libgguf is built without some of those checks and goes on with whatever it finds; the libggml-base of llama.cpp has them all.
Work that may abort is done in a process of its own.
"""
import ctypes
import functools
import mmap
import os
import sys
from pathlib import Path

import numpy as np

import ggml

# Where set-up.sh builds it.
LIBRARY = Path(sys.prefix) / "llama.cpp/build/bin/libggml-base.so"


def survives(work):
    """Whether `work` comes to its end."""
    child = os.fork()
    if child == 0:
        os.environ["GGML_NO_BACKTRACE"] = "1"
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        try:
            work()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1] == 0


@functools.cache
def prepare(name, columns):
    """Lets libgguf make its tables once, and not in every child."""
    ggml.quantize(name, np.ones((1, columns), np.float32), 1, columns, np.ones(columns, np.float32))


def quantized(name, x, importance):
    """Blocks of every row of x as libgguf writes them; zeros for the rows on which it aborts."""
    rows, columns = x.shape
    prepare(name, columns)
    elements, size = ggml.block(name)
    row_bytes = columns // elements * size
    shared = mmap.mmap(-1, rows * row_bytes)
    out = np.frombuffer(shared, np.uint8)

    def work(first, last):
        ggml.quantize_into(name, x[first:last], out[first * row_bytes:last * row_bytes], last - first, columns, importance)

    if not survives(lambda: work(0, rows)):
        out[:] = 0
        for row in range(rows):
            if not survives(lambda: work(row, row + 1)):
                out[row * row_bytes:(row + 1) * row_bytes] = 0
    return out.copy()


@functools.cache
def checking(name, library):
    """The library that has the checks, its tables made."""
    if not Path(library).exists():
        sys.exit(f"{library} is missing, which tells where ggml aborts; name another with --ggml")
    peer = ctypes.CDLL(str(library))
    pointer, integer = ctypes.c_void_p, ctypes.c_int64
    peer.ggml_quantize_chunk.argtypes = [ctypes.c_int, pointer, pointer, integer, integer, integer, pointer]
    peer.ggml_quantize_chunk.restype = ctypes.c_size_t
    peer.ggml_quantize_init(ggml.number(name))
    return peer


def aborts(name, row, importance, library=LIBRARY):
    """Whether ggml aborts on one row."""
    peer = checking(name, library)
    elements, size = ggml.block(name)
    out = np.zeros(row.size // elements * size, np.uint8)
    row = np.ascontiguousarray(row)
    return not survives(lambda: peer.ggml_quantize_chunk(
        ggml.number(name), row.ctypes.data, out.ctypes.data, 0, 1, row.size,
        None if importance is None else importance.ctypes.data))


# What we store for a block on which ggml aborts: zeros, and a scale that is NaN.
NAN_AT = {"IQ1_M": bytes(52) + b"\x00\xe0\x00\x70"}


def block_by_block(name, x, importance=None):
    """Rows of x as ggml stores them, a block on which it aborts as we do."""
    elements, size = ggml.block(name)
    refused = NAN_AT.get(name, b"\x00\x7e" + bytes(size - 2))
    out = []
    for row in x:
        for first in range(0, row.size, elements):
            part = np.ascontiguousarray(row[first:first + elements])
            w = None if importance is None else np.ascontiguousarray(importance[first:first + elements])
            out.append(refused if aborts(name, part, w) else ggml.quantize(name, part[None], 1, elements, w).tobytes())
    return np.frombuffer(b"".join(out), np.uint8)
