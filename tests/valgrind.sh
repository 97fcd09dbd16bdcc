#!/usr/bin/env bash
# Runs a choice of tests under valgrind, on plain system calls: uninitialised bytes, of which AddressSanitizer knows
# nothing, must never reach a decision or a file. About 2 minutes on 2 cores.
# usage: tests/valgrind.sh BUILD   a build folder without sanitizers, for example build/clang-19
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${1:?usage: tests/valgrind.sh BUILD}
tools/install_dependencies.sh valgrind

# Whole suites of what decodes and decides, and of the store what puts, kills, rescues and snapshots once each.
# The longest comes first. Left out: what forks, counts races or sweeps over thousands of states, which the sanitizers' builds do.
chosen=(
  "store_test Put.*:Batch.*:Erase.*:Get.*:Scan.*:Records.*:SnapshotOf.*:Create.*:Open.*:Families.*:Interned.*:Close.*:Faulty.*:Kill.LosesNothing*:Kill.KeepsOrDrops*:Kill.Reports*:*Golden*"
  "format_test *-*EveryTruncation*:*Random*:*EveryByte*:*Every*Flip*"
  "log_test *"
  "segment_test *"
  "manifest_test *-*Random*:*Every*"
)
work=$(mktemp -d "${TMPDIR:-/tmp}/vectolith-valgrind.XXXXXX")
trap 'rm -rf "$work"' EXIT
check() {
  local program=${1%% *} code=0
  # valgrind 3.19 gives up at the line tables of newer compilers; names of functions stay.
  strip --strip-debug -o "$work/$program" "$build/tests/$program"
  VECTOLITH_IO=sync valgrind --quiet --log-file="$work/$program.log" --error-exitcode=99 --leak-check=full \
    --errors-for-leak-kinds=definite --fair-sched=yes --num-callers=24 \
    "$work/$program" --gtest_brief=1 --gtest_filter="${1#* }" >"$work/$program.out" 2>&1 || code=1
  echo "== $program"
  cat "$work/$program.out"
  # It does not know openat2, says so at each call, and lets the fallback be tested. Its findings begin with ==.
  grep '^==' "$work/$program.log" || true
  return "$code"
}
export -f check
export work build
printf '%s\0' "${chosen[@]}" | xargs -0 -r -n 1 -P "$(nproc)" bash -c 'check "$1"' check
