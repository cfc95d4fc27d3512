"""Files made to do harm: pickles that run code, links that lead away, archives that swell."""

from __future__ import annotations

import io
import itertools
import os
import pickle
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from mdsrec_pyg.encoders import encode_images
from tests.attacks.fuzz import READERS
from tests.attacks.harness import (
    RIGHT,
    SILENT,
    Count,
    copy,
    detail_of,
    end_of,
    files_in,
    forked,
    made,
    scratch,
)
from tests.attacks.jobs import JOBS, Colors, Job, warm_up
from tests.attacks.readers import Reader


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.marker,)


def _torch(bomb: Any, zipped: bool) -> bytes:
    file = io.BytesIO()
    torch.save(
        {"format": 1, "model": bomb, "edge_index": bomb, "edge_weight": bomb, "num_nodes": 1},
        file,
        _use_new_zipfile_serialization=zipped,
    )
    return file.getvalue()


def _numpy(bomb: Any, packed: bool) -> bytes:
    file = io.BytesIO()
    array = np.array([bomb], object)
    if packed:
        np.savez(file, x=array, rows=array, reasons=array, mean_=array, scale_=array)
    else:
        np.save(file, array, allow_pickle=True)
    return file.getvalue()


def _yaml(bomb: Any) -> bytes:
    return f"data: !!python/object/apply:os.mkdir ['{bomb.marker}']\n".encode()


#: Forms of a file that runs code where it is read carelessly.
PICKLES: dict[str, Callable[[Bomb], bytes]] = {
    "pickle": pickle.dumps,
    "torch": lambda bomb: _torch(bomb, True),
    "old torch": lambda bomb: _torch(bomb, False),
    ".npy of objects": lambda bomb: _numpy(bomb, False),
    ".npz of objects": lambda bomb: _numpy(bomb, True),
    "pandas": lambda bomb: pickle.dumps(pd.DataFrame({"user": [bomb], "item": [bomb]})),
    "YAML": _yaml,
}


def pickles(share: int = 1, readers: Iterable[Reader] = READERS) -> Iterator[Count]:
    """A pickle in the place of every file of every reader: none may run.

    Args:
        share: Only every so-many-th try.
        readers: The readers.
    """
    count, turn = Count("hostile: pickles"), itertools.count()
    for reader in readers:
        with scratch() as place:
            good = made(reader.make, place / "good")
            for target in reader.targets(good):
                for form, make in PICKLES.items():
                    if next(turn) % share:
                        continue
                    marker = place / "it-ran"
                    folder = copy(good, place / "data")
                    (folder / target).write_bytes(make(Bomb(marker)))
                    child = forked(reader.read, folder)
                    names = (str(folder), *(Path(name).name for name in reader.targets(good)))
                    end = RIGHT if child.kind == "value" else end_of(child, names)
                    if marker.exists():
                        end = SILENT
                        marker.rmdir()
                    detail = f"{target}, {form}: {detail_of(child)}".replace(str(place), "")
                    count.add(end, f"{reader.name}/{target}/{form}", detail)
    yield count


def links(share: int = 1, jobs: Iterable[Job] = JOBS) -> Iterator[Count]:
    """A link to somebody's file in the place of every file that a job writes.

    The file behind the link must stay as it was; so must it where a lock is planted.

    Args:
        share: Only every so-many-th try.
        jobs: The jobs.
    """
    warm_up()
    count, turn = Count("hostile: links"), itertools.count()
    for job in jobs:
        with scratch() as place:
            before = made(job.make, place / "before")
            whole = copy(before, place / "whole")
            forked(job.run, whole)
            # What is there before is read, and may be a link of its owner.
            written = sorted(set(files_in(whole)) - set(files_in(before)))
            for name in [*written, *LOCKS]:
                for content in ("somebody's file\n", None):
                    if next(turn) % share == 0:
                        _link(count, job, place, name, content)
    yield count


#: Where locks lie, or may come to lie.
LOCKS = (".text-shards/lock", ".image-shards/lock", "run/.lock", "run/lock", ".lock", "out/.lock",
         "model/.lock", "cache/.lock")  # fmt: skip


def _link(count: Count, job: Job, place: Path, name: str, content: str | None) -> None:
    shutil.rmtree(place / "work", ignore_errors=True)
    work, victim = copy(place / "before", place / "work"), place / "victim"
    victim.unlink(missing_ok=True)
    if content is not None:
        victim.write_text(content)
    (work / name).parent.mkdir(parents=True, exist_ok=True)
    (work / name).symlink_to(victim)
    child = forked(job.run, work)
    found = victim.read_text(errors="replace") if victim.exists() else None
    kind = "dangling link" if content is None else "link"
    end = RIGHT if child.kind == "value" else end_of(child, (str(work), Path(name).name))
    detail = detail_of(child)
    if found != content:
        what = "emptied" if found == "" and content else "made" if content is None else "written"
        end, detail = SILENT, f"{name}: the file behind the link was {what}"
    count.add(end, f"{job.name}/{name}/{kind}", detail.replace(str(place), ""))


def outside() -> Iterator[Count]:
    """Paths in data that lead out of their folder: the picture there must not be read."""
    count = Count("hostile: paths")
    with scratch() as place:
        (place / "images" / "deep").mkdir(parents=True)
        for picture in (place / "secret.png", place / "images" / "fine.png"):
            Image.new("RGB", (9, 9), (200, 10, 10)).save(picture)
        (place / "images" / "link.png").symlink_to(place / "secret.png")
        paths = ("../secret.png", str(place / "secret.png"), "deep/../../secret.png", "link.png",
                 "./../secret.png", "images/../../secret.png")  # fmt: skip
        for path in paths:
            folder = place / "shop"
            folder.mkdir(exist_ok=True)
            table = {"item": [0, 1], "raw_id": ["a", "b"], "picture": ["fine.png", path]}
            pd.DataFrame(table).to_parquet(folder / "items.parquet")
            child = forked(_encode_column, folder, place)
            end = end_of(child, (path, "picture", "items.parquet"), 1, SILENT)
            count.add(end, f"encode_images/{path}", f"{path}: {detail_of(child)}")
    yield count


def _encode_column(folder: Path, place: Path) -> int:
    """Number of items without a picture."""
    options: dict[str, Any] = {"name": "picture", "log": None, "progress": False}
    return len(encode_images(folder, place / "images", Colors(), **options).missing)
