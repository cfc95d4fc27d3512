"""What a training run leaves behind: its history, its files, and the check on resuming it."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from mdsrec_pyg.io import atomic_write
from mdsrec_pyg.nn.models.base import Recommender
from mdsrec_pyg.nn.models.saving.folder import MODEL
from mdsrec_pyg.showing import json_text
from mdsrec_pyg.training.checkpoint import check_readable, load_checkpoint, save_checkpoint
from mdsrec_pyg.training.signature import first_difference

#: Settings that change how numbers are rounded, not what is computed.
ROUNDING = ("threads", "torch", "processor")


@dataclass
class History:
    """Course of a training run.

    Args:
        rows: One dictionary an epoch: ``epoch`` (from 1), ``loss`` (mean over the predicted
            positions), ``seconds`` (training and validation), with a scheduler ``lr`` (of the first
            parameter group in the last step) and, where the epoch was evaluated, ``exclude_seen``
            and the validation metrics.
        best_epoch: Epoch with the highest monitored metric; ``None`` before the first evaluation.
        best_value: That metric.
        interrupted: Whether Ctrl-C ended the run.
        stopped_by: Which callback stopped the run, and why; ``None`` if none did.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int | None = None
    best_value: float | None = None
    interrupted: bool = False
    stopped_by: str | None = None

    def __len__(self) -> int:
        """Number of finished epochs."""
        return len(self.rows)

    def to_frame(self) -> pd.DataFrame:
        """The rows as a table indexed by the epoch."""
        return pd.DataFrame(self.rows).set_index("epoch") if self.rows else pd.DataFrame()


class RunFiles:
    """The folder of a run: ``last.pt``, ``best.pt``, ``metrics.jsonl``, and ``model`` at its end.

    ``last.pt`` is the truth: it is written first, and a crash between the files is mended from it.

    Args:
        directory: The folder, created if missing.
    """

    def __init__(self, directory: str | PathLike[str]) -> None:
        self.directory = Path(directory)
        self.last = self.directory / "last.pt"
        self.best = self.directory / "best.pt"
        self.metrics = self.directory / "metrics.jsonl"
        self.model = self.directory / MODEL
        self.saved = 0  # epochs in last.pt

    def prepare(self) -> None:
        """Makes the folder for a new run; one that holds a run already is an error."""
        if self.last.exists() or self.best.exists():
            raise ValueError(
                f"'directory' {str(self.directory)!r} already holds a run: continue it with "
                "fit(..., resume=True), or give another directory"
            )
        self.directory.mkdir(parents=True, exist_ok=True)
        self.write_rows([])

    def load(self) -> dict[str, Any]:
        """The last checkpoint."""
        last = load_checkpoint(self.last)
        self.saved = last["epoch"]
        return last

    def mend(self, last: dict[str, Any]) -> dict[str, Any] | None:
        """Brings the other files in step with ``last.pt``; the weights of the best epoch."""
        epoch = last["best_epoch"]
        weights: dict[str, Any] | None = None
        if epoch is not None and epoch == last["epoch"]:
            weights = averaged(last)
            self.save_best(last)
        elif epoch is not None:
            best = load_checkpoint(self.best)
            if best["epoch"] != epoch:
                raise ValueError(
                    f"{str(self.best)!r} must hold epoch {epoch}, the best one according to "
                    f"'last.pt' (got epoch {best['epoch']})"
                )
            weights = best["model"]
        self.write_rows(last["rows"])
        return weights

    def save(self, state: dict[str, Any]) -> None:
        """Writes the checkpoint of an epoch and appends its row.

        Ctrl-C meanwhile takes effect when all is written: the epoch is trained, and is kept.
        """
        self.check_states(state["scheduler"], state["callbacks"])
        try:
            self._write(state)
            with self.metrics.open("a", encoding="utf-8") as file:
                file.write(json_text(state["rows"][-1]) + "\n")
        except KeyboardInterrupt:
            self._write(state)
            self.write_rows(state["rows"])
            raise

    def _write(self, state: dict[str, Any]) -> None:
        save_checkpoint(self.last, state)
        self.saved = state["epoch"]
        if state["best_epoch"] == state["epoch"]:
            self.save_best(state)

    @staticmethod
    def check_states(scheduler: Any, callbacks: Any) -> None:
        """Raises a ValueError where one of the caller's own could not be read again."""
        check_readable("scheduler", scheduler)
        check_readable("callbacks", callbacks)

    def save_best(self, state: dict[str, Any]) -> None:
        """Writes the weights with what belongs to them; the optimizer is not needed again."""
        keys = ("epoch", "best_value", "settings", "built_from")
        content = {"model": averaged(state), **{key: state[key] for key in keys}}
        save_checkpoint(self.best, content)

    def save_model(
        self, model: nn.Module, log: Callable[[str], None], growable: bool = False
    ) -> None:
        """Writes the model as one that stands alone; a reason why it cannot is logged.

        The weights are in ``best.pt`` already: a run must not fail at its end for want of a model
        that can be saved. A disk that is full is an error: the run can be continued.
        """
        if not isinstance(model, Recommender):
            log(f"{self.model} is not written: {type(model).__name__} is no Recommender")
            return
        try:
            model.save(self.model, growable=growable)
        except (NotImplementedError, ValueError) as error:
            log(f"{self.model} is not written: {error}")

    def write_rows(self, rows: Iterable[dict[str, Any]]) -> None:
        """Writes all rows of ``metrics.jsonl`` anew."""
        text = "".join(json_text(row) + "\n" for row in rows)
        with atomic_write(self.metrics) as temporary:
            Path(temporary).write_text(text, encoding="utf-8")


def averaged(state: dict[str, Any]) -> dict[str, Any]:
    """The weights that were validated: the model's, or in their place their average."""
    return {**state["model"], **state.get("average", {})}


def check_settings(
    saved: dict[str, Any],
    now: dict[str, Any],
    may_grow: tuple[str, ...] = (),
    goes_on: bool = True,
) -> None:
    """Raises an error that names the first setting in which a resumed run differs.

    Those that only change how numbers are rounded (:data:`ROUNDING`) may: a warning says which,
    where the run has not ended.

    Args:
        saved: Settings of the checkpoint.
        now: Settings of the trainer that resumes it.
        may_grow: Settings that may be larger than before, as they only say when to stop.
        goes_on: Whether an epoch is left to be trained.
    """
    other = [name for name in ROUNDING if name in now and saved.get(name) != now[name]]
    for name in now:
        if name in ROUNDING:
            continue
        before, after = saved.get(name), now[name]
        if before == after or (name in may_grow and before is not None and after > before):
            continue
        if isinstance(before, str) and isinstance(after, str):
            before, after = first_difference(before, after)
        rule = "must not be lowered" if name in may_grow else "must be as before"
        raise ValueError(f"to resume, {name!r} {rule} (it was {before!r}, got {after!r})")
    if other and goes_on:
        parts = [f"{name} was {saved.get(name)!r}, is {now[name]!r}" for name in other]
        warnings.warn(
            f"the run is resumed on another footing ({'; '.join(parts)}): it goes on, but its "
            "numbers are not those of a run without interruption, bit by bit",
            stacklevel=2,
        )


def fingerprint(*arrays: NDArray[Any] | None) -> str:
    """Short text that changes with the content of the arrays: SHA-256, its first 32 digits."""
    digest = hashlib.sha256()
    for array in arrays:
        if array is None:
            digest.update(b"none")
        else:
            digest.update(f"{array.dtype.str} {array.shape} ".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]
