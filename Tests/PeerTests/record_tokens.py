"""Records the ids that Hugging Face `tokenizers` gives, for the tests of the Tokenizers room.

    record_tokens.py FOLDER

Writes FOLDER/small.json (a made vocabulary), FOLDER/pre-tokenizers.json and FOLDER/tiny-llama.json. Run by hand when the
texts change; the fixtures name the versions they were made with.
"""
import json
import pathlib
import sys

import tokenizers as hf
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from tokens import HAND, ODD_TEXTS, odd_added_tokens, pre_tokenizer_variants, random_texts

ROOT = pathlib.Path(__file__).resolve().parents[2]


def texts(specials):
    return [t for t in HAND if len(t) < 400] + list(random_texts(120, specials))


def record(path, **content):
    path.write_text(json.dumps({"tokenizers": hf.__version__, **content}, separators=(",", ":")) + "\n")
    print(path, path.stat().st_size)


def small():
    """600 tokens of a documentation text and of the hand-made texts, no pre-tokenizer yet."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    prose = (ROOT / "fixtures/text/python-docs-evaluate.txt").read_text()
    tokenizer.train_from_iterator([prose, *HAND * 20], trainer)
    description = json.loads(tokenizer.to_str())
    first = max(description["model"]["vocab"].values()) + 1
    description["added_tokens"] = odd_added_tokens(first, description["model"]["vocab"])
    description["pre_tokenizer"] = "HERE"
    return description


def main(folder):
    folder.mkdir(exist_ok=True)
    description = small()
    (folder / "small.json").write_text(json.dumps(description, ensure_ascii=False) + "\n")
    cases = []
    inputs = texts([t["content"] for t in description["added_tokens"]]) + ODD_TEXTS
    for name, pre in pre_tokenizer_variants():
        tokenizer = Tokenizer.from_str(json.dumps(dict(description, pre_tokenizer=pre)))
        cases.append(dict(name=name, pre_tokenizer=json.dumps(pre), ids=[tokenizer.encode(t).ids for t in inputs]))
    record(folder / "pre-tokenizers.json", texts=inputs, cases=cases)

    tokenizer = Tokenizer.from_file(str(ROOT / "fixtures/tiny-llama/tokenizer.json"))
    inputs = texts(["<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>user<|end_header_id|>\n\n"])
    special = [tokenizer.encode(t).ids for t in inputs]
    bare = [tokenizer.encode(t, add_special_tokens=False).ids for t in inputs]
    tokenizer.encode_special_tokens = True
    plain = [tokenizer.encode(t, add_special_tokens=False).ids for t in inputs]
    record(folder / "tiny-llama.json", texts=inputs, special=special, bare=bare, plain=plain)


main(pathlib.Path(sys.argv[1]))
