"""Records fixtures/families: what convert_hf_to_gguf.py and llama-quantize make of checkpoints that are computed from their
names. `--check` writes nothing and exits 1 when a file would change.

    record_families.py VENV [--check]

Element i of a tensor is a BF16 of 2^-7 to 2^-3 with either sign, its bits taken from output i of SplitMix64 seeded with the
FNV-1a hash of the name; Tests/ConversionTests computes the same. A file holds config.json, the `llama.*` keys and, of each
file type, every tensor's type, shape (row-major) and the SHA-256 of its bytes, the first 16 digits.
"""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from gguf import GGUFReader

venv = sys.argv[1]
check = "--check" in sys.argv
here = Path(__file__).resolve().parent
fixtures = here.parents[1] / "fixtures"

SIZES = dict(
    hidden_size=256, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    vocab_size=4096, max_position_embeddings=1024, rms_norm_eps=1e-5, tie_word_embeddings=True)
KINDS = {
    "mixtral": dict(
        SIZES, architectures=["MixtralForCausalLM"], model_type="mixtral", num_local_experts=8, num_experts_per_tok=2,
        rope_theta=1e6, sliding_window=None),
    "mistral": dict(
        SIZES, architectures=["MistralForCausalLM"], model_type="mistral", head_dim=96, rope_theta=1e6, sliding_window=4096),
    "llama3": dict(
        SIZES, architectures=["LlamaForCausalLM"], model_type="llama", attention_bias=True, mlp_bias=True, rope_theta=5e5,
        rope_scaling=dict(
            rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
            original_max_position_embeddings=512)),
    "yarn": dict(
        SIZES, architectures=["LlamaForCausalLM"], model_type="llama", rope_theta=1e4, rope_scaling=dict(
            type="yarn", factor=4.0, original_max_position_embeddings=256, attention_factor=1.25, beta_fast=16.0)),
}
RECIPES = {"mixtral": ["Q4_K_M", "Q3_K_M"]}


def values(name, count):
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits = (z ^ (z >> np.uint64(31))) >> np.uint64(48)
    return (bits & np.uint64(0x807F) | (np.uint64(0x78) + (bits >> np.uint64(7) & np.uint64(3))) << np.uint64(7)).astype("<u2")


def shapes(config):
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    size = config.get("head_dim", hidden // config["num_attention_heads"])
    query, key = config["num_attention_heads"] * size, config["num_key_value_heads"] * size
    out = {"model.embed_tokens.weight": (config["vocab_size"], hidden), "model.norm.weight": (hidden,)}
    for layer in range(config["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        matrices = dict(q_proj=(query, hidden), k_proj=(key, hidden), v_proj=(key, hidden), o_proj=(hidden, query))
        out |= {p + "input_layernorm.weight": (hidden,), p + "post_attention_layernorm.weight": (hidden,)}
        for name, shape in matrices.items():
            out[f"{p}self_attn.{name}.weight"] = shape
            if config.get("attention_bias"):
                out[f"{p}self_attn.{name}.bias"] = shape[:1]
        experts = config.get("num_local_experts")
        if experts:
            out[f"{p}block_sparse_moe.gate.weight"] = (experts, hidden)
        for expert in range(experts or 0):
            for part, shape in dict(w1=(inner, hidden), w2=(hidden, inner), w3=(inner, hidden)).items():
                out[f"{p}block_sparse_moe.experts.{expert}.{part}.weight"] = shape
        for name, shape in ({} if experts else dict(
                gate_proj=(inner, hidden), up_proj=(inner, hidden), down_proj=(hidden, inner))).items():
            out[f"{p}mlp.{name}.weight"] = shape
            if config.get("mlp_bias"):
                out[f"{p}mlp.{name}.bias"] = shape[:1]
    return out


def write(config, folder):
    header, data = {}, b""
    for name, shape in shapes(config).items():
        part = values(name, int(np.prod(shape))).tobytes()
        header[name] = dict(dtype="BF16", shape=list(shape), data_offsets=[len(data), len(data) + len(part)])
        data += part
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(fixtures / "tiny-llama" / name, folder)


def described(path):
    reader = GGUFReader(path)
    tensors = {
        t.name: [t.tensor_type.name, [int(n) for n in reversed(t.shape)],
                 hashlib.sha256(np.ascontiguousarray(t.data).tobytes()).hexdigest()[:16]]
        for t in sorted(reader.tensors, key=lambda t: t.name)}
    keys = {
        key: [field.types[0].name, field.contents()] for key, field in reader.fields.items()
        if key.startswith("llama.") or key in ("general.architecture", "general.size_label")}
    return keys, tensors


failures = []
for kind, config in KINDS.items():
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / kind
        folder.mkdir()
        write(config, folder)
        base, out = f"{work}/base.gguf", f"{work}/out.gguf"
        types = {}
        for outtype in ("f16", "f32"):
            subprocess.run(
                [sys.executable, here / "reference_gguf.py", venv, folder, base, "--outtype", outtype, "--pre", "llama-bpe"],
                check=True, capture_output=True)
            if outtype == "f16":
                keys, types["F16"] = described(base)
        for recipe in RECIPES.get(kind, ["Q4_K_M"]):
            subprocess.run(
                [f"{venv}/llama.cpp/build/bin/llama-quantize", base, out, recipe, "2"], check=True, capture_output=True)
            types[recipe] = described(out)[1]
    sizes = {name: list(shape) for name, shape in shapes(config).items()}
    value = {"config": json.dumps(config), "checkpoint": sizes, "keys": keys, "types": types}
    lines = [f'{json.dumps(key)}: {{\n' + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in part.items()) + "}"
             for key, part in value.items() if key in ("checkpoint", "keys")]
    lines += ['"types": {\n' + ",\n".join(
        f' {json.dumps(key)}: {{\n' + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in part.items()) + "}"
        for key, part in types.items()) + "}"]
    text = "{\n" + ",\n".join([f'"config": {json.dumps(value["config"])}', *lines]) + "}\n"
    assert json.loads(text) == value
    path = fixtures / "families" / f"{kind}.json"
    if not check:
        path.write_text(text)
    elif path.read_text() != text:
        failures.append(path.name)
print("changed: " + ", ".join(failures) if failures else "nothing changed" if check else "recorded")
sys.exit(1 if failures else 0)
