#!/usr/bin/env bash
# Fuzzes readers of outside bytes with libFuzzer and AddressSanitizer, some seconds each.
#   fuzz.sh SECONDS [TARGET...]
# Begins with the seeds that the target names; what it learns is kept in .build-fuzz/corpus. Stops at the first file that
# crashes a reader, takes over ten seconds or asks for 256 MiB at once, and names it.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=$1
shift
targets=("$@")
build=.build-fuzz

"${SWIFT:-swift}" build -c release --scratch-path "$build" --product quern-fuzz -Xswiftc -sanitize=fuzzer,address \
  -Xswiftc -DFUZZING -Xswiftc -use-ld=lld -Xcc -fsanitize=fuzzer-no-link,address >"$build.log" 2>&1 || { tail -n 30 "$build.log" >&2; exit 1; }

if [ ${#targets[@]} -eq 0 ]; then
  names=$("$build/release/quern-fuzz" targets)
  mapfile -t targets <<<"$names"
fi

# The runtime's own backtraces would take the signal from the fuzzer.
export SWIFT_BACKTRACE=enable=no
[ -w /dev/shm ] && export TMPDIR=/dev/shm
status=0
for target in "${targets[@]}"; do
  corpus=$build/corpus/$target
  mkdir -p "$corpus" "$build/crashes"
  "$build/release/quern-fuzz" seeds "$target" >"$build/seeds"
  while IFS= read -r seed; do [ -e "$corpus/${seed##*/}" ] || cp "$seed" "$corpus/"; done <"$build/seeds"
  if "$build/release/quern-fuzz" "$target" "$corpus" -max_total_time="$seconds" -timeout=10 -malloc_limit_mb=256 \
    -rss_limit_mb=2048 -detect_leaks=0 -max_len=65536 -print_final_stats=1 \
    -artifact_prefix="$build/crashes/$target-" >"$build/$target.log" 2>&1; then
    executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$target.log")
    covered=$(grep -oE 'cov: [0-9]+' "$build/$target.log" | tail -n 1)
    echo "$target: $executed executions, ${covered:-cov: 0} edges, no crash"
  else
    status=1
    echo "$target: failed" >&2
    grep -E 'ERROR|SUMMARY|Fatal|artifact|Test unit' "$build/$target.log" | head -n 8 >&2 || tail -n 8 "$build/$target.log" >&2
  fi
done
exit $status
