#!/usr/bin/env python3
"""plot.py RESULTS.json FOLDER: roofline, growth, threads and ratios of a run as PNG files.

Needs matplotlib (bench/peers/install.sh, or Debian's python3-matplotlib).
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import NullFormatter

LAYOUTS = {"channels_first": "channels first", "channels_last": "channels last"}
OPERATIONS = ("forward", "backward", "inference")
# Okabe and Ito's colours, which most eyes can tell apart, and some more.
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]
COLOURS += ["#7f7f7f", "#8c564b", "#bcbd22", "#9467bd", "#17becf"]


def work_of(m):
    return m["operation"] + ("+add" if m["add"] else "") + ("+relu" if m["relu"] else "")


def title_of(candidate):
    if candidate["who"] == "evenkeel":
        return "evenkeel"
    how = "" if candidate["how"] in LAYOUTS.values() else " " + candidate["how"]
    return f"{candidate['who']} {candidate['version']}{how}"


def in_layout(m, layout):
    return [c for c in m["candidates"] if c["layout"] == layout]


def bandwidth(m, candidate):
    return m["least_traffic"] * m["bytes"] / candidate["min"] / 1e9


def panels(rows, columns, height=3.4):
    figure, axes = plt.subplots(
        rows, columns, figsize=(4.6 * columns, height * rows), squeeze=False, layout="constrained"
    )
    return figure, axes


def colours_of(measurements):
    """evenkeel first, then every peer, in one order for all plots."""
    names = ["evenkeel"]
    for m in measurements:
        for candidate in m["candidates"]:
            if title_of(candidate) not in names:
                names.append(title_of(candidate))
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}


def legend_of(figure, axes):
    handles = {}
    for axis in axes.flat:
        axis.xaxis.set_minor_formatter(NullFormatter())  # they overlap
        for handle, label in zip(*axis.get_legend_handles_labels()):
            handles.setdefault(label, handle)
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", frameon=False,
        ncols=max(1, int(figure.get_figwidth() / 2.8)),
    )


def last_cache(axis, cache):
    """Where input and output fill the last-level cache."""
    if cache > 0:
        axis.axvline(cache / 2, color="#bbbbbb", linewidth=1)


def roofline(results, folder):
    chosen = [m for m in results["batch_norm"] if m["relu"] and not m["add"]]
    if not chosen:
        return
    threads = max(m["threads"] for m in chosen)
    chosen = [m for m in chosen if m["threads"] == threads]
    colours = colours_of(chosen)
    operations = [o for o in OPERATIONS if any(m["operation"] == o for m in chosen)]
    figure, axes = panels(len(LAYOUTS), len(operations))
    for row, (layout, layout_title) in enumerate(LAYOUTS.items()):
        for column, operation in enumerate(operations):
            axis = axes[row][column]
            points = {}
            limit = []
            for m in chosen:
                if m["operation"] != operation:
                    continue
                limit.append((m["bytes"], 2 * m["bytes"] / m["copy"]["min"] / 1e9))
                for c in in_layout(m, layout):
                    points.setdefault(title_of(c), []).append((m["bytes"], bandwidth(m, c)))
            axis.plot(*zip(*sorted(limit)), color="black", linewidth=1, label="copy (the limit)")
            for name, values in points.items():
                own = name == "evenkeel"
                axis.scatter(
                    *zip(*values), s=22 if own else 12, color=colours[name], label=name,
                    zorder=3 if own else 2, alpha=0.9 if own else 0.6,
                )
            last_cache(axis, results["cache"])
            axis.set(xscale="log", yscale="log", title=f"{operation} + ReLU, {layout_title}")
            axis.set(xlabel="bytes of the activations", ylabel="GB/s of the least traffic")
            axis.grid(alpha=0.3)
    figure.suptitle(f"Batch norm and the bandwidth of memory, {threads} threads")
    legend_of(figure, axes)
    figure.savefig(folder / "roofline.png", dpi=130)
    plt.close(figure)


def growth(results, folder):
    if not results["growth"]:
        return
    colours = colours_of(results["growth"])
    columns = [(axis, operation) for operation in ("forward", "backward") for axis in "NCS"]
    figure, axes = panels(4, 3)
    for i, (letter, operation) in enumerate(columns):
        for j, (layout, layout_title) in enumerate(LAYOUTS.items()):
            axis = axes[2 * (i // 3) + j][i % 3]
            lines = {"copy": []}
            for m in results["growth"]:
                name, extent = m["shape"].split("=")
                if name != letter or m["operation"] != operation:
                    continue
                elements = m["bytes"] / 4
                lines["copy"].append((int(extent), m["copy"]["min"] / elements * 1e9))
                for c in in_layout(m, layout):
                    lines.setdefault(title_of(c), []).append(
                        (int(extent), c["min"] / elements * 1e9)
                    )
            for name, values in lines.items():
                own = name == "evenkeel"
                axis.plot(
                    *zip(*sorted(values)), label=name, color=colours.get(name, "black"),
                    linewidth=2 if own else 1, zorder=3 if own else 2,
                )
            axis.set(xscale="log", yscale="log", title=f"{operation} + ReLU, {layout_title}")
            axis.set(xlabel=letter, ylabel="ns per element")
            axis.grid(alpha=0.3)
    figure.suptitle("Time per element over N, C and S (the other two are 8, 8 and 4)")
    legend_of(figure, axes)
    figure.savefig(folder / "growth.png", dpi=130)
    plt.close(figure)


def threads(results, folder):
    measured = results["threads"]
    if not measured:
        return
    colours = colours_of(measured)
    shapes = list(dict.fromkeys(m["shape"] for m in measured))
    figure, axes = panels(2, 2 * len(shapes))
    for s, shape in enumerate(shapes):
        for o, operation in enumerate(("forward", "backward")):
            for row, (layout, layout_title) in enumerate(LAYOUTS.items()):
                axis = axes[row][2 * s + o]
                lines = {"copy (the limit)": []}
                for m in measured:
                    if m["shape"] != shape or m["operation"] != operation:
                        continue
                    copied = 2 * m["bytes"] / m["copy"]["min"] / 1e9
                    lines["copy (the limit)"].append((m["threads"], copied))
                    for c in in_layout(m, layout):
                        lines.setdefault(title_of(c), []).append((m["threads"], bandwidth(m, c)))
                for name, values in lines.items():
                    axis.plot(
                        *zip(*sorted(values)), marker="o", markersize=3, label=name,
                        color=colours.get(name, "black"), linewidth=2 if name == "evenkeel" else 1,
                    )
                axis.set(title=f"{m['n']} x {shape}, {operation}\n{layout_title}")
                axis.set(xlabel="threads", ylabel="GB/s of the least traffic", ylim=(0, None))
                axis.set_xticks(sorted({m["threads"] for m in measured}))
                axis.grid(alpha=0.3)
    figure.suptitle("Batch norm + ReLU and threads")
    legend_of(figure, axes)
    figure.savefig(folder / "threads.png", dpi=130)
    plt.close(figure)


def ratios(results, folder):
    chosen = [m for m in results["batch_norm"] if m["candidates"]]
    works = list(dict.fromkeys(work_of(m) for m in chosen))
    if not works:
        return
    figure, axes = panels(len(works), 2, height=2.6)
    for row, work in enumerate(works):
        for column, (layout, layout_title) in enumerate(LAYOUTS.items()):
            axis = axes[row][column]
            kinds = sorted({(m["n"], m["threads"]) for m in chosen}, reverse=True)
            for (batch, threads), marker in zip(kinds, "os^vDP"):
                points = [
                    (m["c"] * m["h"] * m["w"], m[layout]["ratio"])
                    for m in chosen
                    if work_of(m) == work and (m["n"], m["threads"]) == (batch, threads)
                    and m[layout]["ratio"] > 0
                ]
                if points:
                    label = f"batch {batch}, {threads} threads"
                    axis.scatter(*zip(*points), s=14, marker=marker, label=label)
            axis.axhline(1, color="black", linewidth=1)
            axis.set(xscale="log", title=f"{work}, {layout_title}")
            axis.set_yscale("log", base=2)
            axis.set(xlabel="elements of a sample", ylabel="best peer / evenkeel")
            axis.yaxis.set_major_formatter("{x:g}")
            axis.grid(alpha=0.3, which="both")
    figure.suptitle("How many times faster than the best peer of the layout")
    legend_of(figure, axes)
    figure.savefig(folder / "ratios.png", dpi=130)
    plt.close(figure)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    results = json.loads(Path(sys.argv[1]).read_text())
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for draw in (roofline, growth, threads, ratios):
        draw(results, folder)


if __name__ == "__main__":
    main()
