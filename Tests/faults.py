#!/usr/bin/env python3
"""Faults that the system can have, injected into `quern convert` with strace, ulimit and a small tmpfs.

    Tests/faults.py QUERN [NAME ...]

Whatever fails, either the output is the right one, or the command says so by its exit code and what stood under the final
name still stands there. After that the same command, undisturbed, makes the right output. Needs root for the tmpfs.
"""

import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from fault_bench import EARLIER, FLAGS, TINY, Bench, case, cases, check, tmpfs


@case
def killed_at_every_write(bench):
    """SIGKILL at the n-th write of the output."""
    for n in [1, 2, 3, 5, 8, 13, 21, 30]:
        result = bench.strace(f"pwrite64:signal=KILL:when={n}", paths=[bench.partial])
        bench.holds(result, 128 + 9 if result.returncode > 0 else -9)


@case
def killed_at_every_sync_and_name(bench):
    """SIGKILL at syncs, at writes of the state, and around the final name."""
    for n in [1, 2, 4]:
        bench.holds(bench.strace(f"fdatasync:signal=KILL:when={n}"))
        bench.holds(bench.strace(f"pwrite64:signal=KILL:when={n}", paths=[bench.state]))
    for call in ["rename", "unlink", "fsync"]:
        result = bench.strace(f"{call}:signal=KILL:when=1")
        check(bench.out.read_bytes() == EARLIER or bench.is_right(), "a wrong output")
        bench.out.write_bytes(EARLIER)
        bench.finishes()


@case
def no_room_from_the_start(bench):
    """A file system of 3 MB, where 3.5 are needed: refused within a second, with the figure within 1 %."""
    with tmpfs("3m") as folder:
        began = time.monotonic()
        result = subprocess.run(bench.command(out=folder / "out.gguf"), capture_output=True)
        seconds = time.monotonic() - began
        text = result.stderr.decode()
        check(result.returncode == 74, f"exit {result.returncode}: {text}")
        needed = int(re.search(r"(\d+) bytes are needed", text).group(1))
        size = len(bench.reference)
        check(abs(needed - size) <= size / 100, f"{needed} bytes told of {size}")
        check(seconds < 1, f"refused after {seconds:.1f} s")
        check(os.listdir(folder) == [], f"left behind: {os.listdir(folder)}")
        return f"refused after {seconds:.2f} s, {needed} of {size} bytes"


@case
def what_a_killed_run_holds_counts_as_room(bench):
    """A file system with room for one output: a killed run's file is gone on with, although that is all of the room."""
    with tmpfs("4m") as folder:
        out = folder / "out.gguf"
        command = bench.command(out=out)
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while process.poll() is None and not (folder / "out.gguf.resume").exists():
            time.sleep(0.002)
        process.kill()
        check(process.wait() == -9, "it had ended before")
        check(os.statvfs(folder).f_bavail * 4096 < len(bench.reference) / 2, "the room was not taken")
        result = subprocess.run(command, capture_output=True)
        check(result.returncode == 0, result.stderr.decode())


@case
def room_taken_by_another(bench):
    """Another process fills the file system in the middle: the room was reserved."""
    with tmpfs("8m") as folder:
        out = folder / "out.gguf"
        process = subprocess.Popen(bench.command(out=out), stderr=subprocess.PIPE)
        while process.poll() is None and not (folder / "out.gguf.resume").exists():
            time.sleep(0.002)
        process.send_signal(signal.SIGSTOP)
        filler = (folder / "filler").open("wb")
        try:
            while True:
                filler.write(b"x" * (1 << 16))
                filler.flush()
        except OSError:
            pass
        process.send_signal(signal.SIGCONT)
        errors = process.communicate(timeout=120)[1].decode()
        # Its state is small, but not nothing.
        check(process.returncode in (0, 74), f"exit {process.returncode}: {errors}")
        check(out.exists() == (process.returncode == 0), "the wrong thing under the name")


@case
def writes_that_fail(bench):
    for error in ["ENOSPC", "EDQUOT", "EIO", "EFBIG", "EROFS"]:
        for n in [1, 4, 17]:
            bench.holds(bench.strace(f"pwrite64:error={error}:when={n}", paths=[bench.partial]), 74)
        bench.holds(bench.strace(f"pwrite64:error={error}:when=3", paths=[bench.state]))
        bench.holds(bench.strace(f"ftruncate:error={error}:when=1"), 74)


@case
def a_limit_on_the_size_of_files(bench):
    """`ulimit -f`: the signal is ignored, the error is told."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    bench.holds(bench.run(preexec_fn=limit), 74)


@case
def room_that_cannot_be_reserved(bench):
    for error in ["EOPNOTSUPP", "ENOSYS"]:
        result = bench.strace(f"fallocate:error={error}")
        bench.holds(result, 0)
    bench.holds(bench.strace("fallocate:error=ENOSPC"), 74)


@case
def a_failed_sync_is_final(bench):
    """It is not tried again, and what was written is not gone on with."""
    for n in [1, 3, 6]:
        log = bench.folder / "log"
        result = bench.strace(f"fdatasync:error=EIO:when={n}", log=log)
        if result.returncode == 0:  # there were not so many
            log.unlink()
            bench.holds(result, 0)
            continue
        syncs = [line for line in log.read_text().splitlines() if "fdatasync(" in line]
        log.unlink()
        check(result.returncode == 74, f"exit {result.returncode}")
        check("INJECTED" in syncs[-1], "synced again after the failure")
        check(not bench.partial.exists() and not bench.state.exists(), "kept what is not to be trusted")
        bench.holds(result, 74)
    bench.holds(bench.strace("fsync:error=EIO:when=1", paths=[bench.state, str(bench.state) + ".partial"]))


@case
def names_that_cannot_be_given(bench):
    for error in ["EXDEV", "EACCES", "EROFS", "EIO"]:
        for path in [bench.partial, str(bench.state) + ".partial"]:
            bench.holds(bench.strace(f"rename:error={error}", paths=[path]), 74)


@case
def a_folder_that_cannot_be_synced(bench):
    """The output is whole and may not outlast a loss of power, which is told."""
    result = bench.strace("fsync:error=EIO", paths=[bench.folder])
    check(result.returncode == 74 and b"loss of power" in result.stderr, result.stderr.decode())
    check(bench.is_right(), "another output")
    check(os.listdir(bench.folder) == [bench.out.name], f"left behind: {os.listdir(bench.folder)}")
    bench.out.write_bytes(EARLIER)
    bench.finishes()


@case
def closing_fails(bench):
    for n in ["1+", "5", "20", "40"]:
        bench.holds(bench.strace(f"close:error=EIO:when={n}"))


@case
def calls_that_are_interrupted(bench):
    bench.holds(
        bench.strace(*(f"{call}:error=EINTR:when=2..6" for call in
                       ["pwrite64", "pread64", "fdatasync", "fsync", "ftruncate", "fallocate"]),
                     paths=[bench.partial, bench.state, next(TINY.glob("*.safetensors"))]), 0)


@case
def writes_that_are_lost(bench):
    """The call says that it wrote and did not: found when what was written is read again."""
    lost = 0
    for n in [2, 5, 11, 20]:
        result = bench.strace(f"pwrite64:retval=1000:when={n}", paths=[bench.partial])
        lost += result.returncode == 74
        bench.holds(result)
    check(lost >= 3, f"found {lost} of 4")


@case
def slow_reads(bench):
    bench.holds(bench.strace("pread64:delay_exit=2000"), 0)


@case
def the_input_changes(bench):
    """Cut, written to, or replaced while it is read: told, and no signal."""
    def cut(path):
        os.truncate(path, path.stat().st_size // 2)

    def overwrite(path):
        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 2)
            file.write(b"\0" * 100)

    def replace(path):
        shutil.copy(path, str(path) + ".new")
        os.rename(str(path) + ".new", path)

    for change in [cut, overwrite, replace]:
        for name in ["model.safetensors", "config.json"]:
            with tempfile.TemporaryDirectory() as copy:
                model = pathlib.Path(shutil.copytree(TINY, copy + "/tiny-llama"))
                if not (model / name).exists():
                    name = next(p.name for p in model.glob("*.safetensors"))
                process = bench.start(model=model)
                change(model / name)
                code, errors = bench.end(process)
                check(code == 75 and "CHANGED" in errors and name in errors, f"{change.__name__} {name}: {code} {errors}")
                check(os.listdir(bench.folder) == [bench.out.name], f"left behind: {os.listdir(bench.folder)}")
                check(bench.out.read_bytes() == EARLIER, "the earlier output is gone")


@case
def little_memory(bench):
    """Refused, ended or done, but never wrong."""
    codes = []
    for megabytes in [60, 100, 150, 200, 300, 600]:
        limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
        result = bench.run(preexec_fn=limit, env={**os.environ, "SWIFT_BACKTRACE": "enable=no"})
        codes.append(result.returncode)
        check(bench.out.read_bytes() == EARLIER if result.returncode else bench.is_right(), "a wrong output")
        bench.out.write_bytes(EARLIER)
        bench.finishes()
    return f"exit codes {codes}"


@case
def few_files(bench):
    for count in [6, 8, 10, 16]:
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
        bench.holds(bench.run(preexec_fn=limit))


@case
def the_folder_goes_away(bench):
    with tempfile.TemporaryDirectory() as base:
        folder = pathlib.Path(base) / "gone"
        folder.mkdir()
        process = subprocess.Popen(
            bench.command(out=folder / "out.gguf"), stderr=subprocess.PIPE)
        while process.poll() is None and not (folder / "out.gguf.resume").exists():
            time.sleep(0.002)
        shutil.rmtree(folder, ignore_errors=True)
        errors = process.communicate(timeout=120)[1].decode()
        check(process.returncode == 74 and "quern: " in errors, f"exit {process.returncode}: {errors}")


@case
def signals(bench):
    """The first stops in good order within 10 s, the second at once; a background job's Ctrl-C is not its own."""
    for number in [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]:
        process = bench.start()
        process.send_signal(number)
        began = time.monotonic()
        code, errors = bench.end(process)
        check(code == 75 and "the same command goes on" in errors, f"exit {code}: {errors}")
        check(time.monotonic() - began < 10, "took too long")
        bench.finishes()
    process = bench.start()
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    check(bench.end(process)[0] == 130, "the second does not end it")
    bench.finishes()
    ignoring = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    process = subprocess.Popen(bench.command(), preexec_fn=ignoring, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    while process.poll() is None and not bench.state.exists():
        time.sleep(0.002)
    process.send_signal(signal.SIGHUP)
    check(process.wait(timeout=120) == 0, "stopped by what it was told to ignore")
    bench.out.write_bytes(EARLIER)


@case
def two_jobs_one_output(bench):
    process = bench.start()
    began = time.monotonic()
    second = bench.run()
    check(second.returncode == 75 and b"another process" in second.stderr, second.stderr.decode())
    check(time.monotonic() - began < 1, "told late")
    check(bench.end(process)[0] == 0, "the first is disturbed")
    check(os.listdir(bench.folder) == [bench.out.name], f"left behind: {os.listdir(bench.folder)}")
    bench.out.write_bytes(EARLIER)


@case
def what_the_dead_left(bench):
    bench.partial.write_bytes(b"rubbish" * 1000000)
    bench.finishes()
    bench.partial.write_bytes(b"")
    bench.finishes()
    os.link(bench.out, bench.partial)
    process = bench.start()
    check(bench.out.read_bytes() == EARLIER, "an output was written to under its old name")
    check(bench.end(process)[0] == 0, "it fails")
    bench.out.write_bytes(EARLIER)


@case
def another_job_goes_on(bench):
    """With another recipe, another input or other options: refused, and what differs is named."""
    def killed(**options):
        process = bench.start(**options)
        process.kill()
        process.send_signal(signal.SIGCONT)
        process.communicate()

    with tempfile.TemporaryDirectory() as copy:
        model = pathlib.Path(shutil.copytree(TINY, copy + "/tiny-llama"))
        killed(model=model)
        weights = next(model.glob("*.safetensors"))
        for more, name in [(["--search", "thorough"], "options"), (["--type", "Q5_K_M"], "recipe")]:
            result = subprocess.run(bench.command(*more, model=model), capture_output=True)
            check(result.returncode == 74 and f"differs in: {name}".encode() in result.stderr, result.stderr.decode())
        os.utime(weights)
        result = subprocess.run(bench.command(model=model), capture_output=True)
        check(result.returncode == 74 and b"differs in: model" in result.stderr, result.stderr.decode())
        check(bench.out.read_bytes() == EARLIER, "the earlier output is gone")
        check(bench.run("--no-resume").returncode == 0 and bench.is_right(), "--no-resume fails")
        bench.out.write_bytes(EARLIER)


@case
def every_byte_of_the_state(bench):
    """Flipped in turn: it does not count or is refused, and no other output comes of it."""
    process = bench.start()
    process.kill()
    process.send_signal(signal.SIGCONT)
    process.communicate()
    state, partial = bench.state.read_bytes(), bench.partial.read_bytes()
    codes = {}
    for place in range(0, len(state), 1 if len(state) < 800 else len(state) // 800 + 1):
        bench.state.write_bytes(state[:place] + bytes([state[place] ^ 1 << place % 8]) + state[place + 1:])
        bench.partial.write_bytes(partial)
        result = bench.run()
        codes[result.returncode] = codes.get(result.returncode, 0) + 1
        if result.returncode == 0:
            check(bench.is_right(), f"byte {place}: another output")
        else:
            check(result.returncode in (74, 65) and bench.out.read_bytes() == EARLIER, f"byte {place}: {result}")
        bench.out.write_bytes(EARLIER)
    bench.state.unlink(missing_ok=True)
    bench.partial.unlink(missing_ok=True)
    return f"{len(state)} bytes, exit codes {codes}"


@case
def the_order_of_publishing(bench):
    """Data synced, then the name, then the folder; and read back in between."""
    log = bench.folder / "log"
    calls = "trace=pwrite64,fdatasync,fsync,rename,pread64"
    result = bench.run(before=["strace", "-f", "-qq", "-y", "-o", str(log), "-e", calls])
    lines = log.read_text().splitlines()
    log.unlink()
    of = lambda call, name: [i for i, line in enumerate(lines) if f" {call}(" in line and name in line]
    name = of("rename", f'{bench.out}"')[-1]
    written = of("pwrite64", ".partial>")[-1]
    synced = next((i for i in of("fdatasync", "out.gguf.partial>") if i > written), name)
    check(synced < name, "not synced before it has its name")
    check(any(synced < i < name for i in of("pread64", "out.gguf.partial>")), "not read back")
    check(any(i > name for i in of("fsync", f"<{bench.folder}>")), "the folder is not synced")
    bench.holds(result, 0)


@case
def nobody_reads_what_is_printed(bench):
    process = subprocess.Popen(bench.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    process.stderr.close()
    check(process.wait(timeout=60) == 0 and bench.is_right(), f"exit {process.returncode}")
    bench.out.write_bytes(EARLIER)


@case
def where_and_how_it_runs(bench):
    """The same bytes in another language, time zone and year, number of threads, instruction set."""
    for more in [{"LC_ALL": "tr_TR.UTF-8"}, {"TZ": "Pacific/Chatham"}, {"LANG": "C"}, {"QUERN_ISA": "baseline"}]:
        bench.holds(bench.run(env={**os.environ, **more}), 0)
    for jobs in [1, 3, 8, 64]:
        bench.holds(bench.run("-j", jobs), 0)
    bench.holds(bench.run(before=["faketime", "2001-02-03 04:05:06"]), 0)


def main():
    quern, names = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    passed, failed = 0, 0
    with tempfile.TemporaryDirectory() as base:
        whole = pathlib.Path(base) / "whole"
        subprocess.run([quern, "convert", TINY, "-o", whole, *FLAGS], check=True, stdout=subprocess.DEVNULL)
        reference = whole.read_bytes()
        for function in cases:
            if names and function.__name__ not in names:
                continue
            began = time.monotonic()
            folder = tempfile.mkdtemp()
            bench = Bench(quern, reference, folder)
            try:
                note = function(bench)
                passed += 1
                print(f"ok      {function.__name__}{': ' + note if note else ''} ({time.monotonic() - began:.1f} s)")
            except Exception as error:  # a fault not foreseen is a failure like any other
                failed += 1
                print(f"FAILED  {function.__name__}: {error!r}")
            sys.stdout.flush()
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    import fault_files  # noqa: F401, its cases are in the list then

    main()
