"""Model cards beside convert_hf_to_gguf.py: every `general.*` key that it makes of a README.md.

    cards.py VENV QUERN TINY_LLAMA

The front matter of each card below is put beside tiny-llama's files; both convert, and all keys are compared. Cards that the
converter ends on, or that only we bound, must leave us a model without the card and with a note.
"""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from peer import here, parser

# Read by both alike.
CARDS = {
    "no file": None,
    "empty file": "",
    "no front matter": "# A model\n---\nlicense: mit\n---\n",
    "empty front matter": "---\n---\n# text",
    "scalars": "---\nlicense: llama3.2\nlanguage: en\ntags: one\nbase_model: meta-llama/Llama-3.2-1B\ndatasets: a/b\nname: A Name\n---\n",
    "lists": "---\nlicense: [mit, apache-2.0]\nlanguage:\n- en\n- de\n- no\n- 'yes'\ntags:\n- a b\n- c\npipeline_tag: text-generation\n"
             "base_model:\n- meta-llama/Llama-3.2-1B-Instruct\n- mistralai/Mistral-7B-v0.1\n- Plain Name\n- alone\n"
             "datasets:\n- allenai/c4\n- HuggingFaceFW/fineweb-edu\n---\n# text\n",
    "addresses": "---\nbase_model:\n- https://huggingface.co/meta-llama/Llama-2-7b-hf\n- http://huggingface.co/a/b-c-v2\n"
                 "- https://huggingface.co/a/b/c\n- https://example.com/model\n- ssh://host/model\n- https://huggingface.co/a\n"
                 "datasets: [https://huggingface.co/datasets/x, 'https://huggingface.co/o/d-2.0']\n---\n",
    "mappings": "---\nbase_model:\n- name: One\n  author: somebody\n  repo_url: https://x/y\n  other: z\n- version: '2'\n  organization: org\n"
                "  description: d\n  url: u\n  doi: i\n  uuid: k\ndatasets:\n- name: D\n---\n",
    "their own words": "---\nname: N\nauthor: A\nversion: v9\norganization: O\ndescription: \"two\\nlines\"\nfinetune: F\nbasename: B\nsize_label: 3B\n"
                       "url: u\ndoi: d\nuuid: x\nrepo_url: r\nlicense: other\nlicense_name: custom\nlicense_link: LICENSE\n---\n",
    "with model_": "---\nmodel_name: N\nmodel_author: A\nmodel_version: v9\nmodel_organization: O\nmodel_description: D\nmodel_finetune: F\n"
                   "model_basename: B\nmodel_size_label: 3B\nmodel_url: u\nmodel_doi: d\nmodel_uuid: x\nmodel_repo_url: r\n---\n",
    "both words": "---\nname: N\nmodel_name: M\nauthor: null\nmodel_author: A\nmodel_creator: C\nmodel_type: llama\n---\n",
    "creator": "---\nmodel_creator: TheMiller\nmodel_type: mistral\n---\n",
    "other keys for the same": "---\nbase_models: a/b-7B\ndataset: c/d\nlanguages: [en]\nlanguage: de\n---\n",
    "sources": "---\nbase_model_sources: [a/b-7B]\ndataset_sources: c/d\n---\n",
    "nothing in it": "---\nbase_model:\ndatasets: []\ntags: []\nlanguage:\nlicense: ''\nname:\n---\n",
    "an empty name": "---\nversion: ''\nbasename: ''\n---\n",
    "a reference to nothing": "---\nbase_model:\n- 3\n- \n- ''\n- ' '\n---\n",
    "tabs": "---\nmodel-index:\n\t- name: x\nlicense:\tmit\n---\n",
    "line ends of Windows": "---\r\nlicense: mit\r\ntags:\r\n- a\r\n---\r\n# x\r\n",
    "quotes and comments": "---\nlicense: \"mit\" # why\nname: 'it''s'\ntags: ['#a', \"b: c\", d]\n# all\nlanguage: >-\n  en\n---\n",
    "letters of the world": "---\nname: Größe 模型 🦙\nauthor: Åsa\ntags: [é, é, ß]\n---\n",
    "no end": "---\nlicense: mit\ntags: [x]\n",
    "a model index": "---\nlicense: mit\nmodel-index:\n- name: x\n  results:\n  - task: {type: t, name: n}\n    metrics:\n    - {type: acc, value: 0.5}\n---\n",
    "a widget": "---\nwidget:\n- text: |\n    first\n    ---\n    second [INST]\n  example_title: x\nlicense: mit\n---\n",
    "space before": " ---\nlicense: mit\n---\n",
    "byte order mark": "\ufeff---\nlicense: mit\n---\n",
}
# The converter ends on these, or reads what we bound: a note and a model without the card.
LEFT_OUT = {
    "not YAML": "---\nlicense: [mit\n---\n",
    "a colon too many": "---\nlicense: a: b\n---\n",
    "a key twice": "---\nlicense: mit\nlicense: apache-2.0\n---\n",
    "not UTF-8": b"---\nname: \xff\xfe\n---\n",
    "two documents": "---\nlicense: mit\n--- \ntags: [a]\n---\n",
    "a list": "---\n- a\n- b\n---\n",
    "a word": "---\njust words\n---\n",
    "a bomb": "---\na: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)) + "tags: *j\n---\n",
    "a bomb as a key": "---\na: &a [x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(24)) + "? *y\n: z\n---\n",
    "deep brackets": "---\ntags: " + "[" * 60000 + "\n---\n",
    "deep hyphens": "---\n" + "- " * 60000 + "x\n---\n",
    "deep indents": "---\n" + "".join(" " * i + f"k{i}:\n" for i in range(600)) + "---\n",
    "too long": "---\n" + "# comment\n" * 40000 + "license: mit\n---\n",
}
# Not text where the converter's writer needs it; it ends, we take what stands there.
OURS = {
    "a version in figures": ("---\nversion: 1.10\n---\n", "general.version", "1.10"),
    "tags in figures": ("---\ntags: [a, 7]\n---\n", "general.tags", ["a", "7"]),
    "no for Norway": ("---\nlanguage: [en, no]\n---\n", "general.languages", ["en", "no"]),
}


TURNS = "the token that ends a turn, which the converter leaves for a reader to guess by its text"


def keys(path):
    from gguf import GGUFReader

    fields = GGUFReader(path).fields
    left = ("general.architecture", "general.type", "general.file_type", "general.quantization_version", "general.sampling")
    return {k: ([t.name for t in f.types], f.contents()) for k, f in fields.items() if k.startswith("general.") and not k.startswith(left)}


def main():
    flags = parser("venv", "quern", "tiny").parse_args()
    sys.path.insert(0, f"{flags.venv}/llama.cpp/gguf-py")
    import gguf

    quern, failed = os.path.abspath(flags.quern), False
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "Tiny-Llama-7M-v0.3-chat"
        shutil.copytree(flags.tiny, folder)
        ours, theirs = f"{work}/ours.gguf", f"{work}/theirs.gguf"

        def prepare(card):
            (folder / "README.md").unlink(missing_ok=True)
            if card is not None:
                (folder / "README.md").write_bytes(card if isinstance(card, bytes) else card.encode())
            done = subprocess.run([quern, "convert", folder, "-t", "Q8_0", "-o", ours, "--force"], capture_output=True, text=True, timeout=120)
            return done.returncode, "the model card is left out" in done.stderr

        def convert():
            """What convert_hf_to_gguf.py does with a card, in its order; `None` where it ends."""
            try:
                elements = sum(int(t.n_elements) for t in gguf.GGUFReader(ours).tensors)
                metadata = gguf.Metadata.load(None, folder, None, elements)
                metadata.name = folder.name if metadata.name is None else metadata.name
                metadata.size_label = metadata.size_label or gguf.size_label(elements, elements, 0, 0)
                writer = gguf.GGUFWriter(theirs, "llama")
                metadata.set_gguf_meta_model(writer)
                writer.write_header_to_file()
                writer.write_kv_data_to_file()
                writer.write_tensors_to_file()
                writer.close()
                return keys(theirs)
            except Exception as problem:
                return print(f"  the converter ends: {type(problem).__name__}")

        def report(label, right, text):
            nonlocal failed
            failed = failed or not right
            print(f"{'' if right else 'WRONG '}{label}: {text}", flush=True)

        for label, card in CARDS.items():
            code, noted = prepare(card)
            expected, found = convert(), keys(ours)
            differing = {k: (found.get(k), (expected or {}).get(k)) for k in found | (expected or {}) if found.get(k) != (expected or {}).get(k)}
            report(label, code == 0 and not noted and expected is not None and not differing, differing or f"{len(found)} keys equal")
        prepare(None)
        plain = open(ours, "rb").read()
        for label, card in LEFT_OUT.items():
            code, noted = prepare(card)
            same = open(ours, "rb").read() == plain
            report(label, code == 0 and noted and same, "left out, with a note" if noted and same else f"code {code}, note {noted}, same {same}")
        for label, (card, key, expected) in OURS.items():
            code, noted = prepare(card)
            found, ends = keys(ours).get(key, (None, None))[1], convert() is None
            report(label, code == 0 and not noted and ends and found == expected, f"{found!r}")
        # The converter itself, once.
        prepare(CARDS["lists"])
        subprocess.run([quern, "convert", folder, "-t", "BF16", "-o", ours, "--force", "-q"], check=True, capture_output=True)
        subprocess.run([sys.executable, f"{here}/reference_gguf.py", flags.venv, folder, theirs, "--pre", "llama-bpe"], check=True, capture_output=True)
        done = subprocess.run(
            [sys.executable, f"{here}/compare_gguf.py", ours, theirs, "--metadata"]
            + [f"--allow=tokenizer.ggml.{key}_token_id={TURNS}" for key in ("eot", "eom")], capture_output=True, text=True)
        report("convert_hf_to_gguf.py", done.returncode == 0, done.stdout.strip().splitlines()[-1])
    sys.exit(1 if failed else 0)


main()
