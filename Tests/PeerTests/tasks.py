"""Multiple-choice tasks beside llama-perplexity and lm-eval, choice by choice.

    tasks.py VENV QUERN TEXT [--items 240] [--model FOLDER] [--lm-eval PYTHON] [--keep FOLDER]

Items are made of TEXT: a sentence and the beginning of the next, whose true end stands beside three ends from elsewhere;
and, in WinoGrande's form, a sentence with a name left out beside one from elsewhere. Compared are

- acc_token of an F16 GGUF with llama-perplexity's --hellaswag, --multiple-choice and --winogrande on the same file;
- acc, acc_norm and acc_bytes of the model's folder with lm-eval's `hf` model in float32.

The bar is the same choice on 99.5 % of the items of each. Those that differ are printed with the margin between the two
best choices.
"""
import json
import os
import random
import re
import struct
import subprocess
import sys
import tempfile

import numpy

import peer

parser = peer.parser("venv", "quern", "text")
parser.add_argument("--items", type=int, default=240)
parser.add_argument("--model")
parser.add_argument("--lm-eval", help="a Python with lm-eval; left out when there is none")
parser.add_argument("--keep", help="a folder for the files, which are deleted otherwise")
o = parser.parse_args()
model = o.model or f"{o.venv}/smollm2"
lm_eval = o.lm_eval or f"{o.venv}/lm-eval/bin/python"
here = os.path.dirname(os.path.abspath(__file__))
tool = f"{o.venv}/llama.cpp/build/bin/llama-perplexity"
BAR = 0.995


# MARK: Items

def pairs(text):
    """Neighbouring sentences of eight to forty words, from one paragraph."""
    found = []
    # WikiText's lines are paragraphs and end with a space; where they do not they are wrapped.
    text = re.sub(r"(?<=[^ \n])\n(?=[^ \n])", " ", text)
    for line in re.sub(r" ?@(.)@ ?", r"\1", text).split("\n"):
        sentences = re.split(r"(?<=[.!?]) +(?=[A-Z])", re.sub(r" ([.,;:!?)%]|'s\b)", r"\1", line.strip()))
        for a, b in zip(sentences, sentences[1:]):
            if all(8 <= len(s.split()) <= 40 and "<unk>" not in s and "_" not in s and '"' not in s for s in (a, b)):
                found.append((a, b))
    return found


def endings(found, count, rng):
    cut = []
    for first, second in rng.sample(found, min(len(found), count * 2)):
        words = second.split()
        place = rng.randint(2, max(2, len(words) // 3))
        cut.append((first + " " + " ".join(words[:place]), " ".join(words[place:])))
    items = []
    for i, (context, true) in enumerate(cut[:count]):
        choices = [true] + [end for _, end in rng.sample(cut[:i] + cut[i + 1:], 3)]
        rng.shuffle(choices)
        items.append({"id": f"e{i}", "task": "endings", "context": context, "choices": choices,
                      "label": choices.index(true)})
    return items


def blanks(found, count, rng):
    named = []
    for first, second in found:
        names = [m for m in re.finditer(r"(?<=[a-z] )[A-Z][a-z]{2,}(?= [a-z])", second)]
        if names and len(second[names[0].end():].split()) >= 6:
            named.append((first, second, names[0]))
    named = rng.sample(named, min(count, len(named)))
    items = []
    for i, (first, second, name) in enumerate(named):
        other = rng.choice([n.group() for _, _, n in named if n.group() != name.group()])
        choices = [name.group(), other]
        rng.shuffle(choices)
        items.append({"id": f"b{i}", "task": "blanks",
                      "sentence": f"{first} {second[:name.start()]}_{second[name.end():]}", "choices": choices,
                      "label": choices.index(name.group())})
    return items


def text(value):
    data = value.encode()
    return struct.pack("<I", len(data)) + data


def binary(items):
    """llama.cpp's form of ARC, MMLU and TruthfulQA."""
    parts = []
    for item in items:
        n = len(item["choices"])
        answers = struct.pack("<I", n) + b"".join(map(text, item["choices"]))
        answers += struct.pack(f"<{n}i", *[int(i == item["label"]) for i in range(n)])
        parts.append(text(item["context"]) + answers + struct.pack("<I", 0))
    places, at = [], 4 + 4 * len(parts)
    for part in parts:
        places.append(at)
        at += len(part)
    return struct.pack(f"<I{len(parts)}I", len(parts), *places) + b"".join(parts)


# MARK: llama-perplexity

def run(pattern, count, *arguments):
    """The matches of `pattern` in what it prints, `count` of them; its log may lose its last lines (llama_perplexity.py)."""
    for _ in range(25):
        done = subprocess.run([tool, "-t", "1", *arguments], capture_output=True, text=True, errors="replace")
        found = re.findall(pattern, done.stdout + done.stderr, re.M)
        if len(found) == count:
            return found
    sys.exit(f"llama-perplexity gave {len(found)} of {count} results:\n{(done.stdout + done.stderr)[-2000:]}")


def steps(accuracies):
    """Whether each item was right, from the running accuracy in percent."""
    total = [round(float(a) * (i + 1) / 100) for i, a in enumerate(accuracies)]
    return [b - a for a, b in zip([0] + total, total)]


def hellaswag_order(count):
    """The items in the order in which it takes them: std::uniform_int_distribution over std::mt19937(1), as libstdc++ draws."""
    bits = numpy.random.RandomState(1)
    left, order = list(range(count)), []
    while left:
        n = len(left)
        product = int(bits.randint(0, 1 << 32, dtype=numpy.uint32)) * n
        if product & 0xFFFFFFFF < n:
            while product & 0xFFFFFFFF < (1 << 32) % n:
                product = int(bits.randint(0, 1 << 32, dtype=numpy.uint32)) * n
        order.append(left.pop(product >> 32))
    return order


def hellaswag(items, gguf, work):
    """What it chooses: it tells no choice, so it is told four times that another one is right."""
    right = []
    for label in range(4):
        path = f"{work}/hellaswag-{label}.txt"
        open(path, "w").write("".join("\n".join([i["context"], str(label), *i["choices"]]) + "\n" for i in items))
        right.append(steps(run(r"^\d+\t([0-9.]+)%", len(items), "-m", gguf, "-f", path, "--hellaswag",
                               "--hellaswag-tasks", str(len(items)))))
    chosen = [None] * len(items)
    for place, item in enumerate(hellaswag_order(len(items))):
        labels = [label for label in range(4) if right[label][place]]
        assert len(labels) == 1, labels
        chosen[item] = labels[0]
    return chosen


# MARK: Comparing

failed = False


def compare(what, items, ours, theirs, scores):
    """Choices, and of those that differ how far apart our scores of the two are."""
    global failed
    different = [i for i in range(len(items)) if ours[i] != theirs[i]]
    share = 1 - len(different) / len(items)
    failed |= share < BAR
    print(f"{what}: the same choice on {len(items) - len(different)} of {len(items)} items, {share * 100:.2f} %")
    for i in different:
        a, b = scores[i][ours[i]], scores[i][theirs[i]]
        print(f"  {items[i]['id']}: choice {ours[i]} ({a:.5f}) where theirs is {theirs[i]} ({b:.5f} by ours): "
              f"{abs(a - b):.5f} apart")


def verify(candidate, reference, tasks, *more):
    done = subprocess.run([o.quern, "verify", candidate, "--against", reference, "--tasks", tasks, "--json", "-q", *more],
                          capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)["tasks"]


with tempfile.TemporaryDirectory() as temporary:
    work = o.keep or temporary
    rng = random.Random(7)
    found = pairs(open(o.text, encoding="utf-8").read())
    mine = endings(found, o.items, rng)
    named = blanks(found, o.items // 2, rng)
    items = mine + named
    open(f"{work}/all.jsonl", "w").write("".join(json.dumps(i, ensure_ascii=False) + "\n" for i in items))

    def lines(part):
        return "".join("\n".join([i["context"], str(i["label"]), *i["choices"]]) + "\n" for i in part)

    def rows(part):
        return "".join(f'{i["id"]},"{i["sentence"]}",{i["choices"][0]},{i["choices"][1]},{i["label"] + 1}\n' for i in part)

    open(f"{work}/endings.bin", "wb").write(binary(mine))
    # llama-perplexity leaves out the last line unless an empty one follows.
    open(f"{work}/winogrande.csv", "w").write(rows(named) + "\n")
    gguf = f"{work}/f16.gguf"
    subprocess.run([o.quern, "convert", model, "--type", "F16", "-o", gguf, "-q", "--force"], check=True,
                   stdout=subprocess.DEVNULL)

    report = verify(gguf, model, f"{work}/all.jsonl", "--tasks-results", f"{work}/results.json")
    print(f"{len(mine)} endings and {len(named)} blanks of {os.path.basename(o.text)}; {os.path.basename(model)}:",
          ", ".join(f"{g['task']} {m} {g[m]['quantized'] * 100:.1f} %" for g in report["tasks"]
                    for m in ("acc", "acc_norm", "acc_token")))
    f16 = [c["quantized"] for c in report["choices"]]
    folder = [c["reference"] for c in report["choices"]]

    # Every form of file holds the same items; their likelihoods are computed beside others, and so summed in another order.
    for name, part, content in [
        ("few.txt", mine[:12], lines(mine[:12]).encode()), ("few.bin", mine[:12], binary(mine[:12])),
        ("few.csv", named[:12], rows(named[:12]).encode()),
    ]:
        open(f"{work}/{name}", "wb").write(content)
        again = verify(gguf, gguf, f"{work}/{name}")
        places = [items.index(i) for i in part]
        apart = max(abs(x - y) for c, i in zip(again["choices"], places) for key in ("log_likelihoods", "token_means")
                    for x, y in zip(c["quantized"][key], f16[i][key], strict=True))
        failed |= len(again["choices"]) != len(part) or apart > 1e-3
        print(f"{name}, read as {again['format']}: scores at most {apart:.1e} apart")

    means = [s["token_means"] for s in f16]
    tokens = [s["acc_token"] for s in f16]
    compare("llama-perplexity --hellaswag", mine, tokens, hellaswag(mine, gguf, work), means)
    right = steps(run(r"^\d+\t([0-9]+\.[0-9]{8})$", len(mine), "-m", gguf, "-bf", f"{work}/endings.bin",
                      "--multiple-choice"))
    differ = [i for i, item in enumerate(mine) if right[i] != int(tokens[i] == item["label"])]
    failed |= len(differ) > (1 - BAR) * len(mine)
    print(f"llama-perplexity --multiple-choice: right and wrong alike on {len(mine) - len(differ)} of {len(mine)}", differ or "")
    rows = run(r"^\d+\t[0-9.]+\t +(-[0-9.]+) +(-[0-9.]+) +([12]) +[12]$", len(named), "-m", gguf, "-f",
               f"{work}/winogrande.csv", "--winogrande", "--winogrande-tasks", "0")
    compare("llama-perplexity --winogrande", named, tokens[len(mine):], [int(r[2]) - 1 for r in rows], means[len(mine):])
    furthest = max(abs(float(r[i]) - means[len(mine) + k][i]) for k, r in enumerate(rows) for i in (0, 1))
    print(f"  its scores and ours are at most {furthest:.5f} apart")

    if os.path.exists(lm_eval):
        done = subprocess.run([lm_eval, f"{here}/lm_eval_scores.py", model, f"{work}/all.jsonl", f"{work}/lm-eval.json"],
                              capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr[-3000:])
        theirs = json.load(open(f"{work}/lm-eval.json"))
        lengths = {"acc": lambda c: 1, "acc_norm": len, "acc_bytes": lambda c: len(c.encode())}
        for measure, length in lengths.items():
            places = [i for i, t in enumerate(theirs["items"]) if measure in t]
            compare(f"lm-eval {theirs['version']} --model hf, {measure}", [items[i] for i in places],
                    [folder[i][measure] for i in places], [theirs["items"][i][measure] for i in places],
                    [[v / length(c) for v, c in zip(folder[i]["log_likelihoods"], items[i]["choices"])] for i in places])
        furthest = max(abs(a - b) for s, t in zip(folder, theirs["items"])
                       for a, b in zip(s["log_likelihoods"], t["log_likelihoods"]))
        print(f"  its log-likelihoods and ours are at most {furthest:.5f} nats apart")
        ours = json.load(open(f"{work}/results.json"))
        for task, values in theirs["results"].items():
            missing = [k for k in values if k not in ours["results"][task] and not k.startswith(("name", "sample"))]
            failed |= bool(missing)
            apart = {k: (v, ours["reference_results"][task][k]) for k, v in values.items()
                     if k.endswith(",none") and "stderr" not in k and abs(v - ours["reference_results"][task][k]) > 0.005}
            print(f"  results.json, {task}: keys missing {missing}, accuracies apart {apart}")
            failed |= bool(apart)
    else:
        print("lm-eval is not there: not compared")
sys.exit(1 if failed else 0)
