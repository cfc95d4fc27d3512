"""Loggers: where the course of a training run is shown or kept, besides its folder."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from typing import Any, Protocol, runtime_checkable

from mdsrec_pyg.showing import markdown_text
from mdsrec_pyg.training.settings import aligned, describe_interruption

__all__ = ["LineLogger", "Logger", "MLflowLogger", "TensorBoardLogger", "WandbLogger"]

NOT_METRICS = ("epoch", "loss", "lr", "seconds", "exclude_seen")
MLFLOW_LONGEST = 6000  # characters of a parameter; a long model description is cut there


@runtime_checkable
class Logger(Protocol):
    """What :class:`~mdsrec_pyg.training.Trainer` asks of a logger; no base class is needed.

    Example:
        >>> class Losses:
        ...     def start(self, settings, description):
        ...         self.losses = []
        ...
        ...     def log(self, row, step, best):
        ...         self.losses.append(row["loss"])
        ...
        ...     def end(self, summary):
        ...         print(summary["status"], self.losses)
        >>> Trainer(model, loggers=[Losses()]).fit(split.train, split.val)
    """

    def start(self, settings: Mapping[str, Any], description: Mapping[str, str]) -> None:
        """A run starts or goes on.

        Args:
            settings: All that decides its course, plain values by name.
            description: The same in words.
        """

    def log(self, row: Mapping[str, Any], step: int, best: bool) -> None:
        """An epoch is over and its files are written.

        Args:
            row: Its row, as in :class:`~mdsrec_pyg.training.History`.
            step: Optimizer steps so far.
            best: Whether it has the highest monitored metric so far.
        """

    def end(self, summary: Mapping[str, Any]) -> None:
        """The run is over; called once for each call of :meth:`start`.

        Args:
            summary: ``status`` (``'finished'``, ``'stopped'``, ``'interrupted'`` or ``'failed'``),
                ``epochs``, ``monitor``, ``best_epoch``, ``best_value``, ``stopped_by`` and
                ``directory``; ``None`` where there is none.
        """


class LineLogger:
    """The settings as a table, then a line an epoch, then how the run ended.

    Example:
        >>> LineLogger(write=logging.getLogger("training").info)

    Args:
        write: Takes each text.
    """

    def __init__(self, write: Callable[[str], None] = print) -> None:
        self.write = write

    def start(self, settings: Mapping[str, Any], description: Mapping[str, str]) -> None:
        """Writes the settings."""
        self.write(aligned(description))

    def log(self, row: Mapping[str, Any], step: int, best: bool) -> None:
        """Writes the line of an epoch."""
        metrics = {name: value for name, value in row.items() if name not in NOT_METRICS}
        values = "".join(f"  {name} {value:.4f}" for name, value in metrics.items())
        rate = f"  lr {row['lr']:.3g}" if "lr" in row else ""
        mark = "  best" if best else ""
        self.write(
            f"epoch {row['epoch']:3d}  loss {row['loss']:.4f}{rate}{values}  "
            f"{row['seconds']:.1f} s{mark}"
        )

    def end(self, summary: Mapping[str, Any]) -> None:
        """Writes why the run ended early and which epoch was the best; nothing if it failed."""
        if summary["status"] == "failed":
            return
        if summary["status"] == "interrupted":
            self.write(describe_interruption(summary["directory"], summary["epochs"]))
        if summary["stopped_by"] is not None:
            self.write(f"stopped by {summary['stopped_by']}")
        if summary["best_epoch"] is not None:
            self.write(
                f"best: epoch {summary['best_epoch']}, {summary['monitor']} "
                f"{summary['best_value']:.4f}"
            )


class TensorBoardLogger:
    """Scalars for TensorBoard by :class:`torch.utils.tensorboard.SummaryWriter`, over the epochs.

    TensorBoard knows no ``@``: ``ndcg@10`` appears as ``ndcg_10``. A resumed run adds a file to the
    same folder. Needs the extra ``tensorboard``.

    Example:
        >>> Trainer(model, loggers=[TensorBoardLogger("runs/tensorboard")])

    Args:
        directory: Folder for the event files.
    """

    def __init__(self, directory: str | PathLike[str]) -> None:
        _require("tensorboard", "TensorBoardLogger", "tensorboard")
        self.directory = directory

    def start(self, settings: Mapping[str, Any], description: Mapping[str, str]) -> None:
        """Opens an event file with the settings as a text."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(self.directory))
        self._writer.add_text("settings", _table(description))

    def log(self, row: Mapping[str, Any], step: int, best: bool) -> None:
        """Adds the numbers of an epoch."""
        for name, value in _numbers(row).items():
            self._writer.add_scalar(name.replace("@", "_"), value, row["epoch"])
        self._writer.flush()

    def end(self, summary: Mapping[str, Any]) -> None:
        """Adds the summary as a text and closes the file."""
        self._writer.add_text("summary", _table(summary), summary["epochs"])
        self._writer.close()


class MLflowLogger:
    """A run of MLflow: settings as parameters, metrics over the epochs.

    MLflow allows no ``@``: ``ndcg@10`` appears as ``ndcg_10``. The active run of the process, if
    there is one, is left alone. Needs the extra ``mlflow``.

    Example:
        >>> logger = MLflowLogger("mdsrec", tracking_uri="sqlite:///mlflow.db")
        >>> Trainer(model, loggers=[logger]).fit(split.train, split.val)

    Args:
        experiment: Name of the experiment, created if missing.
        run_name: Name of the run; ``None``: MLflow finds one.
        tracking_uri: Where MLflow keeps its runs; ``None``: as MLflow is set up.
        run_id: Goes on with that run, as when training is resumed; ``None``: a new run. After the
            start it holds the run's id.
    """

    def __init__(
        self,
        experiment: str = "mdsrec",
        run_name: str | None = None,
        tracking_uri: str | None = None,
        run_id: str | None = None,
    ) -> None:
        mlflow = _require("mlflow", "MLflowLogger", "mlflow")
        self._client = mlflow.MlflowClient(tracking_uri)
        self.experiment, self.run_name, self.run_id = experiment, run_name, run_id

    def start(self, settings: Mapping[str, Any], description: Mapping[str, str]) -> None:
        """Makes the run, or opens it again; parameters that it has already stay as they are."""
        if self.run_id is None:
            found = self._client.get_experiment_by_name(self.experiment)
            experiment = (
                self._client.create_experiment(self.experiment)
                if found is None
                else found.experiment_id
            )
            self.run_id = self._client.create_run(experiment, run_name=self.run_name).info.run_id
        else:
            self._client.update_run(self.run_id, status="RUNNING")
        known = self._client.get_run(self.run_id).data.params
        for name, value in settings.items():
            if name not in known:
                self._client.log_param(self.run_id, name, str(value)[:MLFLOW_LONGEST])

    def log(self, row: Mapping[str, Any], step: int, best: bool) -> None:
        """Logs the numbers of an epoch."""
        for name, value in _numbers(row).items():
            self._client.log_metric(self.run_id, name.replace("@", "_"), value, step=row["epoch"])

    def end(self, summary: Mapping[str, Any]) -> None:
        """Keeps the summary as tags, and ends the run as finished, killed or failed."""
        for name, value in summary.items():
            self._client.set_tag(self.run_id, name, str(value))
        status = {"interrupted": "KILLED", "failed": "FAILED"}.get(summary["status"], "FINISHED")
        self._client.set_terminated(self.run_id, status)


class WandbLogger:
    """A run of Weights & Biases: settings as its configuration, metrics over the epochs.

    Needs the extra ``wandb``. With ``mode="offline"`` it needs neither an account nor a network.

    Example:
        >>> Trainer(model, loggers=[WandbLogger("mdsrec", mode="offline")])

    Args:
        project: Name of the project.
        **options: More arguments of ``wandb.init``, such as ``mode``, ``dir``, ``name``, or ``id``
            and ``resume`` where training is resumed.
    """

    def __init__(self, project: str = "mdsrec", **options: Any) -> None:
        self._wandb = _require("wandb", "WandbLogger", "wandb")
        self.project, self.options = project, options

    def start(self, settings: Mapping[str, Any], description: Mapping[str, str]) -> None:
        """Starts the run."""
        self._run = self._wandb.init(project=self.project, config=dict(settings), **self.options)

    def log(self, row: Mapping[str, Any], step: int, best: bool) -> None:
        """Logs the numbers of an epoch."""
        self._run.log(_numbers(row), step=row["epoch"])

    def end(self, summary: Mapping[str, Any]) -> None:
        """Keeps the summary and ends the run."""
        self._run.summary.update({name: value for name, value in summary.items() if value})
        self._run.finish(exit_code=int(summary["status"] == "failed"))


def _require(module: str, user: str, extra: str) -> Any:
    """The module, or an error that says how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{user} needs {module}: pip install 'mdsrec_pyg[{extra}]' ({error})"
        ) from error


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a row but for the epoch, over which they are drawn."""
    return {
        name: float(value)
        for name, value in row.items()
        if name != "epoch" and isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def _table(entries: Mapping[str, object]) -> str:
    """Names and values as a table of Markdown."""
    lines = [f"| {markdown_text(name)} | {markdown_text(v)} |" for name, v in entries.items()]
    return "\n".join(["| | |", "|---|---|", *lines])


def check_loggers(loggers: Any) -> tuple[Logger, ...]:
    """The loggers as a tuple; one without the three methods is an error."""
    if not isinstance(loggers, Iterable):
        raise ValueError(f"'loggers' must be a list of loggers (got {loggers!r})")
    loggers = tuple(loggers)
    for logger in loggers:
        if isinstance(logger, type) or not isinstance(logger, Logger):
            raise ValueError(
                "'loggers' must have the methods start, log and end of Logger (got "
                f"{getattr(logger, '__name__', type(logger).__name__)})"
            )
    return loggers
