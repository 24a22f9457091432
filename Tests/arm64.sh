#!/usr/bin/env bash
# The arm64 clone of the kernels under qemu-user, byte for byte beside libgguf: cross-compiled by the toolchain's clang with
# Debian's headers and linker.
#   arm64.sh PYTHON [arguments of blocks.py]        PYTHON has libgguf, gguf and numpy (`make peers`)
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:?usage: Tests/arm64.sh PYTHON [arguments of blocks.py]}
shift

packages=(qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "the arm64 check needs some packages; run: sudo apt-get install ${missing[*]}" >&2
    exit 69
  fi
  echo "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
arm64=(clang --target=aarch64-linux-gnu --ld-path="$(command -v aarch64-linux-gnu-ld)" -static)
sources=(-O2 -Wall -Wextra -Wno-unused-parameter -ISources/CKernels/include -ISources/CKernels Sources/CKernels/*.c)
"${arm64[@]}" "${sources[@]}" Tests/PeerTests/kernels_probe.c -o "$work/probe-arm64"
# Products and rows give the bits that they give here.
clang "${sources[@]}" Tests/PeerTests/products_probe.c -o "$work/products"
"${arm64[@]}" "${sources[@]}" Tests/PeerTests/products_probe.c -o "$work/products-arm64"
"$work/products" > "$work/here"
qemu-aarch64 "$work/products-arm64" > "$work/there"
cmp "$work/here" "$work/there"
echo "products and rows: the same bits on aarch64 and $(uname -m)"
printf '#!/bin/sh\nexec qemu-aarch64 %q "$@"\n' "$work/probe-arm64" > "$work/probe"
chmod +x "$work/probe"
"$python" Tests/PeerTests/blocks.py "$work/probe" --weights 1000000 "$@"
