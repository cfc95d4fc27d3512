"""Training of a sequential recommender: early stopping, checkpoints, resume."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from mdsrec_pyg.configs import configure
from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.data.sequences import SequenceLoader
from mdsrec_pyg.data.splits import EvaluationSplit
from mdsrec_pyg.evaluation import target_ranks
from mdsrec_pyg.evaluation.metrics import metric_cutoff, ranking_metrics
from mdsrec_pyg.nn.models.base import SequentialRecommender
from mdsrec_pyg.seed import random_state, seed_everything, set_random_state
from mdsrec_pyg.training.checkpoint import check_weights
from mdsrec_pyg.training.config import TrainerConfig
from mdsrec_pyg.training.optimizer import make_optimizer, warm_up
from mdsrec_pyg.training.run_folder import History, RunFiles, check_settings
from mdsrec_pyg.training.settings import (
    aligned,
    check_data,
    describe_interruption,
    describe_training,
    training_settings,
)
from mdsrec_pyg.training.signature import built_from, check_built_from

__all__ = ["History", "Trainer"]

CHECK_EVERY = 50  # steps between looks at the loss: each look waits for the GPU


@dataclass
class _Run:
    """State of one call of ``fit``."""

    loader: SequenceLoader
    optimizer: torch.optim.Optimizer
    settings: dict[str, Any]
    history: History
    files: RunFiles | None
    built_from: dict[str, Any]  # of the model; empty where no checkpoint is written
    best_weights: dict[str, Tensor] | None = None
    step: int = 0  # optimizer steps so far
    stale: int = 0  # evaluations since the best one


class Trainer:
    """Fits a model by AdamW with early stopping on a validation metric.

    The learning rates are those of ``model.param_groups(lr, weight_decay)``; they rise linearly
    over the first ``warmup_steps`` and stay constant then. On one machine and the CPU a run with
    the same seed and the same initial weights repeats bit by bit, whether interrupted and resumed
    or not.

    Args:
        model: The model. Its weights are whatever they are: call
            :func:`~mdsrec_pyg.seed.seed_everything` before building it to repeat them too.
        config: The options, see :class:`~mdsrec_pyg.training.TrainerConfig`.
        device: Default: CUDA if there is one, else the CPU.
        directory: Folder for ``last.pt``, ``best.pt`` and ``metrics.jsonl``; ``None``: no files.
        progress: Shows a progress bar while on a terminal.
        log: Takes the settings and the line of each epoch.
        **options: Some of the options by name, such as ``epochs=20``.

    Raises:
        ValueError: If an option is unknown or out of range, or bfloat16 is asked for without CUDA.
    """

    def __init__(
        self,
        model: SequentialRecommender,
        config: TrainerConfig | None = None,
        *,
        device: str | torch.device | None = None,
        directory: str | PathLike[str] | None = None,
        progress: bool = True,
        log: Callable[[str], None] = print,
        **options: Any,
    ) -> None:
        self.model, self.config = model, configure(TrainerConfig(), config, **options)
        self.directory, self.progress, self.log = directory, progress, log
        default = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(default if device is None else device)
        if self.config.precision == "bfloat16" and self.device.type != "cuda":
            raise ValueError(f"precision='bfloat16' needs a CUDA device (got {self.device})")

    def fit(self, train: Interactions, val: EvaluationSplit, resume: bool = False) -> History:
        """Trains the model; leaves it with the weights of the best epoch, in evaluation mode.

        Ctrl-C ends the run after the last finished epoch, with its best weights and files.

        Args:
            train: Training interactions.
            val: Validation split for the monitored metric.
            resume: Continues the run in ``directory``. Only ``epochs`` and ``patience`` may have
                grown; another difference is an error. A finished run returns at once.

        Raises:
            ValueError: If the model cannot be trained or does not fit the data, the directory
                holds a run (``resume=False``) or none that fits (``resume=True``).
            FloatingPointError: If the loss is not finite.
        """
        run = self._start(train, val, resume)
        self.log(aligned(self._describe(run, train, val)))
        history = run.history
        try:
            while len(history) < self.config.epochs and run.stale < self.config.patience:
                self._epoch(run, val)
        except KeyboardInterrupt:
            history.interrupted = True
            self.log(describe_interruption(self.directory, len(run.history)))
        if run.best_weights is not None:
            self.model.load_state_dict(run.best_weights)
            self.log(
                f"best: epoch {history.best_epoch}, {self.config.monitor} {history.best_value:.4f}"
            )
        self.model.eval()
        return history

    def _describe(self, run: _Run, train: Interactions, val: EvaluationSplit) -> dict[str, str]:
        table = describe_training(self.model, self.config, self.device, train, val)
        table["batches"] = f"{len(run.loader):,} of {self.config.batch_size}"
        table["directory"] = str(self.directory or "none: nothing is written")
        if len(run.history):
            table["resumed"] = f"after epoch {len(run.history)}"
        return table

    def _start(self, train: Interactions, val: EvaluationSplit, resume: bool) -> _Run:
        model = self.model
        check_data(model, train, val)
        if resume and self.directory is None:
            raise ValueError("resume=True needs the 'directory' of the run (got None)")
        model.to(self.device)
        optimizer = make_optimizer(model, self.config.lr, self.config.weight_decay)
        loader = SequenceLoader(
            train,
            model.max_length,
            self.config.batch_size,
            stride=self.config.stride,
            shuffle_ties=self.config.shuffle_ties,
            seed=self.config.seed,
        )
        files = None if self.directory is None else RunFiles(self.directory)
        settings = training_settings(model, self.config, self.device, optimizer, train, val)
        tables = {} if files is None else built_from(model)
        run = _Run(loader, optimizer, settings, History(), files, tables)
        if resume:
            self._restore(run)
        else:
            seed_everything(self.config.seed)
            if files is not None:
                files.prepare()
        return run

    def _epoch(self, run: _Run, val: EvaluationSplit) -> None:
        """Trains and evaluates one epoch, and writes its files."""
        start, history = time.perf_counter(), run.history
        epoch = len(history) + 1
        row: dict[str, Any] = {"epoch": epoch, "loss": self._train_epoch(run, epoch)}
        evaluated = epoch % self.config.eval_every == 0
        metrics = self._validate(val) if evaluated else {}
        row["seconds"] = round(time.perf_counter() - start, 3)
        if evaluated:
            row |= {"exclude_seen": self.config.exclude_seen, **metrics}
        history.rows.append(row)
        best = evaluated and (
            history.best_value is None or metrics[self.config.monitor] > history.best_value
        )
        if best:
            weights = self.model.state_dict()
            run.best_weights = {name: value.detach().clone() for name, value in weights.items()}
            history.best_epoch, history.best_value = epoch, metrics[self.config.monitor]
            run.stale = 0
        elif evaluated:
            run.stale += 1
        if run.files is not None:
            run.files.save(self._state(run))
        values = "".join(f"  {name} {value:.4f}" for name, value in metrics.items())
        mark = "  best" if best else ""
        self.log(f"epoch {epoch:3d}  loss {row['loss']:.4f}{values}  {row['seconds']:.1f} s{mark}")

    def _train_epoch(self, run: _Run, epoch: int) -> float:
        """One pass over the training data; the mean loss of its positions."""
        model, optimizer = self.model.train(), run.optimizer
        run.loader.set_epoch(epoch - 1)
        losses: list[Tensor] = []
        positions: list[int] = []
        bar = tqdm(
            run.loader, f"epoch {epoch}", leave=False, disable=None if self.progress else True
        )
        for batch in bar:
            positions.append(batch.num_positions)
            batch = batch.to(self.device)
            with torch.autocast(
                self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"
            ):
                loss = model.loss(batch)
            optimizer.zero_grad()
            loss.backward()
            if self.config.grad_clip is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), self.config.grad_clip)
            run.step += 1
            warm_up(optimizer, run.step, self.config.warmup_steps)
            optimizer.step()
            losses.append(loss.detach())
            if len(losses) % CHECK_EVERY == 0:
                self._check_losses(losses[-CHECK_EVERY:], epoch, len(losses) - CHECK_EVERY)
                bar.set_postfix(loss=f"{losses[-1].item():.4f}")
        rest = len(losses) % CHECK_EVERY
        self._check_losses(losses[len(losses) - rest :], epoch, len(losses) - rest)
        return float(np.average(torch.stack(losses).double().cpu().numpy(), weights=positions))

    def _check_losses(self, losses: list[Tensor], epoch: int, offset: int) -> None:
        finite = torch.stack(losses).isfinite() if losses else torch.ones(1, dtype=torch.bool)
        if not finite.all():
            step = offset + int((~finite).nonzero()[0]) + 1
            kept = f"; {str(self.directory)!r} holds the epochs before" if self.directory else ""
            raise FloatingPointError(
                f"the loss of {type(self.model).__name__} is not finite in epoch {epoch}, step "
                f"{step}: lower 'lr', or set 'grad_clip' or 'warmup_steps'"
                + (kept if epoch > 1 else "")
            )

    def _validate(self, val: EvaluationSplit) -> dict[str, float]:
        ranks = target_ranks(
            self.model,
            val,
            exclude_seen=self.config.exclude_seen,
            batch_size=self.config.eval_batch_size,
            progress=self.progress,
        )
        cutoffs = {10, 20, metric_cutoff(self.config.monitor) or 10}
        return ranking_metrics(ranks, sorted(cutoffs))

    def _state(self, run: _Run) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": run.optimizer.state_dict(),
            "epoch": len(run.history),
            "step": run.step,
            "stale": run.stale,
            "best_epoch": run.history.best_epoch,
            "best_value": run.history.best_value,
            "rows": run.history.rows,
            "random": random_state(self.device),
            "settings": run.settings,
            "built_from": run.built_from,
        }

    def _restore(self, run: _Run) -> None:
        assert run.files is not None
        last = run.files.load()
        check_settings(last["settings"], run.settings, may_grow=("epochs", "patience"))
        check_weights(self.model, last["model"], run.files.last)
        check_built_from(last.get("built_from", {}), run.built_from, repr(str(run.files.last)))
        run.best_weights = run.files.mend(last)
        self.model.load_state_dict(last["model"])
        run.optimizer.load_state_dict(last["optimizer"])
        run.step, run.stale = last["step"], last["stale"]
        run.history.rows = last["rows"]
        run.history.best_epoch, run.history.best_value = last["best_epoch"], last["best_value"]
        set_random_state(last["random"], self.device)
