"""State of a training run while it lasts."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mdsrec_pyg.data.sequences import SequenceLoader
from mdsrec_pyg.seed import random_state, set_random_state
from mdsrec_pyg.training.average import AveragedWeights
from mdsrec_pyg.training.callbacks import CallbackList
from mdsrec_pyg.training.checkpoint import check_weights
from mdsrec_pyg.training.loggers import Logger
from mdsrec_pyg.training.run_folder import History, RunFiles, check_settings
from mdsrec_pyg.training.schedule import Schedule
from mdsrec_pyg.training.signature import check_built_from
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
    average: AveragedWeights | None = None
    best_weights: dict[str, Tensor] | None = None
    stale: int = 0  # evaluations since the best one

    def keep_best(self, model: nn.Module, epoch: int, value: float) -> None:
        """Keeps the model's weights as those of the best epoch."""
        weights = model.state_dict()
        self.best_weights = {name: weight.detach().clone() for name, weight in weights.items()}
        self.history.best_epoch, self.history.best_value = epoch, value
        self.stale = 0

    def take_best(self, model: nn.Module) -> None:
        """Gives the model its best weights, if there are any yet, and evaluation mode."""
        if self.best_weights is not None:
            model.load_state_dict(self.best_weights)
        model.eval()

    def averaged(self) -> AbstractContextManager[None]:
        """The model has its averaged weights inside the block, if they are averaged."""
        return nullcontext() if self.average is None else self.average.applied()

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
            # A second Ctrl-C may have kept the last one from the disk.
            "epochs": len(history) if self.files is None else self.files.saved,
            "monitor": self.settings["monitor"],
            "best_epoch": history.best_epoch,
            "best_value": history.best_value,
            "stopped_by": history.stopped_by,
            "directory": None if self.files is None else str(self.files.directory),
        }
        logger.end(summary)

    def content(self, model: nn.Module, device: torch.device) -> dict[str, Any]:
        """All that :meth:`restore` needs: what ``last.pt`` holds."""
        return {
            "model": model.state_dict(),
            "average": {} if self.average is None else self.average.state_dict(),
            "optimizer": self.schedule.optimizer.state_dict(),
            "epoch": len(self.history),
            "scheduler": self.schedule.state_dict(),
            "step": self.schedule.step,
            "stale": self.stale,
            "best_epoch": self.history.best_epoch,
            "best_value": self.history.best_value,
            "rows": self.history.rows,
            "callbacks": self.callbacks.state_dict(),
            "random": random_state(device),
            "settings": self.settings,
            "built_from": self.built_from,
        }

    def restore(self, model: nn.Module, device: torch.device) -> None:
        """Goes on where ``last.pt`` ends, if model, settings and data are those of its run."""
        assert self.files is not None
        last = self.files.load()
        check_weights(model, last["model"], self.files.last)
        # Before the settings: these name what differs in the model, the parameter groups do not.
        check_built_from(last.get("built_from", {}), self.built_from, repr(str(self.files.last)))
        goes_on = last["epoch"] < self.settings["epochs"] and (
            last["stale"] < self.settings["patience"]
        )
        check_settings(last["settings"], self.settings, ("epochs", "patience"), goes_on)
        self.best_weights = self.files.mend(last)
        model.load_state_dict(last["model"])
        if self.average is not None:
            self.average.load_state_dict(last["average"])
        self.schedule.optimizer.load_state_dict(last["optimizer"])
        self.schedule.load_state_dict(last.get("scheduler"), last["step"])
        self.stale, self.history.rows = last["stale"], last["rows"]
        self.history.best_epoch, self.history.best_value = last["best_epoch"], last["best_value"]
        self.callbacks.load_state_dict(last.get("callbacks", ()))
        set_random_state(last["random"], device)
