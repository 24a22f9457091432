"""Split sets beside llama.cpp's, byte for byte.

    splits.py VENV QUERN MODEL [MODEL...]

Each model is converted, and cut in several ways:
- `quern split` and `llama-gguf-split --split` write the same files; so does `quern convert` with the same flags.
- `llama-gguf-split --merge` of our set is the file that was not split, with the three keys that it leaves in a merged file and
  nothing else; `llama-quantize COPY` takes them out again and gives that file to the byte, from the merged one and from the set.
- `quern merge` of its set is the file that was not split, from any of its files.
- A set converts to the same bytes as the file.
"""
import os
import struct
import subprocess
import sys
import tempfile

venv, quern = map(os.path.abspath, sys.argv[1:3])
models = sys.argv[3:]
gguf_split = f"{venv}/llama.cpp/build/bin/llama-gguf-split"
quantize = f"{venv}/llama.cpp/build/bin/llama-quantize"
failed = False


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def read(path):
    with open(path, "rb") as file:
        return file.read()


def check(label, same):
    global failed
    failed = failed or not same
    print(f"{label}: {'identical' if same else 'DIFFERENT'}", flush=True)


def same_folders(a, b):
    names = sorted(os.listdir(a))
    return names == sorted(os.listdir(b)) and all(read(f"{a}/{n}") == read(f"{b}/{n}") for n in names)


def key(name, kind, value):
    return struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", kind) + value


def without_split_keys(merged, tensors):
    """A file that llama-gguf-split merged, with the keys of the set taken out of its header."""
    keys = (key("split.no", 2, struct.pack("<H", 0)) + key("split.tensors.count", 5, struct.pack("<i", tensors))
            + key("split.count", 2, struct.pack("<H", 0)))
    version, count, pairs = struct.unpack("<IQQ", merged[4:24])
    at = merged.index(keys)
    end = at + len(keys)
    for _ in range(count):
        length, = struct.unpack("<Q", merged[end:end + 8])
        rank, = struct.unpack("<I", merged[end + 8 + length:end + 12 + length])
        end += 8 + length + 4 + 8 * rank + 4 + 8
    head = merged[:4] + struct.pack("<IQQ", version, count, pairs - 3) + merged[24:at] + merged[at + len(keys):end]
    return head + bytes(-len(head) % 32) + merged[end + -end % 32:]


for model in models:
    name = os.path.basename(model.rstrip("/"))
    # A tensor a file, some, all in one; sizes smaller and larger than single tensors.
    cuts = [("--split-max-tensors", n) for n in ("1", "7", "20", "128", "1000")]
    cuts += [("--split-max-size", n) for n in ("30M", "100M", "4G")] if os.path.getsize(f"{model}/model.safetensors") > 1e8 else [
        ("--split-max-size", n) for n in ("3M", "4M", "1G")]
    for kind in "BF16", "Q4_K_M":
        with tempfile.TemporaryDirectory() as work:
            whole, other = f"{work}/whole.gguf", f"{work}/other.gguf"
            run(quern, "convert", model, "-t", kind, "-o", whole, "-q")
            run(quern, "convert", whole, "-t", "Q4_0", "-o", other, "-q")
            for flag, value in cuts:
                label = f"{name} {kind} {flag} {value}"
                folders = [f"{work}/{flag}{value}-{which}" for which in ("theirs", "split", "convert")]
                theirs, ours, direct = folders
                for folder in folders:
                    os.mkdir(folder)
                refused = subprocess.run([gguf_split, "--split", flag, value, whole, f"{theirs}/m"], capture_output=True, text=True)
                if refused.returncode:
                    sys.exit(f"{label}: llama-gguf-split: {refused.stderr[-500:]}")
                run(quern, "split", whole, flag, value, "-o", f"{ours}/m", "-q")
                files = sorted(os.listdir(theirs))
                check(f"{label}: {len(files)} files, split", same_folders(theirs, ours))
                run(quern, "convert", model, "-t", kind, flag, value, "-o", f"{direct}/m.gguf", "-q")
                if len(files) > 1:
                    check(f"{label}: converted into a set", same_folders(theirs, direct))
                else:
                    check(f"{label}: converted, in one file", os.listdir(direct) == ["m.gguf"] and read(f"{direct}/m.gguf") == read(whole))

                merged, copy = f"{work}/merged.gguf", f"{work}/copy.gguf"
                run(gguf_split, "--merge", f"{ours}/{files[0]}", merged)
                tensors = struct.unpack("<Q", read(whole)[8:16])[0]
                check(f"{label}: llama-gguf-split --merge of ours", without_split_keys(read(merged), tensors) == read(whole))
                for source in (merged, f"{ours}/{files[0]}") if len(files) <= 20 else ():
                    run(quantize, source, copy, "COPY")
                    check(f"{label}: llama-quantize COPY of {'the merged file' if source == merged else 'our set'}", read(copy) == read(whole))
                os.remove(merged)
                for file in {files[0], files[-1]}:
                    run(quern, "merge", f"{theirs}/{file}", "-o", merged, "--force", "-q")
                    check(f"{label}: quern merge of theirs", read(merged) == read(whole))
                os.remove(merged)
                run(quern, "convert", f"{theirs}/{files[0]}", "-t", "Q4_0", "-o", merged, "--force", "-q")
                check(f"{label}: quern convert of theirs", read(merged) == read(other))
                os.remove(merged)
                for folder in folders:
                    for file in os.listdir(folder):
                        os.remove(f"{folder}/{file}")
sys.exit(1 if failed else 0)
