"""What the scripts of faults share: a place to run `quern convert` in, undisturbed and disturbed."""

import os
import pathlib
import signal
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TINY = ROOT / "fixtures/tiny-llama"
EARLIER = b"an earlier output"
FLAGS = ["--type", "IQ3_S", "--save-every", "0", "-j", "1", "--force", "-q"]
cases = []


def case(function):
    cases.append(function)
    return function


def check(condition, message):
    if not condition:
        raise AssertionError(message)


class Bench:
    """A folder with a model, an earlier output, and the program."""

    def __init__(self, quern, reference, folder):
        self.quern, self.reference, self.folder = quern, reference, pathlib.Path(folder)
        self.out = self.folder / "out.gguf"
        self.partial = self.folder / ".out.gguf.partial"
        self.state = self.folder / "out.gguf.resume"
        self.out.write_bytes(EARLIER)

    def command(self, *more, model=TINY, out=None):
        return [str(self.quern), "convert", str(model), "-o", str(out or self.out), *FLAGS, *map(str, more)]

    def run(self, *more, before=(), timeout=300, **options):
        return subprocess.run([*before, *self.command(*more)], capture_output=True, timeout=timeout, **options)

    def strace(self, *rules, paths=None, log=None, **options):
        """The conversion with injections; of calls that name or hold one of `paths` alone, if there are any."""
        calls = ",".join(sorted({rule.split(":")[0] for rule in rules}))
        before = ["strace", "-f", "-qq", "-o", str(log or os.devnull), "-e", "signal=none", "-e", f"trace={calls}"]
        for path in paths or []:
            before += ["-P", str(path)]
        for rule in rules:
            before += ["-e", f"inject={rule}"]
        return self.run(before=before, **options)

    def is_right(self):
        return self.out.exists() and self.out.read_bytes() == self.reference

    def holds(self, result, code=None):
        """The invariant, then the same command again."""
        text = result.stderr.decode(errors="replace")
        if code is not None:
            check(result.returncode == code, f"exit {result.returncode}, not {code}: {text}")
        if result.returncode == 0:
            check(self.is_right(), "another output than undisturbed")
        else:
            check(self.out.read_bytes() == EARLIER, f"the earlier output is gone (exit {result.returncode})")
        if result.returncode in (1, 74, 75):
            check("quern: " in text, "nothing was said")
        self.finishes()

    def finishes(self):
        again = self.run()
        check(again.returncode == 0, "the same command fails: " + again.stderr.decode(errors="replace"))
        check(self.is_right(), "the same command makes another output")
        check(os.listdir(self.folder) == [self.out.name], f"left behind: {os.listdir(self.folder)}")
        self.out.write_bytes(EARLIER)

    def start(self, *more, **options):
        """Started, and stopped in the middle when some of the output is saved; anew when it was quicker than that."""
        for _ in range(50):
            process = subprocess.Popen(
                self.command(*more, **options), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
            while process.poll() is None and not (self.state.exists() and self.state.stat().st_size > 700):
                time.sleep(0.0005)
            process.send_signal(signal.SIGSTOP)
            if process.poll() is None and self.state.exists():
                break
            process.send_signal(signal.SIGCONT)
            process.wait()
            self.out.write_bytes(EARLIER)
        check(process.poll() is None, "it always ended before")
        return process

    def end(self, process):
        process.send_signal(signal.SIGCONT)
        errors = process.communicate(timeout=120)[1].decode(errors="replace")
        return process.returncode, errors


class tmpfs:
    """A file system of `size`, for as long as it lasts."""

    def __init__(self, size):
        self.size = size

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.size}", "tmpfs", self.folder], check=True)
        return self.folder

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.folder], check=True)
        self.folder.rmdir()
