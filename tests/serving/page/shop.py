"""A small shop whose items are not all well meant, and a service over it."""

from __future__ import annotations

import json
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mdsrec_pyg import Retriever, build_mdsrec
from mdsrec_pyg.data import leave_last_out
from mdsrec_pyg.datasets import FolderDataset
from tests.small_models import moved

MARKUP = """<img src=x onerror="document.title='taken'"><script>document.title='taken'</script>"""
RIGHT_TO_LEFT = "\u202eمصباح طاولة أزرق\u202c كبير"  # noqa: RUF001
LONG = "Lamp" + "x" * 9_996
HOSTILE_ID = '"><b onclick=alert(1)>a/b?c=1&d#e'

COLORS = ("red", "blue", "green", "gray")
THINGS = ("mug", "lamp", "vase", "plate", "scarf", "pot")
#: Raw id and text of each item; those that follow have no picture.
ITEMS = [(f"S{i}", f"{COLORS[i % 4]} {THINGS[i // 4]}") for i in range(24)]
ITEMS += [("M1", MARKUP), ("R1", RIGHT_TO_LEFT), ("L1", LONG), (HOSTILE_ID, "odd lamp")]
NUM_USERS = 40


def png(red: int, green: int, blue: int, side: int = 8) -> bytes:
    """A picture of one color."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    rows = (b"\0" + bytes((red, green, blue)) * side) * side
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    packed = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + packed


def write_shop(folder: Path) -> None:
    """Colors are what the image tells, things what the text tells; users follow one of them."""
    rng = np.random.default_rng(0)
    size = len(ITEMS)
    color, thing = np.arange(size) % 4, np.arange(size) // 4 % 6
    lines = ["user\titem\ttimestamp"]
    for user in range(NUM_USERS):
        group = color == user % 4 if user % 2 else thing == user % 6
        taken = rng.permutation(group.nonzero()[0])[:4].tolist()
        taken += [item for item in rng.permutation(size).tolist() if item not in taken][:3]
        lines += [f"user-{user}\t{item}\t{step}" for step, item in enumerate(taken)]
    (folder / "interactions.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = [
        json.dumps({"item": i, "raw_id": raw_id, "text": text})
        for i, (raw_id, text) in enumerate(ITEMS)
    ]
    (folder / "items.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    for name, group in (("image", color), ("text", thing)):
        x = np.eye(6)[group] + 0.1 * rng.standard_normal((size, 6))
        np.save(folder / f"{name}.npy", x.astype(np.float32))
    (folder / "images").mkdir()
    for i in range(20):
        (folder / "images" / f"S{i}.png").write_bytes(png(40 * (i % 4) + 60, 10 * i, 120))


def shop_retriever(folder: Path) -> Retriever:
    """A model that was not trained, away from its start."""
    dataset = FolderDataset(folder)
    split = leave_last_out(dataset.interactions)
    torch.manual_seed(0)
    model = moved(build_mdsrec(dataset.features, split.train, num_centers=4, channels=8))
    counts = split.train.item_counts()
    return Retriever(model, dataset.item_ids, item_counts=counts)


@contextmanager
def running(app: Any) -> Iterator[str]:
    """The address of a server of this app, in a thread."""
    import uvicorn

    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (socket,) = server.servers[0].sockets
    try:
        yield f"http://127.0.0.1:{socket.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(20)
