"""Every family that is read, as small random checkpoints of transformers: conversion, quantizing and the forward pass.

    families.py VENV QUERN QUERN_PEER TOKENIZER_FOLDER TEXT [--only NAME]

Of each kind: `quern convert --type F16` beside convert_hf_to_gguf.py --outtype f16, keys and tensors; `--type Q4_K_M`
beside llama-quantize of the F32 conversion, tensors; logits of quern from the checkpoint, and from the incumbent's F32
GGUF, beside transformers in F32. Where llama.cpp computes the same, the perplexity is held to llama-perplexity's with
keys and values in F32: its F16 cache turns near ties between experts, which moves a random Mixtral by up to 0.2 %.
Exit 1 when a key, type or byte differs that is not allowed by name below, when a logit differs by 1e-4, or a perplexity
by 0.002 %.
"""
import argparse
import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import (
    AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, MixtralConfig, MixtralForCausalLM)

from llama_perplexity import estimate

parser = argparse.ArgumentParser()
parser.add_argument("venv")
parser.add_argument("quern")
parser.add_argument("quern_peer")
parser.add_argument("tokenizer")
parser.add_argument("text")
parser.add_argument("--only")
o = parser.parse_args()
here = os.path.dirname(os.path.abspath(__file__))
source = f"{o.venv}/llama.cpp"
sys.path[:0] = [source, f"{source}/gguf-py"]
import conversion.base  # noqa: E402

# It knows a pre-tokenizer by a hash of token ids, of the vocabularies that it has seen.
conversion.base.TextModel.get_vocab_base_pre = lambda self, tokenizer: "llama-bpe"
torch.set_num_threads(1)  # so that forking is safe

ALLOWED = {
    "general.name": "the same rule, but convert_hf_to_gguf.py also reads model cards",
    "llama.attention.sliding_window": "recorded by quern alone",
    "tokenizer.ggml.eot_token_id": "the converter leaves the token that ends a turn for a reader to guess by its text",
    "tokenizer.ggml.eom_token_id": "the same",
}
tokenizer = Tokenizer.from_file(f"{o.tokenizer}/tokenizer.json")
ids = tokenizer.encode(open(o.text, encoding="utf-8").read(40000)).ids[:300]
vocabulary = json.load(open(f"{o.tokenizer}/config.json"))["vocab_size"]
SIZES = dict(
    hidden_size=256, intermediate_size=512, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
    vocab_size=vocabulary, max_position_embeddings=1024, initializer_range=0.06, bos_token_id=3840, eos_token_id=3841)
CLASSES = {
    "llama": (LlamaConfig, LlamaForCausalLM), "mistral": (MistralConfig, MistralForCausalLM),
    "mixtral": (MixtralConfig, MixtralForCausalLM)}
LLAMA3 = dict(
    rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
    original_max_position_embeddings=256)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=256)


class Kind:
    """`settings` go to the configuration, `rewrite` changes the config.json that was saved."""

    def __init__(self, name, settings=None, rewrite=None, llama_cpp=True, dtype=torch.bfloat16, save=None, recipes=""):
        self.name, self.settings, self.rewrite, self.llama_cpp = name, settings or {}, rewrite, llama_cpp
        self.dtype, self.save, self.recipes = dtype, save or {}, recipes.split() + ["Q4_K_M"]


def without(*keys):
    return lambda config: [config.pop(key, None) for key in keys] and None


def as_version_4(config):
    """`rope_theta` and `rope_scaling` as transformers 4 wrote them, with its first spelling of the type."""
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["torch_dtype"] = config.pop("dtype", None)
    config["rope_scaling"] = None if rope["rope_type"] == "default" else {"type": rope.pop("rope_type"), **rope}


def renamed_class(config):
    config["architectures"] = ["LLaMAForCausalLM"]


KINDS = [
    Kind("llama-plain", dict(rms_norm_eps=1e-5)),
    Kind("llama-tied", dict(tie_word_embeddings=True), dtype=torch.float16),
    Kind("llama-head-dim", dict(head_dim=96, rms_norm_eps=1e-5)),
    Kind("llama-biased", dict(attention_bias=True, mlp_bias=True), dtype=torch.float32),
    Kind("llama-attention-bias", dict(attention_bias=True, num_key_value_heads=4)),
    Kind("llama-llama3", dict(rope_parameters=LLAMA3, max_position_embeddings=2048)),
    Kind("llama-llama3-version4", dict(rope_parameters=LLAMA3, max_position_embeddings=2048), as_version_4),
    Kind("llama-linear", dict(rope_parameters=dict(rope_type="linear", rope_theta=1e4, factor=2.5)), as_version_4),
    Kind("llama-yarn", dict(rope_parameters=YARN)),
    Kind("llama-yarn-stated", dict(rope_parameters=dict(
        YARN, attention_factor=1.25, beta_fast=16.0, beta_slow=2.0)), llama_cpp=False),
    Kind("llama-bare", dict(num_key_value_heads=4, max_position_embeddings=2048), without(
        "num_key_value_heads", "head_dim", "rms_norm_eps", "max_position_embeddings", "rope_parameters", "attention_bias",
         "mlp_bias", "tie_word_embeddings", "hidden_act")),
    Kind("llama-first-class-name", {}, renamed_class),
    Kind("llama-shards", {}, save=dict(max_shard_size="4MB")),
    Kind("mistral-windowed", dict(sliding_window=64, rms_norm_eps=1e-5), llama_cpp=False),
    Kind("mistral-window-unreached", dict(sliding_window=4096, rms_norm_eps=1e-5), as_version_4),
    Kind("mistral-no-window", dict(sliding_window=None, rope_parameters=dict(rope_type="default", rope_theta=1e6))),
    Kind("mistral-nemo", dict(sliding_window=None, head_dim=32, rope_parameters=dict(rope_type="default", rope_theta=1e6))),
    Kind("mistral-yarn", dict(sliding_window=None, rope_parameters=YARN), as_version_4),
    Kind("mistral-bare", dict(num_key_value_heads=4, num_attention_heads=8, max_position_embeddings=4096 * 32), without(
        "head_dim", "rms_norm_eps", "max_position_embeddings", "rope_parameters", "sliding_window", "attention_dropout")),
    Kind("mixtral-8x2", dict(intermediate_size=256, rms_norm_eps=1e-5), recipes="Q8_0 Q3_K_M Q4_K_S Q5_K_M Q6_K Q5_1 Q2_K"),
    Kind("mixtral-version4", dict(intermediate_size=256), as_version_4, dtype=torch.float16),
    Kind("mixtral-4x1", dict(intermediate_size=256, num_local_experts=4, num_experts_per_tok=1, head_dim=32),
         recipes="Q3_K_L Q5_K_S Q4_0"),
    Kind("mixtral-3x3", dict(num_local_experts=3, num_experts_per_tok=3, tie_word_embeddings=True), dtype=torch.float32),
    Kind("mixtral-windowed", dict(intermediate_size=256, sliding_window=48), llama_cpp=False),
    Kind("mixtral-shards", dict(intermediate_size=256), save=dict(max_shard_size="3MB")),
    Kind("mixtral-bare", dict(intermediate_size=256, num_attention_heads=8, num_key_value_heads=8), without(
        "num_local_experts", "num_experts_per_tok", "rms_norm_eps", "max_position_embeddings", "rope_parameters",
        "num_key_value_heads", "head_dim", "sliding_window")),
]


def make(kind, folder):
    family = kind.name.split("-")[0]
    config_class, model_class = CLASSES[family]
    torch.manual_seed(len(kind.name))
    model = model_class(config_class(**{**SIZES, **kind.settings})).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("bias") or "norm" in name:
            torch.nn.init.normal_(parameter, 1.0 if "norm" in name else 0.0, 0.2)
        elif "experts" in name or name.endswith("mlp.gate.weight"):
            torch.nn.init.normal_(parameter, 0.0, 0.06)
    model.to(kind.dtype).save_pretrained(folder, **kind.save)
    path = f"{folder}/config.json"
    config = json.load(open(path))
    if kind.rewrite:
        kind.rewrite(config)
        json.dump(config, open(path, "w"), indent=1)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(f"{o.tokenizer}/{name}", folder)


def reference(folder, out, kind):
    """convert_hf_to_gguf.py in a child that has its imports already."""
    child = os.fork()
    if child == 0:
        log = os.open(f"{out}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1), os.dup2(log, 2)
        sys.argv = ["convert_hf_to_gguf.py", folder, "--outtype", kind, "--outfile", out]
        try:
            runpy.run_path(f"{source}/convert_hf_to_gguf.py", run_name="__main__")
        except SystemExit as stop:
            os._exit(stop.code or 0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"convert_hf_to_gguf.py {folder}:\n{open(f'{out}.log').read()[-2000:]}")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout + done.stderr


failed = []


def check(kind, ok, line):
    print(f"{'' if ok else 'DIFFERS '}{kind.name}: {line}", flush=True)
    if not ok:
        failed.append(kind.name)


def compare(kind, label, ours, theirs, *flags):
    allow = [f"--allow={key}={reason}" for key, reason in ALLOWED.items()] if flags else []
    done = subprocess.run(
        [sys.executable, f"{here}/compare_gguf.py", ours, theirs, *flags, *allow], capture_output=True, text=True)
    check(kind, done.returncode == 0, f"{label}: " + "; ".join(done.stdout.strip().split("\n")) + done.stderr[-500:])


def logits(path, work):
    np.array(ids, dtype="<i4").tofile(f"{work}/ids")
    run(o.quern_peer, "logits", path, f"{work}/ids", f"{work}/logits", "2")
    return np.fromfile(f"{work}/logits", dtype="<f4").reshape(len(ids), -1)


def perplexity(kind, gguf):
    ours = json.loads(subprocess.run(
        [o.quern, "perplexity", gguf, "--text", o.text, "--chunks", "4", "--ctx", "256", "--json", "-q"],
        check=True, capture_output=True, text=True).stdout)["perplexity"]
    theirs, _ = estimate(
        f"{source}/build/bin/llama-perplexity", "-m", gguf, "-f", o.text, "-c", "256", "-t", "2", "--chunks", "4",
        "-fa", "off", "-ctk", "f32", "-ctv", "f32")
    check(kind, abs(ours / theirs - 1) < 2e-5, f"perplexity {ours:.4f}, llama-perplexity {theirs:.4f}: "
          f"{abs(ours / theirs - 1) * 100:.5f} % apart")


for kind in KINDS:
    if o.only and o.only not in kind.name:
        continue
    with tempfile.TemporaryDirectory() as work:
        folder = f"{work}/{kind.name}"
        make(kind, folder)
        ours, f16, f32, theirs = (f"{work}/{name}.gguf" for name in ("ours", "f16", "f32", "theirs"))
        reference(folder, f16, "f16")
        reference(folder, f32, "f32")
        run(o.quern, "convert", folder, "-o", ours, "--type", "F16", "--force", "--quiet")
        compare(kind, "F16", ours, f16, "--metadata")
        for recipe in kind.recipes:
            run(f"{source}/build/bin/llama-quantize", f32, theirs, recipe, "2")
            run(o.quern, "convert", folder, "-o", ours, "--type", recipe, "--force", "--quiet")
            compare(kind, recipe, ours, theirs)

        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        with torch.no_grad():
            expected = model(torch.tensor([ids])).logits[0].numpy()
        deviation = float(expected.std())
        found = logits(folder, work)
        difference = float(np.abs(found - expected).max())
        check(kind, difference < 1e-4, f"logits beside transformers: greatest difference {difference:.2g} "
              f"(standard deviation {deviation:.2f})")
        if kind.llama_cpp:
            same = np.array_equal(logits(f32, work).view(np.uint32), found.view(np.uint32))
            check(kind, same, f"logits from the incumbent's GGUF {'equal' if same else 'differ'}")
            perplexity(kind, f32)
        if kind.name.startswith("mixtral"):
            # From the incumbent's GGUF, and from a PyTorch file with the experts as transformers 5 has them in memory, which
            # convert_hf_to_gguf.py cannot map.
            run(o.quern, "convert", f32, "-o", ours, "--type", "Q4_K_M", "--force", "--quiet")
            compare(kind, "Q4_K_M from the incumbent's GGUF", ours, theirs)
            for name in os.listdir(folder):
                if name.endswith((".safetensors", ".safetensors.index.json")):
                    os.remove(f"{folder}/{name}")
            state = {k: v.to(kind.dtype) for k, v in model.state_dict().items()
                     if not (k == "lm_head.weight" and model.config.tie_word_embeddings)}
            torch.save(state, f"{folder}/pytorch_model.bin")
            run(o.quern, "convert", folder, "-o", ours, "--type", "Q4_K_M", "--force", "--quiet")
            compare(kind, "Q4_K_M from stacked experts in a PyTorch file", ours, theirs)
            same = np.array_equal(logits(folder, work).view(np.uint32), found.view(np.uint32))
            check(kind, same, f"logits from it {'equal' if same else 'differ'}")

print("failed: " + ", ".join(dict.fromkeys(failed)) if failed else "all as the peers")
sys.exit(1 if failed else 0)
