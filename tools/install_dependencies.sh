#!/usr/bin/env bash
# Installs the Debian packages that are missing, and only those; never asks.
# usage: install_dependencies.sh GROUP...   (build, compare, crash, demo, lint, valgrind)
set -euo pipefail

declare -A packages=(
  # Compile, link and test with g++ 12.
  [build]="g++ cmake ninja-build pkg-config python3 liburing-dev libzstd-dev libxxhash-dev libmimalloc-dev
           libcli11-dev nlohmann-json3-dev libgtest-dev libbenchmark-dev"
  # The peers of bench/compare.sh and the library that draws its plots.
  [compare]="librocksdb-dev liblmdb-dev libleveldb-dev libsqlite3-dev libwiredtiger-dev redis-tools libhiredis-dev
             python3-matplotlib"
  # Campaigns on real file systems: a FUSE file system of our own, ext4 and xfs on loop devices.
  [crash]="libfuse3-dev fuse3 e2fsprogs xfsprogs mount"
  # The models and texts of the quickstart.
  [demo]="libfasttext-dev wordnet-base"
  # clang-format, clang-tidy, the clang build, ThreadSanitizer and libFuzzer; llvm-19 names lines in reports.
  [lint]="clang-19 clang-tidy-19 clang-format-19 libclang-rt-19-dev llvm-19"
  # tests/valgrind.sh; libc's symbols tell it where to look on.
  [valgrind]="valgrind libc6-dbg"
)

missing=()
for group in "$@"; do
  [[ -v packages[$group] ]] || { echo "${0##*/}: no group '$group'; there are: ${!packages[*]}" >&2; exit 2; }
  for package in ${packages[$group]}; do
    dpkg-query -W -f='${Status}\n' "$package" 2>/dev/null | grep -q ' installed$' || missing+=("$package")
  done
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

as_root=()
if [[ $EUID -ne 0 ]]; then
  as_root=(sudo -n)
  sudo -n true 2>/dev/null || { echo "please install as root: apt-get install ${missing[*]}" >&2; exit 1; }
fi
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o Dpkg::Use-Pty=0 "$@"; }

echo "== install ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{ apt update && apt install --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
