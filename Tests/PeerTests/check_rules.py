"""`quern check --for llama.cpp` beside llama.cpp loading the same files.

    check_rules.py VENV QUERN MODEL [--perplexity PROGRAM]

MODEL is converted, and the file changed in one thing at a time: a key of another type or gone, a tensor renamed, reshaped or
gone, a vocabulary that does not fit. llama-perplexity then loads the file and computes a few tokens with it.
- What the check passes, it must load.
- What it refuses, or ends on, the check must find.
What the check finds and it loads nevertheless must be said to be so below: such files mislead, or hold what it never reads.
"""
import os
import struct
import subprocess
import sys
import tempfile

from peer import parser

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
U16, U32, I32, F32, BOOL, STRING, ARRAY, U64, F64 = 2, 4, 5, 6, 7, 8, 9, 10, 12


class File:
    """A GGUF taken apart: keys as (type, bytes), tensors as (dimensions, type, bytes)."""

    def __init__(self, path):
        data = open(path, "rb").read()
        self.version, tensors, keys = struct.unpack_from("<IQQ", data, 4)
        at = 24

        def text():
            nonlocal at
            length, = struct.unpack_from("<Q", data, at)
            at += 8 + length
            return data[at - length:at]

        def skip(kind):
            nonlocal at
            if kind == STRING:
                text()
            elif kind == ARRAY:
                element, count = struct.unpack_from("<IQ", data, at)
                at += 12
                if element == STRING:
                    for _ in range(count):
                        text()
                else:
                    at += SIZES[element] * count
            else:
                at += SIZES[kind]

        self.keys = {}
        for _ in range(keys):
            name = text().decode()
            kind, = struct.unpack_from("<I", data, at)
            at += 4
            start = at
            skip(kind)
            self.keys[name] = (kind, data[start:at])
        entries = []
        for _ in range(tensors):
            name = text().decode()
            rank, = struct.unpack_from("<I", data, at)
            dimensions = struct.unpack_from(f"<{rank}Q", data, at + 4)
            kind, offset = struct.unpack_from("<IQ", data, at + 4 + 8 * rank)
            at += 16 + 8 * rank
            entries.append((name, dimensions, kind, offset))
        start = at + -at % 32
        self.tensors = {}
        for index, (name, dimensions, kind, offset) in enumerate(entries):
            end = entries[index + 1][3] if index + 1 < len(entries) else len(data) - start
            self.tensors[name] = (list(dimensions), kind, data[start + offset:start + end])

    def write(self, path, order=None, version=None):
        """`order` of the data, where it is not the header's."""
        def string(text):
            return struct.pack("<Q", len(text)) + text

        head = b"GGUF" + struct.pack("<IQQ", version or self.version, len(self.tensors), len(self.keys))
        for name, (kind, value) in self.keys.items():
            head += string(name.encode()) + struct.pack("<I", kind) + value
        offsets, at = {}, 0
        for name in order or self.tensors:
            offsets[name] = at
            at += len(self.tensors[name][2])
            at += -at % 32
        for name, (dimensions, kind, _) in self.tensors.items():
            head += string(name.encode()) + struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
            head += struct.pack("<IQ", kind, offsets[name])
        with open(path, "wb") as file:
            file.write(head + bytes(-len(head) % 32))
            for name in order or self.tensors:
                data = self.tensors[name][2]
                file.write(data + bytes(-len(data) % 32))


def changes():
    """Names and functions of changes; `True` where llama.cpp is known to load what is found."""
    def key(name, kind, value):
        def change(file):
            file.keys[name] = (kind, value)
        return change

    def without(name):
        def change(file):
            del file.keys[name]
        return change

    def number(name, value, kind=U32):
        return key(name, kind, struct.pack({U32: "<I", I32: "<i", U64: "<Q", F32: "<f", F64: "<d", U16: "<H", BOOL: "<B"}[kind], value))

    def string(name, text):
        return key(name, STRING, struct.pack("<Q", len(text)) + text.encode())

    def strings(name, texts):
        return key(name, ARRAY, struct.pack("<IQ", STRING, len(texts)) + b"".join(struct.pack("<Q", len(t)) + t for t in texts))

    def array(name, kind, format, values):
        return key(name, ARRAY, struct.pack("<IQ", kind, len(values)) + struct.pack(f"<{len(values)}{format}", *values))

    def texts(file, name="tokenizer.ggml.tokens"):
        value, at, found = file.keys[name][1], 12, []
        while at < len(value):
            length, = struct.unpack_from("<Q", value, at)
            found.append(value[at + 8:at + 8 + length])
            at += 8 + length
        return found

    def vocabulary(change):
        def apply(file):
            tokens = texts(file)
            strings("tokenizer.ggml.tokens", change(tokens))(file)
        return apply

    def drop(name):
        def change(file):
            del file.tensors[name]
        return change

    def rename(name, other):
        def change(file):
            file.tensors = {other if n == name else n: t for n, t in file.tensors.items()}
        return change

    def add(name, dimensions):
        def change(file):
            count = 1
            for dimension in dimensions:
                count *= dimension
            file.tensors[name] = (dimensions, 0, bytes(4 * count))
        return change

    def reshape(name, change):
        def apply(file):
            dimensions, kind, data = file.tensors[name]
            file.tensors[name] = (change(dimensions), kind, data)
        return apply

    def half(name):
        def change(file):
            dimensions, kind, data = file.tensors[name]
            count = len(data) // 4
            file.tensors[name] = (dimensions, 1, struct.pack(f"<{count}e", *struct.unpack(f"<{count}f", data)))
        return change

    def integers(name):
        def change(file):
            dimensions, kind, data = file.tensors[name]
            file.tensors[name] = (dimensions, 26, data)
        return change

    def each(*all):
        def change(file):
            for one in all:
                one(file)
        return change

    layers = "llama.block_count"
    yield "nothing", lambda file: None
    for name in ("general.architecture", layers, "llama.context_length", "llama.embedding_length", "llama.feed_forward_length",
                 "llama.attention.head_count", "llama.attention.layer_norm_rms_epsilon", "tokenizer.ggml.model",
                 "tokenizer.ggml.tokens"):
        yield f"without {name}", without(name)
    for name in ("llama.rope.freq_base", "llama.vocab_size", "llama.rope.dimension_count", "general.file_type",
                 "general.quantization_version", "general.name", "llama.attention.head_count_kv"):
        yield f"without {name}", without(name)
    yield "without tokenizer.ggml.pre", without("tokenizer.ggml.pre"), True
    yield "without tokenizer.ggml.merges", without("tokenizer.ggml.merges")
    yield "without tokenizer.ggml.token_type", without("tokenizer.ggml.token_type")
    for name in (layers, "llama.context_length", "llama.embedding_length", "llama.attention.head_count", "llama.vocab_size",
                 "llama.rope.dimension_count", "general.file_type", "tokenizer.ggml.bos_token_id", "llama.expert_count",
                 "llama.attention.key_length", "llama.rope.scaling.original_context_length"):
        yield f"{name} as int32", number(name, 4, I32)
        yield f"{name} as uint64", number(name, 4, U64)
        yield f"{name} as string", string(name, "4")
    for name in ("llama.attention.layer_norm_rms_epsilon", "llama.rope.freq_base", "llama.rope.scaling.factor"):
        yield f"{name} as float64", number(name, 1e-5, F64)
        yield f"{name} as uint32", number(name, 1)
    for name in ("tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token"):
        yield f"{name} as uint32", number(name, 1)
    for name in ("general.name", "general.architecture", "tokenizer.ggml.model", "tokenizer.ggml.pre"):
        yield f"{name} as uint32", number(name, 1)
    yield "another architecture", string("general.architecture", "llamb")
    yield "no layer", number(layers, 0)
    yield "513 layers", number(layers, 513)
    yield "one layer fewer", lambda file: number(layers, struct.unpack("<I", file.keys[layers][1])[0] - 1)(file)
    yield "one layer more", lambda file: number(layers, struct.unpack("<I", file.keys[layers][1])[0] + 1)(file)
    for name in ("llama.embedding_length", "llama.feed_forward_length", "llama.attention.head_count",
                 "llama.attention.head_count_kv", "llama.attention.key_length", "llama.rope.dimension_count"):
        yield f"{name} of 3", number(name, 3)
        yield f"{name} of 0", number(name, 0)
    yield "experts without use", number("llama.expert_count", 4)
    yield "used experts without experts", number("llama.expert_used_count", 4)
    yield "rope scaling of no kind", string("llama.rope.scaling.type", "cubic")
    yield "rope scaling yarn", each(string("llama.rope.scaling.type", "yarn"), number("llama.rope.scaling.factor", 2.0, F32))
    yield "head counts a layer", lambda file: array(
        "llama.attention.head_count", U32, "I",
        [struct.unpack("<I", file.keys["llama.attention.head_count"][1])[0]] * struct.unpack("<I", file.keys[layers][1])[0])(file)
    yield "too few head counts", array("llama.attention.head_count", U32, "I", [4])
    yield "pre-tokenizer of no kind", string("tokenizer.ggml.pre", "no-such-thing")
    yield "tokenizer of no kind", string("tokenizer.ggml.model", "no-such-thing")
    yield "a token twice", vocabulary(lambda tokens: tokens[:-1] + [tokens[40]])
    yield "one token fewer", vocabulary(lambda tokens: tokens[:-1])
    yield "one token more", vocabulary(lambda tokens: tokens + [b"<more>"])
    yield "tokens as numbers", array("tokenizer.ggml.tokens", U32, "I", [1, 2, 3])
    yield "merges as numbers", array("tokenizer.ggml.merges", U32, "I", [1, 2, 3])
    yield "too few token types", array("tokenizer.ggml.token_type", I32, "i", [1, 1, 1])
    yield "token types as uint32", lambda file: array("tokenizer.ggml.token_type", U32, "I", [1] * len(texts(file)))(file)
    yield "too few scores", array("tokenizer.ggml.scores", F32, "f", [1.0])
    yield "scores as float64", lambda file: array("tokenizer.ggml.scores", F64, "d", [1.0] * len(texts(file)))(file)
    yield "bos beyond the vocabulary", number("tokenizer.ggml.bos_token_id", 1 << 30), True
    for name in ("token_embd.weight", "output_norm.weight", "blk.0.attn_norm.weight", "blk.0.attn_q.weight",
                 "blk.1.attn_k.weight", "blk.1.attn_v.weight", "blk.0.attn_output.weight", "blk.0.ffn_norm.weight",
                 "blk.0.ffn_gate.weight", "blk.1.ffn_up.weight", "blk.0.ffn_down.weight"):
        yield f"without {name}", drop(name)
        yield f"{name} by another name", rename(name, name.replace("weight", "wait"))
    yield "a tensor too many", add("blk.0.extra.weight", [32])
    yield "a bias of queries", lambda file: add("blk.0.attn_q.bias", [file.tensors["blk.0.attn_q.weight"][0][1]])(file)
    yield "a bias of another width", add("blk.0.attn_q.bias", [32])
    yield "divisors of another width", add("rope_freqs.weight", [5])
    yield "a matrix turned", reshape("blk.0.ffn_down.weight", lambda d: d[::-1])
    yield "a matrix as a vector", reshape("blk.0.attn_q.weight", lambda d: [d[0] * d[1]])
    yield "a vector as a matrix", reshape("output_norm.weight", lambda d: [d[0], 1])
    yield "a norm in F16", half("blk.0.attn_norm.weight")
    yield "the last norm in F16", half("output_norm.weight")
    yield "a norm of integers", integers("blk.0.attn_norm.weight")


def main():
    flags = parser("venv", "quern", "model")
    flags.add_argument("--perplexity")
    flags = flags.parse_args()
    quern = os.path.abspath(flags.quern)
    program = flags.perplexity or f"{flags.venv}/llama.cpp/build/bin/llama-perplexity"
    failed, kinds = False, {}
    with tempfile.TemporaryDirectory() as work:
        whole, file = f"{work}/whole.gguf", f"{work}/changed.gguf"
        subprocess.run([quern, "convert", flags.model, "-t", "Q8_0", "-o", whole, "-q"], check=True, stdout=subprocess.DEVNULL)
        text = f"{work}/text"
        open(text, "w").write("a quern grinds grain, a small mill of stone. " * 40)

        def compare(label, isKnown=False):
            nonlocal failed
            checked = subprocess.run([quern, "check", file, "--for", "llama.cpp", "-q"], capture_output=True, text=True)
            loaded = subprocess.run(
                [program, "-m", file, "-f", text, "-c", "32", "--chunks", "1", "-t", "2"], capture_output=True, text=True,
                timeout=600, env=os.environ | {"GGML_NO_BACKTRACE": "1"})
            passes, loads = checked.returncode == 0, loaded.returncode == 0
            if checked.returncode not in (0, 65):
                sys.exit(f"{label}: quern check: {checked.returncode} {checked.stderr[-1000:]}")
            verdict = ("passes" if passes else "found") + ", " + ("loads" if loads else "refused")
            right = passes == loads or (isKnown and not passes)
            failed = failed or not right
            kinds[verdict] = kinds.get(verdict, 0) + 1
            detail = "" if passes else " | " + checked.stdout.splitlines()[0][:110]
            if not right:
                why = [line for line in (loaded.stderr + loaded.stdout).splitlines() if "error" in line or "ASSERT" in line]
                detail += " | llama.cpp: " + (why or [str(loaded.returncode)])[0][:200]
            print(f"{'' if right else 'WRONG '}{label}: {verdict}{detail}", flush=True)

        for label, change, *known in changes():
            changed = File(whole)
            try:
                change(changed)
            except KeyError as key:
                print(f"{label}: not tried, the model has no {key}")
                continue
            changed.write(file)
            compare(label, bool(known))
        order = list(File(whole).tensors)
        File(whole).write(file, order=order[::-1])
        compare("the data in another order than the header")
        File(whole).write(file, version=2)
        compare("version 2")
        data = open(whole, "rb").read()
        for label, bytes_ in ("cut short", data[:-4000]), ("in the header", data[:3000]), ("no magic", b"GGUG" + data[4:]):
            open(file, "wb").write(bytes_)
            compare(label)
    print(", ".join(f"{count} {verdict}" for verdict, count in sorted(kinds.items())))
    sys.exit(1 if failed else 0)


main()
