"""Cuts the power of a whole file system, ext4 or xfs, with a store on it, and judges each state of the disk.

A loop device stands on a file of `fault_fs`, which records every block write and every flush, and in the same order
each intent and acknowledgement of the workload. A state of the disk is: all writes before the last flush of a point
drawn at random, and of the writes since then those blocks of 4,096 bytes that the seed keeps. It is mounted (the file
system recovers), `fsck` must be clean, and the store must hold what was acknowledged before that point.

Blocks are not torn: ext4 and xfs assume that of their own metadata. `power_cuts.py` tears sectors.

usage: block_states.py VECTOLITH FAULT_FS --fs ext4|xfs [--states N] [--seed S] [--io auto|uring|sync]
                       [--no-sync NO_SYNC] [--keep]
"""

import os
import random
import struct
import subprocess
import sys

from crash_support import Broken, Clock, Failed, FaultFs, WorkingDirectory, Workload, arguments_of, need

STATES_PER_RUN = 25
BLOCK = 4096
WRITE, FLUSH, MARK = 1, 2, 3
ACKS, INTENTS = 1, 2
MAKE = {"ext4": (48 << 20, ["mkfs.ext4", "-q", "-F", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"]),
        "xfs": (320 << 20, ["mkfs.xfs", "-q", "-f", "-K"])}


def run(*command, allowed=(0,)):
    done = subprocess.run([str(word) for word in command], capture_output=True, check=False)
    if done.returncode not in allowed:
        raise Broken(f"exit {done.returncode} of {' '.join(map(str, command))}: {done.stderr.decode()}")
    return done


def copy_sparse(source, target):
    run("cp", "--sparse=always", source, target)


class Recording:
    """The log of one run, and the image as a prefix of it leaves the disk."""

    def __init__(self, log, base, image):
        copy_sparse(base, image)
        self.image = os.open(image, os.O_RDWR)
        self.entries, self.applied, self.pending = list(self.read(log)), 0, []
        self.streams = {ACKS: bytearray(), INTENTS: bytearray()}

    @staticmethod
    def read(path):
        data = path.read_bytes()
        at = 0
        while at < len(data):
            kind, offset, length = struct.unpack_from("<QQQ", data, at)
            at += 24
            yield kind, offset, data[at:at + length]
            at += length

    def advance(self, point):
        """Applies the log up to `point`; what no flush has covered stays pending."""
        for kind, offset, data in self.entries[self.applied:point]:
            if kind == WRITE:
                self.pending.append((offset, data))
            elif kind == MARK:
                self.streams[offset] += data
            else:
                self.apply(self.image, self.pending)
                self.pending = []
        self.applied = max(self.applied, point)

    @staticmethod
    def apply(image, writes):
        for offset, data in writes:
            os.pwrite(image, data, offset)

    def records(self, stream):
        """FUSE cuts a record in two where a page ends; half a record was not yet said."""
        return self.streams[stream][:len(self.streams[stream]) // 24 * 24]

    def state(self, path, rng):
        """Writes the disk as one loss of power leaves it at the point reached."""
        copy_sparse(path.parent / "prefix.img", path)
        keep = rng.choice([0, 0.25, 0.5, 0.75, 1])
        image = os.open(path, os.O_RDWR)
        for offset, data in self.pending:
            for at in range(0, len(data), BLOCK):
                if rng.random() < keep:
                    os.pwrite(image, data[at:at + BLOCK], offset + at)
        os.close(image)

    def close(self):
        os.close(self.image)


class Campaign:
    def __init__(self, options, fs, root):
        self.options, self.fs, self.root = options, fs, root
        self.rng = random.Random(options.seed)
        self.launcher = [options.no_sync] if options.no_sync else []
        self.counts = dict.fromkeys(("states", "runs", "not mounted", "states with durable rows", "acknowledged", "rows",
                                     "in flight", "caught"), 0)
        self.base, self.mount = root / "base.img", root / "inner"
        self.mount.mkdir()
        size, make = MAKE[options.fs]
        with open(self.base, "wb") as image:
            image.truncate(size)
        run(*make, self.base)

    def record(self):
        """Runs the workload on the file system on the loop device on the recorded file."""
        self.fs("wipe")
        self.fs("load", "disk", self.base)
        self.fs("record", "disk")
        self.fs("stream", "acks", ACKS)
        self.fs("stream", "intents", INTENTS)
        self.fs("log", self.root / "log")
        device = run("losetup", "--find", "--show", "--direct-io=on", self.fs.mount / "disk").stdout.decode().strip()
        try:
            run("mount", "-t", self.options.fs, device, self.mount)
        finally:
            run("losetup", "--detach", device)  # Once it is unmounted: the kernel waits for the last user.
        try:
            io = "sync" if self.launcher else self.options.io
            self.workload = Workload(self.options.tool, self.mount / "store", self.root, self.rng, io, dims=(4, 64, 256))
            files = {"acks": self.fs.mount / "acks", "intents": self.fs.mount / "intents"}
            for _ in range(self.rng.choice([1, 2])):
                self.workload.run(self.rng.choice([30, 200, 600]), "durable", self.launcher, allowed=(0,), **files)
        finally:
            # Before the mount goes: unmounting flushes, and the log shall end with the work.
            self.fs("log-end")
            run("umount", self.mount)
        self.counts["runs"] += 1
        return Recording(self.root / "log", self.base, self.root / "prefix.img")

    def judge(self, recording):
        state = self.root / "state.img"
        recording.state(state, self.rng)
        self.counts["states"] += 1
        mounted = run("mount", "-t", self.options.fs, "-o", "loop", state, self.mount, allowed=(0, 32))
        if mounted.returncode != 0:
            self.counts["not mounted"] += 1
            return
        try:
            acks, intents = self.root / "acks.now", self.root / "intents.now"
            acks.write_bytes(recording.records(ACKS))
            intents.write_bytes(recording.records(INTENTS))
            self.counts["states with durable rows"] += acks.stat().st_size > 0
            self.counts["acknowledged"] += acks.stat().st_size // 24
            report = self.workload.judge(acks, intents, again=self.rng.random() < 0.3)
            self.counts["rows"] += report["rows"]
            self.counts["in flight"] += report["in_flight"]
        finally:
            run("umount", self.mount)

    def round(self, states):
        recording = self.record()
        try:
            points = sorted(self.rng.randint(1, len(recording.entries)) for _ in range(states))
            for number, point in enumerate(points):
                recording.advance(point)
                choices = self.rng.getstate()
                try:
                    self.judge(recording)
                except (Failed, Broken) as failure:
                    self.counts["caught"] += 1
                    if not self.launcher or isinstance(failure, Broken):
                        print(f"FAILED at entry {point} of {len(recording.entries)}, state {number}: "
                              f"{self.workload.describe()}\n{failure}")
                        self.rng.setstate(choices)
                        recording.state(self.root / "failed.img", self.rng)
                        raise
        finally:
            recording.close()

    def told(self):
        return ", ".join(f"{number} {what}" for what, number in self.counts.items())


def main():
    arguments = arguments_of(__doc__)
    arguments.add_argument("--fs", choices=sorted(MAKE), required=True)
    arguments.add_argument("--states", type=int, default=100)
    options = arguments.parse_args()
    need(options.fault_fs, loops=True, programs=("losetup", MAKE[options.fs][1][0]))
    print(f"seed {options.seed} (VECTOLITH_SEED repeats the choices; when the file system writes is the kernel's)", flush=True)
    clock = Clock()
    with WorkingDirectory(options.keep) as root, FaultFs(options.fault_fs, root) as fs:
        campaign = Campaign(options, fs, root)
        while campaign.counts["states"] < options.states:
            campaign.round(min(STATES_PER_RUN, options.states - campaign.counts["states"]))
    states, caught, could = (campaign.counts[what] for what in ("states", "caught", "states with durable rows"))
    print(f"{options.fs}: {campaign.told()}; {clock.rate(states)}", flush=True)
    if campaign.counts["not mounted"] * 20 > states:
        print("FAILED: more than one state in twenty does not mount: the recorder loses writes")
        return 1
    if options.no_sync and (could < 5 or caught * 4 < could):
        print(f"FAILED: a store whose syncs do nothing was caught in {caught} of {could} states only: the check is blind")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
