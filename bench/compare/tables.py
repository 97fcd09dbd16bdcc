"""Writes the comparison as Markdown."""

import statistics

from figures import FIGURES, SECTIONS, Results, ratio


def number(value):
    """Three digits that count."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def factor(value):
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def times(values):
    if values is None:
        return "–"
    middle, least, most = values
    return factor(middle) if least == most else f"{factor(middle)} ({factor(least)}–{factor(most)})"


def with_spread(cell):
    least, most = cell.spread
    return number(cell.median) if least == most else f"{number(cell.median)} ({number(least)}–{number(most)})"


def row(*cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def head(document):
    machine, run = document["machine"], document["run"]
    system, device = machine["file_system"], machine["block_device"]
    yield f"# {run['mode']} comparison, {run['started']}"
    yield ""
    yield (f"{machine['processor']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB; "
           f"{machine['kernel']}; {system['type']} on {system['device']}"
           + (f" (read-ahead {device['read_ahead_kb']} KiB)" if "read_ahead_kb" in device else "")
           + f"; commit {run['commit']}; {run['rounds']} rounds, each workload for every store in turn; "
           f"load average {run['load_average'][0]:.1f} at the start, {run['load_average'][1]:.1f} at the end. "
           f"Caches dropped: {run['caches_dropped']}. Memory limited by: {run['memory_limited_by']}.")
    yield ""
    yield "Median (least–most) over the rounds. *Times raw* and *times best peer* tell how many times as good: more is better."
    for note in document["notes"]:
        yield f"- **{note}**"
    yield ""


def overview(results):
    yield row("", "unit", "Vectolith", "raw", "best peer", "times raw", "times best peer")
    yield row(*["---"] * 7)
    for figure in FIGURES:
        cells = results.cells(figure)
        own, peer = results.own_cell(cells), results.best_peer(cells)
        raw = results.best_limit(cells) if figure.has_limit else None
        if not own:
            continue
        yield row(f"{figure.section}: {figure.title}", figure.unit, with_spread(own),
                  with_spread(raw) if raw else "–",
                  f"{with_spread(peer)} {results.stores[peer.store]['title']}" if peer else "–",
                  times(ratio(figure, own, raw)) if raw else "–", times(ratio(figure, own, peer)) if peer else "–")


def details(results, figure):
    cells = results.cells(figure)
    if not any(cell.by_round for cell in cells):
        reasons = sorted({cell.lack for cell in cells if cell.lack})
        if reasons:
            yield from ("", f"**{figure.title}**: nothing was measured: {'; '.join(reasons)}.")
        return
    with_latency = figure.percentiles and any(cell.latency_us for cell in cells)
    yield from ("", f"**{figure.title}**, {figure.unit}, {'more' if figure.more_is_better else 'less'} is better", "")
    columns = ["store", "median (spread)", "times raw"]
    columns += ["p50 µs", "p99 µs", "p99.9 µs"] if with_latency else []
    yield row(*columns)
    yield row(*["---"] * len(columns))
    for cell in cells:
        title = results.stores[cell.store]["title"]
        if not cell.by_round:
            yield row(title, cell.lack, *[""] * (len(columns) - 2))
            continue
        line = [f"**{title}**" if cell.store == results.own else title, with_spread(cell), times(cell.against_raw)]
        if with_latency:
            line += [number(cell.latency_us[n]) if n in cell.latency_us else "–" for n in ("p50_us", "p99_us", "p999_us")]
        yield row(*line)


def residency(results):
    """What the cold rows rest on: were the metas in memory?"""
    for workload in ("cold_get", "cold_multi_get_100", "cold_multi_get_100_cold_metas", "limited_cold_get",
                     "limited_cold_multi_get_100"):
        for name, when in (("metas_resident_before", "before"), ("metas_resident", "after")):
            shares = [s["figures"][name] for s in results.samples
                      if s["workload"] == workload and name in s.get("figures", {})]
            if shares:
                yield f"- {workload}: share of the metas of Vectolith in memory {when} the reads: {statistics.median(shares):.2f}"


def stores(document):
    yield from ("## The stores", "", row("store", "version", "settings"), row("---", "---", "---"))
    for store in document["stores"]:
        copies = "" if store["zero_copy"] else "; get copies"
        yield row(store["title"], store["version"], store["settings"] + copies)
    for reason in document["left_out"].values():
        yield f"\n**left out**: {reason}"


def markdown(document):
    yield from head(document)
    for dim, rows in document["run"]["rows_by_dim"].items():
        results = Results(document, int(dim))
        yield from (f"## {rows:,} vectors of {dim} f32", "")
        yield from overview(results)
        for section, title in SECTIONS.items():
            yield from ("", f"### {title}, {dim}-d")
            for figure in (f for f in FIGURES if f.section == section):
                yield from details(results, figure)
            if section == "limited":
                yield from ("", *residency(results))
        yield ""
    yield from stores(document)
