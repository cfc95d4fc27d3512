"""What a training step takes, and how often it launches a kernel and waits, eager and compiled.

python -m benchmarks.step DATA/scientific_full --device cuda --batch-sizes 128 1024
"""

from __future__ import annotations

import argparse
import copy
import itertools
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.about import about
from benchmarks.harness import add_common_arguments, result_path, save, spread, synchronize, table
from mdsrec_pyg import FolderDataset, SASRec, build_mdsrec, leave_last_out
from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.data import Interactions
from mdsrec_pyg.nn import GRU4Rec, SequentialRecommender
from mdsrec_pyg.nn.votes import evidence
from mdsrec_pyg.training.config import TrainerConfig
from mdsrec_pyg.training.loop import make_batches, make_loader
from mdsrec_pyg.training.optimizer import make_optimizer
from mdsrec_pyg.training.step import make_step

MODELS = ("SASRec", "GRU4Rec", "MDSRec-paper", "MDSRec")

#: Operations that return what they were given in another shape: they launch nothing.
VIEWS = {"view", "t", "transpose", "expand", "unsqueeze", "squeeze", "slice", "select", "split"}
VIEWS |= {"detach", "permute", "alias", "as_strided", "_unsafe_view", "unbind", "diagonal"}
VIEWS |= {"empty", "empty_like", "new_empty", "empty_strided", "_reshape_alias", "lift_fresh"}
VIEWS |= {"split_with_sizes"}
#: Operations whose result the host looks at.
LOOKS = {"_local_scalar_dense", "nonzero", "equal", "bincount", "_unique2", "repeat_interleave"}


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--modalities", nargs="+", default=["image", "text"])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[128])
    parser.add_argument("--steps", type=int, default=40, help="timed together, in each repeat")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--forms", nargs="+", default=["eager", "compiled"])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add_common_arguments(parser)
    args = parser.parse_args()
    if args.short:
        args.steps, args.models, args.forms = 2, ["SASRec", "MDSRec"], ["eager"]
    return args


def make_model(
    name: str, dataset: FolderDataset, train: Interactions, device: str
) -> SequentialRecommender:
    """A model with the usual options and the first weights of seed 0."""
    torch.manual_seed(0)
    if name in ("SASRec", "GRU4Rec"):
        kind = SASRec if name == "SASRec" else GRU4Rec
        return kind(dataset.num_items).to(device)
    preset = "paper" if name == "MDSRec-paper" else "best"
    return build_mdsrec(dataset.features, train, preset, device=device)


class Dispatched(TorchDispatchMode):
    """Counts what launches a kernel and what the host looks at, on any device."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.split("::")[1]
        self.found["launches"] += name not in VIEWS
        self.found["waits"] += name in LOOKS
        if name in ("index", "index_put", "index_put_", "_index_put_impl_"):
            self.found["waits"] += any(i is not None and i.dtype == torch.bool for i in args[1])
        return func(*args, **(kwargs or {}))


def counts(step: Callable[[], object], device: torch.device) -> dict[str, int]:
    """Launches and waits of one step: on a GPU what the driver is asked for."""
    if device.type != "cuda":
        with patch.object(evidence, "COMPACT", ()), Dispatched() as mode:  # as on a GPU
            step()
        return {"launches": mode.found["launches"], "waits": mode.found["waits"]}
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        step()
    called: Counter[str] = Counter()
    for event in profiled.key_averages():
        for kind, words in {
            "launches": ("LaunchKernel", "GraphLaunch", "MemcpyAsync", "MemsetAsync"),
            "waits": ("StreamSynchronize", "EventSynchronize"),
        }.items():
            called[kind] += event.count * any(word in event.key for word in words)
    busy = sum(event.self_device_time_total for event in profiled.key_averages())
    return {**{kind: called[kind] for kind in ("launches", "waits")}, "device_us": round(busy)}


def measure(
    model: SequentialRecommender,
    train: Interactions,
    size: int,
    form: str,
    args: argparse.Namespace,
) -> dict[str, Any]:
    """One row of the table: the whole step, from the batches of the loader to the new weights."""
    device = torch.device(args.device)
    config = TrainerConfig(batch_size=size, compile=form == "compiled", precision=args.precision)
    model.to(device).train()
    optimizer = make_optimizer(model, config.lr, config.weight_decay)
    step, loader = make_step(model, optimizer, config, device), make_loader(train, model, config)

    def endless() -> Generator[Any, None, None]:
        for epoch in itertools.count():
            loader.set_epoch(epoch)
            yield from make_batches(loader, device)

    stream, losses = endless(), []

    def run() -> None:
        losses.append(step(next(stream)))
        optimizer.step()

    start = time.perf_counter()
    for _ in range(max(2, min(len(loader), 3 * args.steps))):
        run()
    synchronize(device)
    prepared, seconds = time.perf_counter() - start, []
    for _ in range(args.repeats or 5):
        start = time.perf_counter()
        for _ in range(args.steps):
            run()
        synchronize(device)
        seconds.append((time.perf_counter() - start) / args.steps)
    found = counts(run, device)
    stream.close()
    return {
        **spread(seconds),
        **found,
        "loss": float(statistics.mean(loss.item() for loss in losses[-args.steps :])),
        "warm_up_s": round(prepared, 2),
        "shapes": len(getattr(step, "captured", ())),
    }


def main() -> None:
    """Prints a table and one line of JSON."""
    args = parse()
    torch.set_num_threads(args.threads)
    dataset = FolderDataset(args.folder, modalities=args.modalities)
    train = leave_last_out(dataset.interactions).train
    rows = []
    for name in args.models:
        start = time.perf_counter()
        model = make_model(name, dataset, train, args.device)
        built = round(time.perf_counter() - start, 2)
        for size, form in itertools.product(args.batch_sizes, args.forms):
            row: dict[str, Any] = {"model": name, "batch": size, "form": form, "build_s": built}
            rows.append(row | measure(copy.deepcopy(model), train, size, form, args))
            print(table(rows[-1:]), flush=True)
    print(table(rows))
    found = about(args.threads, args.device)
    settings = {"precision": args.precision, "steps": args.steps, "device": args.device}
    result = {"benchmark": "step", **found, "dataset": dataset.name, **settings, "results": rows}
    path = args.out or result_path("step", found["date"], args.device, args.threads)
    save(result, path)


if __name__ == "__main__":
    sys.exit(run_script(main))
