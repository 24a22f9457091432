"""A checkpoint of random weights in a real Llama's shape, for timing and memory.

    synthetic.py TOKENIZER_FOLDER OUT [--hidden 2048] [--layers 16] [--ffn 8192] [--heads 32] [--kv-heads 8] [--experts 0]
                 [--sparse]

The default is the shape of Llama-3.2-1B with the tokenizer and vocabulary size of the folder, embeddings tied; with --experts a
Mixtral of which two compute a token. --sparse makes a file of zeros that takes no room on the disk. Weights are normal with
deviation 0.02, in BF16.
"""
import argparse
import json
import os
import shutil

import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("tokenizer")
parser.add_argument("out")
for name, value in dict(hidden=2048, layers=16, ffn=8192, heads=32, kv_heads=8, experts=0).items():
    parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
parser.add_argument("--sparse", action="store_true")
o = parser.parse_args()

config = json.load(open(f"{o.tokenizer}/config.json"))
vocab, head = config["vocab_size"], o.hidden // o.heads
config.update(
    hidden_size=o.hidden, intermediate_size=o.ffn, num_hidden_layers=o.layers, num_attention_heads=o.heads,
    num_key_value_heads=o.kv_heads, head_dim=head, tie_word_embeddings=True)
if o.experts:
    config.update(
        model_type="mixtral", architectures=["MixtralForCausalLM"], num_local_experts=o.experts, num_experts_per_tok=2,
        sliding_window=None)
os.makedirs(o.out, exist_ok=True)
json.dump(config, open(f"{o.out}/config.json", "w"), indent=1)
for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "special_tokens_map.json"):
    if os.path.exists(f"{o.tokenizer}/{name}"):
        shutil.copy(f"{o.tokenizer}/{name}", o.out)

shapes = {"model.embed_tokens.weight": (vocab, o.hidden), "model.norm.weight": (o.hidden,)}
for layer in range(o.layers):
    p = f"model.layers.{layer}."
    shapes |= {
        p + "input_layernorm.weight": (o.hidden,), p + "post_attention_layernorm.weight": (o.hidden,),
        p + "self_attn.q_proj.weight": (o.hidden, o.hidden), p + "self_attn.k_proj.weight": (o.kv_heads * head, o.hidden),
        p + "self_attn.v_proj.weight": (o.kv_heads * head, o.hidden), p + "self_attn.o_proj.weight": (o.hidden, o.hidden)}
    if o.experts:
        p += "block_sparse_moe."
        shapes[p + "gate.weight"] = (o.experts, o.hidden)
        for expert in range(o.experts):
            for part, shape in dict(w1=(o.ffn, o.hidden), w2=(o.hidden, o.ffn), w3=(o.ffn, o.hidden)).items():
                shapes[f"{p}experts.{expert}.{part}.weight"] = shape
    else:
        shapes |= {
            p + "mlp.gate_proj.weight": (o.ffn, o.hidden), p + "mlp.up_proj.weight": (o.ffn, o.hidden),
            p + "mlp.down_proj.weight": (o.hidden, o.ffn)}

header, offset = {"__metadata__": {"format": "pt"}}, 0
for name, shape in shapes.items():
    end = offset + 2 * int(np.prod(shape))
    header[name] = dict(dtype="BF16", shape=list(shape), data_offsets=[offset, end])
    offset = end
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
random = np.random.default_rng(1)
with open(f"{o.out}/model.safetensors", "wb") as file:
    file.write(len(text).to_bytes(8, "little") + text)
    if o.sparse:
        file.truncate(8 + len(text) + offset)
    else:
        for shape in shapes.values():
            rows = int(np.prod(shape[:-1]))
            for first in range(0, rows, 4096):
                block = random.standard_normal((min(4096, rows - first), shape[-1]), dtype=np.float32)
                block = 1 + 0.1 * block if len(shape) == 1 else 0.02 * block
                file.write((block.view(np.uint32) >> 16).astype(np.uint16).tobytes())
print(f"{o.out}: {offset // 2 / 1e9:.3f} B weights")
