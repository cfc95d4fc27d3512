"""Loggers: the protocol, its lines, and what TensorBoard, MLflow and W&B hold after a run."""

from __future__ import annotations

import json
import math
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mdsrec_pyg.training import (
    Callback,
    LineLogger,
    Logger,
    MLflowLogger,
    TensorBoardLogger,
    Trainer,
    WandbLogger,
)
from mdsrec_pyg.training.loggers import _table

OPTIONS: dict[str, Any] = {
    "lr": 0.02,
    "epochs": 3,
    "batch_size": 8,
    "device": "cpu",
    "progress": False,
}


class Notes:
    """A logger that keeps what it is given; no base class."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def start(self, settings, description):
        self.settings, self.description = dict(settings), dict(description)
        self.calls.append(("start", None))

    def log(self, row, step, best):
        self.calls.append(("log", (dict(row), step, best)))

    def end(self, summary):
        self.calls.append(("end", dict(summary)))


class Ends(Callback):
    """Raises, interrupts or stops in the second epoch."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error

    def on_step(self, context):
        if context.step == 12 and self.error is not None:
            raise self.error
        if context.step == 12:
            context.stop("enough")


def fit(model, split, *loggers, resume=False, **options):
    options = {"log": lambda text: None, **OPTIONS, **options}
    return Trainer(model, loggers=loggers, **options).fit(split.train, split.val, resume=resume)


def test_what_a_logger_is_given(toy_model, toy_split, tmp_path):
    notes = Notes()
    history = fit(toy_model(), toy_split, notes, directory=tmp_path / "run")
    assert notes.settings["lr"] == 0.02
    assert "ToyModel" in notes.settings["model"]
    assert notes.description["seed"] == "0"
    best, values = -math.inf, []
    for number, row in enumerate(history.rows, start=1):
        values.append((row, 9 * number, row["ndcg@10"] > best))
        best = max(best, row["ndcg@10"])
    summary = {
        "status": "finished",
        "epochs": 3,
        "monitor": "ndcg@10",
        "best_epoch": history.best_epoch,
        "best_value": history.best_value,
        "stopped_by": None,
        "directory": str(tmp_path / "run"),
    }
    logs = [("log", value) for value in values]
    assert notes.calls == [("start", None), *logs, ("end", summary)]
    assert {value[2] for value in values} >= {True}


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, "stopped"), (KeyboardInterrupt(), "interrupted"), (ZeroDivisionError(), "failed")],
)
def test_a_logger_is_always_ended(toy_model, toy_split, error, status):
    notes = Notes()
    said: list[str] = []
    options = {"callbacks": [Ends(error)], "log": said.append}
    if status == "failed":
        with pytest.raises(ZeroDivisionError):
            fit(toy_model(), toy_split, notes, **options)
        assert not any("best" in line for line in said[2:])
    else:
        fit(toy_model(), toy_split, notes, **options)
        assert said[-1].startswith("best: epoch 1")
    assert [name for name, _ in notes.calls] == ["start", "log", "end"]
    assert (notes.calls[-1][1]["status"], notes.calls[-1][1]["epochs"]) == (status, 1)
    assert notes.calls[-1][1]["stopped_by"] == (None if error else "Ends: enough")


def test_a_logger_that_breaks_leaves_the_others_and_the_files_in_order(
    toy_model, toy_split, tmp_path
):
    class Broken(Notes):
        def log(self, row, step, best):
            raise OSError("no network")

    class Unstartable(Notes):
        def start(self, settings, description):
            raise OSError("no account")

    notes = Notes()
    with pytest.raises(OSError, match="no network"):
        fit(toy_model(), toy_split, notes, Broken(), directory=tmp_path / "run")
    assert notes.calls[-1][1]["status"] == "failed"
    rows = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["epoch"] for row in rows] == [1]
    notes, never = Notes(), Unstartable()
    with pytest.raises(OSError, match="no account"):
        fit(toy_model(), toy_split, notes, never)
    assert [name for name, _ in notes.calls] == ["start", "end"]
    assert notes.calls[-1][1]["status"] == "failed"
    assert never.calls == []


def test_log_is_a_line_logger(toy_model, toy_split):
    said: list[str] = []
    other: list[str] = []
    fit(toy_model(), toy_split, LineLogger(other.append), log=said.append)
    assert len(said) == 5
    assert said == other
    assert isinstance(LineLogger(), Logger)


@pytest.mark.parametrize("logger", [print, Notes, Callback()])
def test_what_is_no_logger_is_an_error(toy_model, logger):
    with pytest.raises(ValueError, match="'loggers' must have the methods start, log and end"):
        Trainer(toy_model(), loggers=[logger])


@pytest.mark.parametrize(
    ("make", "module"),
    [
        (lambda: TensorBoardLogger("x"), "tensorboard"),
        (MLflowLogger, "mlflow"),
        (WandbLogger, "wandb"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(monkeypatch, make, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"pip install 'mdsrec_pyg\[{module}\]'"):
        make()


def test_tensorboard_holds_the_run(toy_model, toy_split, tmp_path):
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    options = {"directory": tmp_path / "run", "scheduler": constant}
    fit(toy_model(), toy_split, TensorBoardLogger(tmp_path / "events"), epochs=2, **options)
    logger = TensorBoardLogger(tmp_path / "events")
    history = fit(toy_model(), toy_split, logger, resume=True, **options)
    assert logger._writer.all_writers is None  # closed
    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    for name in ("loss", "lr", "seconds", "ndcg@10", "mrr"):
        scalars = events.Scalars(name.replace("@", "_"))
        assert [scalar.step for scalar in scalars] == [1, 2, 3]
        values = [row[name] for row in history.rows]
        assert [scalar.value for scalar in scalars] == pytest.approx(values)
    assert "exclude_seen" not in events.Tags()["scalars"]
    text = events.Tensors("settings/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "ToyModel" in text
    text = events.Tensors("summary/text_summary")[-1].tensor_proto.string_val[0].decode()
    assert "| status | finished |" in text


def constant(optimizer):
    from torch.optim.lr_scheduler import ConstantLR

    return ConstantLR(optimizer)


def test_tables_of_markdown_hold_text():
    table = _table({"data|x": "<b>a|b</b>\n# c", "n": 3})
    assert table.splitlines()[2:] == [
        r"| data\|x | &lt;b&gt;a\|b&lt;/b&gt;\\n\# c |",
        "| n | 3 |",
    ]


def test_mlflow_holds_the_run(toy_model, toy_split, tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="needs the extra mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    where = {"tracking_uri": (tmp_path / "mlruns").as_uri()}
    first = MLflowLogger("toys", run_name="one", **where)
    options = {"directory": tmp_path / "run"}
    fit(toy_model(), toy_split, first, epochs=2, **options)
    again = MLflowLogger("toys", run_id=first.run_id, **where)
    history = fit(toy_model(), toy_split, again, resume=True, **options)
    client = again._client
    run = client.get_run(first.run_id)
    assert client.get_experiment(run.info.experiment_id).name == "toys"
    assert (run.info.run_name, run.info.status) == ("one", "FINISHED")
    assert run.data.params["lr"] == "0.02"
    assert run.data.tags["best_epoch"] == str(history.best_epoch)
    for name in ("loss", "ndcg@10"):
        logged = client.get_metric_history(first.run_id, name.replace("@", "_"))
        assert [metric.step for metric in logged] == [1, 2, 3]
        assert [metric.value for metric in logged] == [row[name] for row in history.rows]
    for error, status in ((KeyboardInterrupt(), "KILLED"), (ZeroDivisionError(), "FAILED")):
        logger = MLflowLogger("toys", **where)
        with suppress(ZeroDivisionError):
            fit(toy_model(), toy_split, logger, callbacks=[Ends(error)])
        assert client.get_run(logger.run_id).info.status == status


def test_wandb_holds_the_run_without_a_network(toy_model, toy_split, tmp_path):
    wandb = pytest.importorskip("wandb", reason="needs the extra wandb")
    logger = WandbLogger("toys", mode="offline", dir=str(tmp_path))
    history = fit(toy_model(), toy_split, logger)
    (folder,) = Path(tmp_path, "wandb").glob("offline-run-*")
    (path,) = folder.glob("*.wandb")
    content = path.read_bytes()  # records of protobuf, which hold values as JSON
    for row in history.rows:
        for name in ("loss", "ndcg@10"):
            assert name.encode() in content
            assert json.dumps(row[name]).encode() in content
    assert b"warmup_steps" in content
    assert b'"ToyModel' in content
    assert wandb.run is None


class FakeWandb(SimpleNamespace):
    """What the logger calls of wandb, noted."""

    def __init__(self) -> None:
        super().__init__(calls=[], summary={})

    def init(self, **options):
        self.calls.append(("init", options))
        return self

    def log(self, values, step):
        self.calls.append(("log", values, step))

    def finish(self, exit_code):
        self.calls.append(("finish", exit_code))


@pytest.mark.parametrize(("error", "code"), [(None, 0), (ZeroDivisionError(), 1)])
def test_what_wandb_is_told(toy_model, toy_split, monkeypatch, error, code):
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    logger = WandbLogger("toys", name="one")
    with suppress(ZeroDivisionError):
        fit(toy_model(), toy_split, logger, callbacks=[Ends(error)])
    (_, options), (_, values, step), finish = fake.calls
    assert (options["project"], options["name"], options["config"]["lr"]) == ("toys", "one", 0.02)
    assert step == 1
    assert {"loss", "ndcg@10", "seconds"} <= values.keys()
    assert not {"epoch", "exclude_seen"} & values.keys()
    assert fake.summary["epochs"] == 1
    assert ("stopped_by" in fake.summary) == (error is None)
    assert finish == ("finish", code)
