"""Records fixtures/forward with torch and transformers: single steps, small random models of every kind that is supported,
and tiny-llama. `--check` writes nothing and exits 1 when a file would change beyond rounding.

    record_forward.py [--check]
"""
import json
import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import (
    AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, MixtralConfig, MixtralForCausalLM)
from transformers.models.llama.modeling_llama import LlamaRMSNorm, apply_rotary_pos_emb

root = Path(__file__).resolve().parents[2] / "fixtures"
check = "--check" in sys.argv
failures = []


def write(name, value):
    path = root / "forward" / name
    text = json.dumps(value, indent=None, separators=(",", ":")) + "\n"
    if not check:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return

    def close(a, b):
        if isinstance(a, dict):
            return a.keys() == b.keys() and all(close(a[k], b[k]) for k in a)
        if isinstance(a, list):
            return len(a) == len(b) and all(map(close, a, b))
        return a == b if not isinstance(a, float) else math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-5)

    if not close(json.loads(path.read_text()), json.loads(text)):
        failures.append(name)


def flat(tensor):
    """Rounded to the nine figures that name an F32."""
    return [float(f"{x:.9g}") for x in tensor.double().flatten().tolist()]


def interleaved(x):
    """The halves of the last dimension, paired: the order of GGUF."""
    half = x.shape[-1] // 2
    return torch.stack((x[..., :half], x[..., half:]), -1).flatten(-2)


def steps():
    torch.manual_seed(1)
    x, weight = torch.randn(3, 21) * 4, torch.randn(21)
    norm = LlamaRMSNorm(21, eps=1e-5)
    norm.weight.data = weight
    angles = torch.randn(5, 5) * 30
    head = torch.randn(1, 2, 5, 10)
    both = torch.cat((angles, angles), -1)[None]
    rotated, _ = apply_rotary_pos_emb(head, head, both.cos(), both.sin())
    gate, up, scores = torch.randn(21) * 20, torch.randn(21), torch.randn(21) * 30
    return {
        "rms_norm": {"x": flat(x), "weight": flat(weight), "y": flat(norm(x))},
        "rotate": {
            "x": flat(interleaved(head)[0].transpose(0, 1)), "cosines": flat(angles.cos()), "sines": flat(angles.sin()),
            "y": flat(interleaved(rotated)[0].transpose(0, 1)),
        },
        "swiglu": {"gate": flat(gate), "up": flat(up), "y": flat(F.silu(gate) * up)},
        "softmax": {"x": flat(scores), "y": flat(scores.softmax(-1)), "log": flat(scores.double().log_softmax(-1))},
    }


llama3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
kinds = {
    "plain": {},
    "llama3": {"rope_parameters": {"rope_theta": 500.0, **llama3}, "head_dim": 12},
    "linear": {"rope_parameters": {"rope_theta": 10000.0, "rope_type": "linear", "factor": 2.0}, "num_key_value_heads": 4},
    "biased": {"attention_bias": True, "mlp_bias": True, "num_key_value_heads": 1},
    "tied": {"tie_word_embeddings": True, "rms_norm_eps": 1e-3},
    "yarn": {"rope_parameters": {
        "rope_theta": 100.0, "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256}, "head_dim": 16},
    "yarn-stated": {"rope_parameters": {
        "rope_theta": 100.0, "rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 128,
        "attention_factor": 1.5, "beta_fast": 8.0, "beta_slow": 3.0}, "head_dim": 16},
    "mistral": {"family": "mistral", "sliding_window": 50, "head_dim": 6, "tokens": 300},
    "mixtral": {"family": "mixtral", "num_local_experts": 5, "num_experts_per_tok": 2, "sliding_window": None},
}
families = {
    "llama": (LlamaConfig, LlamaForCausalLM), "mistral": (MistralConfig, MistralForCausalLM),
    "mixtral": (MixtralConfig, MixtralForCausalLM)}


def as_saved(name, tensor):
    """Mixtral's experts under the names of its checkpoints; transformers 5 keeps them stacked in memory."""
    name = name.replace("mlp.gate.", "block_sparse_moe.gate.").replace("mlp.experts.", "block_sparse_moe.experts.")
    if name.endswith(".gate_up_proj"):
        for expert, matrix in enumerate(tensor):
            for part, half in zip(("w1", "w3"), matrix.chunk(2)):
                yield name.replace("gate_up_proj", f"{expert}.{part}.weight"), half
    elif name.endswith(".experts.down_proj"):
        for expert, matrix in enumerate(tensor):
            yield name.replace("down_proj", f"{expert}.w2.weight"), matrix
    else:
        yield name, tensor


def small(kind):
    torch.manual_seed(len(kind))
    settings = dict(kinds[kind])
    tokens = settings.pop("tokens", 40)
    config_class, model_class = families[settings.pop("family", "llama")]
    config = config_class(**{
        "hidden_size": 16, "intermediate_size": 20, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 37, "max_position_embeddings": 64, "initializer_range": 0.4, **settings,
    })
    model = model_class(config).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("bias") or "norm" in name:
            torch.nn.init.normal_(parameter, 1.0 if "norm" in name else 0.0, 0.3)
        elif ".experts." in name or name.endswith("mlp.gate.weight"):
            torch.nn.init.normal_(parameter, 0.0, 0.4)
    folder = root / "forward" / kind
    if check:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    else:
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {k: v for k, v in model.state_dict().items() if not (k == "lm_head.weight" and config.tie_word_embeddings)}
        tensors = dict(part for item in tensors.items() for part in as_saved(*item))
        save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "model.safetensors", {"format": "pt"})
        config.architectures = [model_class.__name__]
        (folder / "config.json").write_text(config.to_json_string(use_diff=False))
    ids = torch.arange(tokens) * 11 % 37
    with torch.no_grad():
        out = model(ids[None], output_hidden_states=True)
    # transformers gives the last hidden state after the final norm; ours is before it, so the first layer's is kept.
    return {"ids": ids.tolist(), "first_layer": flat(out.hidden_states[1][0, -3:]), "logits": flat(out.logits[0, -3:])}


def tiny():
    model = AutoModelForCausalLM.from_pretrained(root / "tiny-llama", dtype=torch.float32).eval()
    tokenizer = Tokenizer.from_file(str(root / "tiny-llama/tokenizer.json"))
    text = (root / "text/python-docs-evaluate.txt").read_text(encoding="utf-8")
    context, chunks = 128, 6
    ids = tokenizer.encode(text).ids[: context * chunks + 50]
    bos = model.config.bos_token_id
    values, logits = [], []
    for chunk in range(chunks):
        part = ids[chunk * context : (chunk + 1) * context]
        with torch.no_grad():
            out = model(torch.tensor([[bos] + part[1:]])).logits[0]
        logs = out.double().log_softmax(-1)
        values += [-logs[i, part[i + 1]].item() for i in range(context // 2, context - 1)]
        logits.append(out)
    mean = sum(values) / len(values)
    variance = sum(v * v for v in values) / len(values) - mean * mean
    return {
        "ids": ids, "context": context, "chunks": chunks, "bos": bos, "perplexity": math.exp(mean),
        "standard_error": math.exp(mean) * math.sqrt(variance / (len(values) - 1)), "scored": len(values),
        # Every 61st logit of some positions of the second chunk.
        "positions": [0, 1, 63, 127], "stride": 61, "logits": [flat(logits[1][p, ::61]) for p in (0, 1, 63, 127)],
    }


write("steps.json", steps())
for kind in kinds:
    write(f"{kind}/expected.json", small(kind))
write("tiny-llama.json", tiny())
print("changed: " + ", ".join(failures) if failures else "nothing changed" if check else "recorded")
sys.exit(1 if failures else 0)
