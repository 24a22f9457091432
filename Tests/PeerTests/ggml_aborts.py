"""Where ggml itself gives up: the formats of grids end the process when an error is beyond all numbers.

libgguf is built without those checks and goes on with whatever it finds; the libggml-base of llama.cpp has them. Work that
may abort is done in a process of its own.
"""
import ctypes
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


def aborts(qtype, row, importance, library=LIBRARY):
    """Whether ggml aborts on one row."""
    columns = row.size
    elements, size = GGML_QUANT_SIZES[qtype]
    out = np.zeros(columns // elements * size, np.uint8)
    row = np.ascontiguousarray(row)

    def work():
        ggml = ctypes.CDLL(str(library))
        pointer, integer = ctypes.c_void_p, ctypes.c_int64
        ggml.ggml_quantize_chunk.argtypes = [ctypes.c_int, pointer, pointer, integer, integer, integer, pointer]
        ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
        ggml.ggml_quantize_chunk(int(qtype), row.ctypes.data, out.ctypes.data, 0, 1, columns,
                                 None if importance is None else importance.ctypes.data)

    if not Path(library).exists():
        sys.exit(f"blocks.py: {library} is missing, which tells where ggml aborts; name another with --ggml")
    return not survives(work)
