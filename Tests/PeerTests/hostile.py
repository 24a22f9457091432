"""Time and memory of refusing hostile files: every file that the tests write, through the commands.

    QUERN_KEEP=FOLDER swift test -c release --filter Hostile
    hostile.py QUERN FOLDER [--seconds 1] [--mebibytes 64]

Each file is inspected and, as a user would, converted; a run may end in 0 or in a refusal of its own, and in no signal.
Prints the slowest and the largest; exit 1 when one is over the limits.
"""
import argparse
import collections
import os
import re
import subprocess
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("quern")
parser.add_argument("folder")
parser.add_argument("--seconds", type=float, default=1)
parser.add_argument("--mebibytes", type=float, default=64)
o = parser.parse_args()
codes, errors, worst = collections.Counter(), collections.Counter(), []
files = sorted(os.path.join(folder, name) for folder, _, names in os.walk(o.folder) for name in names)
out = os.path.join(o.folder, "out.gguf")
for path in files:
    if not os.path.isfile(path):
        continue  # a FIFO or a device, which the tests open by name
    for command in (["inspect", path], ["convert", path, "--type", "F16", "-o", out, "--force", "-q"]):
        began = time.perf_counter()
        process = subprocess.Popen([o.quern, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                   env=dict(os.environ, SWIFT_BACKTRACE="enable=no"))
        text = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        codes[code] += 1
        errors.update(re.findall(r"\[([A-Z0-9]+)\]\s*$", text))
        worst.append((time.perf_counter() - began, usage.ru_maxrss / 1024, code, f"{command[0]} {os.path.relpath(path, o.folder)}"))
print(f"{len(worst)} runs on {len(files)} files; exit codes {dict(sorted(codes.items()))}")
print(f"errors {dict(errors.most_common())}")
for label, key in (("slowest", 0), ("largest", 1)):
    for run in sorted(worst, key=lambda run: -run[key])[:3]:
        print(f"{label}: {run[0]:.2f} s, {run[1]:.0f} MiB, exit {run[2]}: {run[3]}")
sys.exit(1 if any(run[0] > o.seconds or run[1] > o.mebibytes or run[2] < 0 for run in worst) else 0)
