#!/usr/bin/env bash
# House rules that no formatter knows.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0

complain() { echo "lint: $1" >&2; failed=1; }

hits=$(git grep -nE 'unsafeFlags|fatalError\(|try!|as!' -- 'Sources/*.swift' Package.swift || true)
[ -z "$hits" ] || complain "traps and flags that have no place in Sources:"$'\n'"$hits"

hits=$(git grep -nE '(TODO|FIXME|XXX)' -- Sources Tests ':!Tests/lint.sh' || true)
[ -z "$hits" ] || complain "unfinished:"$'\n'"$hits"

hits=$(git grep -lE '/(tmp|home|root)/' -- Sources docs Makefile README.md CHANGELOG.md || true)
[ -z "$hits" ] || complain "paths of one machine in: $hits"

while read -r lines file; do
  [ "$file" != total ] || continue
  [ "$lines" -le 400 ] || complain "$file has $lines lines; split it by topic (400 at most)"
done < <(git ls-files 'Sources/*.swift' 'Sources/*.c' 'Sources/*.h' 'Sources/*.inc' 'Tests/*.swift' | xargs wc -l | awk '{print $1, $2}')

exit $failed
