#!/usr/bin/env bash
# Vectolith beside its peers and the limits of the machine: installs what is missing, builds the release, prepares the
# data, runs every workload for every store in turn, and writes JSON, Markdown and plots to build/compare.
# usage: bench/compare.sh [--quick] [--output DIR] [--directory DIR] [--dims 384,768,1024,1536,3072] [--rows N]
#        [--rounds N] [--stores A,B] [--groups A,B]     bench/compare.sh --help says more; bench/README.md says all.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\n== %s\n' "$*"; }

say "packages (Debian; as root or with sudo; nothing if all are there)"
tools/install_dependencies.sh build compare

say "build (release, in build/release)"
cmake --preset release | grep -F 'bench/compare' || true
cmake --build --preset release --target vectolith_compare

say "compare (the full run of 1 M rows takes hours; --quick about a minute)"
# Debian's Python: another one would not see Debian's matplotlib.
exec /usr/bin/python3 -B bench/compare/compare.py --program build/release/bench/compare/vectolith_compare "$@"
