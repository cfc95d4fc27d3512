"""A run: a data set folder trained, evaluated and kept, and found again later."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import torch
import torch_geometric

from mdsrec_pyg.data.splits import Split
from mdsrec_pyg.datasets import SPLITS, RecommendationDataset
from mdsrec_pyg.evaluation import Evaluation, evaluate, save_ranks
from mdsrec_pyg.io import atomic_write
from mdsrec_pyg.nn.models.base import Recommender
from mdsrec_pyg.training.callbacks import Callback
from mdsrec_pyg.training.checkpoint import load_weights
from mdsrec_pyg.training.config import TrainerConfig
from mdsrec_pyg.training.loggers import Logger
from mdsrec_pyg.training.run_config import RunConfig
from mdsrec_pyg.training.run_folder import History
from mdsrec_pyg.training.trainer import Trainer
from mdsrec_pyg.version import __version__

__all__ = ["Run", "TrainedRun", "load_model", "train_run"]

SETTINGS = "settings.json"


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
    device: str | torch.device | None = None,
    progress: bool = True,
    log: Callable[[str], None] = print,
    callbacks: Iterable[Callback] = (),
    loggers: Iterable[Logger] = (),
) -> TrainedRun:
    """Trains MDSRec on a folder, evaluates it, and leaves a folder of the run.

    The folder holds ``settings.json``, ``metrics.jsonl`` (a line an epoch), ``last.pt``,
    ``best.pt``, ``result.json`` and ``ranks.parquet``. The same call again continues a run that
    was interrupted, or only evaluates one that has ended.

    Args:
        config: Data, split, preset and options; its seed is the trainer's, too.
        trainer: Options of the training.
        directory: The folder; default: ``runs/`` and :meth:`RunConfig.name`.
        resume: Whether a run must be there to continue.
        device: Where to train; default: CUDA if there is one, else the CPU.
        progress: Shows progress bars while on a terminal.
        log: Takes what a person wants to read: data set, split, settings, a line an epoch.
        callbacks: Of the :class:`~mdsrec_pyg.training.Trainer`.
        loggers: Of the :class:`~mdsrec_pyg.training.Trainer`.

    Raises:
        ValueError: The folder holds a run with other settings, there is none to resume, or an
            option or the data are wrong.
    """
    training = (trainer or TrainerConfig()).replace(seed=config.seed)
    folder = Path("runs") / config.name(training) if directory is None else Path(directory)
    data = None if config.data is None else str(Path(config.data).resolve())
    settings = config.replace(data=data).to_dict()
    last, held = folder / "last.pt", folder / SETTINGS
    if resume and not last.exists():
        raise ValueError(f"'resume' needs a run in {folder} (there is no last.pt)")
    if held.exists() and json.loads(held.read_text(encoding="utf-8")) != settings:
        raise ValueError(f"{folder} holds a run with other settings: give another folder")
    dataset = config.read_data()
    split = SPLITS[config.split](dataset)
    log(f"{dataset}\n\n{split}\n")
    model = config.build(dataset, split)
    setattr(model, "item_ids", dataset.item_ids)  # noqa: B010 - what a saved model calls the items
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(held, settings)
    fitted = Trainer(
        model,
        training,
        device=device,
        directory=folder,
        progress=progress,
        log=log,
        callbacks=callbacks,
        loggers=loggers,
    ).fit(split.train, split.val, resume=last.exists())
    user = dataset.user_ids[split.test.user_id[0]] if len(split.test) else None
    if fitted.interrupted:
        return TrainedRun(folder, fitted, None, None, {}, user)
    val, test = (evaluate(model, part, progress=progress) for part in (split.val, split.test))
    result = {
        **settings,
        "best_epoch": fitted.best_epoch,
        "epochs": len(fitted),
        "seconds": round(sum(row["seconds"] for row in fitted.rows), 1),
        "val": val.to_dict(),
        "test": test.to_dict(),
        "versions": versions(),
    }
    _write_json(folder / "result.json", result)
    ids = {"user_ids": dataset.user_ids, "item_ids": dataset.item_ids}
    save_ranks(folder / "ranks.parquet", test, **ids)
    return TrainedRun(folder, fitted, val, test, result, user)


def versions() -> dict[str, str]:
    """Versions of this library, torch and PyG."""
    return {
        "mdsrec_pyg": __version__,
        "torch": torch.__version__,
        "torch_geometric": torch_geometric.__version__,
    }


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


class Run:
    """A run that was trained: its settings, its data set and its model, each read when asked for.

    Args:
        directory: The run's folder.
        data: Folder of the data set where it is not where it was.

    Raises:
        ValueError: The folder holds no run.
    """

    def __init__(
        self, directory: str | PathLike[str], data: str | PathLike[str] | None = None
    ) -> None:
        self.directory = Path(directory)
        path = self.directory / SETTINGS
        if not path.is_file():
            raise ValueError(f"{self.directory} holds no run: there is no {path}")
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
            known = {name: settings[name] for name in RunConfig.names() if name in settings}
        except (json.JSONDecodeError, TypeError) as error:
            raise ValueError(f"{path} must hold the settings of a run: {error}") from error
        self.config = RunConfig(**known)
        if data is not None:
            self.config = self.config.replace(data=str(data))

    @property
    def saved(self) -> Path | None:
        """The folder of the model that needs no data, if the run has one."""
        folder = self.directory / "model"
        return folder if folder.is_dir() and hasattr(Recommender, "load") else None

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
        """The model with the weights of the best epoch, see :func:`load_model`."""
        return load_model(self)

    @property
    def item_ids(self) -> list[str]:
        """Raw ids of the items as text: the model's own if it has them, else the data set's."""
        own = getattr(self.model, "item_ids", None)
        return [str(item) for item in (self.dataset.item_ids if own is None else own)]


def load_model(run: Run) -> Recommender:
    """The model of a run: its saved folder if there is one, else built again from the data set.

    Raises:
        ValueError: There are no weights, or they do not fit the data set of today.
    """
    if run.saved is not None:
        loaded: Recommender = getattr(Recommender, "load")(run.saved)  # noqa: B009
        return loaded
    # Graphs and centers are built again, from the same training part.
    model = run.config.build(run.dataset, run.split)
    load_weights(model, run.directory / "best.pt")
    return model
