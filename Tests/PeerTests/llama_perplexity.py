"""What llama-perplexity prints.

Its log is written by a thread that may lose the last lines when the program ends (one run in ten on a busy machine, more on a
busier one; exit code 0), so a run that does not say what is asked for is repeated.
"""
import re
import subprocess
import sys


def said(parse, tool, *arguments):
    """What `parse` finds in the text that is printed; it gives None when that is not whole."""
    for _ in range(25):
        done = subprocess.run([tool, *arguments], capture_output=True, text=True, errors="replace")
        text = done.stdout + done.stderr
        found = parse(text)
        if found is not None:
            return found
        if done.returncode:
            break
    sys.exit(f"llama-perplexity did not say what it found (exit {done.returncode}):\n{text[-2000:]}")


def estimate(tool, *arguments):
    """The perplexity and its standard error, as printed."""
    final = said(lambda text: re.search(r"Final estimate: PPL = ([0-9.]+) \+/- ([0-9.]+)", text), tool, *arguments)
    return float(final[1]), final[2]
