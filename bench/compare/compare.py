#!/usr/bin/env python3
"""Runs every workload for every store in turn, round after round, and writes JSON, Markdown and plots.

bench/compare.sh builds what this needs and calls it.
"""

import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import machine
import tables
from memory_limit import NoLimit, memory_limit

MIB = 1 << 20
DIMS = (384, 768, 1024, 1536, 3072)
# Below this the code of a store alone would fill the group.
LIMIT_MIN_BYTES = 64 * MIB
DATA_PER_LIMIT = 4
# Bytes on disk and in memory for each byte of vectors, for the most wasteful store.
DISK_PER_DATA, MEMORY_PER_DATA = 1.5, 2.8


@dataclasses.dataclass(frozen=True)
class Step:
    """Workloads that one process runs after the other."""

    group: str
    workloads: tuple
    memory: str = "warm"  # What a store may cache itself: "warm", "cold", "limited".
    changes: bool = False  # Leaves other rows than were loaded.


# A group is run for one store after the other; what the last groups leave of a store is removed.
STEPS = [
    Step("load", ("load",)),
    Step("warm", ("ram", "get_uniform", "get_uniform_2_threads", "get_zipf", "get_zipf_2_threads", "get_copy_uniform",
                  "get_copy_zipf", "multi_get_100", "scan")),
    Step("cold", ("cold_get",), "cold"),
    Step("cold", ("cold_multi_get_100",), "cold"),
    Step("cold", ("cold_multi_get_100_cold_metas",), "cold"),
    Step("cold", ("cold_scan",), "cold"),
    Step("limited", ("cold_get",), "limited"),
    Step("limited", ("cold_multi_get_100",), "limited"),
    Step("reopen", ("reopen",)),
    Step("reopen", ("reopen_cold",)),
    Step("reopen", ("reopen_killed",), changes=True),
    Step("put", ("put_durable",), changes=True),
    Step("put", ("put_durable_8_threads",), changes=True),
    Step("beside", ("get_beside_writer",), changes=True),
    Step("mixed", ("mixed_95_5",), changes=True),
    # From a fresh load, as all that was put before would count as garbage.
    Step("overwrite", ("load",)),
    Step("overwrite", ("overwrite",), changes=True),
    Step("overwrite", ("drop",), changes=True),
]
LAST_GROUPS = ("mixed", "overwrite")


@dataclasses.dataclass(frozen=True)
class Mode:
    rows: int
    rounds: int
    seconds: float
    cold_reads: int
    puts: int
    timeout_s: int
    left_out: tuple = ()


MODES = {
    "full": Mode(rows=1_000_000, rounds=3, seconds=2.0, cold_reads=20_000, puts=20_000, timeout_s=3600),
    "quick": Mode(rows=8_000, rounds=1, seconds=0.1, cold_reads=1_000, puts=300, timeout_s=120, left_out=("files",)),
    # Shows that everything runs, not how fast. An odd number of rows, for the ends of batches and pages.
    "smoke": Mode(rows=701, rounds=1, seconds=0.01, cold_reads=200, puts=40, timeout_s=120),
}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=pathlib.Path("build/release/bench/compare/vectolith_compare"))
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("build/compare"), help="for the results")
    parser.add_argument("--directory", type=pathlib.Path,
                        help="where the stores lie meanwhile, on the disk to measure; default: OUTPUT/stores")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="mode", action="store_const", const="quick", help="about a minute, small stores")
    size.add_argument("--smoke", dest="mode", action="store_const", const="smoke", help="seconds; figures mean nothing")
    parser.set_defaults(mode="full")
    parser.add_argument("--rows", type=int, help="vectors in each store")
    parser.add_argument("--dims", default="768", help=f"elements of a vector, one or more of {', '.join(map(str, DIMS))}")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of each timed loop")
    parser.add_argument("--stores", default="", help="names, divided by commas; default: all that were built")
    parser.add_argument("--groups", default="", help="of " + ", ".join(dict.fromkeys(step.group for step in STEPS)))
    return parser.parse_args()


def human(size):
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / MIB:.0f} MiB"


class Comparison:
    def __init__(self, arguments):
        self.arguments = arguments
        mode = MODES[arguments.mode]
        changed = {name: getattr(arguments, name) for name in ("rows", "rounds", "seconds") if getattr(arguments, name)}
        self.mode = dataclasses.replace(mode, **changed)
        self.dims = [int(dim) for dim in arguments.dims.split(",")]
        self.steps = [s for s in STEPS if not arguments.groups or s.group in arguments.groups.split(",")]
        self.output = arguments.output
        self.directory = arguments.directory or arguments.output / "stores"
        self.notes, self.samples, self.rows_by_dim = [], [], {}
        self.failures = 0
        self.system_caches = arguments.mode == "full" and os.access("/proc/sys/vm/drop_caches", os.W_OK)
        self.loaded = set()
        self.limited_by = "nothing"
        self._choose_stores()

    def note(self, text):
        """A remark that nobody may miss, here and in the results."""
        print(f"\n!!! {text}\n", flush=True)
        self.notes.append(text)

    def _choose_stores(self):
        if not self.arguments.program.exists():
            sys.exit(f"compare: there is no {self.arguments.program}; bench/compare.sh builds it")
        listed = json.loads(subprocess.check_output([self.arguments.program, "list"]))
        wanted = [name for name in self.arguments.stores.split(",") if name]
        unknown = set(wanted) - {store["name"] for store in listed["stores"]} - set(listed["left_out"])
        if unknown:
            sys.exit(f"compare: no store is called {', '.join(sorted(unknown))}")
        self.left_out = dict(listed["left_out"])
        self.stores = []
        for store in listed["stores"]:
            if wanted and store["name"] not in wanted:
                continue
            if store["obstacle"]:
                self.left_out[store["name"]] = f"{store['title']}: {store['obstacle']}"
            elif not wanted and store["name"] in self.mode.left_out:
                self.left_out[store["name"]] = f"{store['title']}: too slow for a {self.arguments.mode} run; ask by --stores"
            else:
                self.stores.append(store)
        for reason in self.left_out.values():
            self.note(f"left out: {reason}")

    def _fitting_rows(self, dim):
        """As many rows as disk and memory allow."""
        row_bytes = dim * 4
        free = shutil.disk_usage(self.directory).free
        # All stores stand at once; one of them grows to twice its size and more.
        by_disk = int(free * 0.9 / (DISK_PER_DATA * (len(self.stores) + 2) * row_bytes))
        by_memory = int(machine.memory_bytes("MemAvailable") / (MEMORY_PER_DATA * row_bytes))
        rows = min(self.mode.rows, by_disk, by_memory)
        if rows < self.mode.rows:
            what = f"disk has {human(free)} free" if by_disk < by_memory else (
                f"memory has {human(machine.memory_bytes('MemAvailable'))} free")
            rows = rows // 1000 * 1000 or rows
            self.note(f"{rows:,} rows instead of {self.mode.rows:,} at {dim}-d: the {what}")
        return rows

    def _memory_bytes(self, kind, data_bytes):
        return {"warm": 2 * data_bytes + 64 * MIB,
                "cold": max(64 * MIB, data_bytes // 8),
                # The other half is for the page cache, or for what the store keeps apart from its caches.
                "limited": data_bytes // DATA_PER_LIMIT // 2}[kind]

    def run(self):
        self.started = datetime.datetime.now().strftime("%Y-%m-%d %H:%M")
        self.load_before = os.getloadavg()[0]
        self.output.mkdir(parents=True, exist_ok=True)
        self.directory.mkdir(parents=True, exist_ok=True)
        begin = time.monotonic()
        for dim in self.dims:
            rows = self._fitting_rows(dim)
            self.rows_by_dim[dim] = rows
            for number in range(self.mode.rounds):
                self._run_round(dim, rows, number)
                write(self)  # What was measured is not lost with a later round.
            self.remove_all()
        print(f"\nmeasured in {(time.monotonic() - begin) / 60:.1f} min")

    def _run_round(self, dim, rows, number):
        order = self.stores[:]
        random.Random(number).shuffle(order)
        groups = list(dict.fromkeys(step.group for step in self.steps))
        for group in groups:
            for store in order:
                begin = time.monotonic()
                for step in (s for s in self.steps if s.group == group):
                    self._run_step(step, store, dim, rows, number)
                if group in LAST_GROUPS:
                    self._remove(store)
                print(f"  {dim}-d, round {number + 1} of {self.mode.rounds}, {group:9} {store['title']:15} "
                      f"{time.monotonic() - begin:6.1f} s", flush=True)
        for store in order:
            if store["name"] not in self.loaded:
                self._remove(store)

    def _run_step(self, step, store, dim, rows, number):
        key = {"dim": dim, "round": number, "store": store["name"]}
        if step.workloads == ("load",):
            self._remove(store)
        elif not self._directory(store).exists():
            self._run_program(STEPS[0], store, dim, rows, number, None)
        try:
            if step.memory != "limited":
                samples = self._run_program(step, store, dim, rows, number, None)
            elif reason := self._limit_obstacle(dim, rows):
                samples = [{"workload": name, "skipped": reason} for name in step.workloads]
            else:
                with memory_limit(dim * 4 * rows // DATA_PER_LIMIT) as group:
                    self.limited_by = f"{group}"
                    samples = self._run_program(step, store, dim, rows, number, group)
        except NoLimit as reason:
            samples = [{"workload": name, "skipped": f"no limit of memory: {reason}"} for name in step.workloads]
        for sample in samples:
            prefix = "limited_" if step.memory == "limited" else ""
            self.samples.append({**key, **sample, "workload": prefix + sample["workload"]})
        (self.loaded.discard if step.changes else self.loaded.add)(store["name"])

    def _limit_obstacle(self, dim, rows):
        if dim * 4 * rows >= DATA_PER_LIMIT * LIMIT_MIN_BYTES:
            return ""
        return f"the data are less than {DATA_PER_LIMIT} × {human(LIMIT_MIN_BYTES)}"

    def _run_program(self, step, store, dim, rows, number, group):
        """The samples of a step; what did not end well is a sample that says so."""
        command = [self.arguments.program, "run", "--store", store["name"], "--directory", self._directory(store),
                   "--rows", rows, "--dim", dim, "--seconds", self.mode.seconds, "--seed", number + 1,
                   "--cold-reads", self.mode.cold_reads, "--puts", self.mode.puts,
                   "--memory", self._memory_bytes(step.memory, dim * 4 * rows)]
        command += ["--cgroup", group] if group else []
        command += ["--system-caches"] if self.system_caches else []
        for workload in step.workloads:
            command += ["--workload", workload]
        if self.arguments.mode != "smoke":
            os.sync()  # Nobody pays for what another has left to be written.
        try:
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False,
                                  timeout=self.mode.timeout_s)
            output, code, said = done.stdout, done.returncode, done.stderr.strip()
        except subprocess.TimeoutExpired as expired:
            output, code, said = (expired.stdout or b"").decode(), -9, f"not done after {self.mode.timeout_s} s"
        samples = [json.loads(line) for line in output.splitlines()]
        if code == 0:
            return samples
        reason = said.splitlines()[-1] if said else f"ended by signal {-code}" + (" (memory?)" if group else "")
        self.failures += 1
        print(f"!!! {store['title']}, {step.group}: {reason}", flush=True)
        ended = {sample["workload"] for sample in samples}
        return samples + [{"workload": name, "failed": f"failed: {reason}"} for name in step.workloads if name not in ended]

    def _directory(self, store):
        return self.directory / store["name"]

    def _remove(self, store):
        shutil.rmtree(self._directory(store), ignore_errors=True)
        self.loaded.discard(store["name"])

    def remove_all(self):
        for store in self.stores:
            self._remove(store)

    def document(self):
        return {
            "machine": machine.describe(self.directory),
            "run": {"mode": self.arguments.mode, "started": self.started, "commit": commit(),
                    "rounds": self.mode.rounds, "seconds": self.mode.seconds, "cold_reads": self.mode.cold_reads,
                    "puts": self.mode.puts, "rows_by_dim": self.rows_by_dim, "command": sys.argv,
                    "caches_dropped": "of the machine" if self.system_caches else "of the store's files",
                    "memory_limited_by": self.limited_by,
                    "load_average": [self.load_before, os.getloadavg()[0]]},
            "stores": self.stores, "left_out": self.left_out, "notes": self.notes, "samples": self.samples,
        }


def commit():
    """What was built, as far as git knows it."""
    try:
        said = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True,
                              cwd=pathlib.Path(__file__).parent)
        return said.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def write(comparison):
    document = comparison.document()
    (comparison.output / "results.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    text = "\n".join(tables.markdown(document)) + "\n"
    (comparison.output / "results.md").write_text(text, encoding="utf-8")
    return document


def draw(comparison, document):
    try:
        import plots
        return [path.name for path in plots.draw(document, comparison.output)]
    except ImportError as error:
        comparison.note(f"no plots: {error}; install python3-matplotlib")
        return []


def main():
    comparison = Comparison(parse_arguments())
    try:
        comparison.run()
    finally:
        comparison.remove_all()
    document = write(comparison)
    files = ["results.json", "results.md", *draw(comparison, document)]
    print(f"written to {comparison.output}: {', '.join(files)}")
    if comparison.failures:
        sys.exit(f"compare: {comparison.failures} steps failed")


if __name__ == "__main__":
    main()
