#!/usr/bin/env bash
# From a bare Debian 12 to the demo: installs what is missing, builds the release, runs the main job.
# usage: tools/quickstart.sh [options of vectolith_demo, for example --dir DIR]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\n== %s\n' "$*"; }

say "packages (Debian; as root or with sudo; nothing if all are there)"
tools/install_dependencies.sh build demo

say "build (release, in build/release)"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Says every tenth of the way how far ninja's [done/all] is.
show_progress() {
  awk -F'[][/]' '/^\[[0-9]+\/[0-9]+\]/ && int(10 * $2 / $3) > shown {
    shown = int(10 * $2 / $3); printf "  %d of %d steps\n", $2, $3; fflush()
  }'
}
# The warnings of a build say nothing to a newcomer; the errors of a failed one say all.
{ cmake --preset release -DVECTOLITH_BUILD_DEMO=ON && cmake --build --preset release --target vectolith_demo; } 2>&1 |
  tee "$log" | show_progress || { cat "$log" >&2; exit 1; }
demo=$(find build/release -type f -name vectolith_demo -perm -u+x -print -quit)
[[ -n $demo ]] || { echo "quickstart: vectolith_demo was not built; see: cmake --preset release" >&2; exit 1; }

say "run $demo $*"
"$demo" "$@"
