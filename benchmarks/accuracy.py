"""Trains and evaluates MDSRec and its baselines on folders of real data; one row a finished run.

    python -m benchmarks.accuracy DATA/scientific_full DATA/hm_week
    python -m benchmarks.accuracy DATA/scientific_clip --trials-of scientific_full
    python -m benchmarks.accuracy DATA/shop --modalities audio --split temporal
    python -m benchmarks.accuracy_table

Each model gets its trials (``trials.py``), one seed, judged by NDCG@10 on validation
with seen items masked, which also stops the training; the winner runs over all seeds, and so does
MDSRec with its defaults, without a search. A data set without features gets the models of IDs. Rows
are appended to ``benchmarks/results/accuracy.jsonl`` as they are finished, the ranks of every test
query to a folder beside it; a job that has its row is skipped, so the command can be stopped and
started again, and run for several data sets at once. A model of IDs reads no modality: its runs
count for all.
Rows that were chosen with seen items kept, as they all once were, count as other runs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.about import about
from benchmarks.accuracy_rows import (
    RESULTS,
    RULE,
    SEEN,
    USUAL_SPLIT,
    append,
    chosen,
    has,
    models_for,
    ranks_path,
    read_rows,
    tuned_on,
)
from benchmarks.harness import positive
from benchmarks.trials import NEURAL, OF_TRAINER, TRIALS, UNTUNED, ablations_for, make_model
from mdsrec_pyg import FolderDataset, Trainer, evaluate, seed_everything
from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.data import Split
from mdsrec_pyg.datasets import SPLITS
from mdsrec_pyg.evaluation import Evaluation, save_ranks
from mdsrec_pyg.memory import use_huge_pages
from mdsrec_pyg.nn.models import Recommender, SequentialRecommender

TRAINER = {
    "batch_size": 128,
    "epochs": 100,
    "patience": 6,
    "exclude_seen": True,
}


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path, help="data sets (FolderDataset)")
    parser.add_argument(
        "--models", nargs="+", choices=list(TRIALS), help="default: all that the data have"
    )
    parser.add_argument("--modalities", nargs="+", help="default: all in the folder")
    parser.add_argument("--split", choices=sorted(SPLITS), default=USUAL_SPLIT)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(5)))
    parser.add_argument("--trials-of", help="whose winners data sets without trials take")
    parser.add_argument("--ablations", action="store_true", help="each part of MDSRec off")
    parser.add_argument(
        "--ablation-seeds", type=positive, default=3, help="these over the first so many of --seeds"
    )
    parser.add_argument("--rows", type=Path, default=RESULTS)
    parser.add_argument("--epochs", type=positive, default=TRAINER["epochs"])
    parser.add_argument(
        "--num-negatives",
        type=positive,
        help="sampled softmax in every neural model whose trials do not say it (large catalogs)",
    )
    parser.add_argument("--threads", type=positive, default=1)
    return parser.parse_args()


def jobs(
    args: argparse.Namespace, dataset: FolderDataset
) -> Iterator[tuple[str, str, int, dict[str, Any]]]:
    """Kind, model, seed and options of every run, looking at the rows as they come in."""
    models, settings = models_for(dataset, args.models), settings_of(args, dataset)
    known = (args.split, args.trials_of)
    tuned = {m: tuned_on(args.rows, dataset.name, m, *known) for m in models}
    for model in models:
        if tuned[model] == dataset.name:
            for options in TRIALS[model]:
                yield "trial", model, args.seeds[0], options
    for seed in args.seeds:
        for model in models:
            yield "final", model, seed, chosen(args.rows, tuned[model], model, settings)
        for model, options in UNTUNED.values():
            if model in models:
                yield "final", model, seed, options
    if args.ablations:
        _, options = UNTUNED["MDSRec-default"]
        for seed in args.seeds[: args.ablation_seeds]:
            for name, change in ablations_for(len(dataset.features)).items():
                yield f"ablation: {name}", "MDSRec", seed, {**options, **change}


def train_model(
    dataset: FolderDataset,
    split: Split,
    model_name: str,
    seed: int,
    options: dict[str, Any],
    common: dict[str, Any],
) -> tuple[Recommender, dict[str, Any]]:
    """A model made from the training part and trained, and how the training went."""
    seed_everything(seed)
    shared = dict(common)
    negatives = shared.pop("num_negatives", None)
    if negatives and model_name in NEURAL:
        options = {"num_negatives": negatives, **options}
    model = make_model(model_name, dataset, split.train, seed, options)
    row: dict[str, Any] = {}
    if isinstance(model, SequentialRecommender):
        own = {name: options[name] for name in OF_TRAINER if name in options}
        settings = {**shared, **own}
        trainer = Trainer(model, seed=seed, progress=False, log=lambda line: None, **settings)
        history = trainer.fit(split.train, split.val)
        seconds = [epoch["seconds"] for epoch in history.rows]
        row = {
            "best_epoch": history.best_epoch,
            "epochs": len(history),
            "seconds_per_epoch": round(sum(seconds) / len(seconds), 2),
        }
    return model, row


def figures(model: Recommender, split: Split) -> tuple[dict[str, Any], Evaluation]:
    """What a trained model reaches on validation and test, and the ranks of the test."""
    row: dict[str, Any] = {}
    for name, part in (("val", split.val), ("test", split.test)):
        result = evaluate(model, part)
        row[name] = {"kept": result.metrics, "masked": result.metrics_masked, "tied": result.tied}
    row["parameters"] = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return row, result


def settings_of(args: argparse.Namespace, dataset: FolderDataset) -> dict[str, Any]:
    """What all runs of a command over a data set share."""
    sampled = {"num_negatives": args.num_negatives} if args.num_negatives else {}
    return {
        **{"split": args.split, "modalities": list(dataset.features)},
        "trainer": {**TRAINER, "epochs": args.epochs, **sampled},
        "chosen_by": RULE,
    }


def key_of(
    args: argparse.Namespace, dataset: FolderDataset, model: str, seed: int, options: dict[str, Any]
) -> dict[str, Any]:
    """What a run is known by, beside its kind."""
    own = {"dataset": dataset.name, "model": model, "seed": seed, "options": options}
    return {**own, **settings_of(args, dataset)}


def keep_ranks(path: Path, key: dict[str, Any], test: Evaluation, dataset: FolderDataset) -> Path:
    """Writes the ranks of a run where :func:`ranks_path` finds them."""
    ranks = ranks_path(path, key)
    ranks.parent.mkdir(parents=True, exist_ok=True)
    save_ranks(ranks, test, user_ids=dataset.user_ids, item_ids=dataset.item_ids)
    return ranks


def main() -> None:
    """Runs every job that has no row yet."""
    use_huge_pages()
    args = parse()
    torch.set_num_threads(args.threads)
    rules = {"candidates": "whole catalog", "ties": "mean rank"}
    for folder in args.folders:
        dataset = FolderDataset(folder, modalities=args.modalities)
        split = SPLITS[args.split](dataset)
        for kind, model, seed, options in jobs(args, dataset):
            key = key_of(args, dataset, model, seed, options)
            same = [row for row in read_rows(args.rows) if has(row, key)]
            if any(row["kind"] == kind for row in same):
                continue
            if same:  # the winning trial is the first of the final runs
                append(args.rows, {**same[0], "kind": kind})
                continue
            start = time.perf_counter()
            trained, row = train_model(dataset, split, model, seed, options, key["trainer"])
            found, test = figures(trained, split)
            row |= found
            row["seconds"] = round(time.perf_counter() - start, 1)
            row["ranks"] = keep_ranks(args.rows, key, test, dataset).name
            append(args.rows, {**key, "kind": kind, **row, **rules, **about(args.threads)})
            val, best = (row[part][SEEN]["ndcg@10"] for part in ("val", "test"))
            print(
                f"{dataset.name:16} {kind:10} {model:16} seed {seed}  {RULE} val {val:.4f} "
                f"test {best:.4f}  {row['seconds']:.0f} s  {options}",
                flush=True,
            )


if __name__ == "__main__":
    sys.exit(run_script(main))
