"""Token ids beside sentencepiece, Meta's Llama 3 tokenizer, Hugging Face's byte-fallback form, and llama.cpp.

    vocabularies.py VENV PROBE [--sentencepiece FILE...] [--ranks FILE...] [--llama-cpp FOLDER] [--random N] [--text FOLDER]

`--sentencepiece` and `--ranks` name tokenizer.model files; each is compared with its own library and with the tokenizer.json
that transformers makes of it. `--llama-cpp` names the source tree of llama.cpp, whose models/ggml-vocab-*.gguf bring texts
with ids; its library tokenizes the other texts. Exit 1 on any difference.
"""
import argparse
import ctypes
import json
import os
import pathlib
import sys
import tempfile
import unicodedata

import tokens as base

ROOT = base.ROOT
UNKNOWN_TO_US = {"aquila", "baichuan", "bert-bge", "gemma-4", "gpt-neox", "nomic-bert-moe"}


class ModelParameters(ctypes.Structure):
    """llama_model_params of llama.cpp 0c1e57098."""
    _fields_ = [("devices", ctypes.c_void_p), ("overrides", ctypes.c_void_p), ("layers", ctypes.c_int32), ("split", ctypes.c_int),
                ("load", ctypes.c_int), ("lazy", ctypes.c_int), ("main_gpu", ctypes.c_int32), ("tensor_split", ctypes.c_void_p),
                ("progress", ctypes.c_void_p), ("progress_data", ctypes.c_void_p), ("kv", ctypes.c_void_p), ("vocab_only", ctypes.c_bool),
                ("check", ctypes.c_bool), ("extra", ctypes.c_bool), ("no_host", ctypes.c_bool), ("no_alloc", ctypes.c_bool), ("mtp", ctypes.c_bool)]


class LlamaCpp:
    def __init__(self, library, path):
        self.library = lib = ctypes.CDLL(str(library))
        lib.llama_model_default_params.restype = ModelParameters
        lib.llama_model_load_from_file.restype = ctypes.c_void_p
        lib.llama_model_load_from_file.argtypes = [ctypes.c_char_p, ModelParameters]
        lib.llama_model_get_vocab.restype = ctypes.c_void_p
        lib.llama_model_get_vocab.argtypes = [ctypes.c_void_p]
        lib.llama_tokenize.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32, ctypes.c_bool, ctypes.c_bool]
        self.quiet = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
        lib.llama_log_set(self.quiet, None)
        parameters = lib.llama_model_default_params()
        parameters.vocab_only = True
        self.vocab = lib.llama_model_get_vocab(lib.llama_model_load_from_file(str(path).encode(), parameters))

    def encode(self, text, special=False):
        data = text.encode()
        out = (ctypes.c_int32 * (len(data) + 8))()
        count = self.library.llama_tokenize(self.vocab, data, len(data), out, len(out), False, special)
        return list(out[:count])


def compare(label, probe, model, texts, reference, work, *flags, allowed=0):
    base.write_texts(work / "in", texts)
    run = base.subprocess.run([probe, "tokenize", str(model), str(work / "in"), str(work / "out"), *flags], capture_output=True, text=True,
                              env=dict(os.environ, SWIFT_BACKTRACE="enable=no"))
    if run.returncode:
        print(f"  {label}: {(run.stdout + run.stderr)[:300]}")
        return 1
    wrong = 0
    ours = base.read_ids(work / "out")
    for text, ids in zip(texts, ours, strict=True):
        theirs = reference(text)
        if ids != theirs:
            wrong += 1
            if wrong <= 3:
                at = next((i for i, (a, b) in enumerate(zip(ids, theirs)) if a != b), min(len(ids), len(theirs)))
                print(f"  {label}: differs at token {at}: {ids[at:at+6]} not {theirs[at:at+6]} in {text[:70]!r}")
    print(f"  {label}: {len(texts)} texts, {sum(map(len, ours))} tokens, {wrong} differ; {run.stdout.strip()}")
    return wrong


def hugging_face(path, published):
    """A `tokenizers` object with the vocabulary of a GGUF and the pre-tokenizer that its model was published with."""
    from gguf import GGUFReader
    from tokenizers import Tokenizer

    fields = GGUFReader(path).fields
    value = lambda name: fields["tokenizer.ggml." + name].contents()
    pre = published.get(value("pre")) if "tokenizer.ggml.pre" in fields and value("model") == "gpt2" else None
    if pre is None:
        return None
    types, texts = value("token_type"), value("tokens")
    # Added tokens stand in the vocabulary too: else the library gives them new ids.
    vocabulary = {text: i for i, text in enumerate(texts) if types[i] in (1, 3, 4)}
    added = [dict(id=i, content=text, special=types[i] == 3, single_word=False, lstrip=False, rstrip=False, normalized=False)
             for i, text in enumerate(texts) if types[i] in (3, 4)]
    model = dict(type="BPE", vocab=vocabulary, merges=[m.split(" ") for m in value("merges")], ignore_merges=value("pre") == "llama-bpe",
                 dropout=None, unk_token=None, continuing_subword_prefix=None, end_of_word_suffix=None, fuse_unk=False, byte_fallback=False)
    description = dict(version="1.0", truncation=None, padding=None, added_tokens=added, normalizer=None, post_processor=None,
                       decoder=None, pre_tokenizer=pre, model=model)
    tokenizer = Tokenizer.from_str(json.dumps(description))
    tokenizer.encode_special_tokens = True
    return lambda text: tokenizer.encode(text).ids


def published():
    """By `tokenizer.ggml.pre`."""
    variants = dict(base.pre_tokenizer_variants())
    named = {"llama-bpe": "llama-3", "mpt": "gpt-2", "starcoder": "smollm", "refact": "smollm", "command-r": "smollm"}
    return {**variants, **{name: variants[other] for name, other in named.items()}}


class Suite:
    def __init__(self, options, work):
        self.options, self.work = options, work
        self.random = list(base.random_texts(options.random, ["<s>", "▁", "<0x41>", "<unk>"]))
        self.corpora = list(base.corpora(options.text))

    def everything(self, label, model, reference, *flags, random=None):
        wrong = compare(f"{label}: hand-made", self.options.probe, model, base.HAND, reference, self.work, *flags)
        wrong += compare(f"{label}: random", self.options.probe, model, random or self.random, reference, self.work, *flags)
        for name, text in self.corpora:
            wrong += compare(f"{label}: {name} by line", self.options.probe, model, text.splitlines(keepends=True), reference, self.work, *flags)
        return wrong

    def folder(self, name, **files):
        folder = self.work / name
        folder.mkdir()
        for key, content in files.items():
            target = folder / key.replace("_json", ".json").replace("_model", ".model")
            target.write_bytes(content) if isinstance(content, bytes) else target.write_text(content)
        return folder


def sentencepiece_file(suite, path):
    import sentencepiece

    print(path.name)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    folder = suite.folder("spm-" + path.name, tokenizer_model=path.read_bytes())
    wrong = suite.everything("sentencepiece", folder, processor.encode, "bare", "plain")
    whole = [text for _, text in suite.corpora[:1]]
    wrong += compare("sentencepiece: whole text", suite.options.probe, folder, whole, processor.encode, suite.work, "bare", "plain")
    if processor.id_to_piece(3) == "<0x00>":
        wrong += byte_fallback(suite, path.name, processor)
    return wrong


TRAINED = {
    "unigram nmt_nfkc": dict(model_type="unigram"),
    "unigram bytes user-defined": dict(model_type="unigram", byte_fallback=True, normalization_rule_name="identity",
                                       user_defined_symbols=["<sep>", "  ", "def ", "漢字"]),
    "unigram as it is": dict(model_type="unigram", normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=False),
    "bpe nmt_nfkc": dict(model_type="bpe"),
    "bpe user-defined": dict(model_type="bpe", byte_fallback=True, user_defined_symbols=["<sep>", "ing", "  ", "\u2581the", "é"], split_digits=True),
    "bpe nfkc_cf": dict(model_type="bpe", normalization_rule_name="nfkc_cf", byte_fallback=True),
    "bpe as it is": dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=False),
    "bpe llama": dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
                      allow_whitespace_only_pieces=True, split_digits=True),
    "bpe over spaces": dict(model_type="bpe", split_by_whitespace=False, normalization_rule_name="identity"),
}


def trained(suite):
    """Small models of every kind, trained here."""
    import sentencepiece

    for name, settings in TRAINED.items():
        prefix = suite.work / ("trained " + name)
        sentencepiece.SentencePieceTrainer.train(input=str(ROOT / "fixtures/text/python-docs-evaluate.txt"), model_prefix=str(prefix), vocab_size=1500,
                                                 hard_vocab_limit=False, minloglevel=2, num_threads=1, **settings)
        yield pathlib.Path(str(prefix) + ".model")


def byte_fallback(suite, name, processor):
    """Hugging Face's form of the model, with each way of writing spaces that has been published."""
    from tokenizers import Tokenizer
    from transformers.convert_slow_tokenizer import generate_merges

    pieces = [processor.id_to_piece(i) for i in range(processor.get_piece_size())]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    scores = {piece: processor.get_score(i) for i, piece in enumerate(pieces)}
    merges = generate_merges(vocabulary, scores)
    model = dict(type="BPE", vocab=vocabulary, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True, dropout=None,
                 continuing_subword_prefix=None, end_of_word_suffix=None, ignore_merges=False)
    prepend = dict(type="Sequence", normalizers=[dict(type="Prepend", prepend="▁"), dict(type="Replace", pattern={"String": " "}, content="▁")])
    metaspace = lambda scheme, split: dict(type="Metaspace", replacement="▁", prepend_scheme=scheme, split=split)
    replace = dict(type="Replace", pattern={"String": " "}, content="▁")
    wrong = 0
    for label, normalizer, pre in [("prepend", prepend, None), ("replace", replace, None), ("first", None, metaspace("first", False)),
                                   ("always", None, metaspace("always", False)), ("never", None, metaspace("never", False)),
                                   ("split", None, metaspace("always", True)), ("split first", None, metaspace("first", True))]:
        for normalized in (False, True):
            added = [dict(id=i, content=pieces[i], special=True, single_word=False, lstrip=False, rstrip=False, normalized=normalized) for i in range(3)]
            description = dict(version="1.0", truncation=None, padding=None, added_tokens=added, normalizer=normalizer, pre_tokenizer=pre,
                               post_processor=None, decoder=None, model=model)
            folder = suite.folder(f"hf-{name}-{label}-{normalized}", tokenizer_json=json.dumps(description))
            reference = Tokenizer.from_file(str(folder / "tokenizer.json"))
            title = f"Hugging Face, {label}{', normalized' if normalized else ''}"
            encode = lambda text: reference.encode(text).ids
            some = suite.random if label in ("prepend", "first") else suite.random[: suite.options.random // 10]
            wrong += compare(f"{title}: hand-made", suite.options.probe, folder, base.HAND, encode, suite.work, "bare")
            wrong += compare(f"{title}: random", suite.options.probe, folder, some, encode, suite.work, "bare")
            for corpus, text in suite.corpora[:1]:
                wrong += compare(f"{title}: {corpus} by line", suite.options.probe, folder, text.splitlines(keepends=True), encode, suite.work, "bare")
    return wrong


def rank_file(suite, path):
    """Meta's form beside tiktoken as Meta calls it, and beside the tokenizer.json that transformers makes of it."""
    import tiktoken
    from gguf import GGUFReader
    from tiktoken.load import load_tiktoken_bpe
    from tokenizers import Tokenizer
    from transformers.convert_slow_tokenizer import TikTokenConverter

    print(path.parent.name, path.name)
    ranks = load_tiktoken_bpe(str(path))
    first = len(ranks)
    reserved = lambda low, high: [f"<|reserved_special_token_{i}|>" for i in range(low, high + 1)]
    names = (["<|begin_of_text|>", "<|end_of_text|>"] + reserved(0, 3) + ["<|start_header_id|>", "<|end_header_id|>"] + reserved(4, 4)
             + ["<|eot_id|>"] + reserved(5, 250))
    meta = tiktoken.Encoding(name="llama3", pat_str=base.PATTERNS["llama-3"], mergeable_ranks=ranks,
                             special_tokens={name: first + i for i, name in enumerate(names)})
    # Without `use_scaled_rope` the names are those of Llama 3.0.
    folder = suite.folder(f"ranks-{path.parent.name}", tokenizer_model=path.read_bytes(), params_json="{}")
    wrong = suite.everything("tiktoken", folder, lambda text: meta.encode(text, disallowed_special=()), "bare", "plain")
    wrong += suite.everything("tiktoken, special", folder, lambda text: meta.encode(text, allowed_special="all"), "bare",
                              random=list(base.random_texts(suite.options.random // 10, names)))

    converted = json.loads(TikTokenConverter(str(path), extra_special_tokens=names).converted().to_str())
    fast = suite.folder(f"fast-{path.parent.name}", tokenizer_json=json.dumps(converted))
    reference = Tokenizer.from_file(str(fast / "tokenizer.json"))
    wrong += suite.everything("Hugging Face", folder, lambda text: reference.encode(text).ids, "bare",
                              random=list(base.random_texts(suite.options.random // 10, names)))
    keys = ["model", "pre", "tokens", "token_type", "merges"]
    made = []
    for source in (folder, fast):
        out = suite.work / "vocabulary.gguf"
        base.subprocess.run([suite.options.probe, "vocabulary", str(source), str(first + 256), str(out)], check=True)
        fields = GGUFReader(out).fields
        made.append([fields["tokenizer.ggml." + key].contents() for key in keys])
    different = [key for key, a, b in zip(keys, *made) if a != b]
    written = [" ".join(pair) for pair in converted["model"]["merges"]] != made[0][4]
    print(f"  metadata: keys that differ {different}; merges differ from the library's: {written}")
    return wrong + len(different) + written


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("venv", type=pathlib.Path)
    parser.add_argument("probe")
    parser.add_argument("--sentencepiece", nargs="*", type=pathlib.Path, default=[])
    parser.add_argument("--ranks", nargs="*", type=pathlib.Path, default=[])
    parser.add_argument("--llama-cpp", type=pathlib.Path)
    parser.add_argument("--trained", action="store_true", help="also SentencePiece models trained on the spot")
    parser.add_argument("--library", type=pathlib.Path)
    parser.add_argument("--only")
    parser.add_argument("--random", type=int, default=100_000)
    parser.add_argument("--text", type=pathlib.Path, default=ROOT.parent / "shared" / "text")
    options = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        suite = Suite(options, pathlib.Path(temporary))
        if options.trained:
            options.sentencepiece += trained(suite)
        for path in options.sentencepiece:
            wrong += sentencepiece_file(suite, path)
        for path in options.ranks:
            wrong += rank_file(suite, path)
        if options.llama_cpp:
            wrong += llama_cpp(suite, options.llama_cpp)
    print("0 differences" if wrong == 0 else f"{wrong} differences")
    sys.exit(wrong != 0)


def llama_cpp(suite, source):
    wrong = 0
    known_pre = published()
    library = suite.options.library or suite.options.venv / "llama.cpp/build/bin/libllama.so"
    for path in sorted((source / "models").glob("ggml-vocab-*.gguf")):
        name = path.stem.removeprefix("ggml-vocab-")
        if name in UNKNOWN_TO_US or suite.options.only and suite.options.only not in name:
            continue
        print(name)
        inputs = pathlib.Path(str(path) + ".inp").read_bytes().decode().removesuffix("\n__ggml_vocab_test__\n").split("\n__ggml_vocab_test__\n")
        outputs = pathlib.Path(str(path) + ".out").read_text().splitlines()
        recorded = {text: [int(i) for i in line.split()] for text, line in zip(inputs, outputs, strict=True)}
        wrong += compare("recorded", suite.options.probe, path, list(recorded), recorded.__getitem__, suite.work, "bare", "plain")
        if reference := hugging_face(path, known_pre):
            wrong += suite.everything("Hugging Face", path, reference, "bare", "plain")
        peer = LlamaCpp(library, path)
        unread = set()
        # llama.cpp knows fewer of the newer characters and leaves unassigned ones alone: only what Python knows is compared.
        if name == "deepseek-llm":
            unread |= {"\u3000"}  # it reads this as an ordinary space before signs, the published expression does not
        known = ["".join(c for c in text if unicodedata.category(c) != "Cn" and c not in unread) for text in suite.random[: suite.options.random // 10]]
        wrong += suite.everything("llama.cpp", path, peer.encode, "bare", "plain", random=known)
    return wrong


if __name__ == "__main__":
    main()
