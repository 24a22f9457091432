"""Two GGUF files tensor by tensor and key by key, read by gguf-py: llama.cpp's own where the peers are, which knows types that
the published one does not yet.

    compare_gguf.py OURS THEIRS [--metadata] [--allow KEY=REASON ...]

Prints what differs; exit 1 when a tensor's type, shape or any byte differs, when one file lacks a tensor, or, with
--metadata, when a key's type or value differs and is not allowed by name.
"""
import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(sys.prefix) / "llama.cpp/gguf-py"))
from gguf import GGUFReader

parser = argparse.ArgumentParser()
parser.add_argument("ours")
parser.add_argument("theirs")
parser.add_argument("--metadata", action="store_true")
parser.add_argument("--allow", action="append", default=[])
options = parser.parse_args()
ours, theirs = GGUFReader(options.ours), GGUFReader(options.theirs)
failures = []

a, b = ({t.name: t for t in reader.tensors} for reader in (ours, theirs))
for name in sorted(a.keys() ^ b.keys()):
    failures.append(f"tensor {name} only in {'ours' if name in a else 'theirs'}")
differing = 0
for name in sorted(a.keys() & b.keys()):
    x, y = a[name], b[name]
    if x.tensor_type != y.tensor_type or list(x.shape) != list(y.shape):
        failures.append(f"tensor {name}: {x.tensor_type.name} {list(x.shape)} beside {y.tensor_type.name} {list(y.shape)}")
        continue
    unequal = int(np.count_nonzero(np.asarray(x.data).view(np.uint8) != np.asarray(y.data).view(np.uint8)))
    if unequal:
        differing += unequal
        failures.append(f"tensor {name}: {unequal} of {x.n_bytes} bytes differ")
print(f"{len(a.keys() & b.keys())} tensors, {sum(int(t.n_bytes) for t in a.values())} bytes compared, {differing} differ")

if options.metadata:
    allowed = dict(item.split("=", 1) for item in options.allow)
    keys = [k for k in dict.fromkeys([*ours.fields, *theirs.fields]) if not k.startswith("GGUF.")]
    equal = 0
    for key in keys:
        x, y = ours.fields.get(key), theirs.fields.get(key)
        if x and y and x.types == y.types and x.contents() == y.contents():
            equal += 1
            continue
        show = lambda f: "absent" if f is None else f"{[t.name for t in f.types]} {str(f.contents())[:60]!r}"
        line = f"key {key}: {show(x)} beside {show(y)}"
        if key in allowed:
            print(f"{line} (allowed: {allowed[key]})")
        else:
            failures.append(line)
    print(f"{equal} of {len(keys)} keys equal in type and value")

for line in failures[:20]:
    print("DIFFERS", line)
if len(failures) > 20:
    print(f"and {len(failures) - 20} more")
sys.exit(1 if failures else 0)
