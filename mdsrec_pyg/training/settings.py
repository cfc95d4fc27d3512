"""The trainer's settings: checking them, keeping them for a resumed run, saying them."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

import torch
from torch import nn

from mdsrec_pyg.data.interactions import Interactions
from mdsrec_pyg.data.splits import EvaluationSplit
from mdsrec_pyg.nn.history_bias import learns_history_bias
from mdsrec_pyg.nn.models.base import Recommender, SequentialRecommender
from mdsrec_pyg.nn.models.saving.save_load import cannot_grow
from mdsrec_pyg.showing import counted, showable
from mdsrec_pyg.training.config import TrainerConfig
from mdsrec_pyg.training.optimizer import describe_groups
from mdsrec_pyg.training.run_folder import fingerprint
from mdsrec_pyg.training.schedule import Schedule


def masks_seen(config: TrainerConfig, model: nn.Module) -> bool:
    """Whether validation masks seen items; where the options leave it open, the model decides."""
    if config.exclude_seen is not None:
        return config.exclude_seen
    return not learns_history_bias(model)


def chosen_by(config: TrainerConfig, model: nn.Module) -> str:
    """By which figure on validation the weights of a run are chosen."""
    return f"{config.monitor}, seen items {'masked' if masks_seen(config, model) else 'kept'}"


def check_growable(model: nn.Module, directory: str | PathLike[str] | None) -> None:
    """Raises a ValueError, before the training, where no growable model can be left behind."""
    if directory is None:
        raise ValueError("'growable' needs the 'directory' of the run (got None)")
    if not isinstance(model, Recommender) or model.kept() is None:
        raise cannot_grow(type(model))


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
    model: SequentialRecommender,
    config: TrainerConfig,
    device: torch.device,
    schedule: Schedule,
    train: Interactions,
    val: EvaluationSplit,
) -> dict[str, Any]:
    """Everything that the course of training depends on."""
    options = config.to_dict()
    del options["eval_batch_size"]  # changes memory, not the course
    return {
        **options,
        "exclude_seen": masks_seen(config, model),
        "device": device.type,
        "model": type(model).__name__,  # its options and tables are compared apart
        "max_length": model.max_length,
        "param_groups": describe_groups(schedule.optimizer),
        "scheduler": schedule.describe(),
        "train": fingerprint(train.user_id, train.item_id, train.timestamp),
        "val": fingerprint(val.history_ptr, val.history_item, val.target),
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "processor": torch.backends.cpu.get_cpu_capability(),
    }


def describe_training(
    model: SequentialRecommender,
    config: TrainerConfig,
    device: torch.device,
    train: Interactions,
    val: EvaluationSplit,
) -> dict[str, str]:
    """The settings, by name."""
    weights = sum(p.numel() for p in model.parameters() if p.requires_grad)
    decay = f"weight decay {config.weight_decay:g}"
    tf32 = " (TF32)" if config.tf32 else ""
    compiled = ", compiled" if config.compile else ""
    clip = "" if config.grad_clip is None else f", gradient norm at most {config.grad_clip:g}"
    mean = config.average_epochs
    average = "" if mean is None else f", weights averaged over {mean:g} epochs"
    seen = "masked" if masks_seen(config, model) else "kept as candidates"
    bias = "a" if learns_history_bias(model) else "no"
    tied = f" ({val.tied.mean():.1%} with the time of their history)" if val.tied.any() else ""
    return {
        "model": f"{type(model).__name__}, {weights:,} trainable parameters",
        "device": f"{device}, {config.precision}{tf32}{compiled}, "
        f"{counted(torch.get_num_threads(), 'thread')}",
        "seed": str(config.seed),
        "train": f"{counted(len(train), 'interaction')}, {counted(train.num_users, 'user')}, "
        f"{counted(train.num_items, 'item')}, windows of {model.max_length}, "
        f"stride {config.stride or model.max_length}",
        "equal times": "shuffled each epoch" if config.shuffle_ties else "kept in their order",
        "optimizer": f"AdamW, lr {config.lr:g}, {decay}, warm-up {config.warmup_steps:,}{clip}"
        f"{average}",
        "stop": f"after {counted(config.epochs, 'epoch')}, or "
        f"{counted(config.patience, 'evaluation')} without a gain",
        "monitor": f"{config.monitor} on {val.name}: {counted(len(val), 'query')}{tied}, every "
        f"{counted(config.eval_every, 'epoch')}, mean rank for ties",
        "seen items": f"{seen}; the model learns {bias} history bias",
    }


def aligned(table: Mapping[str, object]) -> str:
    """Names and values in two columns."""
    shown = {showable(name): showable(value) for name, value in table.items()}
    width = max(map(len, shown))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in shown.items())


def describe_interruption(directory: object, epochs: int) -> str:
    """What an interrupted run has kept after so many finished epochs."""
    if epochs == 0:
        return "interrupted before the end of the first epoch: nothing is kept"
    kept = "" if directory is None else f"; fit(..., resume=True) continues {directory}"
    return f"interrupted, kept: {counted(epochs, 'finished epoch')}{kept}"
