"""What :func:`~mdsrec_pyg.inspection.plot_inspection` draws. Imports matplotlib."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.inspection.counts import user_lengths
from mdsrec_pyg.inspection.difference import ModalityDifference
from mdsrec_pyg.inspection.findings import Findings
from mdsrec_pyg.showing import showable

# The colors of the project's other pictures.
MAIN, SECOND, OTHERS, DARK = "#c9751a", "#2f6fb3", "#b3bac4", "#333333"
SMALL = 9
LONGEST = 24  # of a name in a picture
THOUSANDS = "{x:,.0f}"


def _panels(number: int, height: float = 3.4) -> tuple[Figure, list[Any]]:
    # A figure of its own, not pyplot's: no display, no global state.
    figure = Figure(figsize=(4.6 * number, height), layout="constrained")
    axes = list(figure.subplots(1, number, squeeze=False)[0])
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=SMALL)
    return figure, axes


def _label(name: str, longest: int = LONGEST) -> str:
    """A name that fits. What holds one is drawn without ``parse_math``: $ would start a formula."""
    return showable(name, longest)


def interactions_figure(inspection: Findings, interactions: Interactions) -> Figure:
    """Lengths, popularity, and time where it is known."""
    seconds = interactions.timestamp
    figure, axes = _panels(2 if seconds is None else 3)
    _lengths(axes[0], user_lengths(interactions))
    _popularity(axes[1], interactions.item_counts(), inspection.interactions.gini)
    if seconds is not None:
        _time(axes[2], seconds)
    found = inspection.interactions
    figure.suptitle(
        f"{_label(inspection.name, 60)}: {found.num_users:,} users, {found.num_items:,} items, "
        f"{found.num_interactions:,} interactions",
        fontsize=12,
        fontweight="bold",
        parse_math=False,
    )
    return figure


def _lengths(ax: Any, length: Any) -> None:
    most = int(length.max())
    if most <= 60:
        bins = np.arange(length.min() - 0.5, most + 1)
    else:
        bins = np.unique(np.geomspace(length.min(), most + 1, 40).astype(int)) - 0.5
        ax.set_xscale("log")
    ax.hist(length, bins=bins, color=OTHERS, edgecolor="white", lw=0.5)
    median = float(np.median(length))
    ax.axvline(median, color=MAIN, lw=1.5, label=f"median {median:g}")
    ax.legend(frameon=False, fontsize=SMALL)
    ax.set_xlabel("interactions a user", fontsize=SMALL)
    ax.yaxis.set_major_formatter(THOUSANDS)
    ax.set_ylabel("users", fontsize=SMALL)
    ax.set_title("Lengths", fontsize=11)


def _popularity(ax: Any, counts: Any, gini: float) -> None:
    """Lorenz curve from the most popular item down."""
    cumulated = np.concatenate([[0], np.cumsum(np.sort(counts)[::-1])]) / counts.sum()
    share = np.linspace(0, 1, len(cumulated))
    ax.plot([0, 1], [0, 1], color=OTHERS, lw=1, ls="--")
    ax.plot(share, cumulated, color=MAIN, lw=2)
    for part in (0.01, 0.1):
        height = float(np.interp(part, share, cumulated))
        ax.plot(part, height, "o", color=DARK, ms=4)
        ax.annotate(
            f"top {part:.0%}: {height:.0%}",
            (part, height),
            xytext=(9, -4),
            textcoords="offset points",
            fontsize=SMALL,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
    ax.set_xlabel("share of the items, popular first", fontsize=SMALL)
    ax.set_ylabel("share of the interactions", fontsize=SMALL)
    ax.set_title(f"Popularity (Gini {gini:.2f})", fontsize=11)


def _time(ax: Any, seconds: Any) -> None:
    days = seconds / 86_400
    first, last = np.floor(days.min()), np.floor(days.max())
    if last - first < 60:  # a bar a day, its date in the middle
        height, edges = np.histogram(days, bins=np.arange(first, last + 2))
        dates = np.unique(np.linspace(first, last, 4).round())
        ticks = dates + 0.5
    else:
        height, edges = np.histogram(days, bins=60)
        dates = ticks = np.linspace(first, last, 4).round()
    ax.bar(
        edges[:-1], height, np.diff(edges), align="edge", color=OTHERS, edgecolor="white", lw=0.5
    )
    ax.set_xticks(ticks, [str(np.datetime64(int(date), "D")) for date in dates])
    ax.tick_params(axis="x", labelsize=SMALL - 1)
    ax.yaxis.set_major_formatter(THOUSANDS)
    ax.set_ylabel("interactions", fontsize=SMALL)
    ax.set_title("Time (UTC)", fontsize=11)


def modalities_figure(inspection: Findings) -> Figure:
    """Coverage, hit rates, and what modalities have in common where there are two."""
    several = bool(inspection.differences)
    rows = max(len(inspection.features), len(inspection.differences))
    figure, axes = _panels(3 if several else 2, 1.8 + 0.8 * rows)
    _coverage(axes[0], inspection)
    _hit_rates(axes[1], inspection)
    if several:
        _common(axes[2], inspection)
    title = f"{_label(inspection.name, 60)}: modalities"
    figure.suptitle(title, fontsize=12, fontweight="bold", parse_math=False)
    return figure


def _names(ax: Any, names: list[str]) -> None:
    ax.set_yticks(range(len(names)), names, fontsize=SMALL, parse_math=False)
    ax.set_ylim(len(names) - 0.4, -0.6)  # the first on top


def _coverage(ax: Any, inspection: Findings) -> None:
    for place, found in enumerate(inspection.features.values()):
        for shift, value, color in (
            (-0.19, found.share_items, SECOND),
            (0.19, found.share_interactions, OTHERS),
        ):
            ax.barh(place + shift, value, 0.34, color=color)
            ax.text(value + 0.02, place + shift, f"{value:.0%}", va="center", fontsize=SMALL)
    _names(ax, [*map(_label, inspection.features)])
    ax.set_xlim(0, 1.18)
    ax.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    ax.set_xlabel("blue: share of items, gray: of training interactions", fontsize=SMALL)
    ax.set_title("Coverage", fontsize=11)


def _hit_rates(ax: Any, inspection: Findings) -> None:
    found = list(inspection.alignment.values())
    widest = max([1e-9, *(max(row.hit_rate, row.popularity, row.shuffled) for row in found)])
    for place, row in enumerate(found):
        for shift, label, value, color in (
            (-0.26, "features", row.hit_rate, MAIN),
            (0.0, "popularity", row.popularity, OTHERS),
            (0.26, "shuffled", row.shuffled, DARK),
        ):
            ax.barh(place + shift, value, 0.23, color=color)
            text = f"{value:.3f} {label}"
            ax.text(value + widest * 0.02, place + shift, text, va="center", fontsize=SMALL)
    _names(ax, [*map(_label, inspection.alignment)])
    ax.set_xlim(0, widest * 1.5)
    ax.locator_params(axis="x", nbins=5)
    k = found[0].k
    ax.set_xlabel(f"hit rate at {k}, last training item by the three before", fontsize=SMALL)
    ax.set_title("Aligned and useful?", fontsize=11)


def _common(ax: Any, inspection: Findings) -> None:
    names = []
    for place, found in enumerate(inspection.differences):
        names.append(f"{_label(found.first)}\n{_label(found.second)}")
        for shift, label, value, color in (
            (-0.26, "common neighbors", found.common_neighbors, MAIN),
            (0.0, "random neighbors", found.random, OTHERS),
            (0.26, "agreement of groups", max(found.agreement, 0.0), SECOND),
        ):
            ax.barh(place + shift, value, 0.23, color=color)
            ax.text(
                value + 0.02, place + shift, f"{value:.2f} {label}", va="center", fontsize=SMALL
            )
    _names(ax, names)
    ax.set_xlim(0, 1.5)
    ax.set_xticks([0, 0.5, 1])
    ax.set_xlabel("0: nothing in common, 1: the same", fontsize=SMALL)
    ax.set_title("Do they differ?", fontsize=11)


def pairs_figure(found: ModalityDifference) -> Figure:
    """Cosines of pairs of items in two modalities; the numbered ones are listed beside."""
    height = max(6.2, 0.6 + 0.56 * len(found.examples))  # room for three lines an example
    figure = Figure(figsize=(13, height), layout="constrained")
    ax, listing = figure.subplots(1, 2, width_ratios=[1, 1.25])
    x, y = found.cosine.T
    bins = ax.hexbin(x, y, gridsize=45, bins="log", mincnt=1, cmap="Greys", linewidths=0.2)
    bar = figure.colorbar(bins, ax=ax, shrink=0.6, pad=0.01)
    bar.set_label("pairs (random ones and neighbors)", fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL - 1)
    colors = {found.first: MAIN, found.second: SECOND}
    _mark(ax, found, colors)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=SMALL)
    ax.set_xlabel(f"cosine in {_label(found.first)}", fontsize=10, parse_math=False)
    ax.set_ylabel(f"cosine in {_label(found.second)}", fontsize=10, parse_math=False)
    _list(listing, found, colors)
    figure.suptitle(
        f"Where {_label(found.first)} and {_label(found.second)} disagree: "
        f"{found.common_neighbors:.1%} common neighbors of {found.num_neighbors} "
        f"(random {found.random:.1%}), agreement of groups {found.agreement:.2f}",
        fontsize=12,
        fontweight="bold",
        parse_math=False,
    )
    return figure


def _mark(ax: Any, found: ModalityDifference, colors: dict[str, str]) -> None:
    """A dot at each example, and its number beside it, numbers pushed apart."""
    if not found.examples:
        return
    true = np.array([[p.cosine[found.first], p.cosine[found.second]] for p in found.examples])
    low, high = np.array([ax.get_xlim(), ax.get_ylim()]).T
    place = (true - low) / (high - low)
    for _ in range(200):
        apart = place[:, None] - place[None]
        # The numbers' own offset keeps equal places from standing still.
        apart += 1e-3 * np.subtract.outer(np.arange(len(place)), np.arange(len(place)))[..., None]
        distance = np.linalg.norm(apart, axis=-1) + np.eye(len(place))
        push = np.where(distance < 0.05, 0.05 - distance, 0.0) / distance
        place += 0.3 * (push[..., None] * apart).sum(1)
    place = place * (high - low) + low
    for number, (pair, dot, text) in enumerate(zip(found.examples, true, place, strict=True), 1):
        color = colors[pair.alike_in]
        ax.plot(*np.transpose([dot, text]), color=color, lw=1)
        ax.plot(*dot, "o", ms=4, color=color)
        ax.plot(*text, "o", ms=13, color=color, mec="white", mew=0.8)
        ax.annotate(str(number), text, ha="center", va="center_baseline", fontsize=8, color="white")


def _list(ax: Any, found: ModalityDifference, colors: dict[str, str]) -> None:
    ax.set_axis_off()
    ax.set(xlim=(0, 1), ylim=(0, 1))
    if not found.examples:
        ax.text(0, 1, "No pair of items to show", fontsize=11, color=DARK, va="top")
    step = min(1 / (len(found.examples) + 1.2), 0.1)
    height, shown = 1.0, None
    for number, pair in enumerate(found.examples, 1):
        color = colors[pair.alike_in]
        if pair.alike_in != shown:
            height -= step * 0.2 if shown else 0
            shown = pair.alike_in
            title = f"Alike in {_label(shown)} only"
            ax.text(0, height, title, fontsize=11, color=color, va="top", parse_math=False)
            height -= step * 0.5
        cosines = ", ".join(f"{_label(name)} {value:.2f}" for name, value in pair.cosine.items())
        lines = [f"{number}. {cosines}"]
        for raw_id, text in zip(pair.raw_ids, pair.texts, strict=True):
            words = f"{showable(raw_id, 60)}  {showable(text)}"
            lines.append("    " + textwrap.shorten(words, 88, placeholder=" ..."))
        listed = "\n".join(lines)
        ax.text(0, height, listed, fontsize=8.5, va="top", color=DARK, parse_math=False)
        height -= step
