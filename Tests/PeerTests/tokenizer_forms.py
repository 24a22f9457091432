"""Every form in which a Llama's tokenizer is published, converted by `quern convert` and by convert_hf_to_gguf.py.

    tokenizer_forms.py VENV QUERN [--sentencepiece FILE...] [--folder FOLDER...]

Small random models are given the files of each form; both conversions must agree in every tensor and every key. FILE is a
SentencePiece model, FOLDER one with a tokenizer.json. Exit 1 on any difference that is not explained.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"

TURNS = "the token that ends a turn, which the converter leaves for a reader to guess by its text"
SCORES = "by the order of the merges; the converter writes -1000 for all, with which no merge comes before another"
MIDDLE = "the converter asks for it to be written and its library has no way to"


def write_model(folder, rows, **config):
    torch.manual_seed(1)
    width, ffn = 64, 128
    shapes = {"model.embed_tokens": (rows, width), "lm_head": (rows, width), "model.norm": (width,)}
    p = "model.layers.0."
    for name in "q k v o".split():
        shapes[f"{p}self_attn.{name}_proj"] = (width, width)
    shapes |= {f"{p}mlp.gate_proj": (ffn, width), f"{p}mlp.up_proj": (ffn, width), f"{p}mlp.down_proj": (width, ffn)}
    shapes |= {f"{p}input_layernorm": (width,), f"{p}post_attention_layernorm": (width,)}
    save_file({f"{name}.weight": (torch.randn(shape) * 0.02).bfloat16() for name, shape in shapes.items()},
              folder / "model.safetensors", metadata={"format": "pt"})
    config = dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=width, intermediate_size=ffn, num_hidden_layers=1,
                  num_attention_heads=4, num_key_value_heads=4, vocab_size=rows, max_position_embeddings=512, rms_norm_eps=1e-5,
                  hidden_act="silu", head_dim=16, tie_word_embeddings=False, torch_dtype="bfloat16", rope_theta=10000.0) | config
    (folder / "config.json").write_text(json.dumps(config))


def token(content, special=True, **flags):
    return dict(__type="AddedToken", content=content, lstrip=False, normalized=False, rstrip=False, single_word=False, special=special) | flags


def pieces(path):
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return [processor.id_to_piece(i) for i in range(processor.get_piece_size())], processor


LLAMA2 = dict(bos_token=token("<s>", normalized=True), eos_token=token("</s>", normalized=True), unk_token=token("<unk>", normalized=True),
              add_bos_token=True, add_eos_token=False, clean_up_tokenization_spaces=False, legacy=False, tokenizer_class="LlamaTokenizer")
DECODER = {"0": token("<unk>"), "1": token("<s>"), "2": token("</s>")}


def sentencepiece_forms(path):
    """(name, files, rows, config, allowed)"""
    count = len(pieces(path)[0])
    model = path.read_bytes()
    base = {"tokenizer.model": model}
    config = dict(bos_token_id=1, eos_token_id=2)
    yield "model alone", base, count, config, {}
    yield "model alone, no ids", base, count, {}, {}
    yield "more rows than tokens", base, (count // 256 + 1) * 256, config, {}
    yield "Llama 2", base | {
        "tokenizer_config.json": LLAMA2 | dict(chat_template=TEMPLATE, model_max_length=10**30, pad_token=None),
        "special_tokens_map.json": {"bos_token": token("<s>"), "eos_token": token("</s>"), "unk_token": "<unk>"}}, count, config, {}
    yield "Mistral", base | {"tokenizer_config.json": LLAMA2 | dict(added_tokens_decoder=DECODER, add_prefix_space=None, chat_template=[
        dict(name="default", template=TEMPLATE), dict(name="tool_use", template="tools")])}, count, config, {}
    yield "add_prefix_space", base | {"tokenizer_config.json": LLAMA2 | dict(add_prefix_space=False)}, count, config, {}
    yield "added tokens", base | {
        "added_tokens.json": {"<|im_start|>": count, "<|im_end|>": count + 1, "[tool]": count + 2},
        "tokenizer_config.json": LLAMA2 | dict(eos_token="<|im_end|>", added_tokens_decoder=DECODER | {
            str(count): token("<|im_start|>"), str(count + 1): token("<|im_end|>"), str(count + 2): token("[tool]", special=False)})
    }, count + 3, config, {"tokenizer.ggml.eot_token_id": TURNS}
    yield "added tokens, no decoder", base | {"added_tokens.json": {"<pad>": count}}, count + 1, config, {}
    yield "a pad beyond the rows", base | {"added_tokens.json": {"<pad>": count}}, count, config, {}
    if count <= 32016:
        yield "Code Llama", base, 32016, config, {f"tokenizer.ggml.{role}_token_id": MIDDLE for role in ("prefix", "suffix", "middle")}
    beside = base | {"tokenizer_config.json": LLAMA2}
    yield "chat_template.jinja", beside | {"chat_template.jinja": TEMPLATE, "additional_chat_templates/rag.jinja": "rag"}, count, config, {}
    yield "chat_template.json", beside | {"chat_template.json": {"chat_template": TEMPLATE}}, count, config, {}


def byte_fallback(path):
    """The tokenizer.json that transformers makes of a model."""
    from transformers.convert_slow_tokenizer import generate_merges

    texts, processor = pieces(path)
    vocabulary = {piece: i for i, piece in enumerate(texts)}
    merges = generate_merges(vocabulary, {piece: processor.get_score(i) for i, piece in enumerate(texts)})
    model = dict(type="BPE", vocab=vocabulary, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True, dropout=None,
                 continuing_subword_prefix=None, end_of_word_suffix=None, ignore_merges=False)
    normalizer = dict(type="Sequence", normalizers=[dict(type="Prepend", prepend="▁"), dict(type="Replace", pattern={"String": " "}, content="▁")])
    decoder = dict(type="Sequence", decoders=[dict(type="Replace", pattern={"String": "▁"}, content=" "), dict(type="ByteFallback"),
                                              dict(type="Fuse"), dict(type="Strip", content=" ", start=1, stop=0)])
    post = dict(type="TemplateProcessing", single=[{"SpecialToken": dict(id="<s>", type_id=0)}, {"Sequence": dict(id="A", type_id=0)}],
                pair=[{"SpecialToken": dict(id="<s>", type_id=0)}, {"Sequence": dict(id="A", type_id=0)},
                      {"SpecialToken": dict(id="<s>", type_id=1)}, {"Sequence": dict(id="B", type_id=1)}],
                special_tokens={"<s>": dict(id="<s>", ids=[1], tokens=["<s>"])})
    return dict(version="1.0", truncation=None, padding=None, added_tokens=[token(texts[i], normalized=True) | dict(id=i) for i in range(3)],
                normalizer=normalizer, pre_tokenizer=None, post_processor=post, decoder=decoder, model=model), len(texts)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("venv")
    parser.add_argument("quern")
    parser.add_argument("--sentencepiece", nargs="*", type=pathlib.Path, default=[])
    parser.add_argument("--only", help="forms whose name holds this")
    parser.add_argument("--folder", nargs="*", type=pathlib.Path, default=[])
    options = parser.parse_args()

    cases = []
    for path in options.sentencepiece:
        cases += [(f"{path.name}, {name}", *rest) for name, *rest in sentencepiece_forms(path)]
        description, count = byte_fallback(path)
        config = dict(bos_token_id=1, eos_token_id=2)
        files = {"tokenizer.json": description, "tokenizer_config.json": LLAMA2}
        cases.append((f"{path.name}, byte fallback", files, count, config, {"tokenizer.ggml.scores": SCORES}))
        cases.append((f"{path.name}, both", files | {"tokenizer.model": path.read_bytes()}, count, config, {}))
    for folder in options.folder:
        files = {name: (folder / name).read_bytes() for name in os.listdir(folder)
                 if name.startswith(("tokenizer", "special", "added", "chat_template"))}
        description = json.loads(files["tokenizer.json"])
        count = max([*description["model"]["vocab"].values(), *(t["id"] for t in description["added_tokens"])]) + 1
        ids = {}
        if (folder / "config.json").exists():
            config = json.loads((folder / "config.json").read_text())
            ids = {key: config[key] for key in ("bos_token_id", "eos_token_id") if key in config}
        allowed = {"tokenizer.ggml.eot_token_id": TURNS, "tokenizer.ggml.eom_token_id": TURNS}
        cases.append((folder.name, files, count, ids, allowed))
        cases.append((f"{folder.name}, template beside", files | {"chat_template.jinja": TEMPLATE}, count, ids, allowed))
        cases.append((f"{folder.name}, more rows", files, count + 64, ids, allowed))

    cases = [case for case in cases if (options.only or "") in case[0]]
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        for name, files, rows, config, allowed in cases:
            folder = pathlib.Path(work) / "model"
            shutil.rmtree(folder, ignore_errors=True)
            for file, content in files.items():
                target = folder / file
                target.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(content, bytes):
                    target.write_bytes(content)
                else:
                    target.write_text(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False))
            write_model(folder, rows, **config)
            ours, theirs = f"{work}/ours.gguf", f"{work}/theirs.gguf"
            run = subprocess.run([options.quern, "convert", folder, "-o", ours, "--type", "BF16", "--force"], capture_output=True, text=True)
            pre = ["--pre", "llama-bpe"] if "tiny-llama" in name else []
            peer = subprocess.run([sys.executable, HERE / "reference_gguf.py", options.venv, folder, theirs, *pre], capture_output=True, text=True)
            if run.returncode or peer.returncode:
                failed += 1
                print(f"{name}: quern exit {run.returncode}, converter exit {peer.returncode}\n  {run.stderr.strip()}\n  {peer.stderr.strip()[-300:]}")
                continue
            allow = [f"--allow={key}={reason}" for key, reason in allowed.items()]
            done = subprocess.run([sys.executable, HERE / "compare_gguf.py", ours, theirs, "--metadata", *allow], capture_output=True, text=True)
            failed += done.returncode != 0
            print(f"{name}: " + done.stdout.strip().replace("\n", "\n  ") + done.stderr[-500:], flush=True)
    print(f"{len(cases)} forms, {failed} differ")
    sys.exit(failed != 0)


main()
