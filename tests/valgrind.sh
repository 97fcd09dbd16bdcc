#!/usr/bin/env bash
# Runs a choice of tests under valgrind, on plain system calls: uninitialised bytes, of which AddressSanitizer knows
# nothing, must never reach a decision or a file. About 3 minutes.
# usage: tests/valgrind.sh BUILD   a build folder without sanitizers, for example build/clang-19
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${1:?usage: tests/valgrind.sh BUILD}
tools/install_dependencies.sh valgrind

# Whole suites of what decodes and decides, and of the store what puts, kills, rescues and snapshots once each.
# Left out: what forks, counts races or sweeps over thousands of states, which the sanitizers' builds do.
chosen=(
  "format_test *-*EveryTruncation*:*Random*:*EveryByte*:*Every*Flip*"
  "log_test *"
  "segment_test *"
  "manifest_test *-*Random*:*Every*"
  "store_test Put.*:Batch.*:Erase.*:Get.*:Scan.*:Records.*:SnapshotOf.*:Create.*:Open.*:Families.*:Interned.*:Close.*:Faulty.*:Kill.LosesNothing*:Kill.KeepsOrDrops*:Kill.Reports*:*Golden*"
)
failed=0
for entry in "${chosen[@]}"; do
  program=${entry%% *}
  echo "== $program"
  VECTOLITH_IO=sync valgrind --quiet --error-exitcode=99 --leak-check=full \
    --errors-for-leak-kinds=definite --fair-sched=yes --num-callers=24 \
    "$build/tests/$program" --gtest_brief=1 --gtest_filter="${entry#* }" || failed=1
done
exit $failed
