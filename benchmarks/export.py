"""What an exported program costs beside the retriever: size, time to write, one user, many users.

python -m benchmarks.export DATA_FOLDER --threads 1

Models are of the data's size and their weights drawn, as no time depends on them. Every program is
first asked the same histories as the retriever, drawn from its catalog, of 1 to the number of
items that the model reads, with repeats; a row says how many of all items came out the same, and
how far scores are apart. One user is timed from a list of items to items and scores: padding is in
the time of a program, reading ids and making a table in that of the retriever, neither in that of
the model. Besides what a clock says there is what the processor has worked, which other jobs of
the machine do not lengthen; ratios are of that.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.about import about
from benchmarks.harness import (
    RESULTS,
    add_common_arguments,
    digits,
    interleave,
    positive,
    table,
)
from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.data import FeatureScaler, SequenceBatch, Split, leave_last_out
from mdsrec_pyg.datasets import FolderDataset, RecommendationDataset, SyntheticDataset
from mdsrec_pyg.export import ExportedModel
from mdsrec_pyg.export.check import padded
from mdsrec_pyg.export.formats import FORMATS, NEEDED
from mdsrec_pyg.nn import EASE, GRU4Rec, Popularity, Recommender, SASRec, build_mdsrec
from mdsrec_pyg.retrieval import Retriever, top_items
from mdsrec_pyg.showing import json_text

MODELS = ("MDSRec", "MDSRec-paper", "SASRec", "SASRecF", "GRU4Rec", "EASE", "Popularity")
MANY = 256  # users of a batch
COLUMNS = ["model", "items", "way", "p50_ms", "cpu_ms", "to_retriever", "many_ms", "many_cpu_ms"]
MORE = ["mb", "export_s", "same_items", "apart"]
WARM_UP = 3
#: Scores that lie no further apart are equal but for rounding.
ROUNDING = 1e-4
Histories = list[Any]  # of arrays of item indices


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="?", help="data set folder (default: a synthetic one)")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--formats", nargs="+", default=list(FORMATS), choices=FORMATS)
    parser.add_argument("--histories", type=positive, default=1000, help="of the check")
    parser.add_argument("--calls", type=positive, default=200, help="timed calls for one user")
    parser.add_argument("-k", type=positive, default=10)
    parser.add_argument("--max-length", type=positive, default=50)
    add_common_arguments(parser)
    args = parser.parse_args()
    if args.short:
        args.histories, args.calls, args.max_length = 40, 3, 5
    return args


def make_model(
    name: str, data: RecommendationDataset, split: Split, max_length: int
) -> Recommender:
    """A model of the usual size, away from its start."""
    train = split.train
    size: dict[str, Any] = {"max_length": max_length}
    torch.manual_seed(0)
    if name.startswith("MDSRec"):
        preset = "paper" if name.endswith("paper") else "best"
        given: dict[str, Any] = {"relations": {"l2": 100.0, "feature_weight": 50.0}}
        options = given if preset == "best" else {}
        model: Recommender = build_mdsrec(data.features, train, preset, **size, **options)
    elif name.startswith("SASRec"):
        known = torch.from_numpy(train.item_counts() > 0)
        parts = data.features.values() if name == "SASRecF" else ()
        scaled = [FeatureScaler().fit_transform(part, known).x for part in parts]
        model = SASRec(train.num_items, scaled, **size)
    elif name == "GRU4Rec":
        model = GRU4Rec(train.num_items, **size)
    elif name == "EASE":
        model = EASE(train, list(data.features.values()), decay=0.9, **size)
    else:
        model = Popularity(train, **size)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return model.eval()


def make_histories(num_items: int, max_length: int, count: int) -> Histories:
    """Of every length that the model reads; items come back in them."""
    rng = np.random.default_rng(0)
    lengths = np.resize(np.arange(1, max_length + 1), count)
    return [rng.choice(rng.integers(0, num_items, int(length) + 1), length) for length in lengths]


def batch_of(model: Recommender, histories: Histories) -> SequenceBatch:
    """What the model reads."""
    return SequenceBatch.from_histories(histories, model.max_length)


def check(program: ExportedModel, retriever: Retriever, histories: Histories) -> dict[str, Any]:
    """Share of items that are the retriever's, and how far scores are apart.

    Raises:
        ValueError: Another item whose own score is another, or scores that are apart.
    """
    k = program.settings["k"]
    wanted = retriever.recommend(histories, k, exclude_seen=True)
    best = wanted["score"].to_numpy().reshape(-1, k)
    same, apart = 0, 0.0
    for size in (1, 7, MANY):  # alone, and in batches
        few = histories if size > 1 else histories[:50]
        for start in range(0, len(few), size):
            part = few[start : start + size]
            item, score = program(*padded(part))
            rows = slice(start, start + len(part))
            with torch.no_grad():
                own = retriever.model.score(batch_of(retriever.model, part), retriever.items)
            of_items = own.numpy()[np.arange(len(part))[:, None], item]
            apart = max(apart, *(np.abs(x - best[rows]).max() for x in (score, of_items)))
            if size == MANY:
                same += (item == wanted["item"].to_numpy().reshape(-1, k)[rows]).sum()
    if not apart < ROUNDING:
        raise ValueError(f"the program answers otherwise than the retriever (by {apart:.3g})")
    return {"same_items": digits(same / best.size), "apart": float(f"{apart:.2g}")}


def model_alone(retriever: Retriever, histories: Histories, k: int) -> Callable[[], object]:
    """The model's scores and their k best, without ids and tables."""
    state = {"next": 0}

    def run() -> object:
        part = [histories[state["next"] % len(histories)]]
        state["next"] += 1
        with torch.no_grad():
            scores = retriever.model.score(batch_of(retriever.model, part), retriever.items)
            scores[0, torch.from_numpy(part[0])] = -torch.inf
            return top_items(scores, k)

    return run


def in_turn(histories: Histories, call: Callable[[Histories], object]) -> Callable[[], object]:
    """A run that asks for the next user each time."""
    state = {"next": 0}

    def run() -> object:
        part = [histories[state["next"] % len(histories)]]
        state["next"] += 1
        return call(part)

    return run


def measure(
    name: str, data: RecommendationDataset, split: Split, args: argparse.Namespace, folder: Path
) -> list[dict[str, Any]]:
    """A row a way to ask one model."""
    model = make_model(name, data, split, args.max_length)
    retriever, k = Retriever(model), args.k
    histories = make_histories(model.num_items, args.max_length, args.histories)
    rows: dict[str, dict[str, Any]] = {"Retriever": {}, "model": {}}
    one: dict[str, Callable[[], object]] = {
        "Retriever": in_turn(histories, lambda h: retriever.recommend(h, k, exclude_seen=True)),
        "model": model_alone(retriever, histories, k),
    }
    many: dict[str, Callable[[], object]] = {
        "Retriever": lambda: retriever.recommend(histories[:MANY], k, exclude_seen=True)
    }
    for form in args.formats:
        start, path = time.perf_counter(), folder / f"{name}-{form}"
        model.export(path, format=form, k=k, exclude_seen=True)
        seconds = time.perf_counter() - start
        program = ExportedModel(path, threads=args.threads)
        size = sum((path / part).stat().st_size for part in program.settings["hashes"])
        rows[form] = {"mb": digits(size / 1e6), "export_s": digits(seconds)}
        rows[form] |= check(program, retriever, histories)
        ask = partial(_ask, program)
        one[form], many[form] = in_turn(histories, ask), partial(ask, histories[:MANY])
    for row in rows.values():
        row |= {"model": name, "items": model.num_items}
    _timed(rows, one, args.calls)
    _timed(rows, many, args.repeats or max(1, args.calls // 20), "many_")
    return [{"way": way, **row} for way, row in rows.items()]


def _ask(program: ExportedModel, histories: Histories) -> object:
    return program(*padded(histories))


def _timed(
    rows: dict[str, dict[str, Any]],
    runs: dict[str, Callable[[], object]],
    calls: int,
    of: str = "",
) -> None:
    """Adds medians to the rows: as a clock has them, and as the processor, which others share."""
    cpu: dict[str, list[float]] = {way: [] for way in runs}

    def counted(way: str) -> Callable[[], None]:
        def run() -> None:
            start = time.process_time()
            runs[way]()
            cpu[way].append(time.process_time() - start)

        return run

    seconds = interleave({way: counted(way) for way in runs}, calls, warmup=WARM_UP)
    median = {way: statistics.median(part[WARM_UP:]) * 1e3 for way, part in cpu.items()}
    for way in runs:
        rows[way] |= {
            f"{of}{'p50_' if not of else ''}ms": digits(statistics.median(seconds[way]) * 1e3),
            f"{of}cpu_ms": digits(median[way]),
            f"{of}to_retriever": digits(median[way] / median["Retriever"]),
            f"{of}calls": calls,
        }


def main() -> None:
    """Appends a line a row to the result file, and prints a table."""
    args = parse()
    torch.set_num_threads(args.threads)
    size = (60, 62) if args.short else (300, 310)
    data = SyntheticDataset(*size, seed=0) if args.data is None else FolderDataset(args.data)
    split, path = leave_last_out(data.interactions), args.out or RESULTS / "export.jsonl"
    settings = {name: getattr(args, name) for name in ("k", "max_length", "histories")}
    named = "synthetic" if args.data is None else Path(args.data).name
    shared = {"benchmark": "export", "data": named, **about(args.threads), "settings": settings}
    shared["versions"] |= {name: version(name) for name in NEEDED["onnx"]}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in tqdm(args.models, desc="models"):
            found = measure(name, data, split, args, Path(folder))
            rows += found
            with path.open("a", encoding="utf-8") as file:  # a run that is stopped keeps these
                file.writelines(json_text({**shared, **row}) + "\n" for row in found)
    print(table(rows, [*COLUMNS, *MORE]))
    print(json_text(rows))


if __name__ == "__main__":
    sys.exit(run_script(main))
