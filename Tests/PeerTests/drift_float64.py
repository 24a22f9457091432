"""Every statistic of `quern verify` beside an independent computation in float64.

    drift_float64.py VENV QUERN TEXT MODEL [--chunks 4] [--types Q8_0,Q6_K,Q4_K_M,Q2_K]

The reference is the folder's model in transformers with its weights in float64, each candidate the same model with the
weights that gguf dequantizes; RMSNorm, which transformers computes in float32 whatever the weights are, is replaced, and the
rotary frequencies are the nearest float32 to theta^(-2i/d), where transformers rounds three times: one unit in their last
place moves the divergence of Q4_K_M by 4e-6 of itself. The bar
is 1e-4 relative for the divergence, the change of probability and what else is averaged, the same count of equal choices,
and for percentiles see `allowed`.
The model against itself must be exactly equal.
"""
import argparse
import json
import subprocess
import sys
import tempfile

import numpy as np
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.models.llama import modeling_llama

parser = argparse.ArgumentParser()
parser.add_argument("venv")
parser.add_argument("quern")
parser.add_argument("text")
parser.add_argument("model")
parser.add_argument("--chunks", type=int, default=4)
parser.add_argument("--types", default="Q8_0,Q6_K,Q4_K_M,Q2_K")
o = parser.parse_args()
torch.set_num_threads(2)


def norm(self, x):
    return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))


modeling_llama.LlamaRMSNorm.forward = norm


def quern(*arguments):
    done = subprocess.run([o.quern, *arguments, "-q"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def load(dtype=torch.float64):
    model = AutoModelForCausalLM.from_pretrained(o.model, dtype=dtype, attn_implementation="sdpa").eval()
    rotary, c = model.model.rotary_emb, model.config
    theta = json.load(open(f"{o.model}/config.json")).get("rope_theta", 10000)
    head = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    exact = (theta ** (-np.arange(0, head, 2) / head)).astype(np.float32)
    assert np.allclose(rotary.inv_freq.numpy(), exact, rtol=3e-7), "rotary frequencies of another kind"
    rotary.inv_freq = torch.from_numpy(exact)
    return model


def replace_weights(model, path):
    """Gives `model` the weights of a GGUF; rows of Q and K go back from pairs side by side to halves."""
    c = model.config
    head = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    state = dict(model.named_parameters())
    parts = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
             "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
             "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
    names = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
    seen = 0
    for tensor in GGUFReader(path).tensors:
        name = tensor.name.removesuffix(".weight")
        values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        if name.startswith("blk."):
            layer, part = name.split(".")[1:]
            if part in ("attn_q", "attn_k"):
                heads = values.shape[0] // head
                values = values.reshape(heads, head // 2, 2, -1).swapaxes(1, 2).reshape(values.shape)
            target = f"model.layers.{layer}.{parts[part]}.weight"
        else:
            target = f"{names[name]}.weight"
        with torch.no_grad():
            state[target].copy_(torch.from_numpy(np.ascontiguousarray(values)).reshape(state[target].shape))
        seen += 1
    assert seen == len(state), f"{seen} tensors for {len(state)} parameters"
    return model


def logits(model, chunks):
    """ln softmax of the scored positions, and the targets."""
    with torch.no_grad():
        return [torch.log_softmax(model(ids[None]).logits[0, 256:511].double(), -1) for ids, _ in chunks]


def statistics(p, q, chunks):
    kl, change, same, nll = [], [], 0, [[], []]
    for a, b, (_, targets) in zip(p, q, chunks):
        kl.append((a.exp() * (a - b)).sum(-1).numpy())
        rows = torch.arange(255)
        x, y = a[rows, targets].numpy(), b[rows, targets].numpy()
        change.append(np.exp(y) - np.exp(x))
        nll[0].append(-x)
        nll[1].append(-y)
        same += int((a.argmax(-1) == b.argmax(-1)).sum())
    kl, change = np.concatenate(kl), np.concatenate(change)
    x, y = np.concatenate(nll[0]), np.concatenate(nll[1])
    n = len(kl)
    out = {"perplexity_reference": np.exp(x.mean()), "perplexity_quantized": np.exp(y.mean()), "same": same,
           "ln_ratio": y.mean() - x.mean(), "ln_ratio_standard_error": np.std(y - x) / np.sqrt(n - 1),
           "correlation": np.corrcoef(x, y)[0, 1],
           "kld.mean": kl.mean(), "kld.standard_error": kl.std() / np.sqrt(n - 1),
           "delta_p.mean": change.mean(), "delta_p.standard_error": change.std() / np.sqrt(n - 1),
           "delta_p.rms": np.sqrt((change ** 2).mean()),
           "delta_p.rms_standard_error": (change ** 2).std() / np.sqrt(n - 1) / 2 / np.sqrt((change ** 2).mean())}
    percentiles = dict(p001=.1, p01=1, p05=5, p10=10, p25=25, median=50, p75=75, p90=90, p95=95, p99=99, p999=99.9, max=100)
    for name, percent in percentiles.items():
        out[f"kld.{name}"] = np.percentile(kl, percent)
        out[f"delta_p.{name}"] = np.percentile(change, percent)
    out["delta_p.min"] = change.min()
    return out


def noise(found, exact):
    """How far percentiles are apart, in the unit in which an error of the logits shows: the divergence is a square of it."""
    kl = max(abs(found[n] - exact[n]) / np.sqrt(exact[n]) for n in exact if n.startswith("kld.p") or n == "kld.max")
    change = max(abs(found[n] - exact[n]) for n in exact if n.startswith("delta_p.p") or n in ("delta_p.max", "delta_p.min"))
    return {"kld": kl, "delta_p": change}


def allowed(name, exact, floor):
    """How far `name` may be from its value in float64.

    1e-4 of itself; of the mean change, which may be any small number, 1e-4 of the changes' root mean square; of the ratio of
    perplexities a float32 rounding of -ln p, which is near 4. A percentile is one token's value, which the
    rounding of any float32 pass moves: it may be twice as far as the worst of transformers' own float32 passes is.
    """
    value = exact[name]
    if name == "same":
        return 0
    family = name.split(".")[0]
    if name == "ln_ratio":
        return max(1e-4 * abs(value), 2.4e-7)
    if name == "delta_p.mean":
        return 1e-4 * max(abs(value), exact["delta_p.rms"])
    if "." not in name or name.split(".")[1] in ("mean", "rms") or name.endswith("error"):
        return 1e-4 * abs(value)
    unit = np.sqrt(value) if family == "kld" else 1
    return max(1e-4 * abs(value), 2 * floor[family] * unit)


ids = json.loads(quern("tokenize", o.model, "--text", o.text, "--ids", "--json"))["ids"]
bos = AutoTokenizer.from_pretrained(o.model)("").input_ids
chunks = []
for first in range(0, o.chunks * 512, 512):
    part = torch.tensor(ids[first:first + 512])
    targets = part[257:512].clone()
    # llama.cpp's rule: every chunk begins with BOS if the model's texts do.
    if bos:
        part[0] = bos[0]
    chunks.append((part, targets))
failed = False
reference = logits(load(), chunks)
single = logits(load(torch.float32), chunks)

with tempfile.TemporaryDirectory() as work:
    same = json.loads(quern(
        "verify", o.model, "--against", o.model, "--text", o.text, "--chunks", str(o.chunks), "--json"))
    exact = (same["kld"]["mean"] == same["kld"]["max"] == 0 == same["delta_p"]["rms"] and same["top1_agreement"] == 1
             and all(row["relative_rms_error"] == 0 == row["added"] and row["cosine"] == 1 for row in same["layers"]))
    print(f"against itself: {'exactly equal' if exact else 'NOT EQUAL'}")
    failed |= not exact
    for kind in o.types.split(","):
        path = f"{work}/{kind}.gguf"
        quern("convert", o.model, "--type", kind, "-o", path)
        ours = json.loads(quern(
            "verify", path, "--against", o.model, "--text", o.text, "--chunks", str(o.chunks), "--json"))
        theirs = statistics(reference, logits(replace_weights(load(), path), chunks), chunks)
        floats = statistics(single, logits(replace_weights(load(torch.float32), path), chunks), chunks)
        floor = noise(floats, theirs)
        count = round(ours["top1_agreement"] * ours["tokens_scored"])
        found = {name: count if name == "same" else ours[name] if "." not in name
                 else ours[name.split(".")[0]][name.split(".")[1]] for name in theirs}
        for name, value in theirs.items():
            apart = abs(found[name] - value)
            if not apart <= allowed(name, theirs, floor):
                failed = True
                print(f"  {kind} {name}: quern {found[name]!r}, float64 {float(value)!r}, "
                      f"{apart:.1e} apart where {allowed(name, theirs, floor):.1e} is allowed")
        mine = noise(found, theirs)
        print(f"{kind}: KL {ours['kld']['mean']:.8f}, {abs(ours['kld']['mean'] / theirs['kld.mean'] - 1):.1e} from float64; "
              f"rms change of p {ours['delta_p']['rms']:.8f}, {abs(ours['delta_p']['rms'] / theirs['delta_p.rms'] - 1):.1e}; "
              f"same choice {count} and {theirs['same']} of {ours['tokens_scored']}; percentiles: KL {mine['kld']:.1e} of its "
              f"root (transformers in float32 {floor['kld']:.1e}), change of p {mine['delta_p']:.1e} ({floor['delta_p']:.1e})")
sys.exit(1 if failed else 0)
