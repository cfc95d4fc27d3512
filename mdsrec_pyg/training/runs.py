"""A run: a data set folder trained, evaluated and kept, and found again later."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from mdsrec_pyg.data.splits import Split
from mdsrec_pyg.datasets import SPLITS, RecommendationDataset
from mdsrec_pyg.evaluation import Evaluation, evaluate, save_ranks
from mdsrec_pyg.io import claim, read_json, write_json
from mdsrec_pyg.memory import named_memory_errors
from mdsrec_pyg.nn.models.base import Recommender
from mdsrec_pyg.nn.models.saving.card import ModelCard
from mdsrec_pyg.nn.models.saving.folder import MODEL, versions
from mdsrec_pyg.training.callbacks import Callback, TrainingContext, check_callbacks
from mdsrec_pyg.training.config import TrainerConfig
from mdsrec_pyg.training.loggers import Logger
from mdsrec_pyg.training.run_config import RunConfig
from mdsrec_pyg.training.run_folder import History
from mdsrec_pyg.training.run_texts import read_texts, write_texts
from mdsrec_pyg.training.settings import aligned, chosen_by, masks_seen
from mdsrec_pyg.training.trainer import Trainer

__all__ = ["Run", "TrainedRun", "train_run"]

SETTINGS, RESULT, RANKS = "settings.json", "result.json", "ranks.parquet"
_NEEDED = ("data", "split", "preset", "seed", "options")


@dataclass(frozen=True)
class TrainedRun:
    """What :func:`train_run` did.

    Args:
        directory: The run's folder.
        history: Course of the training.
        val: Evaluation on the validation split; ``None`` where the run was interrupted.
        test: The same on the test split.
        result: What stands in ``result.json``; empty where the run was interrupted.
        user: Raw id of the first user of the test split, to try recommendations with.
    """

    directory: Path
    history: History
    val: Evaluation | None
    test: Evaluation | None
    result: dict[str, Any]
    user: object


def train_run(
    config: RunConfig,
    trainer: TrainerConfig | None = None,
    directory: str | PathLike[str] | None = None,
    *,
    resume: bool = False,
    growable: bool = False,
    device: str | torch.device | None = None,
    progress: bool = True,
    log: Callable[[str], None] = print,
    callbacks: Iterable[Callback] = (),
    loggers: Iterable[Logger] = (),
    command: str | None = None,
) -> TrainedRun:
    """Trains MDSRec on a folder, evaluates it, and leaves a folder of the run.

    The folder holds ``settings.json``, ``metrics.jsonl`` (a line an epoch), ``last.pt``,
    ``best.pt``, ``result.json``, ``ranks.parquet``, ``model`` (which stands alone, with its card)
    and ``texts.json`` (of the items). The same call again continues a run that was interrupted, or
    only evaluates one that has ended.

    Args:
        config: Data, split, preset and options; its seed is the trainer's, too.
        trainer: Options of the training.
        directory: The folder; default: ``runs/`` and :meth:`RunConfig.name`.
        resume: Whether a run must be there to continue.
        growable: Whether ``model`` keeps what it was built from, the training interactions, too, so
            that it takes in further items and newer interactions. The same call again with
            another value writes the model of a run that has ended anew.
        device: Where to build and train; default: CUDA if there is one, else the CPU.
        progress: Shows progress bars while on a terminal.
        log: Takes what a person wants to read: data set, split, settings, a line an epoch.
        callbacks: Of the :class:`~mdsrec_pyg.training.Trainer`.
        loggers: Of the :class:`~mdsrec_pyg.training.Trainer`.
        command: What stands in the model's card as the way to repeat the run; default: this call.

    Raises:
        ValueError: The folder holds a run with other settings, there is none to resume, another
            process trains there, a file of the run is damaged, or an option or the data are wrong.
        OSError: A file cannot be written.
    """
    training = (trainer or TrainerConfig()).replace(seed=config.seed)
    folder = Path("runs") / config.name(training) if directory is None else Path(directory)
    data = None if config.data is None else str(Path(config.data).resolve())
    settings = config.replace(data=data).to_dict()
    with claim(folder, make=True):  # to the end, or its files would be those of two runs
        check_run_folder(folder, settings, resume)
        dataset = config.read_data()
        split = SPLITS[config.split](dataset)
        log(f"{dataset}\n\n{split}\n\nMDSRec is built from the training part ...\n")
        default = "cuda" if torch.cuda.is_available() else "cpu"
        with named_memory_errors("the graphs", "lower 'memory_limit' of 'relations'"):
            model = config.build(dataset, split, default if device is None else device)
        if model.ridge_weights is not None:
            log(f"{aligned(model.ridge_weights.summary())}\n")
        model.item_ids = dataset.item_ids  # what recommendations take and give
        write_json(folder / SETTINGS, settings)
        if dataset.item_text is not None:
            write_texts(folder, dataset.item_text)
        fitted = Trainer(
            model,
            training,
            device=device,
            directory=folder,
            growable=growable,
            progress=progress,
            log=log,
            callbacks=[_Outdated(folder), *check_callbacks(callbacks)],
            loggers=loggers,
        ).fit(split.train, split.val, resume=(folder / "last.pt").exists())
        user = dataset.user_ids[split.test.user_id[0]] if len(split.test) else None
        if fitted.interrupted:
            return TrainedRun(folder, fitted, None, None, {}, user)
        val, test = (evaluate(model, part, progress=progress) for part in (split.val, split.test))
        result = {
            **settings,
            "best_epoch": fitted.best_epoch,
            "epochs": len(fitted),
            "chosen_by": chosen_by(training, model),
            "seconds": round(sum(row["seconds"] for row in fitted.rows), 1),
            "val": val.to_dict(),
            "test": test.to_dict(),
            "versions": versions(),
        }
        write_json(folder / RESULT, result)
        save_ranks(folder / RANKS, test, user_ids=dataset.user_ids, item_ids=dataset.item_ids)
        if (folder / MODEL).is_dir():
            made = command or f"train_run({config}, {training})"
            masked = masks_seen(training, model)
            card_of(config, dataset.name, test, made, masked).write(folder / MODEL)
        return TrainedRun(folder, fitted, val, test, result, user)


class _Outdated(Callback):
    """Removes the results of a run that goes on, before there are weights that they are not of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_epoch(self, context: TrainingContext) -> None:
        """Removes them before the files of the epoch are written."""
        for name in (RESULT, RANKS):
            (self.folder / name).unlink(missing_ok=True)


def card_of(
    config: RunConfig, data: str, test: Evaluation, command: str, masked: bool
) -> ModelCard:
    """What the model of a run says of itself to people, by the rule that chose it."""
    return ModelCard(
        data=data,
        split=config.split,
        metrics=test.metrics_masked if masked else test.metrics,
        seed=config.seed,
        exclude_seen=masked,
        command=command,
    )


def check_run_folder(folder: Path, settings: Mapping[str, Any], resume: bool) -> None:
    """Raises a ValueError where the folder holds another run, or none though one is resumed."""
    if resume and not (folder / "last.pt").exists():
        raise ValueError(f"'resume' needs a run in {folder} (there is no last.pt)")
    if (folder / SETTINGS).exists() and read_settings(folder / SETTINGS) != settings:
        raise ValueError(f"{folder} holds a run with other settings: give another folder")


def read_settings(path: Path) -> dict[str, Any]:
    """What ``settings.json`` of a run holds.

    Raises:
        ValueError: It is no JSON, or not all of the settings are there.
    """
    settings: dict[str, Any] = read_json(path, dict, "the settings of a run")
    missing = [name for name in _NEEDED if name not in settings]
    if missing:
        raise ValueError(f"{path}: expected the settings of a run (there is no {missing[0]!r})")
    return settings


class Run:
    """A run that was trained: its settings, its data set and its model, each read when asked for.

    Args:
        directory: The run's folder.
        data: Folder of the data set where it is not where it was.

    Raises:
        ValueError: The folder holds no run, or its settings are damaged.
    """

    def __init__(
        self, directory: str | PathLike[str], data: str | PathLike[str] | None = None
    ) -> None:
        self.directory = Path(directory)
        path = self.directory / SETTINGS
        if not path.is_file():
            raise ValueError(f"{self.directory} holds no run: there is no {path}")
        settings = read_settings(path)
        known = {name: settings[name] for name in RunConfig.names() if name in settings}
        try:
            self.config = RunConfig(**known)
        except ValueError as error:
            raise ValueError(f"{path}: expected the settings of a run ({error})") from error
        if data is not None:
            self.config = self.config.replace(data=str(data))

    @cached_property
    def dataset(self) -> RecommendationDataset:
        """The data set."""
        return self.config.read_data()

    @cached_property
    def split(self) -> Split:
        """Its split."""
        return SPLITS[self.config.split](self.dataset)

    @cached_property
    def model(self) -> Recommender:
        """The model with the weights of the best epoch; it needs no data set.

        Raises:
            ValueError: The run has not ended, or a file of the model was changed.
        """
        folder = self.directory / MODEL
        if not folder.is_dir():
            raise ValueError(f"{self.directory} holds no run that has ended: there is no {folder}")
        return Recommender.load(folder)

    @property
    def item_ids(self) -> list[str]:
        """Raw ids of the model's items as text."""
        own = self.model.item_ids
        return [str(item) for item in (range(self.model.num_items) if own is None else own)]

    @property
    def item_text(self) -> list[str] | None:
        """Text of each item, if the data set had any."""
        return read_texts(self.directory, self.model.num_items)

    def check_items(self) -> None:
        """Raises a ValueError unless the data set has the items of the model, in its order."""
        known = [str(item) for item in self.dataset.item_ids.tolist()]
        if known != self.item_ids:
            raise ValueError(
                f"the data set must have the items of the model in {self.directory} (got "
                f"{len(known):,} items for {len(self.item_ids):,}, or others, or another order)"
            )
