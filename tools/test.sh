#!/usr/bin/env bash
# Installs what is missing, builds with AddressSanitizer and UndefinedBehaviorSanitizer, runs every test.
# usage: tools/test.sh [ctest options]   for example: tools/test.sh -R store
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools/install_dependencies.sh build
echo "== configure (preset dev)"
cmake --preset dev
echo "== build (build/dev)"
cmake --build --preset dev --parallel "$(nproc)"
echo "== test"
ctest --preset dev --parallel "$(nproc)" "$@"
