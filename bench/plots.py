# SPDX-License-Identifier: Apache-2.0
"""The results as SVG."""

import importlib.util

from servers import CONTENDERS, OURS_NAME

COLORS = {c.name: color for c, color in zip(CONTENDERS, [
    "#1f5fa8", "#7fb0e0", "#b03a2e", "#e59866", "#7d8c1f", "#8e6bbf", "#9a9a9a",
    "#6b6b6b", "#9a9a9a"])}


def pyplot():
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "bench"   # the same data, the same file
    matplotlib.rcParams["font.size"] = 9
    from matplotlib import pyplot
    return pyplot


def bars(axes, rounds, figure, label):
    names = [n for n in rounds.figures if rounds.median(n, figure) is not None][::-1]
    values = [rounds.median(n, figure) for n in names]
    axes.barh(names, values, color=[COLORS[n] for n in names])
    for at, value in enumerate(values):
        axes.text(value, at, f" {value:,.0f}" if value >= 100 else f" {value:.1f}",
                  va="center")
    axes.set_xlim(0, max(values) * 1.2)
    axes.set_xlabel(label)
    axes.spines[["top", "right"]].set_visible(False)


def grid(path, panels):
    """One picture of panels (title, rounds, figure, label), two a row."""
    plt = pyplot()
    rows = (len(panels) + 1) // 2
    figure, axes = plt.subplots(rows, 2, figsize=(10, 2.5 * rows), squeeze=False)
    for place, panel in zip(axes.flat, panels):
        title, rounds, what, label = panel
        bars(place, rounds, what, label)
        place.set_title(title, fontsize=10, loc="left")
    for place in list(axes.flat)[len(panels):]:
        place.axis("off")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def concurrency(path, results):
    """Rate over the number of connections, for the trivial application."""
    points = {int(work.name.split("=")[1]): rounds for work, rounds in results
              if work.name.startswith("trivial, c=")}
    if len(points) < 2:
        return False
    plt = pyplot()
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.5))
    for place, what, label in zip(axes, ["rate", "p99"], ["requests/s", "p99 ms"]):
        for name in next(iter(points.values())).figures:
            line = [(c, points[c].median(name, what)) for c in sorted(points)]
            line = [(c, v) for c, v in line if v is not None]
            place.plot(*zip(*line), marker="o", label=name, color=COLORS[name],
                       linewidth=2.5 if name == OURS_NAME else 1.2)
        place.set_xscale("log", base=2)
        place.set_xticks(sorted(points), sorted(points))
        place.set_xlabel("connections")
        place.set_title(label, fontsize=10, loc="left")
        place.spines[["top", "right"]].set_visible(False)
    axes[1].set_yscale("log")
    axes[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return True


def draw(directory, results):
    """Returns [(file name, alternative text)]; none without matplotlib."""
    drawn = []
    if not importlib.util.find_spec("matplotlib"):
        print("bench: no plots without matplotlib: sh tools/deps.sh bench", flush=True)
        return drawn
    if concurrency(directory / "concurrency.svg", results):
        drawn.append(("concurrency.svg", "trivial application by connections"))
    others = [(w, r) for w, r in results if not w.name.startswith("trivial, c=")]
    rates = [(w.name, r, "rate", w.unit) for w, r in others]
    tails = [(w.name, r, "p99", "p99 ms") for w, r in others if w.unit == "requests/s"]
    for name, panels, text in [("rates.svg", rates, "rates"),
                               ("tails.svg", tails, "99th percentiles")]:
        if panels:
            grid(directory / name, panels)
            drawn.append((name, text))
    return drawn
