"""Token ids beside Hugging Face `tokenizers`, and character classes beside its regular expressions.

    tokens.py PROBE MODEL_FOLDER... [--random N] [--text FOLDER]

PROBE is the `quern-peer` executable. Every MODEL_FOLDER is compared as it is and once for every known pre-tokenizer put in
its place. FOLDER (by default ../shared/text beside the project) holds larger texts; what is missing there is skipped with a
word. Exit 1 on any difference.
"""
import argparse
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

from tokenizers import Regex, Tokenizer, pre_tokenizers

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEED = 20260114

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
ASCII_CONTRACTIONS = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
TAIL = r"\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"


def cased(contraction):
    lead = r"[^\r\n\p{L}\p{N}]?"
    return f"{lead}{UPPER}*{LOWER}+{contraction}|{lead}{UPPER}+{LOWER}*{contraction}"


PATTERNS = {
    "llama-3": CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + TAIL,
    "llama-3 ascii": ASCII_CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + TAIL,
    "qwen2": CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + TAIL,
    "cl100k": "'(?i:[sdmt]|ll|ve|re)" + r"|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
    "qwen35": CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" + TAIL,
    "tekken": cased("") + r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + TAIL,
    "gpt-4o": cased(CONTRACTIONS + "?") + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + TAIL,
}


# The letters with case that DeepSeek's first pre-tokenizer lists.
CASED = "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"


def stages(*patterns, digits=None):
    parts = [dict(type="Split", pattern={"Regex": p}, behavior="Isolated", invert=False) for p in patterns]
    if digits is not None:
        parts.append(dict(type="Digits", individual_digits=digits))
    return dict(type="Sequence", pretokenizers=parts + [dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=False)])


def pre_tokenizer_variants():
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    with_regex = dict(byte_level, use_regex=True)
    for name, pattern in PATTERNS.items():
        split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
        yield name, {"type": "Sequence", "pretokenizers": [split, byte_level]}
    removed = {"type": "Split", "pattern": {"Regex": PATTERNS["gpt-4o"]}, "behavior": "Removed", "invert": True}
    yield "gpt-4o removed", {"type": "Sequence", "pretokenizers": [removed, byte_level]}
    yield "gpt-2", with_regex
    yield "gpt-2 prefix space", dict(with_regex, add_prefix_space=True)
    digits = {"type": "Digits", "individual_digits": True}
    yield "smollm", {"type": "Sequence", "pretokenizers": [digits, with_regex]}
    east_asian = "[一-龥ࠀ-一가-퟿]+"
    yield "deepseek-coder", stages("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", east_asian, digits=True)
    yield "deepseek-llm", stages("[\r\n]", rf"\s?[{CASED}]+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", east_asian, digits=True)


def odd_added_tokens(first, vocabulary):
    """Added tokens with every flag, overlapping one another."""
    def token(content, **flags):
        nonlocal first
        plain = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=False)
        known = vocabulary.get(content)
        if known is None:
            known, first = first, first + 1
        return {**plain, "id": known, "content": content, **flags}
    return [
        token("<mask>", lstrip=True, special=True), token("<sep>", rstrip=True, special=True),
        token("<both>", lstrip=True, rstrip=True), token("cat", single_word=True), token("élan", single_word=True, normalized=True),
        token("dog", normalized=True), token("dogs and", normalized=True), token("<|a|>", special=True), token("<|a|>b"),
        token("  "), token("漢字", single_word=True), token("'s "), token("🦙", lstrip=True, normalized=True),
    ]


ODD_TEXTS = [
    "a <mask> b", "a  <mask><mask> b", " <sep>  x<sep>", "x \u3000<both>\u00a0\n y", "cat concat cats cat. cat_ cat\u0301 cat", "élan xélan élan-", "dog dogs dogs and dogs an",
    "<|a|><|a|>b<|a|", "a    b     c", "漢字 漢字漢字 x漢字", "it's  ok 's ", "x 🦙🦙  🦙", "<mask>", " <mask> ", "<sep> <mask>", "<sep>   <both>  <mask>", "\u200dcat cat\u200d", "1cat ٣cat ⅷcat ‿cat",
]


def write_texts(path, texts):
    with open(path, "wb") as f:
        for text in texts:
            data = text.encode()
            f.write(struct.pack("<I", len(data)) + data)


def read_ids(path):
    data = open(path, "rb").read()
    out, position = [], 0
    while position < len(data):
        (count,) = struct.unpack_from("<i", data, position)
        out.append(list(struct.unpack_from(f"<{count}i", data, position + 4)))
        position += 4 + 4 * count
    return out


# Texts

HAND = [
    "", " ", "  ", "\n", "\r\n", "\r\n\r\n ", "\t\tx", " \n x", "a\r\nb\r\n\r\nc\n", "x \r\n  y", "\u2028\u2029\u0085\u00a0 x",
    "I'm you're he's we'll they'd I've can't DON'T I'M WE'LL YOU'RE 's 'S ''s 'x '", "it'ſ 'ſ It'ﬆ",
    "1 12 123 1234 12345 1,234.56 １２３ ²³ ½ ⅷ ٣٤٥ 𝟘𝟙", "x1y22z333", "3.14e-10", "0x1F600",
    "🚀 (normal) 😶‍🌫️ (multiple emojis concatenated) ✅ 🦙🦙 👩‍👩‍👧‍👦 🇩🇪🇫🇷 👍🏽", "🏳️‍🌈🏴‍☠️",
    "我想在apple工作1314151天～ 日本語のテキスト、カタカナ ｶﾀｶﾅ 한국어 텍스트", "汉字漢字𠮷𪚥", "កាន់តែពិសេសអាច😁",
    "السلام عليكم ورحمة الله ١٢٣ ـــ", "שָׁלוֹם עוֹלָם", "नमस्ते दुनिया १२३ क्षत्रिय", "สวัสดีชาวโลก", "нещо на Български",
    "e\u0301 é n\u0303 ñ Å \u212b A\u030a ẛ̣ \u1e9b\u0323 Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘", "\u0301x \u0301\u0301 \u0301A",
    "\x00\x01\x02\x1b[31mred\x1b[0m\x7f\x80\x9f", "\u200b\u200d\ufeff\u180e\u2060x", "a\u00adb",
    "''''''```````\"\"\"\"......!!!!!!?????? ------======= /// \\\\ //\r\n/\n", "foo/bar/\n\nbaz./\n", "HTTPServer XMLHttpRequest iPhone ǅungla ǅ ʰʷ aʰB ªº",
    "\u0295 ʕ ʔ", "<|begin_of_text|>hello<|eot_id|>\n\n<|end_of_text|>", "<|im_start|>user\nHi<|im_end|>", "<|endoftext|><|endoftext|>x",
    "<|begin_of_text", "<<|eot_id|>>", " " * 100 + "x" + " " * 1000, "\n" * 100, " \n" * 50, "a" * 5000, "ab" * 3000, "=" * 3000, "漢" * 1000,
    "1" * 1000, "é" * 999, "🦙" * 300, "\U0010ffff\U000e0001\uffff\ue000", "aA" * 300 + "Bb'S" * 100,
]


def random_texts(count, specials):
    rng = random.Random(SEED)
    assigned = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    common = "abcdefgh ABC   \n\r\t'''sStTrReEvVmMlLdD0123456789.,!?-_=/\\()[]{}\"#éüß\u00a0\u3000\u2028漢字かな한글ﷺאبना\u0301\u0308😀ǅʰªſ½²٣"
    blocks = [(0, 0x7F), (0x80, 0x24F), (0x250, 0x36F), (0x370, 0x58F), (0x590, 0x8FF), (0x900, 0xDFF), (0xE00, 0x109F), (0x10A0, 0x1FFF),
              (0x2000, 0x2BFF), (0x2C00, 0x2DFF), (0x3000, 0x33FF), (0x4E00, 0x9FFF), (0xA000, 0xABFF), (0xAC00, 0xD7A3), (0xF900, 0xFFFD),
              (0x10000, 0x10FFF), (0x11000, 0x11FFF), (0x16800, 0x18FFF), (0x1D000, 0x1DFFF), (0x1E000, 0x1EFFF), (0x1F000, 0x1FAFF), (0x20000, 0x33FFF), (0xE0000, 0xE01FF)]
    for index in range(count):
        length = rng.randint(1, 60)
        kind = index % 4
        if kind == 0:
            yield "".join(chr(rng.choice(assigned)) for _ in range(length))
        elif kind == 1:
            yield "".join(rng.choice(common) for _ in range(length))
        else:
            out = []
            while len(out) < length:
                if kind == 3 and rng.random() < 0.05:
                    out.append(rng.choice(specials) if specials else " ")
                low, high = rng.choice(blocks)
                for _ in range(rng.randint(1, 8)):
                    out.append(chr(rng.randint(low, high)) if rng.random() < 0.8 else rng.choice(common))
            yield "".join(out)


def corpora(folder):
    for name in ("wikitext2-test.txt", "wikitext2-valid.txt", "technical-prose.txt"):
        path = folder / name
        if path.is_file():
            yield name, path.read_bytes().decode()
        else:
            print(f"  {name} is not in {folder}: skipped")
    for path in sorted((ROOT / "fixtures" / "text").glob("*.txt")):
        yield path.name, path.read_bytes().decode()
    code = [p for kind in ("*.swift", "*.c", "*.h", "*.py") for p in sorted(ROOT.glob("Sources/**/" + kind)) + sorted(ROOT.glob("Tests/**/" + kind))]
    yield "source code", "\n".join(p.read_text() for p in code)


# Comparisons

def compare(probe, folder, label, texts, work):
    reference = Tokenizer.from_file(str(folder / "tokenizer.json"))
    write_texts(work / "in", texts)
    out = subprocess.run([probe, "tokenize", str(folder), str(work / "in"), str(work / "out")], capture_output=True, text=True,
                         env=dict(os.environ, SWIFT_BACKTRACE="enable=no"))
    if out.stdout.startswith("error") or out.returncode:
        print(f"  {label}: {(out.stdout + out.stderr)[:300]}")
        return 1
    ours = read_ids(work / "out")
    wrong = 0
    for text, ids in zip(texts, ours, strict=True):
        theirs = reference.encode(text).ids
        if ids != theirs:
            wrong += 1
            if wrong <= 3:
                at = next((i for i, (a, b) in enumerate(zip(ids, theirs)) if a != b), min(len(ids), len(theirs)))
                print(f"  {label}: differs at token {at}: {ids[at:at+6]} not {theirs[at:at+6]} in {text[:80]!r}")
    print(f"  {label}: {len(texts)} texts, {sum(map(len, ours))} tokens, {wrong} differ; {out.stdout.strip()}")
    return wrong


def compare_classes(probe, work):
    """Every code point: the classes we give it and those of the regular expressions."""
    subprocess.run([probe, "character-classes", str(work / "classes")], check=True)
    ours = open(work / "classes", "rb").read()
    scalars = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    wrong = 0
    for bit, name, pattern in [(1, "letter", r"\p{L}"), (2, "number", r"\p{N}"), (4, "space", r"\s"), (8, "newline", r"[\r\n]"),
                               (16, "upper", UPPER), (32, "lower", LOWER), (64, "digit", None)]:
        split = pre_tokenizers.Split(Regex(pattern), "removed") if pattern else pre_tokenizers.Digits(individual_digits=True)
        theirs = set()
        for base in range(0, len(scalars), 4096):
            part = scalars[base:base + 4096]
            if pattern:
                kept = {c for piece, _ in split.pre_tokenize_str("".join(map(chr, part))) for c in piece}
                theirs.update(c for c in part if chr(c) not in kept)
            else:
                theirs.update(c for c in part if len(split.pre_tokenize_str("a" + chr(c) + "a")) == 3)
        mine = {c for c in scalars if ours[c] & bit}
        wrong += len(mine ^ theirs)
        print(f"  {name}: {len(theirs)} code points, {len(mine ^ theirs)} differ {[hex(c) for c in sorted(mine ^ theirs)[:5]]}")
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("probe")
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    parser.add_argument("--random", type=int, default=100_000)
    parser.add_argument("--text", type=pathlib.Path, default=ROOT.parent / "shared" / "text")
    options = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        print("character classes")
        wrong += compare_classes(options.probe, work)
        texts = list(corpora(options.text))
        for folder in options.folders:
            print(folder.name)
            description = json.loads((folder / "tokenizer.json").read_text())
            specials = [t["content"] for t in description["added_tokens"]]
            for name, text in texts:
                wrong += compare(options.probe, folder, name, [text], work)
                wrong += compare(options.probe, folder, name + " by line", text.splitlines(keepends=True), work)
            wrong += compare(options.probe, folder, "hand-made", HAND, work)
            wrong += compare(options.probe, folder, "random", list(random_texts(options.random, specials)), work)
            for name, pre in pre_tokenizer_variants():
                changed = work / "changed"
                changed.mkdir(exist_ok=True)
                (changed / "tokenizer.json").write_text(json.dumps(dict(description, pre_tokenizer=pre)))
                wrong += compare(options.probe, changed, f"{name}: hand-made", HAND, work)
                count = options.random if name in ("llama-3", "qwen2") else options.random // 10
                wrong += compare(options.probe, changed, f"{name}: random", list(random_texts(count, specials)), work)
                for label, text in texts[:1]:
                    wrong += compare(options.probe, changed, f"{name}: {label}", [text], work)
            changed = work / "changed"
            first = max([t["id"] for t in description["added_tokens"]] + list(description["model"]["vocab"].values())) + 1
            odd = odd_added_tokens(first, description["model"]["vocab"])
            changed_tokens = description["added_tokens"] + odd
            (changed / "tokenizer.json").write_text(json.dumps(dict(description, added_tokens=changed_tokens)))
            wrong += compare(options.probe, changed, "odd added tokens", ODD_TEXTS, work)
            mixed = list(random_texts(options.random // 4, [t["content"] for t in odd] + [" ", "x"]))
            wrong += compare(options.probe, changed, "odd added tokens: random", mixed, work)
    print("0 differences" if wrong == 0 else f"{wrong} differences")
    sys.exit(wrong != 0)


if __name__ == "__main__":
    main()
