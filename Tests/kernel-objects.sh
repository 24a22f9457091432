#!/usr/bin/env bash
# What the compiler makes of the kernels must keep to what their bytes rest on:
#   no fused multiply-add, which rounds once where ggml rounds twice;
#   no call of a mathematical or half-precision library;
#   no register of a later instruction set in the baseline.
# The assembly is what the compiler that builds the package gives, at the levels of debug and release builds.
set -euo pipefail
cd "$(dirname "$0")/.."
CLANG=${CLANG:-clang}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

fused='\<(vfn?m(add|sub)[0-9a-z]*|vfm(addsub|subadd)[0-9a-z]*|fml[as]|fn?m(add|sub))\>'
complain() {
  echo "kernel-objects: $1" >&2
  failed=1
}

# A check that cannot see an instruction proves nothing.
for target in x86_64:x86-64-v3 aarch64:armv8-a; do
  echo 'float f(float a, float b, float c) { return a * b + c; }' \
    | "$CLANG" --target="${target%%:*}-linux-gnu" -march="${target##*:}" -O2 -ffp-contract=on -x c -S -o - - \
    | grep -qE "$fused" || complain "a fused multiply-add is not seen in assembly of ${target%%:*}"
done

check() { # target, file, flags…
  local target=$1 file=$2 assembly="$work/out.s" hits
  shift 2
  "$CLANG" --target="$target-linux-gnu" -ffreestanding -fPIC "$@" -ISources/CKernels/include -ISources/CKernels \
    -S -o "$assembly" "$file"
  grep -qE '^quern_clone_' "$assembly" || complain "$file holds no clone for $target"
  hits=$(grep -nE "$fused" "$assembly" | head -5 || true)
  [ -z "$hits" ] || complain "fused multiply-add in $file ($target $*):"$'\n'"$hits"
  hits=$(grep -oE '^[[:space:]]+(call|callq|bl|b|jmp)[[:space:]]+[A-Za-z_][A-Za-z0-9_]*(@PLT)?' "$assembly" | awk '{print $2}' \
    | sed 's/@PLT//' | sort -u | while read -r name; do
      case "$name" in mem[cs]*|memmove|quern_grid_*) continue ;; esac
      grep -qE "^$name:" "$assembly" || echo "$name"
    done)
  [ -z "$hits" ] || complain "calls from $file ($target $*): ${hits//$'\n'/ }"
  if [[ $file == *baseline* ]]; then
    hits=$(grep -nE '%[yz]mm|%k[0-7]' "$assembly" | head -5 || true)
    [ -z "$hits" ] || complain "$file leaves the baseline ($*):"$'\n'"$hits"
  fi
}

for level in -O0 -O2; do
  for file in Sources/CKernels/kernels_{v4,v3,baseline}.c; do check x86_64 "$file" "$level"; done
  check aarch64 Sources/CKernels/kernels_arm64.c "$level"
done
[ $failed -ne 0 ] || echo "kernel-objects: no fused multiply-add, no library call, on x86_64 and aarch64"
exit $failed
