"""Trains and evaluates MDSRec and its baselines on folders of real data; one row a finished run.

    python -m benchmarks.accuracy DATA/scientific_full DATA/hm_week
    python -m benchmarks.accuracy DATA/scientific_clip --trials-of scientific_full
    python -m benchmarks.accuracy_table

Leave-last-out. Each model gets the same number of trials (``trials.py``), one seed, judged by
NDCG@10 on validation with seen items kept as candidates; the winner runs over all seeds. Rows are
appended to ``benchmarks/results/accuracy.jsonl`` as they are finished; a job that has its row is
skipped, so the command can be stopped and started again, and run for several data sets at once.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.about import about
from benchmarks.trials import ABLATIONS, TRIALS, make_model
from mdsrec_pyg import FolderDataset, Trainer, evaluate, leave_last_out, seed_everything
from mdsrec_pyg.data import Split
from mdsrec_pyg.memory import use_huge_pages
from mdsrec_pyg.nn.models import Recommender, SequentialRecommender

RESULTS = Path(__file__).parent / "results" / "accuracy.jsonl"
TRAINER = {"batch_size": 128, "epochs": 100, "patience": 6}


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path, help="data sets (FolderDataset)")
    parser.add_argument("--models", nargs="+", default=list(TRIALS), choices=list(TRIALS))
    parser.add_argument("--modalities", nargs="+", default=["image", "text"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--trials-of", help="take the winners of this data set, do not tune")
    parser.add_argument("--ablations", action="store_true", help="each part of MDSRec off in turn")
    parser.add_argument("--rows", type=Path, default=RESULTS)
    parser.add_argument("--epochs", type=int, default=TRAINER["epochs"])
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Finished runs."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def winner(rows: list[dict[str, Any]], dataset: str, model: str) -> dict[str, Any] | None:
    """Options of the trial with the best validation NDCG@10; None until all trials are done."""
    trials = [
        row
        for row in rows
        if row["dataset"] == dataset and row["model"] == model and row["kind"] == "trial"
    ]
    done = {json.dumps(row["options"], sort_keys=True) for row in trials}
    if any(json.dumps(options, sort_keys=True) not in done for options in TRIALS[model]):
        return None
    current = [row for row in trials if row["options"] in TRIALS[model]]
    best: dict[str, Any] = max(current, key=lambda row: row["val"]["kept"]["ndcg@10"])
    return best["options"]


def chosen(path: Path, dataset: str, model: str) -> dict[str, Any]:
    """Options of the winning trial among the rows of a file; the end where there is none yet."""
    options = winner(read_rows(path), dataset, model)
    if options is None:
        raise SystemExit(f"no finished trials of {model} on {dataset}: run accuracy.py there first")
    return options


def jobs(args: argparse.Namespace, dataset: str) -> Iterator[tuple[str, str, int, dict[str, Any]]]:
    """Kind, model, seed and options of every run, looking at the rows as they come in."""
    tuned_on = args.trials_of or dataset
    for model in args.models:
        if tuned_on == dataset:
            for options in TRIALS[model]:
                yield "trial", model, args.seeds[0], options
    for seed in args.seeds:
        for model in args.models:
            yield "final", model, seed, chosen(args.rows, tuned_on, model)
    if args.ablations:
        options = chosen(args.rows, tuned_on, "MDSRec")
        for name, change in ABLATIONS.items():
            yield f"ablation: {name}", "MDSRec", args.seeds[0], {**options, **change}


def train_model(
    dataset: FolderDataset,
    split: Split,
    model_name: str,
    seed: int,
    options: dict[str, Any],
    epochs: int,
) -> tuple[Recommender, dict[str, Any]]:
    """A model made from the training part and trained, and how the training went."""
    seed_everything(seed)
    model = make_model(model_name, dataset, split.train, seed, options)
    row: dict[str, Any] = {}
    if isinstance(model, SequentialRecommender):
        settings = {**TRAINER, "epochs": epochs, "lr": options.get("lr", 1e-3)}
        trainer = Trainer(model, seed=seed, progress=False, log=lambda line: None, **settings)
        history = trainer.fit(split.train, split.val)
        seconds = [epoch["seconds"] for epoch in history.rows]
        row = {
            "best_epoch": history.best_epoch,
            "epochs": len(history),
            "seconds_per_epoch": round(sum(seconds) / len(seconds), 2),
        }
    return model, row


def figures(model: Recommender, split: Split) -> dict[str, Any]:
    """What a trained model reaches on validation and test."""
    row: dict[str, Any] = {}
    for name, part in (("val", split.val), ("test", split.test)):
        result = evaluate(model, part)
        row[name] = {"kept": result.metrics, "masked": result.metrics_masked, "tied": result.tied}
    row["parameters"] = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return row


def append(path: Path, row: dict[str, Any]) -> None:
    """One line in one write, so that two processes may share the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")


def main() -> None:
    """Runs every job that has no row yet."""
    use_huge_pages()
    args = parse()
    torch.set_num_threads(args.threads)
    rules = {"split": "leave_last_out", "candidates": "whole catalog", "ties": "mean rank"}
    for folder in args.folders:
        dataset = FolderDataset(folder, modalities=args.modalities)
        split = leave_last_out(dataset.interactions)
        for kind, model, seed, options in jobs(args, dataset.name):
            key = {"dataset": dataset.name, "kind": kind, "model": model, "seed": seed}
            key |= {"options": options, "trainer": {**TRAINER, "epochs": args.epochs}}
            rows = read_rows(args.rows)
            if any(all(row.get(name) == value for name, value in key.items()) for row in rows):
                continue
            same = [row for row in rows if all(row.get(n) == key[n] for n in key if n != "kind")]
            if same:  # the winning trial is the first of the final runs
                append(args.rows, {**same[0], "kind": kind})
                continue
            start = time.perf_counter()
            trained, row = train_model(dataset, split, model, seed, options, args.epochs)
            row |= figures(trained, split)
            row["seconds"] = round(time.perf_counter() - start, 1)
            append(args.rows, {**key, **row, **rules, **about(args.threads)})
            val, test = row["val"]["kept"]["ndcg@10"], row["test"]["kept"]["ndcg@10"]
            print(
                f"{dataset.name:16} {kind:10} {model:16} seed {seed}  ndcg@10 val {val:.4f} "
                f"test {test:.4f}  {row['seconds']:.0f} s  {options}",
                flush=True,
            )


if __name__ == "__main__":
    main()
