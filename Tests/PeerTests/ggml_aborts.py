"""Where ggml itself gives up: the formats of grids end the process when an error is beyond all numbers.

libgguf is built without those checks and goes on with whatever it finds; the libggml-base of llama.cpp has them. Work that
may abort is done in a process of its own.
"""
import ctypes
import functools
import os
import sys
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES

# Where set-up.sh builds it.
LIBRARY = Path(sys.prefix) / "llama.cpp/build/bin/libggml-base.so"


def survives(work):
    """Whether `work` comes to its end."""
    child = os.fork()
    if child == 0:
        os.environ["GGML_NO_BACKTRACE"] = "1"
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            work()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1] == 0


@functools.cache
def ggml(library, qtype):
    """The library, with the tables of `qtype` built, which processes that are forked off share."""
    if not Path(library).exists():
        sys.exit(f"{library} is missing, which tells where ggml aborts; name another with --ggml")
    ggml = ctypes.CDLL(str(library))
    pointer, integer = ctypes.c_void_p, ctypes.c_int64
    ggml.ggml_quantize_init.argtypes = [ctypes.c_int]
    ggml.ggml_quantize_chunk.argtypes = [ctypes.c_int, pointer, pointer, integer, integer, integer, pointer]
    ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
    ggml.ggml_quantize_init(int(qtype))
    return ggml


def aborts(qtype, row, importance, library=LIBRARY):
    """Whether ggml aborts on one row."""
    elements, size = GGML_QUANT_SIZES[qtype]
    row = np.ascontiguousarray(row)
    out = np.zeros(row.size // elements * size, np.uint8)
    work = ggml(library, qtype).ggml_quantize_chunk
    return not survives(lambda: work(int(qtype), row.ctypes.data, out.ctypes.data, 0, 1, row.size,
                                     None if importance is None else importance.ctypes.data))
