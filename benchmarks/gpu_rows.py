"""The rows of benchmarks/gpu_check.py: a figure, its unit, its goal, and how many there are."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

Row = dict[str, Any]


@dataclass(frozen=True)
class Scale:
    """How much is measured, and where.

    Args:
        device: Where.
        miniature: Tiny sizes that only show that everything runs.
        data: Folder of a data set for the steps' times; ``None``: a synthetic one.
    """

    device: str
    miniature: bool = False
    data: Path | None = None

    @property
    def cuda(self) -> bool:
        """Whether there is a GPU."""
        return torch.device(self.device).type == "cuda"


def figure(what: str, value: float | None, unit: str, goal: float | None = None) -> Row:
    """A row; ``goal`` is the most that the value may be, in users or texts a second the least."""
    value = None if value is None else float(f"{value:.4g}")
    return {"what": what, "value": value, "unit": unit, "goal": goal}


def judged(row: Row) -> str:
    """Whether a row meets its goal; empty where it has none."""
    if row.get("goal") is None or row.get("value") is None:
        return ""
    more_is_better = row["unit"].endswith("/s") or row["unit"] == "times faster"
    met = row["value"] >= row["goal"] if more_is_better else row["value"] <= row["goal"]
    return "met" if met else "missed"


def wait(scale: Scale) -> None:
    """Waits until the device has done what it was given."""
    if scale.cuda:
        torch.cuda.synchronize()


def seconds_of(call: Callable[[], object], scale: Scale) -> float:
    """Seconds of one call, to the end of what it gave the device to do."""
    wait(scale)
    start = time.perf_counter()
    call()
    wait(scale)
    return time.perf_counter() - start
