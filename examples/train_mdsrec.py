"""Trains MDSRec on a folder of interactions and features, and evaluates it on the test split.

    python examples/train_mdsrec.py --data FOLDER

The folder holds interactions, items and one array a modality: see "Your own data" in the
README. Without ``--data`` the synthetic data set takes its place (``make train``).

What to expect without options: a quarter of a minute on one CPU core, best epoch 1, test Recall@10
.192 and NDCG@10 .086 over the whole catalog, seen items kept as candidates or masked alike; with
``--l2 300``, as each item has few users here, .210 and .095.

The run's folder, ``runs/<data>-<preset>-seed<seed>`` and further options, holds ``settings.json``
(for ``--user`` of ``examples/recommend.py``), ``metrics.jsonl`` (a line an epoch), ``last.pt``,
``best.pt``, ``model`` (which stands alone, with its card), ``texts.json``,
``result.json`` and ``ranks.parquet``. The same command again continues an interrupted run.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import torch
import torch_geometric

import mdsrec_pyg
from mdsrec_pyg import FolderDataset, SyntheticDataset, Trainer, build_mdsrec, evaluate
from mdsrec_pyg.datasets import SPLITS, RecommendationDataset
from mdsrec_pyg.evaluation import save_ranks
from mdsrec_pyg.io import atomic_write
from mdsrec_pyg.nn import PRESETS, ModelCard


def make_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(description="Train MDSRec on a folder.")
    parser.add_argument("--data", type=Path, help="folder of the data set; default: synthetic data")
    parser.add_argument("--modalities", nargs="+", help="default: all in the folder")
    parser.add_argument("--duplicates", choices=("keep", "drop"), default="keep")
    parser.add_argument("--split", choices=sorted(SPLITS), default="leave_last_out")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="best")
    parser.add_argument("--channels", type=int, default=64, help="width D")
    parser.add_argument("--centers", type=int, default=32, help="interest centers a modality")
    parser.add_argument("--l2", type=float, help="ridge of the learned graphs")
    parser.add_argument("--epochs", type=int, default=100, help="at most so many")
    parser.add_argument("--patience", type=int, default=10, help="epochs without a better value")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--shuffle-ties", action="store_true", help="equal times in random order")
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    parser.add_argument("--directory", type=Path, help="folder of the run, see above")
    parser.add_argument("--resume", action="store_true", help="an error if there is no run yet")
    return parser


def run_directory(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Path:
    """A name that holds every option, so that no two runs share a folder."""
    data = "synthetic" if args.data is None else args.data.resolve().name
    name = f"{data}-{args.preset}-seed{args.seed}"
    for option, value in vars(args).items():
        named = option in ("data", "preset", "seed", "directory", "resume")
        if not named and value != parser.get_default(option):
            text = "-".join(value) if isinstance(value, list) else value
            name += f"-{option}-{text}".replace("_", "-")
    return Path("runs") / name


def write_json(path: Path, content: Any) -> None:
    """Writes the file whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def say_what_next(directory: Path, user: object) -> None:
    """The command that recommends from this run."""
    python = Path(sys.executable)
    if python.is_relative_to(Path.cwd()):
        python = python.relative_to(Path.cwd())
    print(f"The run is in {directory}. Recommendations, with the why of each:")
    print(f"  {python} examples/recommend.py {directory} --user {user}")


def main(argv: list[str] | None = None) -> None:
    """Trains, evaluates, writes."""
    parser = make_parser()
    args = parser.parse_args(argv)
    directory = args.directory or run_directory(parser, args)
    settings = {
        "data": args.data and str(args.data.resolve()),
        **{name: vars(args)[name] for name in ("modalities", "duplicates", "split", "preset")},
        "seed": args.seed,
        "options": {"channels": args.channels, "num_centers": args.centers},
    }
    settings["options"] |= {} if args.l2 is None else {"relations": {"l2": args.l2}}
    held = directory / "settings.json"
    if args.resume and not (directory / "last.pt").exists():
        raise ValueError(f"--resume needs a run in {directory} (there is no last.pt)")
    if held.exists() and json.loads(held.read_text()) != settings:
        raise ValueError(f"--directory {directory} holds a run with other settings")

    dataset: RecommendationDataset = SyntheticDataset(seed=0)
    if args.data is not None:
        dataset = FolderDataset(args.data, args.modalities, duplicates=args.duplicates)
    split = SPLITS[args.split](dataset)
    print(dataset, split, sep="\n\n", end="\n\n")
    model = build_mdsrec(
        dataset.features, split.train, args.preset, seed=args.seed, **settings["options"]
    )
    model.item_ids = dataset.item_ids  # what recommendations take and give
    directory.mkdir(parents=True, exist_ok=True)
    write_json(held, settings)
    if dataset.item_text is not None:
        write_json(directory / "texts.json", list(dataset.item_text))
    names = ("lr", "epochs", "batch_size", "patience", "shuffle_ties", "seed")
    trainer = Trainer(model, directory=directory, **{name: vars(args)[name] for name in names})
    history = trainer.fit(split.train, split.val, resume=(directory / "last.pt").exists())
    if history.interrupted:
        raise SystemExit(f"interrupted: the same command continues the run in {directory}")

    val, test = evaluate(model, split.val), evaluate(model, split.test)
    print(f"\n{test}\n")
    result = {
        **settings,
        "best_epoch": history.best_epoch,
        "epochs": len(history),
        "seconds": round(sum(row["seconds"] for row in history.rows), 1),
        **{"val": val.to_dict(), "test": test.to_dict()},
        "versions": {m.__name__: m.__version__ for m in (mdsrec_pyg, torch, torch_geometric)},
    }
    write_json(directory / "result.json", result)
    command = shlex.join(["python", "examples/train_mdsrec.py", *(argv or sys.argv[1:])])
    rules: dict[str, Any] = {"data": dataset.name, "split": args.split, "seed": args.seed}
    card = ModelCard(metrics=test.metrics, exclude_seen=False, command=command, **rules)
    card.write(directory / "model")
    ids = {"user_ids": dataset.user_ids, "item_ids": dataset.item_ids}
    save_ranks(directory / "ranks.parquet", test, **ids)
    say_what_next(directory, dataset.user_ids[split.test.user_id[0]])


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:  # a mistake in the options or the data, said by the library
        raise SystemExit(f"error: {error}") from error
