"""Everything that reads what a run, an encoder or a cache wrote: one entry a reader."""

from __future__ import annotations

import atexit
import contextlib
import functools
import io
import json
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from mdsrec_pyg import build_mdsrec, leave_last_out
from mdsrec_pyg.cli import train as train_command
from mdsrec_pyg.encoders import download_images, encode_texts
from mdsrec_pyg.graphs import cached_item_graph
from mdsrec_pyg.nn import Recommender
from mdsrec_pyg.training import Run, load_weights
from tests.attacks.harness import command, copy, digest
from tests.attacks.readers import Reader, small_shop

SMALL = ("--num-centers", 4, "--model.channels", 8, "--trainer.batch_size", 32)
ITEMS = [f"item-{i}" for i in range(3)]


class Letters:
    """An encoder without weights: the length of a text and its letters ``a``."""

    key = "letters"

    def __init__(self, fail_after: int = 10**9) -> None:
        self.calls, self.fail_after = 0, fail_after

    def __call__(self, texts: list[str]) -> Any:
        """Features ``[B, 2]``."""
        self.calls += 1
        if self.calls > self.fail_after:
            raise KeyboardInterrupt
        return np.array([[len(text), text.count("a")] for text in texts], np.float32)


def train(shop: Path, directory: Path, epochs: int = 2, *more: object) -> str:
    """The command, on a small shop."""
    return command(
        *("train", "--data", shop, "--directory", directory, *SMALL),
        *("--trainer.epochs", epochs, "--json", *more),
    )


@functools.cache
def trained() -> tuple[Path, Path]:
    """A shop and the folder of a run on it, made once a process; nobody may change them."""
    root = Path(tempfile.mkdtemp(prefix="attack-run-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    small_shop().save(root / "shop")
    train(root / "shop", root / "run")
    return root / "shop", root / "run"


@functools.cache
def parts() -> tuple[Any, Any]:
    """Features and training part of the shop."""
    shop = small_shop()
    return shop.features, leave_last_out(shop.interactions)


@functools.cache
def small_model(seed: int = 0) -> Any:
    """A model as the run's, made once a process; only a forked child may change it."""
    features, split = parts()
    return build_mdsrec(features, split.train, num_centers=4, channels=8, seed=seed)


def state(model: Any) -> dict[str, str]:
    """Hash of each parameter and buffer."""
    return {name: digest(value) for name, value in model.state_dict().items()}


def run_content(run: Path) -> dict[str, str]:
    """What must be the same however often a run was interrupted: no times, no versions."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    rows = [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]
    result = json.loads((run / "result.json").read_text())
    found = {
        "rows": digest(rows),
        "result": digest({key: result[key] for key in ("best_epoch", "epochs", "val", "test")}),
    }
    for name in ("ranks.parquet", "texts.json", "model/model.safetensors", "model/items.json"):
        found[name] = digest((run / name).read_bytes())
    return found


def read_run(folder: Path) -> Any:
    """A run found again."""
    run = Run(folder)
    return run.config.to_dict(), state(run.model), run.item_ids, run.item_text


def resume(folder: Path) -> Any:
    """A run that goes on for one more epoch."""
    train(trained()[0], folder, 3, "--resume")
    return run_content(folder)


def read_weights(folder: Path) -> Any:
    """``best.pt`` in a new model."""
    model = small_model()
    load_weights(model, folder / "best.pt")
    return state(model)


def recommend(folder: Path) -> Any:
    """Histories of a file answered by a run."""
    said = command("recommend", trained()[1], "--histories", folder / "histories.tsv", "--json")
    return json.loads(said)


def make_recommend(folder: Path) -> None:
    """Histories of three users."""
    rows = [("ann", "item-1"), ("bob", "item-2"), ("ann", "item-3"), ("cy", "item-4")]
    text = "".join(f"{user}\t{item}\t{n + 10}\n" for n, (user, item) in enumerate(rows))
    (folder / "histories.tsv").write_text("user\titem\ttimestamp\n" + text)


def cached(folder: Path) -> Any:
    """A graph from the cache."""
    features, split = parts()
    graph = cached_item_graph(folder / "cache", features["image"], split.train, num_neighbors=5)
    return {"edges": digest(graph.edge_index), "weights": digest(graph.edge_weight)}


def make_shards(folder: Path) -> None:
    """Texts of which some blocks are encoded."""
    lines = [{"item": i, "raw_id": f"B{i}", "text": "a tea" * (i + 1)} for i in range(6)]
    (folder / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    try:
        encode_texts(folder, Letters(2), block_size=2, log=None, progress=False)
    except KeyboardInterrupt:
        return
    raise AssertionError("the encoding must be interrupted")


def encode(folder: Path) -> Any:
    """The encoding goes on."""
    encode_texts(folder, Letters(), block_size=2, log=None, progress=False)
    return [digest(np.load(folder / name)) for name in ("text.npy", "text_mask.npy")]


def make_config(folder: Path) -> None:
    """The options of a run as YAML."""
    options = {"seed": 3, "preset": "paper", "num_centers": 5, "modalities": ["image"]}
    text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in options.items())
    text += "trainer:\n  epochs: 7\n  lr: 0.01\nmodel:\n  channels: 16\n"
    (folder / "run.yaml").write_text(text)


def read_config(folder: Path) -> Any:
    """The options of ``mdsrec train --config``."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            args = train_command.parse(["--config", str(folder / "run.yaml")])
    except SystemExit as stop:
        raise ValueError(said.getvalue()[-1500:]) from stop
    run, trainer = train_command.configurations(args)
    return repr((run.to_dict(), trainer.to_dict()))


def make_downloads(folder: Path) -> None:
    """Items whose images are there already, and the table of what became of each."""
    (folder / "images").mkdir()
    lines = []
    for i in range(3):
        (folder / "images" / f"B{i}.png").write_bytes(b"\x89PNG")
        lines.append(json.dumps({"item": i, "raw_id": f"B{i}", "image_url": "http://127.0.0.1:9"}))
    (folder / "items.jsonl").write_text("\n".join(lines) + "\n")
    download_images(folder, log=None, progress=False)


def downloads(folder: Path) -> Any:
    """Nothing is left to fetch; where a damaged file says otherwise, no name leads anywhere."""
    network: Any = socket  # in a forked child: nobody else looks names up
    network.getaddrinfo = _no_names
    done = download_images(folder, log=None, progress=False, retries=0, timeout=1.0)
    return [(row.raw_id, row.status) for row in done.rows]


def _no_names(host: str, port: int, *args: Any, **options: Any) -> Any:
    raise socket.gaierror(socket.EAI_NONAME, f"no name service here for {host}")


def _copy_best(folder: Path) -> None:
    shutil.copy(trained()[1] / "best.pt", folder)
    small_model()  # made before the forks


def _copy_run(folder: Path) -> None:
    copy(trained()[1], folder)


RUN_READERS: tuple[Reader, ...] = (
    Reader(
        "run folder",
        _copy_run,
        read_run,
        verified=("model.safetensors", "items.json", "model/config.json", "config.json"),
        spared=("*.pt", "metrics.jsonl", "result.json", "ranks.parquet", "README.md"),
    ),
    Reader(
        "run resumed",
        _copy_run,
        resume,
        verified=("*.pt", "metrics.jsonl"),
        spared=("model/*", "result.json", "ranks.parquet", "texts.json"),
    ),
    Reader(
        "best.pt",
        _copy_best,
        read_weights,
        verified=("*.pt",),
    ),
    Reader(
        "saved model",
        lambda folder: small_model().save(folder / "model"),
        lambda folder: state(Recommender.load(folder / "model")),
        verified=("*",),
        spared=("README.md",),
    ),
    Reader("graph cache", cached, cached, verified=("*.pt",)),
    Reader("encoder's blocks", make_shards, encode, verified=("*.npz",), spared=("lock",)),
    Reader("config YAML", make_config, read_config),
    Reader("histories, command", make_recommend, recommend),
    Reader(
        "downloads",
        make_downloads,
        downloads,
        spared=("*.png", ".lock"),
    ),
)
