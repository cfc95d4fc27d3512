"""Draws docs/architecture.svg and docs/architecture.png (needs matplotlib: the extra ``plot``).

    python docs/draw_architecture.py

The two files are in the repository; run this after a change here.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Line

# Fill and edge of the boxes.
DATA = ("#eef0f3", "#7d8794")
PAPER = ("#dcebfa", "#2f6fb3")
OURS = ("#fdebd3", "#c9751a")
OUTPUT = ("#dff3e2", "#3b8f4d")
INK = "#1d2733"
LINE = "#55606c"

WIDTH, HEIGHT = 184, 106
INCH = 0.085  # of one unit


class Box(NamedTuple):
    """A box: center, size, colors, texts, and whether there is one for each modality."""

    x: float
    y: float
    width: float
    height: float
    color: tuple[str, str]
    title: str
    text: str = ""
    stacked: bool = False

    def at(self, side: str, shift: float = 0.0) -> tuple[float, float]:
        """The middle of a side, moved along it by ``shift``; of the whole stack at the right."""
        depth = 1.6 if self.stacked else 0.0
        return {
            "left": (self.x - self.width / 2, self.y + shift),
            "right": (self.x + self.width / 2 + depth, self.y + shift),
            "top": (self.x + shift, self.y + self.height / 2 + depth),
            "bottom": (self.x + shift, self.y - self.height / 2),
        }[side]


INTERACTIONS = Box(15, 92, 25, 14, DATA, "Interactions", "training part only,\n[U, N]")
IDS = Box(15, 71, 25, 12, PAPER, "ID embedding", "$E$  [N, D]")
FEATURES = Box(
    15,
    48,
    25,
    17,
    DATA,
    "Features",
    "$X_m$  [N, F]: image,\ntext, ...; an item\nmay lack one",
    True,
)
GRAPH = Box(
    53, 92, 37, 14, PAPER, "Item graph  $A_m$",
    "co-occurrence $\\times$ affinity,\nH neighbors an item", True,
)  # fmt: skip
CONV = Box(
    53, 71, 37, 14, PAPER, "Graph convolution",
    "$E_m = A_m E$  by default,\nor any MessagePassing", True,
)  # fmt: skip
CENTERS = Box(53, 48, 37, 14, PAPER, "Interest centers", "k-means on $X_m$,\nK centers", True)
LEARNED = Box(
    53, 22, 37, 19, OURS, "Learned graph  $S_m$",
    "ridge: co-occurrence + affinity;\nin training each user votes over\na graph without that user",
    True,
)  # fmt: skip
TRANSFORMER = Box(
    98, 71, 34, 18, PAPER, "Interest Transformer",
    "queries, keys: centers\nvalues: rows of $E_m$\nresult: user vectors $h_m$", True,
)  # fmt: skip
HISTORY = Box(98, 48, 28, 12, DATA, "History of a user", "newest item last")
VOTES = Box(
    98, 22, 34, 19, OURS, "Votes",
    "$v_m = \\Sigma_i \\; \\alpha_{m,d(i)} \\, S_m[i, j]$\n$t_m = \\mathrm{max}_i \\; S_m[i, j]$\n"
    "$i$ in the history", True,
)  # fmt: skip
FUSION = Box(
    140, 71, 35, 14, PAPER, "Fusion", "Gumbel-softmax gate weighs\nthe modalities:  $h_u$,  $e_j$"
)
SCORES = Box(
    137, 48, 29, 18, OUTPUT, "Scores of all items",
    "$s_{votes}  +  \\beta \\, h_u^{\\top} e_j$\nseen items: history\nbias $\\gamma$",
)  # fmt: skip
VOTE_FUSION = Box(
    140, 22, 35, 17, OURS, "Vote fusion",
    "all $v_m$, $t_m$ of a candidate:\ntheir sum + a small network;\nno IDs: nothing to memorize",
)  # fmt: skip
RESULT = Box(170, 48, 25, 18, OUTPUT, "Top k", "raw ids, and why:\nmodality, interest,\nvoters")

BOXES = [
    INTERACTIONS, IDS, FEATURES, GRAPH, CONV, CENTERS, LEARNED, TRANSFORMER, HISTORY, VOTES,
    FUSION, SCORES, VOTE_FUSION, RESULT,
]  # fmt: skip

X_FEATURES, X_CENTERS = 31.5, 77  # where their lines run up and down
ARROWS = [
    [INTERACTIONS.at("right", 2), GRAPH.at("left", 2)],
    [INTERACTIONS.at("left"), (-0.5, 92), (-0.5, 17), LEARNED.at("left", -5)],
    [IDS.at("right"), CONV.at("left")],
    [FEATURES.at("right"), CENTERS.at("left")],
    [(X_FEATURES, 48), (X_FEATURES, 89), GRAPH.at("left", -3)],
    [FEATURES.at("bottom"), (15, 24), LEARNED.at("left", 2)],
    [GRAPH.at("bottom"), CONV.at("top")],
    [CONV.at("right", 2), TRANSFORMER.at("left", 2)],
    [CENTERS.at("right"), (X_CENTERS, 48), (X_CENTERS, 67), TRANSFORMER.at("left", -4)],
    [LEARNED.at("right"), VOTES.at("left")],
    [HISTORY.at("top"), TRANSFORMER.at("bottom")],
    [HISTORY.at("bottom"), VOTES.at("top")],
    [TRANSFORMER.at("right"), FUSION.at("left")],
    [VOTES.at("right"), VOTE_FUSION.at("left")],
    [FUSION.at("bottom", -3), SCORES.at("top")],
    [VOTE_FUSION.at("top", -3), SCORES.at("bottom")],
    [SCORES.at("right"), RESULT.at("left")],
]
JOINTS = [(X_FEATURES, 48)]


def draw_box(axes: Axes, box: Box) -> None:
    """A box, with two more behind it where there is one for each modality."""
    fill, edge = box.color
    for k in (2, 1, 0) if box.stacked else (0,):
        corner = (box.x - box.width / 2 + 0.8 * k, box.y - box.height / 2 + 0.8 * k)
        style = "round,pad=0,rounding_size=1.6"
        axes.add_patch(
            FancyBboxPatch(
                corner, box.width, box.height, boxstyle=style, fc=fill, ec=edge, lw=1.3,
                zorder=3 - k / 3,
            )
        )  # fmt: skip
    lines = box.text.count("\n") + 1
    title = box.y + 0.6 + 1.5 * lines
    common: dict[str, Any] = {"ha": "center", "color": INK, "zorder": 4}
    axes.text(box.x, title, box.title, va="center", size=11.5, weight="bold", **common)
    axes.text(box.x, title - 2.4, box.text, va="top", size=9.8, linespacing=1.35, **common)


def draw_legend(axes: Axes) -> None:
    """What the colors and the stacks mean."""
    entries = [
        (DATA, "data", False),
        (PAPER, "the paper's", False),
        (OURS, "ours (like the history bias)", False),
        (("#ffffff", LINE), "one for each modality m", True),
    ]
    x = 3.0
    for color, text, stacked in entries:
        for k in (2, 1, 0) if stacked else (0,):
            axes.add_patch(
                FancyBboxPatch(
                    (x + 0.6 * k, 1.6 + 0.6 * k), 4, 2.6, boxstyle="round,pad=0,rounding_size=0.6",
                    fc=color[0], ec=color[1], lw=1.2, zorder=3 - k / 3,
                )
            )  # fmt: skip
        axes.text(x + 6.4, 2.9, text, va="center", size=10.5, color=INK)
        x += 14 + 1.2 * len(text)


def draw() -> Figure:
    """The whole figure."""
    figure, axes = plt.subplots(figsize=(WIDTH * INCH, HEIGHT * INCH))
    axes.set(xlim=(-2, WIDTH), ylim=(0, HEIGHT - 3))
    axes.set_aspect("equal")
    axes.axis("off")
    for points in ARROWS:
        axes.add_patch(
            FancyArrowPatch(
                path=Line(points), arrowstyle="-|>,head_length=5,head_width=3", lw=1.4,
                color=LINE, joinstyle="round", zorder=1,
            )
        )  # fmt: skip
    for x, y in JOINTS:
        axes.plot(x, y, "o", color=LINE, markersize=4.5, zorder=2)
    for box in BOXES:
        draw_box(axes, box)
    draw_legend(axes)
    return figure


def main() -> None:
    """Writes both files."""
    parser = argparse.ArgumentParser(description="Draw the architecture.")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent)
    folder = parser.parse_args().folder
    # Text as paths, the same in every viewer; no date and no random ids, the same file each time.
    matplotlib.rcParams.update({"svg.fonttype": "path", "svg.hashsalt": "mdsrec_pyg"})
    figure = draw()
    options: dict[str, Any] = {"bbox_inches": "tight", "pad_inches": 0.05, "facecolor": "white"}
    figure.savefig(folder / "architecture.svg", metadata={"Date": None}, **options)
    figure.savefig(folder / "architecture.png", dpi=110, **options)
    plt.close(figure)


if __name__ == "__main__":
    main()
