"""One pass over the training data, and one over the validation queries."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from contextlib import closing

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from mdsrec_pyg.data.batch import SequenceBatch
from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.data.prefetch import prefetch
from mdsrec_pyg.data.sequences import SequenceLoader
from mdsrec_pyg.data.splits import EvaluationSplit
from mdsrec_pyg.evaluation import target_ranks
from mdsrec_pyg.evaluation.metrics import metric_cutoff, ranking_metrics
from mdsrec_pyg.nn.models.base import SequentialRecommender
from mdsrec_pyg.training.average import AveragedWeights
from mdsrec_pyg.training.config import TrainerConfig
from mdsrec_pyg.training.schedule import Schedule
from mdsrec_pyg.training.settings import masks_seen
from mdsrec_pyg.training.step import Step

CHECK_EVERY = 50  # steps between looks at the loss


def train_epoch(
    model: SequentialRecommender,
    loader: SequenceLoader,
    schedule: Schedule,
    config: TrainerConfig,
    *,
    step: Step,
    device: torch.device,
    epoch: int,
    progress: bool = False,
    kept: str = "",
    average: AveragedWeights | None = None,
    after_step: Callable[[Tensor, int], bool] | None = None,
) -> float | None:
    """Trains a model for an epoch. No step waits for a GPU; the end of the epoch does.

    Args:
        model: The model, on its device.
        loader: The training windows.
        schedule: Takes the steps.
        config: Options of the trainer.
        step: Computes loss and gradients of a batch.
        device: Where the model is.
        epoch: Number of the epoch, from 1.
        progress: Shows a progress bar while on a terminal.
        kept: What the error says of the epochs before.
        average: Takes the weights in after each step.
        after_step: Is given each detached loss and the number of steps so far; where it returns
            true, the epoch is given up.

    Returns:
        The mean loss of the predicted positions; ``None`` if ``after_step`` stopped the epoch
        before its last step.

    Raises:
        FloatingPointError: If a loss is not finite; on a GPU it may take up to two looks to see it.
    """
    model.train()
    loader.set_epoch(epoch - 1)
    losses: list[Tensor] = []
    positions: list[int] = []
    error = f"the loss of {type(model).__name__} is not finite in epoch {epoch}, step {{}}: lower"
    watch = LossWatch(f"{error} 'lr', or set 'grad_clip' or 'warmup_steps'{kept}", device)
    batches = make_batches(loader, device)
    bar = tqdm(batches, f"epoch {epoch}", len(loader), leave=False, disable=not progress or None)
    with closing(batches):
        for batch in bar:
            positions.append(batch.num_positions)
            losses.append(step(batch))
            if config.grad_clip is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), config.grad_clip)
            schedule.take_step()
            if average is not None:
                average.update(schedule.step)
            if after_step is not None:
                if after_step(losses[-1], schedule.step) and len(losses) < len(loader):
                    bar.close()
                    return None
                if not model.training:  # a callback has looked at its scores
                    model.train()
            if len(losses) % CHECK_EVERY == 0:
                watch.look(losses[-CHECK_EVERY:])
                bar.set_postfix(loss=watch.last)
        rest = len(losses) % CHECK_EVERY
        watch.look(losses[len(losses) - rest :])
        watch.finish()
    return float(np.average(torch.stack(losses).double().cpu().numpy(), weights=positions))


def make_loader(
    train: Interactions, model: SequentialRecommender, config: TrainerConfig
) -> SequenceLoader:
    """The training windows of a model, collated as its loss and the options want them."""
    return SequenceLoader(
        train,
        model.max_length,
        config.batch_size,
        stride=config.stride,
        shuffle_ties=config.shuffle_ties,
        seed=config.seed,
        fixed_shapes=config.compile,
    )


def make_batches(
    loader: SequenceLoader, device: torch.device
) -> Generator[SequenceBatch, None, None]:
    """The batches; for a GPU made ahead by a thread, in page-locked memory, which is not waited on.

    On the CPU a thread would take the time that the step needs.
    """
    if device.type != "cuda":
        yield from loader
        return
    pinned = (batch.pin_memory() for batch in loader)
    with closing(prefetch(pinned)) as batches:
        yield from batches


class LossWatch:
    """Looks whether losses are finite, on a GPU a look late, so that no step waits for it.

    Args:
        message: Of the error, with a place for the number of the step.
        device: Where the losses are.

    Attributes:
        last: The newest loss that is known, as text.
    """

    def __init__(self, message: str, device: torch.device) -> None:
        self.message, self.cuda = message, device.type == "cuda"
        self.last, self.seen = "", 0
        self.waiting: list[tuple[Tensor, torch.cuda.Event]] = []

    def look(self, losses: list[Tensor]) -> None:
        """Takes the losses of the next steps.

        Raises:
            FloatingPointError: If one that is known by now is not finite.
        """
        if not losses:
            return
        values = torch.stack(losses)
        if not self.cuda:
            self._check(values)
            return
        self.finish(wait=False)
        host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
        host.copy_(values, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self.waiting.append((host, event))

    def finish(self, wait: bool = True) -> None:
        """Checks what is on its way, or without ``wait`` only what has arrived."""
        while self.waiting and (wait or self.waiting[0][1].query()):
            host, event = self.waiting.pop(0)
            event.synchronize()
            self._check(host)

    def _check(self, losses: Tensor) -> None:
        values = losses.tolist()
        for step, value in enumerate(values, self.seen + 1):
            if not math.isfinite(value):
                raise FloatingPointError(self.message.format(step))
        self.seen += len(values)
        self.last = f"{values[-1]:.4f}"


def validate(
    model: SequentialRecommender, val: EvaluationSplit, config: TrainerConfig, progress: bool
) -> dict[str, float]:
    """The monitored metric, and those at 10 and 20."""
    ranks = target_ranks(
        model,
        val,
        exclude_seen=masks_seen(config, model),
        batch_size=config.eval_batch_size,
        progress=progress,
    )
    cutoffs = {10, 20, metric_cutoff(config.monitor) or 10}
    return ranking_metrics(ranks, sorted(cutoffs))
