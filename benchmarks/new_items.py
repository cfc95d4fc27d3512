"""Items that came after training, and newer interactions: what a model makes of them untrained.

python -m benchmarks.new_items DATA/scientific_clip --modalities image text --epochs 20

A share of the items is held out of training as items: their interactions are taken out of the
training part and out of every history, and the models are trained over the others. Then they are
added by their features (``with_items``). Asked are the users whose validation or test item is one
of them; it is ranked among the new items alone, and among all items. What the new items cost the
others is seen by the test items that are old, ranked among all.

The second part takes the newest training row of each user away, trains, and gives it back by
``update``, beside the model as it was and one that is trained from scratch on all rows.

Options are not tuned, for nobody: those of the presets, and of ``RidgeConfig`` for EASE.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.about import about
from benchmarks.accuracy_rows import append
from benchmarks.harness import add_common_arguments, positive, table
from benchmarks.held_out_items import Features, HeldOut, hold_out
from mdsrec_pyg import FolderDataset, MDSRec, Trainer, build_mdsrec, evaluate, leave_last_out
from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.data import EvaluationSplit, Interactions, SequenceBatch, Split
from mdsrec_pyg.data.queries import make_queries
from mdsrec_pyg.evaluation import ranking_metrics
from mdsrec_pyg.memory import use_huge_pages
from mdsrec_pyg.nn import EASE, Popularity
from mdsrec_pyg.nn.models import Recommender

RESULTS = Path(__file__).parent / "results" / "new-items.jsonl"
#: Ridge of the untrained votes, which nothing chooses.
PLAIN = {"l2": 70.0, "feature_weight": 20.0}
METRICS = ("ndcg@10", "recall@10", "mrr")
Score = Callable[[SequenceBatch], Tensor]


class NearestFeatures(Recommender):
    """The mean cosine to the items of the history, summed over the modalities."""

    supports_training = False

    def __init__(self, features: Features, max_length: int) -> None:
        super().__init__(len(next(iter(features.values()))), max_length)
        self.rows = [F.normalize(part.x, dim=1) for part in features.values()]

    def score(self, batch: SequenceBatch, items: Any = None) -> Tensor:
        """Scores [B, N]."""
        total = torch.zeros(len(batch), self.num_items)
        for rows in self.rows:
            taken = (rows[batch.item_id] * batch.mask[..., None]).sum(1)  # [B, F]
            total += taken @ rows.T / batch.mask.sum(1, keepdim=True)
        return total


def _scores(
    score: Score, asked: EvaluationSplit, max_length: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Scores [B, N] without those of seen items, and those of the targets [B, 1]."""
    for rows, batch in asked.batches(256, max_length):
        scores, target = score(batch).clone(), torch.from_numpy(asked.target[rows])[:, None]
        own = scores.gather(1, target)
        seen = torch.where(batch.mask, batch.item_id, batch.item_id[:, -1:])
        yield scores.scatter_(1, seen, -torch.inf).scatter_(1, target, own), own


@torch.no_grad()
def ranks(score: Score, held: HeldOut, max_length: int) -> dict[str, NDArray[Any]]:
    """Ranks of the new targets among new items and among all, and of old ones among all.

    Seen items are masked, and ties take the mean rank.
    """
    found: dict[str, list[Tensor]] = {"new": [], "all": [], "old": []}
    for scores, own in _scores(score, held.asked, max_length):
        found["new"].append(_rank(scores[:, held.num_old :], own))
        found["all"].append(_rank(scores, own))
    for scores, own in _scores(score, held.others, max_length):
        found["old"].append(_rank(scores, own))
    return {name: torch.cat(part).double().numpy() for name, part in found.items()}


def _rank(candidates: Tensor, own: Tensor) -> Tensor:
    return (candidates > own).sum(1) + ((candidates == own).sum(1) - 1) / 2


def train(
    features: Features, part: Interactions, val: EvaluationSplit, preset: str, args: Any
) -> tuple[MDSRec, dict[str, Any]]:
    """A trained model, and what its training took."""
    start = time.perf_counter()
    if args.untrained:
        model = build_mdsrec(features, part, preset, relations=PLAIN, vectors=False)
        return model.eval(), {"build_s": round(time.perf_counter() - start, 2), "epochs": 0}
    model = build_mdsrec(features, part, preset, seed=args.seed)
    built = time.perf_counter() - start
    settings = {"epochs": args.epochs, "patience": args.epochs, "batch_size": 128}
    trainer = Trainer(model, seed=args.seed, progress=False, log=lambda line: None, **settings)
    history = trainer.fit(part, val)
    return model.eval(), {
        "best_epoch": history.best_epoch,
        "epochs": len(history),
        "build_s": round(built, 2),
        "train_s": round(time.perf_counter() - start - built, 2),
    }


def new_item_rows(dataset: FolderDataset, args: Any) -> list[dict[str, Any]]:
    """A row a model: what it makes of items that it was not trained with."""
    held = hold_out(dataset, args.share, args.seed)
    padded = replace(held.train, num_items=held.asked.num_items)
    rows: list[dict[str, Any]] = []

    def add(name: str, score: Score, length: int = 50, **more: Any) -> None:
        row = {"part": "new items", "model": name, "num_new": len(held.new[first]), **more}
        for among, rank in ranks(score, held, length).items():
            metrics = ranking_metrics(rank)
            row |= {f"{among} {key}": round(metrics[key], 4) for key in METRICS}
            row[f"{among} rank"] = round(float(rank.mean()), 1)
        rows.append({**row, "queries": len(held.asked), "old queries": len(held.others)})

    first = next(iter(held.features))
    add("popularity", Popularity(padded).score)
    add("nearest features", NearestFeatures(held.features, 50).score)
    add("EASE with features", EASE(padded, [*held.features.values()]).score)
    for preset in args.presets:
        model, took = train(held.old, held.train, held.val, preset, args)
        ids = np.arange(held.num_old, padded.num_items)
        for votes in ("neighbors", "ridge") if model.votes is not None else ("neighbors",):
            start = time.perf_counter()
            bigger = model.with_items(ids, held.new, votes=votes)
            took["with_items_s"] = round(time.perf_counter() - start, 2)
            name = f"MDSRec {preset}" + (f", {votes}" if model.votes is not None else "")
            add(name, partial(bigger.score, items=bigger.encode_items()), **took)
            if bigger.votes is not None and bigger.config.vectors:
                add(f"{name}: votes alone", bigger.votes)
        if model.votes is not None and model.config.vectors:
            vectors = super(MDSRec, bigger).score
            add(f"MDSRec {preset}: vectors alone", partial(vectors, items=bigger.encode_items()))
    return rows


def update_rows(dataset: FolderDataset, args: Any) -> list[dict[str, Any]]:
    """Rows of a model before and after an update, and of one that was trained again."""
    split: Split = leave_last_out(dataset.interactions)
    last = np.zeros(len(split.train), bool)
    last[split.train.user_ptr[1:][np.diff(split.train.user_ptr) > 1] - 1] = True
    before = split.train.select(~last)
    val = make_queries("val", split.train, np.flatnonzero(last), before)
    preset = args.presets[0]
    older, took = train(dataset.features, before, val, preset, args)
    start = time.perf_counter()
    updated = older.update(split.train)
    seconds = {"update_s": round(time.perf_counter() - start, 2)}
    again, took_again = train(dataset.features, split.train, split.val, preset, args)
    rows = []
    for name, model, times in (
        ("before", older, took),
        ("updated", updated, seconds),
        ("trained again", again, took_again),
    ):
        metrics = evaluate(model, split.test).metrics_masked
        row = {"part": "update", "model": f"MDSRec {preset}, {name}", **times}
        row |= {f"all {key}": round(metrics[key], 4) for key in METRICS}
        rows.append({**row, "queries": len(split.test), "newer": int(last.sum())})
    return rows


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--modalities", nargs="+", help="default: all in the folder")
    parser.add_argument("--share", type=float, default=0.2, help="of the items that are new")
    parser.add_argument("--presets", nargs="+", default=["best", "paper"])
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--epochs", type=positive, default=20)
    parser.add_argument(
        "--untrained", action="store_true", help="plain votes over the graphs, nothing trained"
    )
    parser.add_argument("--seed", type=int, default=0)
    add_common_arguments(parser)
    args = parser.parse_args()
    args.epochs = 1 if args.short else args.epochs
    return args


PARTS = {"items": new_item_rows, "update": update_rows}


def main() -> None:
    """Prints a table a part and appends the rows."""
    use_huge_pages()
    args = parse()
    torch.set_num_threads(args.threads)
    for folder in args.folders:
        dataset = FolderDataset(folder, modalities=args.modalities)
        settings = {"seed": args.seed, "share": args.share, "max_epochs": args.epochs}
        settings |= {"trained": not args.untrained}
        for part in args.parts:
            rows = PARTS[part](dataset, args)
            print(f"{dataset.name}, {list(dataset.features)}, seen items masked, ties at mean rank")
            print(table(rows))
            for row in rows:
                known = {"benchmark": "new_items", "dataset": dataset.name, **settings}
                modalities = {"modalities": list(dataset.features)}
                append(args.out or RESULTS, {**known, **modalities, **row, **about(args.threads)})


if __name__ == "__main__":
    sys.exit(run_script(main))
