"""Draws one picture for each section: a panel for each figure, a bar for each store, best on top."""

import math

import matplotlib

matplotlib.use("Agg")  # No display.
import matplotlib.pyplot as plt  # noqa: E402  (the backend comes first)

from figures import FIGURES, SECTIONS, Results  # noqa: E402
from tables import factor, number  # noqa: E402

OWN, LIMIT, PEER = "#c44e1c", "#9a9a9a", "#3f6f9f"
COLUMNS = 2
BAR_INCHES = 0.3
# Where the best is so many times the worst, a linear axis would hide most bars.
LOG_FROM = 50


def draw_panel(axes, results, figure, cells, bars):
    cells = [cell for cell in cells if cell.by_round][::-1]  # barh draws from below.
    medians = [cell.median for cell in cells]
    errors = [[m - cell.spread[0] for m, cell in zip(medians, cells)],
              [cell.spread[1] - m for m, cell in zip(medians, cells)]]
    colours = [OWN if c.store == results.own else LIMIT if results.is_limit(c.store) else PEER for c in cells]
    axes.barh(range(len(cells)), medians, xerr=errors, color=colours, height=0.72,
              error_kw={"ecolor": "#222222", "elinewidth": 0.8, "capsize": 2})
    positive = [m for m in medians if m > 0]
    logarithmic = bool(positive) and max(positive) > LOG_FROM * min(positive)
    if logarithmic:
        axes.set_xscale("log")
        axes.set_xlim(left=min(positive) / 2)
    for place, cell in enumerate(cells):
        ratio = "" if cell.against_raw is None else f"  {factor(cell.against_raw[0])}× raw"
        # A logarithmic axis has no place for 0.
        axes.annotate(f"{number(cell.median)}{ratio}", (max(cell.spread[1], axes.get_xlim()[0]), place), xytext=(4, 0),
                      textcoords="offset points", va="center", fontsize=7.5)
    axes.set_yticks(range(len(cells)), [results.stores[c.store]["title"] for c in cells], fontsize=8)
    axes.set_ylim(len(cells) - bars - 0.5, len(cells) - 0.5)  # Bars of one height in all panels.
    low, high = axes.get_xlim()
    axes.set_xlim(low, high * (high / low) ** 0.35 if logarithmic else high * 1.35)  # Room for the labels.
    axes.set_title(figure.title, fontsize=9.5, loc="left", fontweight="bold")
    better = "more is better" if figure.more_is_better else "less is better"
    axes.set_xlabel(f"{figure.unit} ({better}{', logarithmic' if logarithmic else ''})", fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def draw_section(results, section, subtitle, path):
    panels = []
    for figure in (f for f in FIGURES if f.section == section):
        cells = results.cells(figure)
        if any(cell.by_round for cell in cells):
            panels.append((figure, cells))
    if not panels:
        return False
    lines = math.ceil(len(panels) / COLUMNS)
    bars = max(sum(1 for c in cells if c.by_round) for _, cells in panels)
    picture, grid = plt.subplots(lines, COLUMNS, figsize=(12, lines * (1.0 + BAR_INCHES * bars) + 0.8),
                                 squeeze=False, layout="constrained")
    flat = list(grid.flat)
    for axes, (figure, cells) in zip(flat, panels):
        draw_panel(axes, results, figure, cells, bars)
    for axes in flat[len(panels):]:
        axes.set_visible(False)
    picture.suptitle(f"{SECTIONS[section]}\n{subtitle}", fontsize=11, x=0.01, ha="left")
    picture.savefig(path)
    plt.close(picture)
    return True


def draw(document, output):
    """Writes <section>-<dim>.svg into `output`; returns the paths."""
    machine, run = document["machine"], document["run"]
    paths = []
    for dim, rows in run["rows_by_dim"].items():
        results = Results(document, int(dim))
        subtitle = (f"{rows:,} vectors of {dim} f32; {machine['processor']}, {machine['cores']} cores, "
                    f"{machine['kernel']}, {machine['file_system']['type']}; median of {run['rounds']} rounds, "
                    f"whiskers: least and most; {run['started']}")
        for section in SECTIONS:
            path = output / f"{section}-{dim}.svg"
            if draw_section(results, section, subtitle, path):
                paths.append(path)
    return paths
