"""Kills `vectolith stress` with SIGKILL, again and again, and judges what the store holds after each kill.

Each round starts `stress` on the same store, with an ack pipe and an intent file, kills it after a number of
acknowledgements drawn at random, and then asks three judges: `fsck` of the store as the kill left it,
`stress --verify` (read-only or with recovery, drawn at random), and `fsck` again after a recovery. A store is
used for some rounds, so that crashes fall into recoveries of crashes, and then made anew.

usage: kill_stress.py PATH_OF_VECTOLITH [--rounds N] [--seed S] [--io auto|uring|sync] [--keep]
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

ROUNDS_PER_STORE = 10
VERSIONS_PER_ROUND = 1_000_000
SHAPES = [(level, threads) for level in ("buffered", "durable") for threads in (1, 4)]


class Store:
    """One store and what its runs have written: all acknowledgements and all intents."""

    def __init__(self, tool, io, rng, number, root):
        self.level, self.threads = SHAPES[number % len(SHAPES)]
        self.directory = root / f"store-{number}"
        self.directory.mkdir()
        self.acks, self.intents = self.directory / "acks", self.directory / "intents"
        self.path = str(self.directory / "store")
        self.seed, self.keys = rng.randrange(1 << 32), rng.choice([5, 100, 2000])
        self.dim = rng.choice([4, 64, 768])
        self.ratios = ["--erase-ratio", str(rng.choice([0, 0.1, 0.5])), "--replace-ratio", str(rng.choice([0.2, 1]))]
        self.common = [tool, "stress", self.path, "--seed", str(self.seed), "--keys", str(self.keys),
                       "--dim", str(self.dim), "--threads", str(self.threads), "--io", io]
        self.tool, self.rng, self.rounds = tool, rng, 0

    def describe(self):
        return (f"{self.directory}: level {self.level}, {self.threads} threads, seed {self.seed}, {self.keys} keys, "
                f"dim {self.dim}, {' '.join(self.ratios)}, {self.rounds} rounds")

    def run_and_kill(self):
        """Returns the number of acknowledgements of this round."""
        acks_wanted = self.rng.choice([0, 1, 10, 100, 1000, 5000])
        if self.level == "durable":
            acks_wanted = min(acks_wanted, 400)
        acks_wanted = self.rng.randint(0, acks_wanted)
        read_end, write_end = os.pipe()
        with open(self.intents, "ab") as intents, open(self.acks, "ab") as acks:
            process = subprocess.Popen(
                [*self.common, *self.ratios, "--level", self.level, "--ops", str(10**9),
                 "--first-version", str(self.rounds * VERSIONS_PER_ROUND),
                 "--ack-fd", str(write_end), "--intent-fd", str(intents.fileno())],
                pass_fds=[write_end, intents.fileno()], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            os.close(write_end)
            count = 0
            while count < acks_wanted * 24:
                block = os.read(read_end, 24 * 64)
                if not block:
                    break
                acks.write(block)
                count += len(block)
            died = process.poll()
            process.kill()
            # What was written to the pipe before the kill was acknowledged too.
            while block := os.read(read_end, 1 << 16):
                acks.write(block)
                count += len(block)
            os.close(read_end)
            _, errors = process.communicate()
        if died is not None or process.returncode != -9:
            raise AssertionError(f"stress ended by itself with {process.returncode}: {errors.decode()}")
        self.rounds += 1
        return count // 24

    def judge(self):
        if pathlib.Path(self.path, "STORE").exists():
            self.check([self.tool, "fsck", self.path, "--json"])
        verify = [*self.common, "--verify", "--ack-file", str(self.acks), "--intent-file", str(self.intents), "--json"]
        recover = self.rng.random() < 0.5
        report = json.loads(self.check(verify + (["--recover"] if recover else [])))
        if recover and pathlib.Path(self.path, "STORE").exists():
            self.check([self.tool, "fsck", self.path, "--json"])
            again = json.loads(self.check(verify))
            if again["exact"] != report["exact"] or again["rows"] != report["rows"]:
                raise AssertionError(f"a second look tells something else: {report} then {again}")
        return report

    def check(self, command):
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"exit {done.returncode} of {' '.join(command)}\n{done.stdout.decode()}\n{done.stderr.decode()}")
        return done.stdout


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("tool")
    arguments.add_argument("--rounds", type=int, default=50)
    arguments.add_argument("--seed", type=int, default=int(os.environ.get("VECTOLITH_SEED", random.randrange(1 << 32))))
    arguments.add_argument("--io", default=os.environ.get("VECTOLITH_IO", "auto"))
    arguments.add_argument("--keep", action="store_true", help="keep the directory")
    options = arguments.parse_args()
    print(f"seed {options.seed} (VECTOLITH_SEED repeats the choices; where a kill falls is the kernel's)", flush=True)

    tool = str(pathlib.Path(options.tool).resolve())
    rng = random.Random(options.seed)
    root = pathlib.Path(tempfile.mkdtemp(prefix="vectolith-kill-"))
    acknowledged = in_flight = rows = 0
    store = None
    for number in range(options.rounds):
        if number % ROUNDS_PER_STORE == 0:
            if store is not None and not options.keep:
                shutil.rmtree(store.directory)
            store = Store(tool, options.io, rng, number // ROUNDS_PER_STORE, root)
        try:
            acknowledged += store.run_and_kill()
            report = store.judge()
        except AssertionError as failure:
            print(f"round {number} FAILED; kept {store.describe()}\n{failure}")
            return 1
        in_flight += report["in_flight"]
        rows += report["rows"]
        if (number + 1) % 50 == 0:
            print(f"{number + 1} rounds: {acknowledged} acknowledged operations, {in_flight} in flight seen applied", flush=True)
    if not options.keep:
        shutil.rmtree(root)
    print(f"{options.rounds} kills, {acknowledged} acknowledged operations, {rows} rows looked at, none lost, fsck clean")
    return 0


if __name__ == "__main__":
    sys.exit(main())
