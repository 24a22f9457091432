"""Several types from one reading beside a run for each: wall clock, medians of pairs, and the same bytes.

    bench_types.py QUERN MODEL [--types F16,Q8_0,BF16] [--runs 3] [--work FOLDER] [--cold]

--cold has the system forget the input before every run, so that it is read from the disk: the case of a model that is larger
than memory. Exit 1 when a file differs.
"""
import argparse
import filecmp
import glob
import os
import statistics
import subprocess
import sys
import tempfile
import time

parser = argparse.ArgumentParser()
parser.add_argument("quern")
parser.add_argument("model")
parser.add_argument("--types", default="F16,Q8_0,BF16")
parser.add_argument("--runs", type=int, default=3)
parser.add_argument("--work")
parser.add_argument("--cold", action="store_true")
o = parser.parse_args()
types = o.types.split(",")
inputs = [o.model] if os.path.isfile(o.model) else [p for p in glob.glob(f"{o.model}/**", recursive=True) if os.path.isfile(p)]


def convert(types, output):
    """Seconds of wall clock and of processor, and the largest resident set in MiB."""
    if o.cold:
        for path in inputs:
            with open(path, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    began = time.perf_counter()
    process = subprocess.Popen([o.quern, "convert", o.model, "-t", types, "-o", output, "-q", "--force"], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{types}: status {status}")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


rows = []
with tempfile.TemporaryDirectory(dir=o.work) as work:
    for turn in range(o.runs + 1):
        together = convert(o.types, f"{work}/together-{{type}}.gguf")
        alone = [convert(kind, f"{work}/alone-{{type}}.gguf") for kind in types]
        if turn:
            rows.append((together, tuple(sum(run[i] for run in alone) for i in range(2)) + (max(run[2] for run in alone),)))
    same = all(filecmp.cmp(f"{work}/together-{kind}.gguf", f"{work}/alone-{kind}.gguf", shallow=False) for kind in types)

wall, processor = (statistics.median(alone[i] / together[i] for together, alone in rows) for i in range(2))
median = lambda index, which: statistics.median(row[which][index] for row in rows)
print(f"{o.types}{', input from the disk' if o.cold else ''}: together {median(0, 0):.2f} s, one by one {median(0, 1):.2f} s, "
      f"ratio {wall:.2f}; processor {median(1, 0):.2f} s and {median(1, 1):.2f} s, ratio {processor:.2f}; "
      f"peak {median(2, 0):.0f} and {median(2, 1):.0f} MiB; files {'equal' if same else 'DIFFER'}")
sys.exit(0 if same else 1)
