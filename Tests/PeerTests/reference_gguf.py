"""llama.cpp's own conversion of a Hugging Face folder, for comparison.

    reference_gguf.py VENV MODEL OUT.gguf [--outtype bf16] [--pre llama-bpe]

Runs the convert_hf_to_gguf.py of VENV/llama.cpp. It recognises a pre-tokenizer by a hash of token ids, which fails for a
vocabulary it has not seen; --pre answers in its place.
"""
import argparse
import runpy
import sys

parser = argparse.ArgumentParser()
parser.add_argument("venv")
parser.add_argument("model")
parser.add_argument("out")
parser.add_argument("--outtype", default="bf16")
parser.add_argument("--pre")
options = parser.parse_args()

source = f"{options.venv}/llama.cpp"
sys.path[:0] = [source, f"{source}/gguf-py"]
if options.pre:
    import conversion.base

    conversion.base.TextModel.get_vocab_base_pre = lambda self, tokenizer: options.pre
sys.argv = ["convert_hf_to_gguf.py", options.model, "--outtype", options.outtype, "--outfile", options.out]
runpy.run_path(f"{source}/convert_hf_to_gguf.py", run_name="__main__")
