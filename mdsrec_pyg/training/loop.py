"""One pass over the training data, and one over the validation queries."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from mdsrec_pyg.data.sequences import SequenceLoader
from mdsrec_pyg.data.splits import EvaluationSplit
from mdsrec_pyg.evaluation import target_ranks
from mdsrec_pyg.evaluation.metrics import metric_cutoff, ranking_metrics
from mdsrec_pyg.nn.models.base import SequentialRecommender
from mdsrec_pyg.training.config import TrainerConfig
from mdsrec_pyg.training.schedule import Schedule

CHECK_EVERY = 50  # steps between looks at the loss: each look waits for the GPU


def train_epoch(
    model: SequentialRecommender,
    loader: SequenceLoader,
    schedule: Schedule,
    config: TrainerConfig,
    *,
    device: torch.device,
    epoch: int,
    progress: bool = False,
    kept: str = "",
    after_step: Callable[[Tensor, int], bool] | None = None,
) -> float | None:
    """Trains a model for an epoch.

    Args:
        model: The model, on its device.
        loader: The training windows.
        schedule: Takes the steps.
        config: Options of the trainer.
        device: Where the batches go.
        epoch: Number of the epoch, from 1.
        progress: Shows a progress bar while on a terminal.
        kept: What the error says of the epochs before.
        after_step: Is given each detached loss and the number of steps so far; where it returns
            true, the epoch is given up.

    Returns:
        The mean loss of the predicted positions; ``None`` if ``after_step`` stopped the epoch
        before its last step.

    Raises:
        FloatingPointError: If a loss is not finite.
    """
    model.train()
    loader.set_epoch(epoch - 1)
    losses: list[Tensor] = []
    positions: list[int] = []
    bar = tqdm(loader, f"epoch {epoch}", leave=False, disable=None if progress else True)
    for batch in bar:
        positions.append(batch.num_positions)
        batch = batch.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            loss = model.loss(batch)
        schedule.optimizer.zero_grad()
        loss.backward()
        if config.grad_clip is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.grad_clip)
        schedule.take_step()
        losses.append(loss.detach())
        if after_step is not None:
            if after_step(losses[-1], schedule.step) and len(losses) < len(loader):
                bar.close()
                return None
            if not model.training:  # a callback has looked at its scores
                model.train()
        if len(losses) % CHECK_EVERY == 0:
            _check_losses(model, losses[-CHECK_EVERY:], epoch, len(losses) - CHECK_EVERY, kept)
            bar.set_postfix(loss=f"{losses[-1].item():.4f}")
    rest = len(losses) % CHECK_EVERY
    _check_losses(model, losses[len(losses) - rest :], epoch, len(losses) - rest, kept)
    return float(np.average(torch.stack(losses).double().cpu().numpy(), weights=positions))


def _check_losses(
    model: SequentialRecommender, losses: list[Tensor], epoch: int, offset: int, kept: str
) -> None:
    finite = torch.stack(losses).isfinite() if losses else torch.ones(1, dtype=torch.bool)
    if not finite.all():
        step = offset + int((~finite).nonzero()[0]) + 1
        raise FloatingPointError(
            f"the loss of {type(model).__name__} is not finite in epoch {epoch}, step "
            f"{step}: lower 'lr', or set 'grad_clip' or 'warmup_steps'{kept}"
        )


def validate(
    model: SequentialRecommender, val: EvaluationSplit, config: TrainerConfig, progress: bool
) -> dict[str, float]:
    """The monitored metric, and those at 10 and 20."""
    ranks = target_ranks(
        model,
        val,
        exclude_seen=config.exclude_seen,
        batch_size=config.eval_batch_size,
        progress=progress,
    )
    cutoffs = {10, 20, metric_cutoff(config.monitor) or 10}
    return ranking_metrics(ranks, sorted(cutoffs))
