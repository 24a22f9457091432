"""Records fixtures/recipes/patterns.txt: which names C++'s std::regex_search finds random expressions in, as llama-quantize
does for --tensor-type. Needs a C++ compiler. `--check` writes nothing; both exit with 1 when a line would change.

    record_patterns.py [--check]
"""
import random
import subprocess
import sys
import tempfile
from pathlib import Path

FILE = Path(__file__).resolve().parents[2] / "fixtures/recipes/patterns.txt"
NAMES = ["blk.0.attn_v.weight", "blk.12.ffn_down_exps.weight", "token_embd.weight", "output.weight", "a-b_c d{2}]"]
SOUND = ["a", "b", "t", "d", "e", "_", "\\.", "attn", "ffn", "blk", "weight", "\\d", "\\w", "[0-9]", "[a-z_]", ".",
         "(?:a|t)", "(t|e)", "(?=w)", "(?!w)", "\\b", "^", "$", "*", "+", "?", "|", "{1,2}", "{2,}", "{0}", ".*", "[^.]",
         "(", ")", "*?"]
ODD = ["(", ")", "[", "]", "{", "}", "*", "+", "?", "|", "\\", "^", "$", ".", "-", ",", ":", "=", "!", "a", "0", "\\s", "\\b",
       "\\-", "(?:", "(?=", "(?!", "[^", "[a-z]", "[[:digit:]]", "[a-", "[-a]", "{,2}", "\\x61", "\\u0061", "\\]", "x-z"]
PROGRAM = r"""
#include <iostream>
#include <regex>
int main() {
  std::string line, names[] = {%s};
  while (std::getline(std::cin, line)) {
    try {
      std::regex pattern(line);
      for (auto &name : names) std::cout << std::regex_search(name, pattern);
    } catch (std::regex_error &) { std::cout << "invalid"; }
    std::cout << std::endl;
  }
}
"""

choose = random.Random(1)
patterns = []
while len(patterns) < 400:
    tokens = ODD if len(patterns) % 4 == 0 else SOUND
    pattern = "".join(choose.choice(tokens) for _ in range(choose.randint(1, 7)))
    if pattern not in patterns:
        patterns.append(pattern)

with tempfile.TemporaryDirectory() as work:
    Path(work, "search.cpp").write_text(PROGRAM % ", ".join(f'"{name}"' for name in NAMES))
    subprocess.run(["c++", "-O1", "-o", f"{work}/search", f"{work}/search.cpp"], check=True)
    run = subprocess.run([f"{work}/search"], input="\n".join(patterns) + "\n", text=True, capture_output=True, timeout=60, check=True)

lines = ["# names: " + " | ".join(NAMES)] + [f"{found} {pattern}" for found, pattern in zip(run.stdout.split(), patterns, strict=True)]
text = "\n".join(lines) + "\n"
changed = not FILE.exists() or FILE.read_text() != text
if changed and "--check" not in sys.argv:
    FILE.write_text(text)
print(f"{FILE.name} {'differs' if changed else 'is the same'}")
sys.exit(1 if changed else 0)
