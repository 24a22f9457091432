"""Faults of files that `faults.py` runs: partial reads and writes, calls that fail at random, file systems without links, split
sets, and bits that flip in what was published."""

import json
import os
import pathlib
import random
import shutil
import subprocess
import tempfile

from fault_bench import EARLIER, FLAGS, TINY, case, check

SEEDS = 50


class Shim:
    """`fault_shim.c`, compiled for as long as it lasts."""

    def __enter__(self):
        self.folder = tempfile.mkdtemp()
        self.library = f"{self.folder}/shim.so"
        source = pathlib.Path(__file__).with_name("fault_shim.c")
        compiler = shutil.which("cc") or shutil.which("clang")
        check(compiler, "no C compiler")
        subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", self.library, source, "-ldl"], check=True)
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)

    def environment(self, **faults):
        return os.environ | {"LD_PRELOAD": self.library} | {f"FAULT_{k.upper()}": str(v) for k, v in faults.items()}


@case
def short_reads_and_writes(bench):
    """Every second read and write does a part of its bytes."""
    with Shim() as shim:
        for seed in range(3):
            result = bench.run(env=shim.environment(short=2, seed=seed))
            bench.holds(result, 0)


@case
def calls_fail_at_random(bench):
    """Reads, writes, syncs, names: one in a hundred or in a thousand of them, as a seed says."""
    codes = {}
    with Shim() as shim:
        for seed in range(SEEDS):
            result = bench.run(env=shim.environment(fail=(100, 1000)[seed % 2], seed=seed))
            codes[result.returncode] = codes.get(result.returncode, 0) + 1
            check(result.returncode in (0, 74), f"seed {seed}: exit {result.returncode} {result.stderr.decode()}")
            if b"loss of power" in result.stderr:  # the name was given, only the folder not synced
                check(bench.is_right(), f"seed {seed}: a wrong output")
            elif result.returncode and bench.out.read_bytes() != EARLIER:
                # It had its name when what was left of the run could not be removed.
                check(bench.is_right(), f"seed {seed}: a wrong output")
            elif result.returncode == 0:
                check(bench.is_right(), f"seed {seed}: another output than undisturbed")
            bench.finishes()
    return ", ".join(f"{count} ended with {code}" for code, count in sorted(codes.items()))


@case
def file_systems_without_links(bench):
    """Neither FAT nor some network file systems can give a file a second name; some cannot rename either."""
    for failure in ("EPERM", "EOPNOTSUPP"):
        bench.out.unlink()
        flags = [flag for flag in FLAGS if flag != "--force"]
        command = [bench.quern, "convert", TINY, "-o", bench.out, *flags]
        strace = ["strace", "-f", "-qq", "-o", os.devnull, "-e", "signal=none", "-e", "trace=link,rename"]
        result = subprocess.run([*strace, "-e", f"inject=link:error={failure}", *command], capture_output=True)
        check(result.returncode == 0 and bench.is_right(), f"{failure}: {result.stderr.decode()}")
        check(os.listdir(bench.folder) == [bench.out.name], f"left behind: {os.listdir(bench.folder)}")
        bench.out.unlink()
        both = ["-e", f"inject=link:error={failure}", "-e", "inject=rename:error=EPERM"]
        result = subprocess.run([*strace, *both, *command], capture_output=True)
        check(result.returncode == 74 and not bench.out.exists(), f"{failure}: exit {result.returncode}")
        bench.out.write_bytes(EARLIER)
        bench.finishes()


@case
def reads_that_fail(bench):
    """EIO of a disk, ESTALE of a server that was started anew; of the input and of what was written."""
    for error in ("EIO", "ESTALE"):
        for path in (TINY / "model.safetensors", TINY / "tokenizer.json", bench.partial):
            for n in (1, 7):
                result = bench.strace(f"pread64:error={error}:when={n}", paths=[path])
                check(result.returncode in (0, 74), f"{error} {path.name} {n}: exit {result.returncode}")
                bench.holds(result)


@case
def forced_over_an_older_set(bench):
    """Killed at every name of a set that replaces another: nobody reads files of both as one model."""
    flags = ["--split-max-tensors", "20", "--force", "-q", "-j", "1"]
    older = [bench.quern, "convert", TINY, "-t", "Q8_0", "-o", bench.folder / "set.gguf", *flags]
    newer = [bench.quern, "convert", TINY, "-t", "Q4_0", "-o", bench.folder / "set.gguf", *flags]
    first = bench.folder / "set-00001-of-00003.gguf"
    found = {}

    def files():
        return [path.read_bytes() for path in sorted(bench.folder.glob("set-*.gguf"))]

    def make(command):
        subprocess.run(command, check=True, capture_output=True)
        return files()

    new, old = make(newer), make(older)
    check(len(new) == len(old) == 3 and all(a != b for a, b in zip(new, old)), "the sets are not what they should be")
    for call in ("unlink", "rename", "link", "fsync"):
        for n in range(1, 6):
            make(older)
            subprocess.run(
                ["strace", "-f", "-qq", "-o", os.devnull, "-e", "signal=none", "-e", f"trace={call}",
                 "-e", f"inject={call}:signal=KILL:when={n}", *newer], capture_output=True)
            state = "old" if files() == old else "new" if files() == new else "no first file" if not first.exists() else "MIXED"
            found[state] = found.get(state, 0) + 1
            check(state != "MIXED", f"{call} {n}: files of both sets")
            check(make(newer) == new, f"{call} {n}: the same command makes another set")
    for path in bench.folder.glob("*set*"):
        path.unlink()
    return ", ".join(f"{count} times {state}" for state, count in sorted(found.items()))


@case
def one_flipped_bit_of_what_was_published(bench):
    """Row 29: `quern check` names the tensor that a flipped bit is in."""
    bench.out.unlink()
    made = subprocess.run([*bench.command(), "--provenance"], capture_output=True)
    check(made.returncode == 0, made.stderr.decode())
    whole = bench.out.read_bytes()
    statement = json.loads((bench.folder / "out.intoto.json").read_text())
    parts = statement["predicate"]["runDetails"]["byproducts"]
    seeded = random.Random(29)
    for _ in range(40):
        place = seeded.randrange(len(whole))
        changed = bytearray(whole)
        changed[place] ^= 1 << seeded.randrange(8)
        bench.out.write_bytes(changed)
        done = subprocess.run([bench.quern, "check", bench.out, "--json"], capture_output=True, text=True)
        found = {finding["subject"] for finding in json.loads(done.stdout)["findings"]}
        holding = [p["name"] for p in parts if 0 <= place - p["annotations"]["offset"] < p["annotations"]["bytes"]]
        check(done.returncode == 65 and set(holding) <= found, f"byte {place} of {holding}: {done.returncode} {found}")
    for path in bench.folder.iterdir():
        path.unlink()
    bench.out.write_bytes(EARLIER)
