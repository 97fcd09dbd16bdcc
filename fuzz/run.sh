#!/usr/bin/env bash
# Builds the fuzz targets with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer, and runs each for a while.
# usage: fuzz/run.sh [SECONDS [TARGET...]]   SECONDS for each target (default 60); a TARGET is a name without fuzz_
# As many targets run side by side as there are cores, and each says what it came to when it is done. What is
# found stays in build/fuzz/findings and makes the script fail.
# FUZZ_JOBS sets how many run at a time, FUZZ_KEEP a folder that keeps the grown corpora (default: thrown away).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-60}
shift $(($# > 0))
jobs=${FUZZ_JOBS:-$(nproc)}
build=build/fuzz
findings=$build/findings

cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG='-O1 -g1 -D_GLIBCXX_ASSERTIONS' \
  -DCMAKE_CXX_COMPILER=clang++-19 -DVECTOLITH_LIBFUZZER=ON -DVECTOLITH_SANITIZE=address,undefined,fuzzer-no-link \
  -DVECTOLITH_BUILD_TESTS=ON -DVECTOLITH_BUILD_TOOLS=OFF -DVECTOLITH_BUILD_BENCH=OFF >/dev/null
targets=("$@")
if ((${#targets[@]} == 0)); then
  for source in fuzz/fuzz_*.cc; do
    target=${source#fuzz/fuzz_}
    targets+=("${target%.cc}")
  done
fi
cmake --build $build --parallel "$(nproc)" --target "${targets[@]/#/fuzz_}"

work=$(mktemp -d "${TMPDIR:-/tmp}/vectolith-fuzz.XXXXXX")
trap 'rm -rf "$work"' EXIT
rm -rf $findings
mkdir -p $findings

# Inputs longer than this are not tried: the interesting ones are small, and small ones are quick.
length_max() {
  case $1 in
    api) echo 512 ;;
    control | import | store) echo 16384 ;;
    spec) echo 4096 ;;
    *) echo 12288 ;;
  esac
}

statistic() {
  sed -n "s/^stat::$1: *//p" "$2"
}

executions() {
  local count
  count=$(statistic number_of_executed_units "$1")
  # Without statistics the target ended early: take the count of its last line.
  [[ -n $count ]] || count=$(sed -n 's/^#\([0-9][0-9]*\).*/\1/p' "$1" | tail -n 1)
  echo "${count:-0}"
}

run_target() {
  local name=$1 corpus=${FUZZ_KEEP:-$work/corpus}/$1 log=$work/$1.log found=$findings/$1 status=0
  mkdir -p "$corpus" "$found"
  # The first folder takes what is new; the committed corpus is only read.
  $build/fuzz/fuzz_"$name" "$corpus" "fuzz/corpus/$name" -max_total_time="$seconds" -max_len="$(length_max "$name")" \
    -rss_limit_mb=2048 -malloc_limit_mb=1024 -timeout=60 -print_final_stats=1 -artifact_prefix="$found/" \
    >"$log" 2>&1 || status=$?
  local count
  count=$(executions "$log")
  if ((status == 0 && count > 0)); then
    printf '%-12s %12d executions, %s a second, no findings\n' "$name" "$count" "$(statistic average_exec_per_sec "$log")"
    rmdir --ignore-fail-on-non-empty "$found"
    return 0
  fi
  cp "$log" "$found/log"
  # Written in one piece: others write, too.
  local report
  report=$(
    printf '%-12s %12d executions, FAILED; %s ends with:\n' "$name" "$count" "$found/log"
    tail -n 40 "$log" | sed 's/^/    /'
    for input in "$found"/*-*; do
      [[ -e $input ]] && echo "  replay: $build/fuzz/fuzz_$name $input"
    done
  )
  printf '%s\n' "$report"
  return 1
}
export -f run_target length_max statistic executions
export work findings build seconds

failed=0
printf '%s\n' "${targets[@]}" | xargs -P "$jobs" -I{} bash -c 'run_target {}' || failed=1
total=0
for name in "${targets[@]}"; do
  total=$((total + $(executions "$work/$name.log")))
done
printf '%-12s %12d executions\n' "all" "$total"
exit $failed
