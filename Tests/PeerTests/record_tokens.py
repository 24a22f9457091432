"""Records the ids that Hugging Face `tokenizers` gives, for the tests of the Tokenizers room.

    record_tokens.py FOLDER

Writes FOLDER/small.json (a made vocabulary), FOLDER/pre-tokenizers.json and FOLDER/tiny-llama.json. Run by hand when the
texts change; the fixtures name the versions they were made with.
"""
import json
import os
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


MODELS = {
    # name: settings of sentencepiece's trainer
    "unigram": dict(model_type="unigram", byte_fallback=True, user_defined_symbols=["<sep>", "漢字"]),
    "unigram-no-bytes": dict(model_type="unigram", normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=False),
    "bpe": dict(model_type="bpe", normalization_rule_name="identity", byte_fallback=True, remove_extra_whitespaces=False,
                allow_whitespace_only_pieces=True, split_digits=True),
    "bpe-user-defined": dict(model_type="bpe", user_defined_symbols=["<sep>", "ing", "é"], split_by_whitespace=False),
}
# One rule of each sort: to more characters, to fewer, to none.
RULES = "FB01\t66 69\n65 301\tE9\n200B\t\n3000\t20\n9\t20\nA\t20\nD\t20\n"


def sentencepiece_models(folder):
    import sentencepiece

    inputs = [t for t in texts(["<sep>", "▁", "<s>", "<0x41>"]) if len(t) < 120] + ["ﬁne cafe\u0301 \u200b x\u3000y\tz  w ", "ab<sep>cd 漢字漢字 ing sing"]
    os.chdir(ROOT)  # the models name the files they were trained from
    folder = folder.resolve().relative_to(ROOT)
    rules = folder / "rules.tsv"
    rules.write_text(RULES)
    recorded = []
    for name, settings in MODELS.items():
        if "normalization_rule_name" not in settings:
            settings["normalization_rule_tsv"] = str(rules)
        sentencepiece.SentencePieceTrainer.train(
            input="fixtures/text/python-docs-evaluate.txt", model_prefix=str(folder / name), vocab_size=500, hard_vocab_limit=False,
            character_coverage=0.98, minloglevel=2, num_threads=1, **settings)
        (folder / f"{name}.vocab").unlink()
        processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / f"{name}.model"))
        recorded.append(dict(name=name, ids=[processor.encode(t) for t in inputs]))
    rules.unlink()
    path = folder / "sentencepiece.json"
    path.write_text(json.dumps(dict(sentencepiece=sentencepiece.__version__, texts=inputs, models=recorded), separators=(",", ":")) + "\n")

    from transformers.convert_slow_tokenizer import generate_merges
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "bpe.model"))
    pieces = [processor.id_to_piece(i) for i in range(processor.get_piece_size())]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    merges = generate_merges(vocabulary, {piece: processor.get_score(i) for i, piece in enumerate(pieces)})
    model = dict(type="BPE", vocab=vocabulary, merges=[list(m) for m in merges], unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    added = [dict(id=i, content=pieces[i], special=True, single_word=False, lstrip=False, rstrip=False, normalized=i == 2) for i in range(3)]
    (folder / "byte-fallback.json").write_text(json.dumps(dict(version="1.0", added_tokens=added, normalizer="HERE", pre_tokenizer="THERE", post_processor=None,
                                                               decoder=None, model=model), ensure_ascii=False) + "\n")
    space = dict(type="Replace", pattern={"String": " "}, content="▁")
    metaspace = lambda scheme, split: dict(type="Metaspace", replacement="▁", prepend_scheme=scheme, split=split)
    cases = []
    for normalizer, pre in [(dict(type="Sequence", normalizers=[dict(type="Prepend", prepend="▁"), space]), None), (space, None),
                            (None, metaspace("first", False)), (None, metaspace("always", False)), (None, metaspace("never", False)),
                            (None, metaspace("always", True))]:
        text = (folder / "byte-fallback.json").read_text().replace('"HERE"', json.dumps(normalizer)).replace('"THERE"', json.dumps(pre))
        tokenizer = Tokenizer.from_str(text)
        cases.append(dict(normalizer=json.dumps(normalizer), pre_tokenizer=json.dumps(pre), ids=[tokenizer.encode(t).ids for t in inputs]))
    record(folder / "byte-fallback-ids.json", texts=inputs, cases=cases)


def main(folder):
    folder = folder.resolve()
    folder.mkdir(exist_ok=True)
    description = small()
    (folder / "small.json").write_text(json.dumps(description, ensure_ascii=False) + "\n")
    cases = []
    inputs = texts([t["content"] for t in description["added_tokens"]]) + ODD_TEXTS
    for name, pre in pre_tokenizer_variants():
        tokenizer = Tokenizer.from_str(json.dumps(dict(description, pre_tokenizer=pre)))
        cases.append(dict(name=name, pre_tokenizer=json.dumps(pre), ids=[tokenizer.encode(t).ids for t in inputs]))
    record(folder / "pre-tokenizers.json", texts=inputs, cases=cases)

    sentencepiece_models(folder)
    tokenizer = Tokenizer.from_file(str(ROOT / "fixtures/tiny-llama/tokenizer.json"))
    inputs = texts(["<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>user<|end_header_id|>\n\n"])
    special = [tokenizer.encode(t).ids for t in inputs]
    bare = [tokenizer.encode(t, add_special_tokens=False).ids for t in inputs]
    tokenizer.encode_special_tokens = True
    plain = [tokenizer.encode(t, add_special_tokens=False).ids for t in inputs]
    record(folder / "tiny-llama.json", texts=inputs, special=special, bare=bare, plain=plain)


main(pathlib.Path(sys.argv[1]))
