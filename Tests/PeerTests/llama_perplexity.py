"""llama-perplexity's final estimate.

Its log is written by a thread that may lose the last lines when the program ends (one run in ten on a busy machine, exit
code 0), so a run without an estimate is repeated.
"""
import re
import subprocess
import sys


def estimate(tool, *arguments):
    """The perplexity and its standard error, as printed."""
    for _ in range(6):
        done = subprocess.run([tool, *arguments], capture_output=True, text=True)
        text = done.stdout + done.stderr
        final = re.search(r"Final estimate: PPL = ([0-9.]+) \+/- ([0-9.]+)", text)
        if final:
            return float(final[1]), final[2]
        if done.returncode:
            break
    sys.exit(f"llama-perplexity gave no estimate (exit {done.returncode}):\n{text[-2000:]}")
