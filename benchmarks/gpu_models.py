"""The parts of benchmarks/gpu_check.py that build and train models."""

from __future__ import annotations

import copy
import importlib
import inspect
import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from typing import Any

import torch

from benchmarks.gpu_rows import Row, Scale, figure, seconds_of
from benchmarks.trials import make_model
from mdsrec_pyg import FolderDataset, SyntheticDataset, build_mdsrec, leave_last_out
from mdsrec_pyg.data import Interactions, SequenceLoader
from mdsrec_pyg.nn.models import MDSRec, SequentialRecommender
from mdsrec_pyg.training import Trainer, TrainerConfig
from mdsrec_pyg.training.optimizer import make_optimizer

#: Models whose steps are timed, and the most milliseconds that a compiled step may take.
STEPS: dict[str, float | None] = {
    "SASRec": 1.5,
    "SASRecF": None,
    "MDSRec-paper": 4.0,
    "MDSRec": 4.0,
}
CAN_COMPILE = any(field.name == "compile" for field in fields(TrainerConfig))
BUILDS_ON_DEVICE = "device" in inspect.signature(build_mdsrec).parameters


def shop(scale: Scale) -> Any:
    """A data set of scientific_full's size, or the one that was given."""
    if scale.data is not None:
        return FolderDataset(scale.data, modalities=["image", "text"])
    users, items = (60, 62) if scale.miniature else (8_000, 4_400)
    return SyntheticDataset(users, items, channels=8 if scale.miniature else 64)


def options_of(scale: Scale) -> dict[str, Any]:
    """Options that make a model small where only the way is shown."""
    return {"channels": 8} if scale.miniature else {"channels": 64}


def step(scale: Scale) -> Iterator[Row]:
    """Milliseconds of a training step over an epoch, batches made and moved too."""
    dataset = shop(scale)
    train = leave_last_out(dataset.interactions).train
    for name, goal in STEPS.items():
        made: Any = None
        # Without a GPU the compiler takes minutes to make what is not asked about.
        for compiled in (False, True)[: 1 + (CAN_COMPILE and scale.cuda)]:
            what = f"{name}, batch 128, {'compiled' if compiled else 'eager'}"
            try:
                torch.manual_seed(0)
                made = made or make_model(name, dataset, train, 0, options_of(scale))
                model = copy.deepcopy(made).to(scale.device).train()
                found = step_milliseconds(model, train, scale, compiled)
            except Exception as error:  # the other models go on
                yield figure(f"{what}: {type(error).__name__}: {str(error)[:200]}", None, "")
                continue
            limit = goal if compiled and scale.cuda else None
            yield figure(what, found, "ms", limit)
    if not CAN_COMPILE:
        yield figure("this version compiles no step", None, "")


def step_milliseconds(
    model: SequentialRecommender, train: Interactions, scale: Scale, compiled: bool
) -> float:
    """Median over epochs of the mean time of a step, after an epoch that warms up."""
    options: dict[str, Any] = {"compile": True} if compiled else {}
    config = TrainerConfig(batch_size=128, **options)
    optimizer = make_optimizer(model, config.lr, config.weight_decay)
    batches, gradients = parts_of_a_step(model, optimizer, train, config, scale)
    count = 0

    def epoch() -> None:
        nonlocal count
        count = 0
        for batch in batches():
            gradients(batch)
            optimizer.step()
            count += 1

    epoch()
    times = [seconds_of(epoch, scale) for _ in range(1 if scale.miniature else 3)]
    return 1e3 * statistics.median(times) / count


def parts_of_a_step(
    model: SequentialRecommender,
    optimizer: torch.optim.Optimizer,
    train: Interactions,
    config: TrainerConfig,
    scale: Scale,
) -> tuple[Callable[[], Iterable[Any]], Callable[[Any], object]]:
    """What makes the batches of an epoch, and what computes the gradients of one."""
    device = torch.device(scale.device)
    if CAN_COMPILE:  # as the trainer does it
        loop = importlib.import_module("mdsrec_pyg.training.loop")
        loader = loop.make_loader(train, model, config)
        make = importlib.import_module("mdsrec_pyg.training.step").make_step
        return lambda: loop.make_batches(loader, device), make(model, optimizer, config, device)
    plain = SequenceLoader(train, model.max_length, config.batch_size, seed=0)

    def gradients(batch: Any) -> None:
        optimizer.zero_grad()
        model.loss(batch.to(device)).backward()

    return lambda: plain, gradients


def build(dataset: Any, train: Interactions, scale: Scale, **options: Any) -> MDSRec:
    """A model from its data, on the device as far as this version builds there."""
    place: dict[str, Any] = {"device": scale.device} if BUILDS_ON_DEVICE else {}
    model = build_mdsrec(dataset.features, train, **place, **options_of(scale), **options)
    return model.to(scale.device)


def building(scale: Scale) -> Iterator[Row]:
    """Seconds from features and interactions to a model, on the device and on the CPU."""
    dataset = shop(scale)
    train = leave_last_out(dataset.interactions).train
    what = f"MDSRec of {dataset.num_items:,} items"
    for turn in ("first time", "again"):
        found = seconds_of(lambda: build(dataset, train, scale), scale)
        where = scale.device if BUILDS_ON_DEVICE else "cpu, this version builds there only"
        yield figure(f"{what}, {where}, {turn}", found, "s")
    if BUILDS_ON_DEVICE and scale.cuda:
        on_cpu = Scale("cpu", scale.miniature, scale.data)
        yield figure(f"{what}, cpu", seconds_of(lambda: build(dataset, train, on_cpu), scale), "s")


def training(scale: Scale) -> Iterator[Row]:
    """Trains MDSRec on synthetic data of 20,000 items until validation stops it."""
    users, items = (60, 62) if scale.miniature else (20_000, 20_000)
    dataset = SyntheticDataset(users, items, channels=8 if scale.miniature else 64)
    split = leave_last_out(dataset.interactions)
    made: list[MDSRec] = []
    seconds = seconds_of(lambda: made.append(build(dataset, split.train, scale)), scale)
    yield figure(f"MDSRec of {items:,} items, built", seconds, "s")
    compiled: dict[str, Any] = {"compile": True} if CAN_COMPILE and scale.cuda else {}
    trainer = Trainer(
        made[0],
        device=scale.device,
        progress=False,
        log=lambda line: None,
        epochs=2 if scale.miniature else 30,
        patience=2,
        batch_size=64 if scale.miniature else 1024,
        **compiled,
    )
    history: list[Any] = []
    total = seconds_of(lambda: history.append(trainer.fit(split.train, split.val)), scale)
    (course,) = history
    yield figure(f"trained to its end{', compiled' * bool(compiled)}", total, "s")
    yield figure("epochs", len(course), "epochs")
    yield figure("an epoch with its evaluation", total / len(course), "s")
    yield figure("best validation value", course.best_value, trainer.config.monitor)
