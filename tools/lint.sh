#!/usr/bin/env bash
# Checks the format of all sources, and runs clang-tidy on those of the product: last changed ones first.
# usage: tools/lint.sh [SECONDS]   SECONDS is how long clang-tidy may start further files (default 900; 0: none)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-900}

tools/install_dependencies.sh build lint
echo "== clang-format"
find format engine tools tests fuzz bench \( -name '*.cc' -o -name '*.h' \) -print0 |
  xargs -0 -r clang-format-19 --dry-run -Werror

((seconds > 0)) || exit 0
echo "== clang-tidy"
cmake --preset clang-19 >/dev/null
tidy() {
  set -o pipefail
  if ((TIDY_DEADLINE < $(date +%s))); then
    echo "not checked for lack of time: $1"
    return
  fi
  # misc-include-cleaner stays for needless includes; that a header brings another along is fine.
  clang-tidy-19 --quiet -p build/clang-19 "$1" 2>/dev/null |
    awk '/: (warning|error): / { shown = !/no header providing/ } shown { print; found = 1 } END { exit found }'
}
export -f tidy
export TIDY_DEADLINE=$(($(date +%s) + seconds))
all=$(find format engine tools fuzz -name '*.cc' | sort)
changed=$(git diff --name-only --diff-filter=d HEAD~1 -- '*.cc' 2>/dev/null || true)
{ grep -Fx "$changed" <<<"$all" || true; echo "$all"; } | awk 'NF && !seen[$0]++' |
  xargs -r -d '\n' -n 1 -P "$(nproc)" bash -c 'tidy "$1"' tidy
