"""The trainer's settings: checking them, keeping them for a resumed run, saying them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from mdsrec_pyg._optimizer import describe_groups
from mdsrec_pyg._run import fingerprint
from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.data.splits import EvaluationSplit
from mdsrec_pyg.metrics import metric_cutoff

if TYPE_CHECKING:
    from mdsrec_pyg.nn.models.base import SequentialRecommender
    from mdsrec_pyg.trainer import Trainer


def check_arguments(trainer: Trainer) -> None:
    """Raises an error that names the first argument that is out of range."""
    for name in ("epochs", "batch_size", "patience", "eval_every", "eval_batch_size"):
        if getattr(trainer, name) < 1:
            raise ValueError(f"{name!r} must be at least 1 (got {getattr(trainer, name)})")
    for name in ("weight_decay", "warmup_steps", "seed"):
        if getattr(trainer, name) < 0:
            raise ValueError(f"{name!r} must not be negative (got {getattr(trainer, name)})")
    for name in ("lr", "grad_clip"):
        value = getattr(trainer, name)
        if value is not None and not 0 < value < float("inf"):
            raise ValueError(f"{name!r} must be positive and finite (got {value})")
    if trainer.epochs % trainer.eval_every:
        raise ValueError(
            f"'eval_every' must divide 'epochs', else the last epochs are trained in vain "
            f"(got eval_every={trainer.eval_every}, epochs={trainer.epochs})"
        )
    if trainer.precision not in ("float32", "bfloat16"):
        raise ValueError(f"'precision' must be 'float32' or 'bfloat16' (got {trainer.precision!r})")
    if trainer.precision == "bfloat16" and trainer.device.type != "cuda":
        raise ValueError(f"precision='bfloat16' needs a CUDA device (got {trainer.device})")
    metric_cutoff(trainer.monitor)


def check_data(model: SequentialRecommender, train: Interactions, val: EvaluationSplit) -> None:
    """Raises an error where the model cannot be trained, or not on these data."""
    if not model.supports_training:
        raise ValueError(f"{type(model).__name__} is fitted when it is built: evaluate it directly")
    for name, data in (("train", train), ("val", val)):
        if data.num_items != model.num_items:
            raise ValueError(
                f"{name!r} must have the items of the model (got {data.num_items} and "
                f"{model.num_items})"
            )
    model.check_training(train)


def training_settings(
    trainer: Trainer, optimizer: torch.optim.Optimizer, train: Interactions, val: EvaluationSplit
) -> dict[str, Any]:
    """Everything that the course of training depends on."""
    names = (
        "lr weight_decay epochs batch_size patience monitor warmup_steps grad_clip precision "
        "shuffle_ties stride exclude_seen eval_every seed"
    )
    return {
        **{name: getattr(trainer, name) for name in names.split()},
        "device": trainer.device.type,
        "model": repr(trainer.model),
        "max_length": trainer.model.max_length,
        "param_groups": describe_groups(optimizer),
        "train": fingerprint(train.user_id, train.item_id, train.timestamp),
        "val": fingerprint(val.history_ptr, val.history_item, val.target),
    }


def describe_training(
    trainer: Trainer, train: Interactions, val: EvaluationSplit, num_batches: int, epochs: int
) -> str:
    """The settings as an aligned table."""
    weights = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    decay = f"weight decay {trainer.weight_decay:g}"
    clip = "" if trainer.grad_clip is None else f", gradient norm at most {trainer.grad_clip:g}"
    tied = f" ({val.tied.mean():.1%} with the time of their history)" if val.tied.any() else ""
    table = {
        "model": f"{type(trainer.model).__name__}, {weights:,} trainable parameters",
        "device": f"{trainer.device}, {trainer.precision}",
        "seed": trainer.seed,
        "train": f"{len(train):,} interactions, {train.num_users:,} users, "
        f"{train.num_items:,} items, windows of {trainer.model.max_length}, "
        f"stride {trainer.stride or trainer.model.max_length}",
        "equal times": "shuffled each epoch" if trainer.shuffle_ties else "kept in their order",
        "batches": f"{num_batches:,} of {trainer.batch_size}",
        "optimizer": f"AdamW, lr {trainer.lr:g}, {decay}, warm-up {trainer.warmup_steps:,}{clip}",
        "stop": f"after {trainer.epochs} epochs, or {trainer.patience} evaluations without a gain",
        "monitor": f"{trainer.monitor} on {val.name}: {len(val):,} queries{tied}, every "
        f"{trainer.eval_every} epoch(s), mean rank for ties",
        "seen items": "masked" if trainer.exclude_seen else "kept as candidates",
        "directory": trainer.directory or "none: nothing is written",
    }
    if epochs:
        table["resumed"] = f"after epoch {epochs}"
    width = max(map(len, table))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in table.items())


def describe_interruption(trainer: Trainer, epochs: int) -> str:
    """What an interrupted run has kept after so many finished epochs."""
    if epochs == 0:
        return "interrupted before the end of the first epoch: nothing is kept"
    kept = (
        ""
        if trainer.directory is None
        else f"; fit(..., resume=True) continues {trainer.directory}"
    )
    return f"interrupted: {epochs} finished epoch(s) are kept{kept}"
