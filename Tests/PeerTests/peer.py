"""What scripts that run two programs beside each other share: how they are called, and how quern is."""
import argparse
import os
import subprocess
import sys

here = os.path.dirname(os.path.abspath(__file__))


def parser(*places):
    """Of a script whose arguments are `places`, in their order."""
    parser = argparse.ArgumentParser()
    for place in places:
        parser.add_argument(place)
    return parser


def bench_parser():
    """Of a script that measures speed on a text."""
    parsed = parser("venv", "quern", "model")
    parsed.add_argument("--text", default=f"{here}/../../fixtures/text/python-docs-evaluate.txt")
    parsed.add_argument("--chunks", type=int, default=8)
    parsed.add_argument("--threads", type=int, default=2)
    parsed.add_argument("--runs", type=int, default=3)
    parsed.add_argument("--llama", help="llama.cpp's program, when it is not the one in VENV")
    return parsed


def output(*command):
    """What `command` prints; the script ends when it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout
