#!/usr/bin/env python3
"""A real Slurm on this one machine: an array of 8 tasks, one of them cancelled and handed in again, and what becomes of it.

    Tests/slurm.py QUERN

Starts munged, slurmctld and slurmd of its own in a folder of its own and ends them. Needs root and Debian's slurmctld, slurmd,
slurm-client, munge and parallel. Exit 1 with what failed.
"""
import glob
import hashlib
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time

quern = os.path.realpath(sys.argv[1])
here = os.path.dirname(os.path.realpath(__file__))
model = f"{here}/../fixtures/tiny-llama"
text = f"{here}/../fixtures/text/python-docs-calibrate.txt"
work = tempfile.mkdtemp(prefix="quern-slurm-")
os.chmod(work, 0o755)
daemons = []


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, cwd=work, **options)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def wait(what, is_so, seconds=120):
    end = time.time() + seconds
    while not is_so():
        if time.time() > end:
            sys.exit(f"waited {seconds} s in vain: {what}\n{run('squeue', '--all')}\n{run('sinfo')}")
        time.sleep(0.2)


def digest(path):
    return hashlib.sha256(open(path, "rb").read()).hexdigest()


def daemon(*command, user=None):
    log = open(f"{work}/{os.path.basename(command[0])}.log", "w")
    ids = {"user": user, "group": user, "extra_groups": []} if user else {}
    daemons.append(subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **ids))


def start():
    munge = f"{work}/munge"
    os.mkdir(munge)
    with open(f"{munge}/key", "wb") as key:
        key.write(os.urandom(128))
    os.chmod(f"{munge}/key", 0o400)
    for path in (munge, f"{munge}/key"):
        shutil.chown(path, "munge", "munge")
    # Slurm's plugin finds the daemon by the path that it was built with.
    socket = "/run/munge/munge.socket.2"
    os.makedirs("/run/munge", exist_ok=True)
    shutil.chown("/run/munge", "munge", "munge")
    daemon("munged", "--foreground", "--force", f"--key-file={munge}/key", f"--socket={socket}", f"--log-file={munge}/log",
           f"--pid-file={munge}/pid", f"--seed-file={munge}/seed", user="munge")
    wait("munged", lambda: os.path.exists(socket) and subprocess.run(["munge", "-n"], capture_output=True).returncode == 0)
    for folder in ("state", "spool"):
        os.mkdir(f"{work}/{folder}")
    with open(f"{work}/slurm.conf", "w") as conf:
        conf.write("\n".join([
            "ClusterName=quern", "SlurmctldHost=localhost", "SlurmUser=root", "AuthType=auth/munge", "MpiDefault=none",
            "ProctrackType=proctrack/linuxproc", "TaskPlugin=task/none", "SelectType=select/cons_tres",
            "SelectTypeParameters=CR_CPU_Memory", "JobAcctGatherType=jobacct_gather/none", "ReturnToService=2",
            f"StateSaveLocation={work}/state", f"SlurmdSpoolDir={work}/spool", f"SlurmctldPidFile={work}/slurmctld.pid",
            f"SlurmdPidFile={work}/slurmd.pid", "SlurmctldPort=26817", "SlurmdPort=26818", "MinJobAge=3600", "SchedulerParameters=sched_interval=2,batch_sched_delay=1",
            f"NodeName=localhost CPUs={os.cpu_count()} RealMemory=2000",
            "PartitionName=all Nodes=localhost Default=YES MaxTime=INFINITE State=UP", ""]))
    os.environ["SLURM_CONF"] = f"{work}/slurm.conf"
    daemon("slurmctld", "-D", "-f", f"{work}/slurm.conf")
    daemon("slurmd", "-D", "-f", f"{work}/slurm.conf", "-N", "localhost")
    wait("a node that is idle", lambda: "idle" in subprocess.run(
        ["sinfo", "-h", "-o", "%T"], capture_output=True, text=True).stdout)


def jobs():
    """State of every job and task that Slurm remembers, by `(name, task)`; the newest wins."""
    found = {}
    for line in run("squeue", "--all", "--array", "--states=all", "-h", "-o", "%A|%j|%K|%T|%i", "--sort=i").splitlines():
        number, name, task, state, _ = line.split("|")
        key = (name, task)
        if key not in found or int(number) >= found[key][0]:
            found[key] = (int(number), state)
    return {key: state for key, (_, state) in found.items()}


def submit(plan):
    # Small asks: several tasks at once on a small machine.
    return run(quern, "submit", plan, "--engine", "slurm", "--jobs", "1", "--memory", "256M")


def finalizes(plan):
    return [name for name in glob.glob(f"{work}/{plan}/finalize*.log")]


def whole(name, *flags):
    run(quern, "convert", model, "-o", f"{name}.gguf", "-q", *flags)
    return digest(f"{work}/{name}.gguf")


def main():
    start()
    flags = ["--type", "Q4_K_M"]
    expected = whole("whole", *flags)

    # One task is held, so that it can be cancelled before it ends; finalizing then never gets its turn.
    run(quern, "plan", model, "--tasks", "8", "--gguf", "out.gguf", "-o", "plan", *flags)
    script = run(quern, "submit", "plan", "--engine", "slurm", "--jobs", "1", "--memory", "256M", "--print", "--sbatch=--hold")
    first = run("/bin/sh", "-c", script)
    array = run("squeue", "-h", "-o", "%F", "--name=quern-convert").splitlines()[0]
    run("scancel", f"{array}_3")
    run("scontrol", "release", array)
    wait("seven tasks", lambda: sum(state == "COMPLETED" for (name, _), state in jobs().items() if name == "quern-convert") == 7)
    wait("no finalizing without the eighth", lambda: jobs()[("quern-finalize", "N/A")] in ("CANCELLED", "FAILED"))
    assert jobs().get(("quern-convert", "3"), "CANCELLED") == "CANCELLED", jobs()
    assert not os.path.exists(f"{work}/out.gguf"), "published without a task"
    stamps = {name: os.stat(name).st_mtime_ns for name in glob.glob(f"{work}/plan/convert-*.json")}
    assert len(stamps) == 7, stamps
    print(f"array {array}: 7 tasks ended, task 3 cancelled, nothing published")

    # Handed in again: the seven know that they have ended, the eighth works, finalizing follows.
    submit("plan")
    wait("the file", lambda: jobs()[("quern-finalize", "N/A")] == "COMPLETED")
    assert digest(f"{work}/out.gguf") == expected, "other bytes than of one process"
    again = {name: os.stat(name).st_mtime_ns for name in stamps}
    assert again == stamps, "a task that had ended was done again"
    assert os.path.exists(f"{work}/plan/convert-3.json")
    finished = os.stat(f"{work}/plan/finished.json").st_mtime_ns
    print(f"handed in again: task 3 done, finalized once, sha256 {expected[:16]} as by one process")

    # Two stages: slices of text, then blocks.
    flags = ["--type", "Q4_K_M", "--method", "gptq", "--calibration", text, "--calibration-tokens", "8192"]
    for name, tasks in (("one", 1), ("eight", 8), ("late", 2)):
        run(quern, "plan", model, "--tasks", str(tasks), "--gguf", f"{name}.gguf", "-o", name, *flags)
    run(quern, "submit", "one", "--engine", "local", "--jobs", "2")
    submit("eight")
    wait("calibration and blocks", lambda: os.path.exists(f"{work}/eight.gguf"), 300)
    assert digest(f"{work}/one.gguf") == digest(f"{work}/eight.gguf"), "the number of tasks shows"
    print("gptq: calibrate, convert and finalize one after the other, the bytes of one task")

    # A task whose turn has not come ends with 75 and puts itself back; Slurm lets it wait two minutes, which are cut short.
    script = run(quern, "submit", "late", "--engine", "slurm", "--jobs", "1", "--memory", "256M", "--print")
    early = script[:script.index("after=$(")] + script[script.rindex("after=$("):]
    run("/bin/sh", "-c", early)
    array = run("squeue", "-h", "-o", "%F", "--name=quern-convert", "--states=PENDING,RUNNING").splitlines()[0]

    def restarts():
        shown = run("scontrol", "show", "job", array)
        return [int(word.split("=")[1]) for word in shown.split() if word.startswith("Restarts=")]

    wait("tasks that requeue themselves", lambda: len(restarts()) == 2 and min(restarts()) >= 1)
    for stage in range(2):
        run(quern, "task", "late", "--stage", "calibrate", "--index", str(stage), "-q")
    def hurried():
        for task in (0, 1):
            subprocess.run(["scontrol", "update", f"jobid={array}_{task}", "starttime=now"], capture_output=True)
        return os.path.exists(f"{work}/late.gguf")
    wait("the requeued tasks", hurried, 300)
    assert digest(f"{work}/late.gguf") == digest(f"{work}/one.gguf"), "other bytes after requeueing"
    print("requeued: tasks that came too early ran again, finalized")
    # GNU parallel, which counts tasks from 1 in its own variable and from 0 in ours.
    run(quern, "plan", model, "--tasks", "5", "--gguf", "parallel.gguf", "-o", "parallel", "--type", "Q4_K_M")
    run(quern, "submit", "parallel", "--engine", "parallel", "--at-once", "2", "--jobs", "1")
    assert digest(f"{work}/parallel.gguf") == expected, "other bytes by GNU parallel"
    print("parallel: 5 tasks, 2 at once, the bytes of one process")
    assert os.stat(f"{work}/plan/finished.json").st_mtime_ns == finished, "finalized twice"
    print("passed")


try:
    main()
finally:
    for process in reversed(daemons):
        process.terminate()
    for process in daemons:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
    shutil.rmtree(work, ignore_errors=True)
