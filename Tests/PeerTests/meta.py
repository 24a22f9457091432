"""Models in Meta's own form beside Meta's own code (llama-models on fairscale), and beside the same model in other forms.

    meta.py VENV QUERN_PEER QUERN TINY_LLAMA

Meta's code builds small models of Llama 3.0's, 3.1's and 3.2's kind on 1, 2 and 4 ranks; each rank saves its shard, and all of
them compute the logits in F32 from the BF16 that was saved. Quern reads the shards: its logits must be within 2e-3, and its GGUF
of the shards must be, tensor by tensor, that of convert_hf_to_gguf.py from the same model in Hugging Face form. Then
tiny-llama is cut into 2 to 16 shards, with the embedding by rows and by columns, and every conversion must be the same file.
Exit 1 on any difference.
"""
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).resolve().parent
BASE = dict(dim=256, n_layers=2, n_heads=8, n_kv_heads=4, vocab_size=4096, multiple_of=64, ffn_dim_multiplier=1.3, norm_eps=1e-5, rope_theta=500000.0)
CASES = {
    "Llama 3.0": (BASE, None),
    "Llama 3.1": (BASE | dict(use_scaled_rope=True), None),
    "Llama 3.2": (BASE | dict(use_scaled_rope=True, n_heads=4, ffn_dim_multiplier=1.5), 32),
    "no grouped heads": (BASE | dict(n_kv_heads=8), None),
}
COLUMNS = ("wo", "w2")


def rank(index, count, params, factor, tokens, folder):
    """One process of Meta's model: random weights, a shard and the logits."""
    import fairscale.nn.model_parallel.initialize as parallel
    from llama_models.llama3 import model as meta
    from llama_models.llama3.args import ModelArgs

    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=index, world_size=count)
    parallel.initialize_model_parallel(count)
    if factor:
        # The code has 8 for all its models; 3.2's were published with 32.
        source = meta.apply_scaling.__code__
        constants = tuple(factor if constant == 8 and isinstance(constant, int) else constant for constant in source.co_consts)
        assert constants != source.co_consts
        meta.apply_scaling.__code__ = source.replace(co_consts=constants)
    model = meta.Transformer(ModelArgs(**params, max_batch_size=1, max_seq_len=len(tokens)))
    state = {}
    for name, parameter in model.named_parameters():
        replicated = parameter.dim() == 1
        generator = torch.Generator().manual_seed(hash_of(name) + (0 if replicated else index))
        values = torch.randn(parameter.shape, generator=generator)
        values = 1 + 0.2 * values if replicated else values * (1.0 if "embed" in name else parameter.shape[1] ** -0.5)
        state[name] = values.bfloat16()
    torch.save(state, f"{folder}/consolidated.{index:02d}.pth")
    model.load_state_dict({name: values.float() for name, values in state.items()})
    logits = model.forward(torch.tensor([tokens]), 0)[0]
    if index == 0:
        np.save(f"{folder}/logits.npy", logits.numpy())
    torch.distributed.barrier()


def hash_of(name):
    return int.from_bytes(hashlib.md5(name.encode()).digest()[:6], "little")


def joined(folder, count):
    """The whole tensors, by what fairscale's layers are."""
    shards = [torch.load(folder / f"consolidated.{i:02d}.pth", weights_only=True) for i in range(count)]
    whole = {}
    for name, part in shards[0].items():
        axis = 1 if name.split(".")[-2] in COLUMNS else 0
        whole[name] = part if part.dim() == 1 else torch.cat([shard[name] for shard in shards], axis)
    return whole


def hugging_face(state, params, factor, folder, tokenizer):
    """The same model as Hugging Face has it, with rows of Q and K in its order."""
    dim, heads, kv = params["dim"], params["n_heads"], params["n_kv_heads"]
    head = dim // heads
    order = lambda w, n: w.view(n, head // 2, 2, dim).transpose(1, 2).reshape(n * head, dim)
    names = dict(attention_norm="input_layernorm", ffn_norm="post_attention_layernorm", wq="self_attn.q_proj", wk="self_attn.k_proj",
                 wv="self_attn.v_proj", wo="self_attn.o_proj", w1="mlp.gate_proj", w2="mlp.down_proj", w3="mlp.up_proj")
    out = {"model.embed_tokens.weight": state["tok_embeddings.weight"], "model.norm.weight": state["norm.weight"], "lm_head.weight": state["output.weight"]}
    for name, tensor in state.items():
        parts = name.split(".")
        if parts[0] == "layers":
            kind = parts[-2]
            tensor = order(tensor, heads) if kind == "wq" else order(tensor, kv) if kind == "wk" else tensor
            out[f"model.layers.{parts[1]}.{names[kind]}.weight"] = tensor.contiguous()
    folder.mkdir()
    save_file(out, folder / "model.safetensors", metadata={"format": "pt"})
    scaling = None
    if params.get("use_scaled_rope"):
        scaling = dict(rope_type="llama3", factor=float(factor or 8), low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192)
    config = dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=dim, intermediate_size=state["layers.0.feed_forward.w1.weight"].shape[0],
                  num_hidden_layers=params["n_layers"], num_attention_heads=heads, num_key_value_heads=kv, head_dim=head, vocab_size=params["vocab_size"],
                  max_position_embeddings=8192, rms_norm_eps=params["norm_eps"], hidden_act="silu", rope_theta=params["rope_theta"], rope_scaling=scaling,
                  tie_word_embeddings=False, torch_dtype="bfloat16", bos_token_id=3840, eos_token_id=3841)
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer / name, folder)


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def compare(ours, theirs):
    done = subprocess.run([sys.executable, HERE / "compare_gguf.py", ours, theirs], capture_output=True, text=True)
    return done.returncode == 0, done.stdout.strip().splitlines()[0]


def beside_metas_code(venv, probe, quern, tiny, work):
    failed = False
    tokens = np.random.default_rng(1).integers(0, BASE["vocab_size"], 384).tolist()
    for name, (params, factor) in CASES.items():
        for count in (1, 2, 4):
            folder = work / f"{name} on {count}" / "model"
            folder.mkdir(parents=True)
            torch.multiprocessing.spawn(rank, (count, params, factor, tokens, str(folder)), nprocs=count)
            expected = np.load(folder / "logits.npy")
            for scratch in ("rendezvous", "logits.npy"):
                (folder / scratch).unlink(missing_ok=True)
            (folder / "params.json").write_text(json.dumps(params))
            shutil.copy(tiny / "original/tokenizer.model", folder)
            np.array(tokens, dtype="<i4").tofile(work / "ids")
            run(probe, "logits", folder, work / "ids", work / "out", 2, *([factor] if factor else []))
            found = np.fromfile(work / "out", dtype="<f4").reshape(expected.shape)
            difference = np.abs(found - expected).max()
            print(f"{name}, {count} ranks: logits of {expected.std():.2f} differ by {difference:.2g} at most")
            failed |= not difference < 2e-3

            other = folder.parent / "hf"
            hugging_face(joined(folder, count), params, factor, other, tiny)
            theirs, scaled = work / "theirs.gguf", ["--rope-factor", factor] if factor else []
            run(sys.executable, HERE / "reference_gguf.py", venv, other, theirs, "--outtype", "bf16", "--pre", "llama-bpe")
            run(quern, "convert", folder, "-o", work / "ours.gguf", "--type", "BF16", "--force", *scaled)
            for label, ours, peer in [("convert_hf_to_gguf.py", work / "ours.gguf", theirs)] + [
                (f"the Hugging Face form at {kind}", work / "a.gguf", work / "b.gguf") for kind in ("F16", "Q4_K_M")]:
                if ours.name == "a.gguf":
                    kind = label.split()[-1]
                    run(quern, "convert", folder, "-o", ours, "--type", kind, "--force", *scaled)
                    run(quern, "convert", other, "-o", peer, "--type", kind, "--force")
                same, line = compare(ours, peer)
                print(f"  beside {label}: {line}")
                failed |= not same
    return failed


def recut(quern, tiny, work):
    """tiny-llama by torch.save in any number of shards."""
    state = torch.load(tiny / "original/consolidated.00.pth", weights_only=True)
    digests = {}
    for count in (1, 2, 4, 8, 16):
        for by_columns in (False, True):
            folder = work / f"cut {count} {by_columns}" / "tiny"
            folder.mkdir(parents=True)
            for index in range(count):
                shard = {}
                for name, tensor in state.items():
                    kind = name.split(".")[-2]
                    axis = 1 if kind in COLUMNS or (by_columns and kind == "tok_embeddings") else 0
                    shard[name] = tensor if tensor.dim() == 1 else tensor.chunk(count, axis)[index].clone()
                # Llama 1 and 2 saved what is computed.
                shard["rope.freqs"] = torch.zeros(16)
                torch.save(shard, folder / f"consolidated.{index:02d}.pth")
            for name in ("params.json", "tokenizer.model"):
                shutil.copy(tiny / "original" / name, folder)
            for kind in ("F16", "Q4_K_M"):
                out = folder.parent / f"{kind}.gguf"
                run(quern, "convert", folder, "-o", out, "--type", kind)
                digests.setdefault(kind, set()).add(hashlib.sha256(out.read_bytes()).hexdigest())
            shutil.rmtree(folder.parent)
    for kind, found in digests.items():
        print(f"tiny-llama in 1 to 16 shards, {kind}: {len(found)} different files")
    return any(len(found) != 1 for found in digests.values())


def main():
    venv, probe, quern = sys.argv[1:4]
    tiny = pathlib.Path(sys.argv[4])
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        failed = recut(quern, tiny, work)
        failed |= beside_metas_code(venv, probe, quern, tiny, work)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
