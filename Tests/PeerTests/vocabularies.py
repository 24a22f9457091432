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
import re
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


def splits(*patterns, digits=None):
    stages = [dict(type="Split", pattern={"Regex": p}, behavior="Isolated", invert=False) for p in patterns]
    if digits is not None:
        stages.append(dict(type="Digits", individual_digits=digits))
    return dict(type="Sequence", pretokenizers=stages + [dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=False)])


def published(source):
    """By `tokenizer.ggml.pre`; DeepSeek's list of letters is taken from llama.cpp's source."""
    variants = dict(base.pre_tokenizer_variants())
    gpt2, digits = variants["gpt-2"], variants["smollm"]
    listed = re.search(r'"(\\\\s\?\[A-Za-z[^"]*)"', (source / "src/llama-vocab.cpp").read_text()).group(1).replace("\\\\", "\\")
    return {"llama-bpe": variants["llama-3"], "qwen2": variants["qwen2"], "gpt-2": gpt2, "mpt": gpt2, "starcoder": digits, "refact": digits,
            "command-r": digits,
            "qwen35": splits(base.CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" + base.TAIL),
            "deepseek-coder": splits("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", digits=True),
            "deepseek-llm": splits("[\r\n]", listed, r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", "[一-龥ࠀ-一가-퟿]+", r"\p{N}+")}


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
    return wrong + compare("sentencepiece: whole text", suite.options.probe, folder, whole, processor.encode, suite.work, "bare", "plain")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("venv", type=pathlib.Path)
    parser.add_argument("probe")
    parser.add_argument("--sentencepiece", nargs="*", type=pathlib.Path, default=[])
    parser.add_argument("--ranks", nargs="*", type=pathlib.Path, default=[])
    parser.add_argument("--llama-cpp", type=pathlib.Path)
    parser.add_argument("--library", type=pathlib.Path)
    parser.add_argument("--only")
    parser.add_argument("--random", type=int, default=100_000)
    parser.add_argument("--text", type=pathlib.Path, default=ROOT.parent / "shared" / "text")
    options = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        suite = Suite(options, pathlib.Path(temporary))
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
    known_pre = published(source)
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
