"""Rounding with error feedback beside llm-compressor's GPTQ: the same inputs X and weights W, symmetric integers of four bits in
groups of 128.

    gptq.py VENV PROBE MODEL TEXT [--tokens 4096] [--group 128] [--layers 0,3]

Of each kind of linear layer: the loss tr((W - Q) XᵀX (W - Q)ᵀ) over tr(W XᵀX Wᵀ), in float64, of rounding to the nearest, of
llm-compressor (the best of its three orders of columns, each with min-max scales and damping 0.01) and of ours. Ours must be no
more than theirs. PROBE is quern-peer.
"""
import glob
import os
import sys
import tempfile

import numpy
import torch
import transformers

import peer

parser = peer.parser("venv", "probe", "model", "text")
parser.add_argument("--tokens", type=int, default=4096)
parser.add_argument("--group", type=int, default=128)
parser.add_argument("--layers", default="0,3")
o = parser.parse_args()
sys.path += glob.glob(f"{o.venv}/llm-compressor/lib/python3*/site-packages")

from compressed_tensors.quantization import ActivationOrdering, QuantizationArgs, fake_quantize  # noqa: E402
from compressed_tensors.quantization.utils import calculate_qparams  # noqa: E402
from llmcompressor.modifiers.gptq.gptq_quantize import quantize_weight  # noqa: E402

torch.set_grad_enabled(False)
torch.set_num_threads(2)


def inputs(model, tokenizer):
    """(tokens, in) of every linear layer asked for."""
    found = {}
    for number in map(int, o.layers.split(",")):
        layer = model.model.layers[number]
        for name, module in [("attn.q", layer.self_attn.q_proj), ("attn.o", layer.self_attn.o_proj),
                             ("mlp.gate", layer.mlp.gate_proj), ("mlp.down", layer.mlp.down_proj)]:
            found[f"{number}.{name}"] = (module, [])
            module.register_forward_pre_hook(
                lambda _, x, kept=found[f"{number}.{name}"][1]: kept.append(x[0].reshape(-1, x[0].shape[-1]).clone()))
    ids = tokenizer(open(o.text, encoding="utf-8").read(), return_tensors="pt").input_ids[0, :o.tokens]
    for start in range(0, len(ids) - 511, 512):
        model(ids[None, start:start + 512])
    return {name: (module.weight.clone(), torch.cat(kept)) for name, (module, kept) in found.items()}


def loss(w, q, h):
    w, e = w.double(), (w - q).double()
    return float(((e @ h) * e).sum() / ((w @ h) * w).sum())


def theirs(w, x, order):
    args = QuantizationArgs(
        num_bits=4, type="int", symmetric=True, strategy="group", group_size=o.group, actorder=order,
        scale_dtype=torch.float16)
    groups = w.reshape(w.shape[0], -1, o.group)
    scale, zero = calculate_qparams(groups.amin(-1), groups.amax(-1), args)
    scale = scale.half().float()
    h = 2 * x.T @ x / len(x)
    q, _, fell_back = quantize_weight(
        w[None].clone(), h[None].clone(), scale[None], zero[None], None, args, percdamp=0.01)
    assert not fell_back.any()
    return q[0]


def nearest(w):
    args = QuantizationArgs(num_bits=4, type="int", symmetric=True, strategy="group", group_size=o.group)
    groups = w.reshape(w.shape[0], -1, o.group)
    scale, zero = calculate_qparams(groups.amin(-1), groups.amax(-1), args)
    return fake_quantize(w, scale, zero, args)


def ours(w, x):
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in "xwq"]
        x.numpy().astype("<f4").tofile(paths[0])
        w.numpy().astype("<f4").tofile(paths[1])
        peer.output(o.probe, "feedback", paths[0], paths[1], str(len(x)), str(len(w)), str(w.shape[1]), str(o.group), paths[2])
        return torch.from_numpy(numpy.fromfile(paths[2], "<f4").reshape(w.shape))


model = transformers.AutoModelForCausalLM.from_pretrained(o.model, dtype=torch.float32)
tokenizer = transformers.AutoTokenizer.from_pretrained(o.model)
worse = []
print(f"{'layer':12} {'nearest':>10} {'theirs':>10} {'order':>8} {'ours':>10} {'ratio':>7}")
for name, (w, x) in inputs(model, tokenizer).items():
    h = x.double().T @ x.double()
    losses = {str(order): loss(w, theirs(w, x, order), h)
              for order in [None, ActivationOrdering.STATIC, ActivationOrdering.WEIGHT]}
    order, best = min(losses.items(), key=lambda item: item[1])
    found = loss(w, ours(w, x), h)
    print(f"{name:12} {loss(w, nearest(w), h):10.6f} {best:10.6f} {order.split('.')[-1]:>8} {found:10.6f} {found / best:7.3f}")
    if found > best:
        worse.append(name)
if worse:
    sys.exit(f"more than llm-compressor: {', '.join(worse)}")
