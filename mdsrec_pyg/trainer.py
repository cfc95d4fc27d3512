"""Training of a sequential recommender: early stopping, checkpoints, resume."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from mdsrec_pyg._built_from import built_from, check_built_from
from mdsrec_pyg._optimizer import make_optimizer, warm_up
from mdsrec_pyg._run import History, RunFiles, check_settings
from mdsrec_pyg._settings import (
    check_arguments,
    check_data,
    describe_interruption,
    describe_training,
    training_settings,
)
from mdsrec_pyg.checkpoint import check_weights
from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.data.sequences import SequenceLoader
from mdsrec_pyg.data.splits import EvaluationSplit
from mdsrec_pyg.evaluation import target_ranks
from mdsrec_pyg.metrics import metric_cutoff, ranking_metrics
from mdsrec_pyg.seed import random_state, seed_everything, set_random_state

if TYPE_CHECKING:
    from mdsrec_pyg.nn.models.base import SequentialRecommender

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
        lr: Learning rate.
        weight_decay: Decoupled weight decay.
        epochs: Most epochs to train.
        batch_size: Sequences in a training step.
        patience: Evaluations without a new best value after which training stops.
        monitor: ``'ndcg@k'``, ``'recall@k'`` or ``'mrr'`` on the validation split.
        warmup_steps: Steps over which the learning rates rise.
        grad_clip: Largest norm of the whole gradient; ``None``: no limit.
        precision: ``'float32'``, or ``'bfloat16'`` for autocast of the loss, on CUDA only.
        shuffle_ties: Shuffles interactions of a user with equal timestamps in each epoch.
        stride: New positions of each further window of a long history; ``None``: ``max_length``
            of the model.
        exclude_seen: Whether seen items are masked when the monitored metric is computed.
        eval_every: Epochs between two evaluations; must divide ``epochs``.
        eval_batch_size: Queries scored at a time.
        seed: Of dropout, the order of the batches and everything else random in training.
        device: Default: CUDA if there is one, else the CPU.
        directory: Folder for ``last.pt``, ``best.pt`` and ``metrics.jsonl``; ``None``: no files.
        progress: Shows a progress bar while on a terminal.
        log: Takes the settings and the line of each epoch.

    Raises:
        ValueError: If an argument is out of range, or bfloat16 is asked for without CUDA.
    """

    def __init__(
        self,
        model: SequentialRecommender,
        *,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        epochs: int = 200,
        batch_size: int = 256,
        patience: int = 10,
        monitor: str = "ndcg@10",
        warmup_steps: int = 0,
        grad_clip: float | None = None,
        precision: str = "float32",
        shuffle_ties: bool = False,
        stride: int | None = None,
        exclude_seen: bool = False,
        eval_every: int = 1,
        eval_batch_size: int = 512,
        seed: int = 0,
        device: str | torch.device | None = None,
        directory: str | PathLike[str] | None = None,
        progress: bool = True,
        log: Callable[[str], None] = print,
    ) -> None:
        self.model, self.lr, self.weight_decay = model, lr, weight_decay
        self.epochs, self.batch_size, self.patience = epochs, batch_size, patience
        self.monitor, self.warmup_steps, self.grad_clip = monitor, warmup_steps, grad_clip
        self.precision, self.shuffle_ties, self.stride = precision, shuffle_ties, stride
        self.exclude_seen, self.eval_every = exclude_seen, eval_every
        self.eval_batch_size, self.seed = eval_batch_size, seed
        self.directory, self.progress, self.log = directory, progress, log
        default = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(default if device is None else device)
        check_arguments(self)

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
        self.log(describe_training(self, train, val, len(run.loader), len(run.history)))
        history = run.history
        try:
            while len(history) < self.epochs and run.stale < self.patience:
                self._epoch(run, val)
        except KeyboardInterrupt:
            history.interrupted = True
            self.log(describe_interruption(self, len(run.history)))
        if run.best_weights is not None:
            self.model.load_state_dict(run.best_weights)
            self.log(f"best: epoch {history.best_epoch}, {self.monitor} {history.best_value:.4f}")
        self.model.eval()
        return history

    def _start(self, train: Interactions, val: EvaluationSplit, resume: bool) -> _Run:
        model = self.model
        check_data(model, train, val)
        if resume and self.directory is None:
            raise ValueError("resume=True needs the 'directory' of the run (got None)")
        model.to(self.device)
        optimizer = make_optimizer(model, self.lr, self.weight_decay)
        loader = SequenceLoader(
            train,
            model.max_length,
            self.batch_size,
            stride=self.stride,
            shuffle_ties=self.shuffle_ties,
            seed=self.seed,
        )
        files = None if self.directory is None else RunFiles(self.directory)
        settings = training_settings(self, optimizer, train, val)
        tables = {} if files is None else built_from(model)
        run = _Run(loader, optimizer, settings, History(), files, tables)
        if resume:
            self._restore(run)
        else:
            seed_everything(self.seed)
            if files is not None:
                files.prepare()
        return run

    def _epoch(self, run: _Run, val: EvaluationSplit) -> None:
        """Trains and evaluates one epoch, and writes its files."""
        start, history = time.perf_counter(), run.history
        epoch = len(history) + 1
        row: dict[str, Any] = {"epoch": epoch, "loss": self._train_epoch(run, epoch)}
        evaluated = epoch % self.eval_every == 0
        metrics = self._validate(val) if evaluated else {}
        row["seconds"] = round(time.perf_counter() - start, 3)
        if evaluated:
            row |= {"exclude_seen": self.exclude_seen, **metrics}
        history.rows.append(row)
        best = evaluated and (
            history.best_value is None or metrics[self.monitor] > history.best_value
        )
        if best:
            weights = self.model.state_dict()
            run.best_weights = {name: value.detach().clone() for name, value in weights.items()}
            history.best_epoch, history.best_value = epoch, metrics[self.monitor]
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
                self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"
            ):
                loss = model.loss(batch)
            optimizer.zero_grad()
            loss.backward()
            if self.grad_clip is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), self.grad_clip)
            run.step += 1
            warm_up(optimizer, run.step, self.warmup_steps)
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
            exclude_seen=self.exclude_seen,
            batch_size=self.eval_batch_size,
            progress=self.progress,
        )
        cutoffs = {10, 20, metric_cutoff(self.monitor) or 10}
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
