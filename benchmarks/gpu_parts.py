"""The parts of benchmarks/gpu_check.py but for those that train; each runs in its own process.

python -m benchmarks.gpu_parts propagation --rows rows.jsonl
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from benchmarks import loss as loss_benchmark
from benchmarks import propagation as propagation_benchmark
from benchmarks.gpu_models import building, step, training
from benchmarks.gpu_rows import Row, Scale, figure, seconds_of
from benchmarks.gpu_tests import tests
from benchmarks.harness import device
from benchmarks.propagation_methods import OURS
from mdsrec_pyg import Interactions, SASRec, evaluate, leave_last_out
from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.nn import LightGraphConv
from mdsrec_pyg.showing import json_text

PEERS = ("torch_sparse.matmul", "torch CSR int32, cached transpose", "EdgeIndex.matmul")
BOTH = "forward+backward"
WORDS = ("oak", "chair", "steel", "lamp", "table", "with", "four", "legs", "and", "red", "one")


def propagation(scale: Scale) -> Iterator[Row]:
    """The host's time of a call, and each size against other libraries and the copy speed."""
    yield from host_time(scale)
    sizes = [(n, h, d) for n in (23_000, 1_000_000) for d in (64, 128) for h in (10, 20)]
    if scale.miniature:
        sizes = [(200, 4, 8)]
    words = ["propagation", "--device", scale.device, "--methods", *PEERS]
    words += ["--repeats", "2" if scale.miniature else "20"]
    with mock.patch.object(sys, "argv", words):
        args = propagation_benchmark.parse()
    torch.sparse.check_sparse_tensor_invariants.disable()
    for num_nodes, num_neighbors, channels in sizes:
        size = (num_nodes, num_neighbors, channels, "float32")
        case = propagation_benchmark.Case(args, size)
        yield from compared(case.rows(), case.bytes, size)
        del case
        if scale.cuda:
            torch.cuda.empty_cache()


def compared(
    found: Sequence[dict[str, Any]], num_bytes: int, size: tuple[int, int, int, str]
) -> Iterator[Row]:
    """Times of ours and of the others, and what they are to each other."""
    num_nodes, num_neighbors, channels, _ = size
    times = {(row["method"], row["pass"]): row["median_ms"] for row in found}
    name = f"{num_nodes:,} x {num_neighbors}, D={channels}"
    ours = times[OURS, BOTH]
    sparse = times.get(("torch_sparse.matmul", BOTH))
    small, largest = num_nodes < 100_000, (num_nodes, num_neighbors) == (1_000_000, 20)
    goal = sparse if small and channels == 64 else None
    yield figure(f"{name}, ours, forward", times[OURS, "forward"], "ms")
    yield figure(f"{name}, ours, {BOTH}", ours, "ms", goal)
    for peer in PEERS:
        if (peer, BOTH) in times:
            yield figure(f"{name}, {peer}, {BOTH}", times[peer, BOTH], "ms")
    if sparse is not None:
        goal = 2.2 if largest and channels == 64 else None
        yield figure(f"{name}, than torch_sparse", sparse / ours, "times faster", goal)
    # Milliseconds of reading a row of D float32 numbers an edge at the speed of a copy.
    speed = num_bytes / times["bytes at copy speed", "forward"]
    gather = num_nodes * num_neighbors * channels * 4 / speed
    goal = 1.25 if largest and channels == 64 else None
    forward = times[OURS, "forward"]
    yield figure(f"{name}, forward to gathering at copy speed", forward / gather, "ratio", goal)
    back = (ours - forward) / gather
    yield figure(f"{name}, backward to gathering at copy speed", back, "ratio", goal)


def host_time(scale: Scale) -> Iterator[Row]:
    """Microseconds until a call over a small graph returns: the host's work, on a GPU alone."""
    generator = torch.Generator().manual_seed(0)
    target = torch.arange(1000).repeat_interleave(10)
    source = torch.randint(1000, target.shape, generator=generator)
    edge_index = torch.stack([source, target]).to(scale.device)
    weight = torch.rand(10_000, generator=generator).to(scale.device)
    x = torch.randn(1000, 64, generator=generator).to(scale.device)
    trained, ones = x.clone().requires_grad_(), torch.ones_like(x)
    conv = LightGraphConv()
    kept = (x, edge_index, weight, conv._settings())

    def both() -> None:
        trained.grad = None
        conv(trained, edge_index, weight).backward(ones)

    calls: dict[str, tuple[Callable[[], object], float | None]] = {
        "a call": (lambda: conv(x, edge_index, weight), 40.0),
        "a call that keeps what its gradient needs": (
            lambda: conv(trained, edge_index, weight),
            40.0,
        ),
        "a call and its gradient": (both, None),
        "an autograd function that does nothing": (lambda: _Nothing.apply(trained), None),
        "the look-up of what is kept": (lambda: conv._calls.get(*kept), None),
        "the checks of a new input": (lambda: conv.path(x, edge_index, weight), None),
    }
    yield figure(f"kernel chosen: {conv.path(x, edge_index, weight)}", None, "")
    repeats = 2 if scale.miniature else 200
    for name, (call, goal) in calls.items():
        found = []
        for _ in range(6):  # the first one warms up
            seconds_of(call, scale)  # nothing of the turn before is waited for
            found.append(seconds_to_return(call, repeats))
        yield figure(f"host, {name}", 1e6 * min(found[1:]), "us", goal if scale.cuda else None)


class _Nothing(torch.autograd.Function):
    """What every gradient written in Python costs at least."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Gives back what it got."""
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """The same."""
        return grad


def seconds_to_return(call: Callable[[], object], repeats: int) -> float:
    """Mean seconds of calls that nobody waits for."""
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def loss(scale: Scale) -> Iterator[Row]:
    """Full cross-entropy and its gradients over catalogs, beside the plain form where it fits."""
    sizes = (300, 2000) if scale.miniature else (10_000, 100_000, 1_000_000)
    positions = 64 if scale.miniature else 8192
    words = ["loss", "--device", scale.device, "--methods", "plain", "--memory-limit", "24"]
    words += ["--repeats", "1" if scale.miniature else "3"]
    with mock.patch.object(sys, "argv", words):
        args = loss_benchmark.parse()
    for num_items in sizes:
        rows = loss_benchmark.catalog_rows(args, num_items, positions)
        times = {row["method"]: row for row in rows}
        plain = times.get(loss_benchmark.PLAIN)
        name = f"{positions:,} positions, {num_items:,} items"
        mine = times[loss_benchmark.OURS]
        # The form is chosen by memory: where the plain one fits, ours must not be slower.
        goal = None if plain is None or not scale.cuda else 1.05 * plain["median_ms"]
        yield figure(f"{name}, ours", mine["median_ms"], "ms", goal)
        yield figure(f"{name}, ours, peak", mine["peak_mb"], "MB")
        if plain is not None:
            yield figure(f"{name}, plain", plain["median_ms"], "ms")
            yield figure(f"{name}, plain, peak", plain["peak_mb"], "MB")


def evaluation(scale: Scale) -> Iterator[Row]:
    """Ranks of the test targets in the whole catalog, with seen items masked and not."""
    num_users = 64 if scale.miniature else 8192
    for num_items in (300,) if scale.miniature else (10_000, 100_000):
        rng = np.random.default_rng(0)
        user = np.repeat(np.arange(num_users), 7)
        item = rng.integers(num_items, size=len(user))
        table = Interactions.from_arrays(user, item, num_users=num_users, num_items=num_items)
        split = leave_last_out(table).test
        model = SASRec(num_items, channels=64).to(scale.device)

        def rank(model: SASRec = model, split: Any = split) -> object:
            return evaluate(model, split, (10, 20)).metrics

        rank()
        rate = len(split) / min(seconds_of(rank, scale) for _ in range(3))
        yield figure(f"{num_items:,} items, SASRec", rate, "users/s")


def encoder(scale: Scale) -> Iterator[Row]:
    """Texts through a BERT of MiniLM's size with random weights, if transformers is there."""
    if importlib.util.find_spec("transformers") is None:
        yield figure("transformers is not installed", None, "")
        return
    from mdsrec_pyg.encoders import TextEncoder

    number, layers, width = (8, 1, 24) if scale.miniature else (2048, 6, 384)
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, 60)) for _ in range(number)]
    with tempfile.TemporaryDirectory() as folder:
        random_bert(Path(folder), layers, width)
        for dtype in ("float32", "bfloat16"):
            encode = TextEncoder(folder, library="transformers", device=scale.device, dtype=dtype)

            def run(encode: TextEncoder = encode) -> list[Tensor]:
                return [encode(texts[i : i + 256]) for i in range(0, number, 256)]

            run()
            name = f"{layers} layers of width {width}, 60 words, {dtype}"
            yield figure(name, number / seconds_of(run, scale), "texts/s")


def random_bert(folder: Path, layers: int, width: int) -> None:
    """Saves a BERT that nobody has trained, and a tokenizer of a few words."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    sizes = {"hidden_size": width, "intermediate_size": 4 * width}
    config = BertConfig(
        vocab_size=len(words), num_hidden_layers=layers, num_attention_heads=12, **sizes
    )
    BertModel(config).save_pretrained(folder)


RUN: dict[str, Callable[[Scale], Iterator[Row]]] = {
    "tests": tests,
    "propagation": propagation,
    "step": step,
    "loss": loss,
    "evaluation": evaluation,
    "building": building,
    "training": training,
    "encoder": encoder,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one part; each row is written when it is there."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("part", choices=RUN)
    parser.add_argument("--device", type=device, default="cpu")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--miniature", action="store_true")
    parser.add_argument("--rows", type=Path, required=True)
    args = parser.parse_args(arguments)
    scale = Scale(args.device, args.miniature, args.data)
    with args.rows.open("w", encoding="utf-8") as file:
        for row in RUN[args.part](scale):
            file.write(json_text(row) + "\n")
            file.flush()


if __name__ == "__main__":
    sys.exit(run_script(main))
