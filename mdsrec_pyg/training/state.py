"""State of a training run while it lasts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mdsrec_pyg.data.sequences import SequenceLoader
from mdsrec_pyg.training.callbacks import CallbackList
from mdsrec_pyg.training.loggers import Logger
from mdsrec_pyg.training.run_folder import History, RunFiles
from mdsrec_pyg.training.schedule import Schedule
from mdsrec_pyg.training.step import Step


@dataclass
class RunState:
    """State of one call of :meth:`~mdsrec_pyg.training.Trainer.fit`."""

    loader: SequenceLoader
    schedule: Schedule
    settings: dict[str, Any]
    history: History
    files: RunFiles | None
    built_from: dict[str, Any]  # of the model; empty where no checkpoint is written
    callbacks: CallbackList
    loggers: list[Logger]
    step: Step
    best_weights: dict[str, Tensor] | None = None
    stale: int = 0  # evaluations since the best one

    def describe(self) -> dict[str, str]:
        """What the run adds to the description of the training."""
        table = {}
        if (schedule := self.schedule.describe()) is not None:
            table["schedule"] = schedule
        table["batches"] = f"{len(self.loader):,} of {self.settings['batch_size']}"
        table["directory"] = (
            "none: nothing is written" if self.files is None else str(self.files.directory)
        )
        if len(self.history):
            table["resumed"] = f"after epoch {len(self.history)}"
        return table

    def end_logger(self, logger: Logger) -> None:
        """Says to a logger how the run ended."""
        history = self.history
        summary = {
            "status": self.callbacks.context.status,
            "epochs": len(history),
            "monitor": self.settings["monitor"],
            "best_epoch": history.best_epoch,
            "best_value": history.best_value,
            "stopped_by": history.stopped_by,
            "directory": None if self.files is None else str(self.files.directory),
        }
        logger.end(summary)
