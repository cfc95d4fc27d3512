"""The picture of a run shows its values, is the same each time, and leaves nothing half-written."""

from __future__ import annotations

import re
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from mdsrec_pyg.training.plots import plot_learning

ROWS: list[dict[str, Any]] = [
    {"epoch": 1, "loss": 5.0, "exclude_seen": False, "ndcg@10": 0.031, "mrr": 0.5},
    {"epoch": 2, "loss": 4.0},  # not evaluated
    {"epoch": 3, "loss": 3.0, "exclude_seen": False, "ndcg@10": 0.052, "mrr": 0.25},
    {"epoch": 4, "loss": 2.5, "exclude_seen": False, "ndcg@10": 0.047, "mrr": 0.125},
]


def drawn(path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[list[str], Any]:
    """All text of the picture, and the figure that was saved."""
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    figures: list[Figure] = []
    save = Figure.savefig

    def keep(self: Figure, *args: Any, **kwargs: Any) -> None:
        figures.append(self)
        save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", keep)
    assert plot_learning(ROWS, options.pop("baselines", {}), path, **options) == path
    (figure,) = figures
    texts = [text.get_text() for ax in figure.axes for text in [*ax.texts, ax.title]]
    return texts, figure


def lines(ax: Any) -> list[tuple[list[float], list[float]]]:
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines]


def test_curves_best_epoch_and_baselines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts, figure = drawn(
        tmp_path / "a.svg", monkeypatch, baselines={"popularity": 0.004, "EASE": 0.08}, start=0.02
    )
    loss, metric = figure.axes
    assert lines(loss) == [([1, 2, 3, 4], [5.0, 4.0, 3.0, 2.5])]
    curve, best, *baselines = lines(metric)
    assert curve == ([0, 1, 3, 4], [0.02, 0.031, 0.052, 0.047])
    assert best == ([3], [0.052])
    assert [height for _, height in baselines] == [[0.004, 0.004], [0.08, 0.08]]
    assert metric.get_ylim()[0] == 0
    assert metric.get_ylim()[1] > 0.08
    shown = {"best 0.0520", "before training 0.0200", "popularity 0.0040", "EASE 0.0800"}
    assert shown < set(texts)
    assert "Validation ndcg@10, seen items kept as candidates" in texts


def test_another_metric_and_no_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ROWS[-1], "exclude_seen", True)
    texts, figure = drawn(tmp_path / "a.png", monkeypatch, metric="mrr", title="costs $5 or $6")
    assert lines(figure.axes[1])[:2] == [([1, 3, 4], [0.5, 0.25, 0.125]), ([1], [0.5])]
    assert "Validation mrr, seen items masked" in texts
    assert not [text for text in texts if "before training" in text]
    assert figure.get_suptitle() == "costs $5 or $6"
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_names_of_others_are_drawn_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"$x^{$\n\x1b[2J\u6771": 0.02, "long" * 99: 0.03}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # letters that the font lacks
        texts, figure = drawn(tmp_path / "a.png", monkeypatch, baselines=names, title="$y^{$\x9b")
    assert "$x^{$\\n\\x1b[2J\u6771 0.0200" in texts
    assert figure.get_suptitle() == "$y^{$\\x9b"
    assert max(map(len, texts)) < 60


def test_the_same_file_each_time_and_no_other(tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    before = dict(matplotlib.rcParams)
    path = tmp_path / "learning.svg"
    plot_learning(ROWS, {r"no $\math$": 0.08}, path, start=0.02, title=r"no $\math$")
    first = path.read_bytes()
    plot_learning(ROWS, {r"no $\math$": 0.08}, path, start=0.02, title=r"no $\math$")
    assert path.read_bytes() == first
    assert re.search(rb"<svg ", first)
    assert dict(matplotlib.rcParams) == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_drawing_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    def fail(self: Figure, path: Path, **options: Any) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("no space left")

    path = tmp_path / "learning.svg"
    path.write_text("before")
    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="no space left"):
        plot_learning(ROWS, {}, path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'mdsrec_pyg\[plot\]'"):
        plot_learning(ROWS, {}, tmp_path / "learning.svg")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'path' must end in .svg or .png \(got '.*a.pdf'\)"):
        plot_learning(ROWS, {}, tmp_path / "a.pdf")
    with pytest.raises(ValueError, match=r"'rows' must hold 'recall@5' .* \(got 4 rows\)"):
        plot_learning(ROWS, {}, tmp_path / "a.svg", metric="recall@5")
    assert not list(tmp_path.iterdir())
