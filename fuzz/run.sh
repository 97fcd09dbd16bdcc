#!/usr/bin/env bash
# Builds the fuzz targets with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer, and runs each for a while.
# usage: fuzz/run.sh [SECONDS [TARGET...]]   SECONDS for each target (default 60); a TARGET is a name without fuzz_
# Two targets run at a time. What is found stays in build/fuzz/findings and makes the script fail.
# FUZZ_JOBS sets how many run at a time, FUZZ_KEEP a folder that keeps the grown corpora (default: thrown away).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-60}
shift $(($# > 0))
jobs=${FUZZ_JOBS:-2}
build=build/fuzz
findings=$build/findings

cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG='-O1 -g1 -D_GLIBCXX_ASSERTIONS' \
  -DCMAKE_CXX_COMPILER=clang++-19 -DVECTOLITH_LIBFUZZER=ON -DVECTOLITH_SANITIZE=address,undefined,fuzzer-no-link \
  -DVECTOLITH_BUILD_TESTS=OFF -DVECTOLITH_BUILD_TOOLS=OFF -DVECTOLITH_BUILD_BENCH=OFF >/dev/null
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
    control | import | store) echo 16384 ;;
    spec) echo 4096 ;;
    *) echo 12288 ;;
  esac
}

run_target() {
  local name=$1 corpus=${FUZZ_KEEP:-$work/corpus}/$1
  mkdir -p "$corpus" "$findings/$name"
  # The first folder takes what is new; the committed corpus is only read.
  if $build/fuzz/fuzz_"$name" "$corpus" "fuzz/corpus/$name" -max_total_time="$seconds" -max_len="$(length_max "$name")" \
    -rss_limit_mb=2048 -malloc_limit_mb=1024 -timeout=20 -print_final_stats=1 \
    -artifact_prefix="$findings/$name/" >"$work/$name.log" 2>&1; then
    rmdir "$findings/$name"
  else
    touch "$work/$name.failed"
    cp "$work/$name.log" "$findings/$name/log"
  fi
}
export -f run_target length_max
export work findings build seconds

printf '%s\n' "${targets[@]}" | xargs -P "$jobs" -I{} bash -c 'run_target {}'

total=0
failed=0
for name in "${targets[@]}"; do
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$name.log")
  # Without statistics the target ended early: take the count of its last line.
  [[ -n $executions ]] || executions=$(sed -n 's/^#\([0-9]*\).*/\1/p' "$work/$name.log" | tail -n 1)
  executions=${executions:-0}
  total=$((total + executions))
  printf '%-12s %12d executions\n' "$name" "$executions"
  if [[ -e $work/$name.failed || $executions == 0 ]]; then
    failed=1
    echo "  FAILED; $findings/$name/log ends with:"
    tail -n 40 "$work/$name.log" | sed 's/^/    /'
    for artifact in "$findings/$name"/*-*; do
      [[ -e $artifact ]] && echo "  replay: $build/fuzz/fuzz_$name $artifact"
    done
  fi
done
printf '%-12s %12d executions\n' "all" "$total"
exit $failed
