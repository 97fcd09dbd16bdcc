"""Which figures the comparison shows, and how samples of several rounds become medians, spreads and ratios."""

import dataclasses
import statistics


@dataclasses.dataclass(frozen=True)
class Figure:
    section: str
    workload: str
    title: str
    value: str = "per_s"  # The field of a sample.
    unit: str = "vectors/s"
    scale: float = 1.0  # From the field to the unit.
    more_is_better: bool = True
    percentiles: bool = False  # Shows p50, p99 and p99.9 beside it.
    has_limit: bool = True  # Raw shows how good it can be.
    others_workload: str = ""  # Stores to which the workload means nothing are shown with this one.


SECTIONS = {
    "load": "Load and space",
    "warm": "Warm reads",
    "cold": "Cold reads, caches dropped",
    "limited": "Cold reads, memory limited to a quarter of the data",
    "write": "Durable puts and mixed work",
    "overwrite": "Every row overwritten once, in another order",
    "open": "Open and drop",
}

MILLIONS = {"unit": "million vectors/s", "scale": 1e-6}
THOUSANDS = {"unit": "thousand vectors/s", "scale": 1e-3}
TIME = {"value": "ms", "unit": "ms", "more_is_better": False}
RAM = {"unit": "MB/million rows", "more_is_better": False, "has_limit": False}  # A MB/million rows is a byte a row.
PER_PAYLOAD = {"unit": "bytes/vector byte", "more_is_better": False}
PER_VECTOR = {"unit": "bytes/vector", "more_is_better": False}

FIGURES = [
    Figure("load", "load", "bulk load, durable at the end", **THOUSANDS),
    Figure("load", "load", "bulk load until settled for reads", "settled_per_s", **THOUSANDS),
    Figure("load", "load", "written by the process while loading", "write_amplification", **PER_PAYLOAD),
    Figure("load", "load", "written by the device while loading", "device_write_amplification", **PER_PAYLOAD),
    Figure("load", "load", "disk", "disk_bytes_per_row", **PER_VECTOR),
    Figure("load", "ram", "RAM after open", "open_bytes_per_row", **RAM),
    Figure("load", "ram", "RAM after every row was read", "warm_bytes_per_row", **RAM),

    Figure("warm", "get_uniform", "get and read, uniform", **MILLIONS, percentiles=True),
    Figure("warm", "get_uniform_2_threads", "get and read, uniform, 2 threads", **MILLIONS, percentiles=True),
    Figure("warm", "get_zipf", "get and read, Zipf 0.99", **MILLIONS, percentiles=True),
    Figure("warm", "get_zipf_2_threads", "get and read, Zipf 0.99, 2 threads", **MILLIONS, percentiles=True),
    Figure("warm", "get_copy_uniform", "get copied, uniform", **MILLIONS, percentiles=True),
    Figure("warm", "get_copy_zipf", "get copied, Zipf 0.99", **MILLIONS, percentiles=True),
    Figure("warm", "multi_get_100", "multi_get(100) copied, uniform", **MILLIONS, percentiles=True),
    Figure("warm", "scan", "scan with dot product", **MILLIONS),

    Figure("cold", "cold_get", "get and read", **THOUSANDS, percentiles=True),
    Figure("cold", "cold_get", "read from the device by gets", "read_amplification", **PER_PAYLOAD),
    Figure("cold", "cold_multi_get_100", "multi_get(100) copied", **THOUSANDS, percentiles=True),
    Figure("cold", "cold_multi_get_100", "read from the device by multi_get", "read_amplification", **PER_PAYLOAD),
    Figure("cold", "cold_multi_get_100_cold_metas", "multi_get(100) copied, metas cold too", **THOUSANDS,
           percentiles=True, others_workload="cold_multi_get_100"),
    Figure("cold", "cold_scan", "scan with dot product", **THOUSANDS),

    Figure("limited", "limited_cold_get", "get and read", **THOUSANDS, percentiles=True),
    Figure("limited", "limited_cold_multi_get_100", "multi_get(100) copied", **THOUSANDS, percentiles=True),

    Figure("write", "put_durable", "durable puts, 1 thread", unit="puts/s", percentiles=True),
    Figure("write", "put_durable_8_threads", "durable puts, 8 threads", unit="puts/s", percentiles=True),
    Figure("write", "put_durable", "written by the device, 1 thread", "device_write_amplification", **PER_PAYLOAD),
    Figure("write", "mixed_95_5", "95 gets, 5 buffered overwrites, Zipf 0.99", unit="million operations/s", scale=1e-6,
           percentiles=True),
    Figure("write", "get_beside_writer", "get and read beside a writer at full speed", **MILLIONS, percentiles=True),
    Figure("write", "get_beside_writer", "what that writer wrote meanwhile", "written_per_s", **THOUSANDS),

    Figure("overwrite", "overwrite", "overwrite, durable at the end", **THOUSANDS),
    Figure("overwrite", "overwrite", "disk before collection", "disk_bytes_per_row", **PER_VECTOR),
    Figure("overwrite", "overwrite", "collection of garbage", "compact_s", "s", more_is_better=False),
    Figure("overwrite", "overwrite", "disk after collection", "compacted_disk_bytes_per_row", **PER_VECTOR),
    Figure("overwrite", "overwrite", "written by the process in all", "write_amplification", **PER_PAYLOAD),
    Figure("overwrite", "overwrite", "written by the device in all", "device_write_amplification", **PER_PAYLOAD),

    Figure("open", "reopen", "open to first get", **TIME),
    Figure("open", "reopen_killed", "open to first get after kill -9", **TIME),
    Figure("open", "reopen_cold", "open to first get, caches dropped", **TIME),
    Figure("open", "drop", "drop of all rows", **TIME),
    Figure("open", "drop", "disk after the drop", "disk_bytes_per_row", **PER_VECTOR),
]


@dataclasses.dataclass
class Cell:
    """One figure of one store: the values of all rounds, and ratios to others, round by round."""

    store: str
    by_round: dict  # round -> value in the figure's unit
    latency_us: dict  # "p50_us" … -> median
    against_raw: tuple = None  # (median, least, most) of how many times as good
    lack: str = ""  # Why there are no values.

    @property
    def median(self):
        return statistics.median(self.by_round.values())

    @property
    def spread(self):
        return min(self.by_round.values()), max(self.by_round.values())


class Results:
    """All samples of one dim, asked for by figure."""

    def __init__(self, document, dim):
        self.stores = {store["name"]: store for store in document["stores"]}
        self.own = "vectolith"
        self.samples = [sample for sample in document["samples"] if sample["dim"] == dim]

    def is_limit(self, store):
        return self.stores[store]["limit"]

    def cells(self, figure):
        """The cells of a figure, best first, those without values last."""
        cells = [self._cell(figure, store) for store in self.stores]
        cells = [cell for cell in cells if cell.by_round or cell.lack]
        sign = -1 if figure.more_is_better else 1
        cells.sort(key=lambda cell: sign * cell.median if cell.by_round else float("inf"))
        raw = self.best_limit(cells) if figure.has_limit else None
        for cell in cells:
            if raw and cell is not raw:
                cell.against_raw = ratio(figure, cell, raw)
        return cells

    def best_peer(self, cells):
        """The best store that is neither ours nor a limit."""
        peers = (c for c in cells if c.by_round and c.store != self.own and not self.is_limit(c.store))
        return next(peers, None)

    def best_limit(self, cells):
        return next((c for c in cells if c.by_round and self.is_limit(c.store)), None)

    def own_cell(self, cells):
        return next((c for c in cells if c.store == self.own and c.by_round), None)

    def _samples(self, workload, store):
        return [s for s in self.samples if s["workload"] == workload and s["store"] == store]

    def _cell(self, figure, store):
        samples = self._samples(figure.workload, store)
        if figure.others_workload and not any("figures" in sample for sample in samples):
            samples = self._samples(figure.others_workload, store)
        values, latencies, lack = {}, {}, ""
        for sample in samples:
            lack = sample.get("failed") or sample.get("skipped") or lack
            figures = sample.get("figures", {})
            if figures.get(figure.value) is not None:
                values.setdefault(sample["round"], []).append(figures[figure.value] * figure.scale)
            for name in ("p50_us", "p99_us", "p999_us"):
                if name in figures:
                    latencies.setdefault(name, []).append(figures[name])
        if samples and not values and not lack and figure.value.startswith("compact"):
            lack = self.stores[store]["lacks"].get("compact", "")
        by_round = {number: statistics.mean(several) for number, several in values.items()}
        return Cell(store, by_round, {name: statistics.median(v) for name, v in latencies.items()}, lack=lack)


def ratio(figure, cell, other):
    """(median, least, most) of how many times as good `cell` is as `other`, round by round."""
    both = [(cell.by_round[n], other.by_round[n]) for n in cell.by_round.keys() & other.by_round.keys()]
    pairs = both if figure.more_is_better else [(b, a) for a, b in both]
    ratios = [a / b for a, b in pairs if min(a, b) > 0]
    return (statistics.median(ratios), min(ratios), max(ratios)) if ratios else None
