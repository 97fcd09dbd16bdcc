#!/usr/bin/env bash
# The long campaigns on real file systems and with SIGKILL, on a build without sanitizers. About 4 minutes on 2 cores.
# usage: campaigns.sh BUILD [FACTOR]   FACTOR multiplies the numbers of states: 1 as CI does, 25 for a night
#        VECTOLITH_SEED repeats the choices of a run
# What this machine lacks (root, /dev/fuse, loop devices, xfsprogs) is a loud skip, and an exit 77 at the end.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
build=${1:?usage: campaigns.sh BUILD [FACTOR]}
[[ $build == /* ]] || build=$OLDPWD/$build
factor=${2:-1}
tool=$build/tools/vectolith fault_fs=$build/tests/crash/fault_fs no_sync=$build/tests/no_sync
export PYTHONDONTWRITEBYTECODE=1
failed=0 skipped=0

campaign() {
  local name=$1 start=$SECONDS
  shift
  echo "== $name"
  python3 "$@"
  local code=$?
  if ((code == 77)); then
    skipped=1
  elif ((code != 0)); then
    echo "FAILED: $name (exit $code)"
    failed=1
  fi
  echo "   $((SECONDS - start)) s"
}

campaign "power cuts, io_uring" power_cuts.py "$tool" "$fault_fs" --cuts $((750 * factor))
campaign "power cuts, plain system calls" power_cuts.py "$tool" "$fault_fs" --cuts $((250 * factor)) --io sync
campaign "power cuts of a store whose syncs lie" power_cuts.py "$tool" "$fault_fs" --cuts 60 --no-sync "$no_sync"
for fs in ext4 xfs; do
  campaign "$fs states" block_states.py "$tool" "$fault_fs" --fs $fs --states $((100 * factor))
  campaign "$fs states of a store whose syncs lie" block_states.py "$tool" "$fault_fs" --fs $fs --states 25 \
    --no-sync "$no_sync"
done
# In memory: a kill loses nothing that the kernel has, and a barrier of the disk would only slow the loop down.
[[ -d /dev/shm ]] && export TMPDIR=/dev/shm
campaign "kills" kill_stress.py "$tool" --rounds $((1000 * factor))

((failed == 0)) || exit 1
((skipped == 0)) || exit 77
