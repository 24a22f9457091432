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
import json
import sys
import tempfile

import numpy as np
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.models.llama import modeling_llama

import peer

parser = peer.parser("venv", "quern", "text", "model")
parser.add_argument("--chunks", type=int, default=4)
parser.add_argument("--types", default="Q8_0,Q6_K,Q4_K_M,Q2_K")
o = parser.parse_args()
torch.set_num_threads(2)


def norm(self, x):
    return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))


modeling_llama.LlamaRMSNorm.forward = norm


def quern(*arguments):
    return peer.output(o.quern, *arguments, "-q")


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


def drift(p, q, chunks):
    """Of every token: divergence, change of probability, -ln p of both models, whether both choose the same."""
    rows = torch.arange(255)
    parts = [[(a.exp() * (a - b)).sum(-1), b[rows, targets].exp() - a[rows, targets].exp(), -a[rows, targets],
              -b[rows, targets], a.argmax(-1) == b.argmax(-1)] for a, b, (_, targets) in zip(p, q, chunks)]
    return [torch.cat(column).numpy() for column in zip(*parts)]


def statistics(kl, change, x, y, same):
    n, same = len(kl), int(same.sum())
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


def unit(family, value):
    """In which an error of the logits shows: the divergence is a square of it."""
    return np.sqrt(value) if family == "kld" else 1


def is_percentile(name):
    return "." in name and (name.split(".")[1] in ("median", "min", "max") or name.split(".")[1].startswith("p"))


def apart(found, exact):
    """How far percentiles are apart at most, in their units."""
    far = {"kld": 0, "delta_p": 0}
    for name in filter(is_percentile, exact):
        family = name.split(".")[0]
        far[family] = max(far[family], abs(found[name] - exact[name]) / unit(family, exact[name]))
    return far


def allowed(name, exact, floor):
    """How far `name` may be from its value in float64.

    1e-4 of itself; of the mean change, which may be any small number, 1e-4 of the changes' root mean square; of the ratio of
    perplexities a float32 rounding of -ln p, which is near 4. A percentile is one token's value, and moves by no more than the
    farthest token does: it may be as far as that of transformers' own float32 pass of the same file.
    """
    value = exact[name]
    if name == "same":
        return 0
    family = name.split(".")[0]
    if name == "ln_ratio":
        return max(1e-4 * abs(value), 2.4e-7)
    if name == "delta_p.mean":
        return 1e-4 * max(abs(value), exact["delta_p.rms"])
    if not is_percentile(name):
        return 1e-4 * abs(value)
    return max(1e-4 * abs(value), floor[family] * unit(family, value))


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
        exact = drift(reference, logits(replace_weights(load(), path), chunks), chunks)
        floats = drift(single, logits(replace_weights(load(torch.float32), path), chunks), chunks)
        floor = {"kld": (abs(floats[0] - exact[0]) / np.sqrt(exact[0]))[exact[0] > 1e-9].max(),
                 "delta_p": abs(floats[1] - exact[1]).max()}
        theirs, floats = statistics(*exact), statistics(*floats)
        count = round(ours["top1_agreement"] * ours["tokens_scored"])
        found = {name: count if name == "same" else ours[name] if "." not in name
                 else ours[name.split(".")[0]][name.split(".")[1]] for name in theirs}
        for name, value in theirs.items():
            far = abs(found[name] - value)
            if not far <= allowed(name, theirs, floor):
                failed = True
                print(f"  {kind} {name}: quern {found[name]!r}, float64 {float(value)!r}, "
                      f"{far:.1e} apart where {allowed(name, theirs, floor):.1e} is allowed")
        mine, others = apart(found, theirs), apart(floats, theirs)
        print(f"{kind}: KL {ours['kld']['mean']:.8f}, {abs(ours['kld']['mean'] / theirs['kld.mean'] - 1):.1e} from float64; "
              f"rms change of p {ours['delta_p']['rms']:.8f}, {abs(ours['delta_p']['rms'] / theirs['delta_p.rms'] - 1):.1e}; "
              f"same choice {count} and {theirs['same']} of {ours['tokens_scored']}; percentiles: KL {mine['kld']:.1e} of its "
              f"root (transformers in float32 {others['kld']:.1e}, a token {floor['kld']:.1e}), change of p "
              f"{mine['delta_p']:.1e} ({others['delta_p']:.1e}, {floor['delta_p']:.1e})")
sys.exit(1 if failed else 0)
