"""The work that is killed, doubled and starved: small, and the same each time it is done."""

from __future__ import annotations

import atexit
import contextlib
import functools
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from mdsrec_pyg import FolderDataset, MDSRec
from mdsrec_pyg.encoders import download_images, encode_images
from mdsrec_pyg.retrieval import write_recommendations
from mdsrec_pyg.training import load_weights
from tests.attacks.addresses import server
from tests.attacks.harness import command, detail_of, digest, forked
from tests.attacks.readers import content
from tests.attacks.run_files import (
    cached,
    encode,
    make_shards,
    run_content,
    small_model,
    state,
    train,
    trained,
)
from tests.datasets import test_mmrec


@dataclass(frozen=True)
class Job:
    """Something that writes files.

    Args:
        name: What the report calls it.
        make: Writes what is there before into an empty folder.
        run: The command; the same again after a kill must end as if nothing had been.
        read: What must then be equal.
        old: What is lost, in words, of that which was there before and must be whole while the
            command has not come to its end; ``None``: nothing was there.
    """

    name: str
    make: Callable[[Path], object]
    run: Callable[[Path], object]
    read: Callable[[Path], Any]
    old: Callable[[Path], str] | None = None

    def finish(self, folder: Path) -> Any:
        """The command, and what it leaves."""
        self.run(folder)
        return self.read(folder)

    def lost(self, folder: Path) -> str:
        """What is lost, in words."""
        if self.old is None:
            return ""
        child = forked(self.old, folder)
        return str(child.value) if child.kind == "value" else detail_of(child)


@functools.cache
def models() -> tuple[Any, Any]:
    """Two models that differ."""
    return small_model(0), small_model(1)


def _nothing(folder: Path) -> None:
    """Nothing is there before."""


def _train(folder: Path) -> None:
    train(trained()[0], folder / "run", 3)


def _prepare(folder: Path) -> None:
    command("prepare", "mmrec", folder / "raw", "--out", folder / "out")


def _table(folder: Path) -> Any:
    return content(FolderDataset(folder / "out", min_interactions=1))


def _shelf(folder: Path) -> None:
    """Texts and images of items, nothing encoded."""
    make_shards(folder)
    shutil.rmtree(folder / ".text-shards")
    (folder / "images").mkdir()
    for i in range(6):
        Image.new("RGB", (9, 9), (i * 20, 40, 60)).save(folder / "images" / f"B{i}.png")


class Colors:
    """An encoder without weights: the mean color."""

    key = "colors"

    def __call__(self, images: list[Any]) -> Any:
        """Features ``[B, 3]``."""
        return np.stack([np.asarray(image).mean((0, 1)) for image in images])


def _encode(folder: Path) -> None:
    encode(folder)
    encode_images(folder, folder / "images", Colors(), block_size=2, log=None, progress=False)


def _encoded(folder: Path) -> Any:
    names = ("text.npy", "text_mask.npy", "image.npy", "image_mask.npy", "text_missing.tsv")
    return [digest((folder / name).read_bytes()) for name in names]


def _saved(folder: Path) -> Any:
    model = MDSRec.load(folder / "model")
    return state(model), None if model.item_ids is None else list(model.item_ids)


def _save(folder: Path) -> None:
    models()[1].save(folder / "model", item_ids=[f"B{i}" for i in range(40)])


def recommendations() -> pd.DataFrame:
    """A table of results."""
    rows = [{"user": f"u{u}", "rank": r, "item": f"B{r}", "score": r / 3} for u in range(50)
            for r in range(1, 11)]  # fmt: skip
    return pd.DataFrame(rows)


def _results(folder: Path) -> None:
    for suffix in ("tsv", "parquet", "jsonl"):
        write_recommendations(recommendations(), folder / f"best.{suffix}")


def _old_results(folder: Path) -> None:
    for suffix in ("tsv", "parquet", "jsonl"):
        (folder / f"best.{suffix}").write_text("the table before\n")


def _read_results(folder: Path) -> Any:
    return [digest((folder / f"best.{suffix}").read_bytes()) for suffix in ("tsv", "jsonl")]


def _lost_results(folder: Path) -> str:
    """Each file is the one before or the new one, never in between."""
    new = recommendations()
    for suffix in ("tsv", "jsonl"):
        text = (folder / f"best.{suffix}").read_text()
        if text != "the table before\n" and text.count("\n") not in (len(new), len(new) + 1):
            return f"best.{suffix} has {text.count(chr(10))} lines"
    return ""


def _longer(folder: Path) -> None:
    """A run of two epochs: the same folder, and a third epoch is wanted."""
    train(trained()[0], folder / "run", 2)


def _lost_epochs(folder: Path) -> str:
    """The run of two epochs can still be read."""
    last = load_weights(small_model(), folder / "run" / "last.pt")
    return "" if last["epoch"] >= 2 else f"last.pt holds epoch {last['epoch']}"


@functools.cache
def picture_port() -> int:
    """Port of a server of pictures that lives as long as this process."""
    running = contextlib.ExitStack()
    atexit.register(running.close)
    heard = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="attack-heard-")))
    return running.enter_context(server(heard / "heard"))


def _urls(folder: Path) -> None:
    """Eight items and the addresses of their pictures."""
    urls = [f"http://127.0.0.1:{picture_port()}/good/{i}" for i in range(8)]
    ids = [f"B{i}" for i in range(8)]
    pd.DataFrame({"item": range(8), "raw_id": ids, "image_url": urls}).to_parquet(
        folder / "items.parquet"
    )


def _fetch(folder: Path) -> None:
    options: dict[str, Any] = {"retries": 0, "log": None, "progress": False}
    download_images(folder, allow_private=True, concurrency=2, **options)


def _pictures(folder: Path) -> Any:
    """The pictures; the table says what became of each, which differs after an interruption."""
    rows = (folder / "image_url_download.tsv").read_text().splitlines()
    found = {path.name: digest(path.read_bytes()) for path in (folder / "images").glob("B*.png")}
    return found, [row.split("\t")[0] for row in rows]


def warm_up() -> None:
    """Makes what the jobs share, in this process: else every child makes its own."""
    trained()
    models()
    picture_port()


JOBS: tuple[Job, ...] = (
    Job("training", _nothing, _train, lambda folder: run_content(folder / "run")),
    Job(
        "training on",
        _longer,
        _train,
        lambda folder: run_content(folder / "run"),
        _lost_epochs,
    ),
    Job("preparing", lambda folder: test_mmrec.write(folder / "raw"), _prepare, _table),
    Job("encoding", _shelf, _encode, _encoded),
    Job("downloading", _urls, _fetch, _pictures),
    Job("saving", _nothing, _save, _saved),
    Job(
        "saving over another",
        lambda folder: models()[0].save(folder / "model"),
        _save,
        _saved,
    ),
    Job("caching", _nothing, cached, cached),
    Job("writing results", _old_results, _results, _read_results, _lost_results),
)
