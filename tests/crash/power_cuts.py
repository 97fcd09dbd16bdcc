"""Cuts the power of a store on a file system of our own, again and again, and judges what is left each time.

The file system is `fault_fs`: at a cut each 512-byte sector, file size and directory entry that no fsync has covered
survives or is lost, as the seed says. A cut falls after an operation of the disk that is drawn at random, in creation,
work, sealing, close or recovery; a share of the cuts falls into the recovery from the cut before. In some rounds
operations of the disk fail besides: EIO, ENOSPC, short writes, failed fsyncs whose data is lost. Then `fsck` must be
clean, and the store must hold every durable acknowledgement, nothing that was never put, and each row whole.

usage: power_cuts.py VECTOLITH FAULT_FS [--cuts N] [--seed S] [--io auto|uring|sync] [--no-sync NO_SYNC] [--keep]
"""

import random
import subprocess
import sys

from crash_support import EXIT_CORRUPTION, EXIT_IO, EXIT_NOT_FOUND, EXIT_OK, Broken, Clock, Failed, FaultFs
from crash_support import WorkingDirectory, Workload, arguments_of, need

ROUNDS_PER_STORE = 8
EIO, ENOSPC, SHORT = 5, 28, 0
FAULTS = [("fsync", EIO), ("fsync", EIO), ("write", EIO), ("write", ENOSPC), ("write", SHORT), ("create", ENOSPC),
          ("allocate", ENOSPC), ("fsyncdir", EIO), ("unlink", EIO), ("rename", EIO)]


class Campaign:
    def __init__(self, options, fs, root):
        self.options, self.fs, self.root = options, fs, root
        self.rng = random.Random(options.seed)
        self.launcher = [options.no_sync] if options.no_sync else []
        self.counts = dict.fromkeys(("cuts", "stores", "in recovery", "with faults", "acknowledged", "rows", "in flight",
                                     "rounds with durable rows", "caught"), 0)
        self.fresh_store()

    def fresh_store(self):
        """The negative control needs one for every cut: after the first loss the model no longer fits."""
        self.fs("wipe")
        self.counts["stores"] += 1
        io = "sync" if self.launcher else self.options.io
        segment_bytes = self.rng.choice([1 << 16, 1 << 16, 1 << 20])
        self.workload = Workload(self.options.tool, self.fs.mount / "store", self.root, self.rng, io, segment_bytes)

    def cut(self):
        keep = self.rng.choice([0, 0.25, 0.5, 0.5, 0.75, 1])
        self.fs("cut", self.rng.randrange(1 << 63), keep, self.rng.choice([512, 512, 4096]))
        self.counts["cuts"] += 1

    def inject_faults(self):
        """One or two operations fail, once or from then on. Not for the control: there only the lie may be caught."""
        if self.launcher or self.rng.random() > 0.3:
            return
        self.counts["with faults"] += 1
        for _ in range(self.rng.choice([1, 2])):
            kind, error = self.rng.choice(FAULTS)
            nth, count = int(2 ** self.rng.uniform(0, 8)), self.rng.choice([1, 1, 3, 10**9])
            name = self.rng.choice(["", "", ".vls", ".vlj", "MANIFEST"])
            if error == SHORT:
                self.fs("short", kind, nth, name)
            else:
                self.fs("fail", kind, nth, count, error, name)

    def work(self):
        self.inject_faults()
        self.fs("stop", int(2 ** self.rng.uniform(0, 12)))
        level = "durable" if self.rng.random() < 0.8 else "buffered"
        before = self.workload.acknowledged()
        self.workload.run(self.rng.choice([10, 100, 600]), level, self.launcher)
        acknowledged = self.workload.acknowledged() - before
        self.counts["acknowledged"] += acknowledged
        self.counts["rounds with durable rows"] += acknowledged > 0
        self.cut()

    def recover_and_cut(self):
        """Recovery that is cut itself: it may fail, it may not break anything."""
        self.inject_faults()
        self.fs("stop", self.rng.randrange(30))
        done = subprocess.run([*self.launcher, *self.workload.verify_command(), "--recover"], capture_output=True, check=False)
        # Cut short it can only say that the disk failed; a verdict about the rows counts all the same.
        if done.returncode in (EXIT_CORRUPTION, EXIT_NOT_FOUND):
            raise Failed(f"exit {done.returncode} within recovery\n{done.stdout.decode()}\n{done.stderr.decode()}")
        if done.returncode not in (EXIT_OK, EXIT_IO):
            raise Broken(f"recovery on a disk that stops exits {done.returncode}: {done.stderr.decode()}")
        self.cut()
        self.counts["in recovery"] += 1

    def round(self, number):
        if number % ROUNDS_PER_STORE == 0 or self.launcher:
            self.fresh_store()
        self.work()
        while self.rng.random() < 0.4:
            self.recover_and_cut()
        report = self.workload.judge(again=self.rng.random() < 0.3)
        self.counts["rows"] += report["rows"]
        self.counts["in flight"] += report["in_flight"]

    def told(self):
        return ", ".join(f"{number} {what}" for what, number in self.counts.items())


def main():
    arguments = arguments_of(__doc__)
    arguments.add_argument("--cuts", type=int, default=500)
    options = arguments.parse_args()
    need(options.fault_fs)
    print(f"seed {options.seed} (VECTOLITH_SEED repeats the choices)", flush=True)
    clock = Clock()
    with WorkingDirectory(options.keep) as root, FaultFs(options.fault_fs, root) as fs:
        campaign = Campaign(options, fs, root)
        rounds = 0
        # The control needs enough rounds in which there was something to lose.
        while campaign.counts["cuts"] < options.cuts or (
                options.no_sync and campaign.counts["rounds with durable rows"] < 12):
            try:
                campaign.round(rounds)
            except (Failed, Broken) as failure:
                campaign.counts["caught"] += 1
                if not options.no_sync or isinstance(failure, Broken):
                    print(f"FAILED in round {rounds}: {campaign.workload.describe()}\n{failure}")
                    campaign.workload.keep_store(root)
                    raise
            rounds += 1
    cuts, caught = campaign.counts["cuts"], campaign.counts["caught"]
    print(f"{rounds} rounds: {campaign.told()}; {clock.rate(cuts)}", flush=True)
    could = campaign.counts["rounds with durable rows"]
    if options.no_sync and caught * 4 < could:
        print(f"FAILED: a store whose syncs do nothing was caught in {caught} of {could} rounds only: the check is blind")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
