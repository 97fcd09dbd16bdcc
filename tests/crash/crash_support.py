"""What the campaigns on real file systems share: a mount namespace of their own, the fault file system, the judge.

Mounts are made in a private mount namespace and loop devices with autoclear, so that both vanish with the last
process of a campaign, however it ends.
"""

import argparse
import ctypes
import fcntl
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

EXIT_SKIPPED = 77
EXIT_OK, EXIT_NOT_FOUND, EXIT_CORRUPTION, EXIT_IO = 0, 2, 3, 4
VERSIONS_PER_ROUND = 1_000_000
CLONE_NEWNS = 0x00020000


class Failed(Exception):
    """The store broke a promise."""


class Broken(Exception):
    """The harness broke, or the tool crashed: a failure too, but never counted as a lie that was caught."""


def skip(reason):
    print(f"SKIPPED: {reason}", flush=True)
    sys.exit(EXIT_SKIPPED)


def need(fault_fs, loops=False, programs=()):
    """Ends the campaign with a loud skip where this machine cannot run it."""
    if os.geteuid() != 0:
        skip("needs root, to mount")
    if not pathlib.Path("/dev/fuse").exists():
        skip("there is no /dev/fuse")
    if not pathlib.Path(fault_fs).exists():
        skip(f"{fault_fs} was not built (libfuse3 is missing)")
    if loops and not pathlib.Path("/dev/loop-control").exists():
        skip("there are no loop devices")
    for program in programs:
        if shutil.which(program) is None:
            skip(f"{program} is not installed")
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        skip("a mount namespace is refused")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def arguments_of(description):
    arguments = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("tool", help="path of vectolith")
    arguments.add_argument("fault_fs", help="path of fault_fs")
    arguments.add_argument("--seed", type=int, default=int(os.environ.get("VECTOLITH_SEED", random.randrange(1 << 32))))
    arguments.add_argument("--io", default=os.environ.get("VECTOLITH_IO", "auto"))
    arguments.add_argument("--no-sync", help="path of no_sync: the negative control, whose violations must be caught")
    arguments.add_argument("--keep", action="store_true", help="keep the working directory")
    return arguments


class WorkingDirectory:
    """A directory that goes away at the end unless something failed; those of killed campaigns go at the start."""

    PREFIX = "vectolith-crash-"

    def __init__(self, keep):
        self.base = pathlib.Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir())
        for lock in self.base.glob(self.PREFIX + "*/lock"):
            with open(lock, "rb") as owner:
                try:
                    fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                shutil.rmtree(lock.parent, ignore_errors=True)
        self.path = pathlib.Path(tempfile.mkdtemp(prefix=self.PREFIX, dir=self.base))
        self.lock = open(self.path / "lock", "wb")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.keep = keep

    def __enter__(self):
        return self.path

    def __exit__(self, kind, *_):
        self.lock.close()
        if not self.keep and kind is None:
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            (self.path / "lock").unlink()
            print(f"kept {self.path}", flush=True)


class FaultFs:
    """A mounted fault_fs and its control channel."""

    def __init__(self, program, root, name="mnt"):
        self.mount, path = root / name, str(root / f"{name}.ctl")
        self.mount.mkdir(exist_ok=True)
        self.process = subprocess.Popen([program, str(self.mount), path], stdout=subprocess.PIPE)
        if self.process.stdout.readline() != b"ready\n":
            raise Broken("fault_fs does not start")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.answers = self.socket.makefile("r")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.process.stdout.close()

    def __call__(self, *words):
        self.socket.sendall((" ".join(str(word) for word in words) + "\n").encode())
        answer = self.answers.readline().rstrip("\n")
        if not answer.startswith("ok"):
            raise Broken(f"fault_fs answers {answer!r} to {words}")
        return answer[3:]

    def count(self):
        return {kind: int(number) for kind, number in (pair.split("=") for pair in self("count").split())}


class Workload:
    """`vectolith stress` on one store, with all acknowledgements and intents of all its runs."""

    def __init__(self, tool, store, logs, rng, io, segment_bytes=1 << 16, dims=(4, 64, 256, 768)):
        self.tool, self.store, self.rounds = tool, pathlib.Path(store), 0
        self.acks, self.intents = logs / "acks", logs / "intents"
        for file in (self.acks, self.intents):
            file.write_bytes(b"")
        self.threads = rng.choice([1, 1, 4])
        shape = ["--keys", rng.choice([5, 30, 200]), "--dim", rng.choice(dims), "--seed", rng.randrange(1 << 32)]
        self.common = [tool, "stress", str(store), "--threads", str(self.threads), "--io", io, *map(str, shape)]
        self.mix = ["--erase-ratio", str(rng.choice([0, 0.1, 0.5])), "--replace-ratio", str(rng.choice([0.2, 1])),
                    "--segment-bytes", str(segment_bytes)]

    def describe(self):
        return " ".join([*self.common, *self.mix]) + f", {self.rounds} runs"

    def run(self, ops, level="durable", launcher=(), allowed=(EXIT_OK, EXIT_IO), acks=None, intents=None):
        """Runs to the end or to the first error. Rows below kDurable are not recorded as acknowledged."""
        with open(intents or self.intents, "ab") as intent_file, open(acks or self.acks, "ab") as ack_file:
            command = [*launcher, *self.common, *self.mix, "--level", level, "--ops", str(ops),
                       "--first-version", str(self.rounds * VERSIONS_PER_ROUND), "--intent-fd", str(intent_file.fileno())]
            if level == "durable":
                command += ["--ack-fd", str(ack_file.fileno())]
            self.rounds += 1
            done = subprocess.run(command, capture_output=True, check=False,
                                  pass_fds=[intent_file.fileno(), ack_file.fileno()])
        if done.returncode not in allowed:
            kind = Failed if done.returncode == EXIT_CORRUPTION else Broken
            raise kind(f"stress exits {done.returncode}: {done.stderr.decode()}")
        return done.returncode

    def acknowledged(self):
        return self.acks.stat().st_size // 24

    def keep_store(self, root):
        """Copies the store off its mount, which ends with the campaign."""
        shutil.copytree(self.store, root / "failed-store", ignore=shutil.ignore_patterns("CONTROL"))

    def is_store(self):
        return (self.store / "STORE").exists()

    def check(self, command):
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode == EXIT_OK:
            return done.stdout
        told = f"exit {done.returncode} of {' '.join(map(str, command))}\n{done.stdout.decode()}\n{done.stderr.decode()}"
        judged = done.returncode in (EXIT_CORRUPTION, EXIT_NOT_FOUND)
        raise (Failed if judged else Broken)(told)

    def verify_command(self, acks=None, intents=None):
        return [*self.common, "--verify", "--ack-file", str(acks or self.acks), "--intent-file",
                str(intents or self.intents), "--json"]

    def judge(self, acks=None, intents=None, again=True):
        """fsck as the crash left the store; what recovery keeps against what was acknowledged; fsck again."""
        verify = self.verify_command(acks, intents)
        if self.is_store():
            self.check([self.tool, "fsck", str(self.store), "--json"])
        report = json.loads(self.check([*verify, "--recover"]))
        if again and self.is_store():
            self.check([self.tool, "fsck", str(self.store), "--json"])
        return report


class Clock:
    """Says how many states a second a campaign has done."""

    def __init__(self):
        self.start = time.monotonic()

    def rate(self, states):
        seconds = time.monotonic() - self.start
        return f"{seconds:.0f} s, {states / seconds:.1f} a second"
