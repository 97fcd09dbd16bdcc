#!/usr/bin/env bash
# Installs a build into a fresh folder and builds main.cc against it, by find_package and by pkg-config.
# usage: consumer_test.sh BUILD_DIR COMPILER [SANITIZERS]
set -euo pipefail

build=$1 compiler=$2 sanitize=${3:-}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags=${sanitize:+-fsanitize=$sanitize}

cmake --install "$build" --prefix "$work/first" --component vectolith >"$work/log" || { cat "$work/log"; exit 1; }
# A package must not remember where it was installed first.
mv "$work/first" "$work/moved"

echo "find_package"
cmake -S "$here" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$work/moved" -DCMAKE_CXX_COMPILER="$compiler" \
  -DCMAKE_CXX_FLAGS="$flags" >"$work/log" || { cat "$work/log"; exit 1; }
cmake --build "$work/cmake" >"$work/log" || { cat "$work/log"; exit 1; }
(cd "$work" && ./cmake/consumer)

echo "pkg-config"
export PKG_CONFIG_PATH
PKG_CONFIG_PATH=$(dirname "$(find "$work/moved" -name vectolith.pc)")
read -ra options <<<"$flags $(pkg-config --cflags --libs vectolith)"
"$compiler" -std=c++23 "$here/main.cc" "${options[@]}" -o "$work/consumer"
(cd "$work" && ./consumer)
