"""Trains MDSRec on a folder of interactions and features, and tests it beside baselines.

    python examples/train_mdsrec.py --data FOLDER

The folder holds interactions, items and one array a modality: see
``docs/guides/data.md``. Without ``--data`` the synthetic data set takes its place (``make train``).

What to expect without options, on one CPU core in half a minute: validation NDCG@10 .090 before
training and .103 in epoch 12 of 17; on the test split popularity .004, SASRec .023, EASE with
features .090, MDSRec .105, of which training adds .009: the rest is fitted in closed form.

The run's folder, ``runs/<data>-<preset>-seed<seed>`` and further options, holds ``settings.json``
(for ``--user`` of ``examples/recommend.py``), ``metrics.jsonl`` (a line an epoch), ``last.pt``,
``best.pt``, ``model`` (which stands alone, with its card), ``texts.json``, ``result.json``,
``ranks.parquet`` and ``learning.svg``. The same command again continues an interrupted run.
"""

from __future__ import annotations

import shlex
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch_geometric

import mdsrec_pyg
from mdsrec_pyg import FolderDataset, SyntheticDataset, Trainer, build_mdsrec, evaluate
from mdsrec_pyg.cli.device import cpu_threads
from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.datasets import SPLITS, RecommendationDataset
from mdsrec_pyg.evaluation import save_ranks
from mdsrec_pyg.graphs import RidgeConfig
from mdsrec_pyg.io import claim, read_json, write_json
from mdsrec_pyg.nn import PRESETS, ModelCard, Preset, Recommender, RelationsConfig
from mdsrec_pyg.training import (
    TrainerConfig,
    fit_baselines,
    plot_learning,
    preset_options,
    synthetic_settings,
    write_texts,
)

# Options that stand in a run's name by themselves, or do not belong in it.
ELSEWHERE = ("data", "preset", "seed", "directory", "resume", "no_baselines", "threads")


def make_parser(usual: Preset, trainer: TrainerConfig, ridge: RelationsConfig) -> ArgumentParser:
    """The options, with the defaults of a form, a trainer and a ridge."""

    def number(text: str) -> float | str:
        return text if text == "auto" else float(text)

    parser = ArgumentParser(description="Train MDSRec on a folder.")
    parser.add_argument("--data", type=Path, help="folder of the data set; default: synthetic data")
    parser.add_argument("--modalities", nargs="+", help="default: all in the folder")
    parser.add_argument("--duplicates", choices=("keep", "drop"), default="keep")
    parser.add_argument("--split", choices=sorted(SPLITS), default="leave_last_out")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="best")
    parser.add_argument("--channels", type=int, default=usual.model.channels, help="width D")
    parser.add_argument("--centers", type=int, default=usual.num_centers, help="a modality")
    parser.add_argument("--l2", type=number, default=ridge.l2, help="EASE's, too, if not 'auto'")
    parser.add_argument("--feature-weight", type=number, default=ridge.feature_weight)
    parser.add_argument("--memory-limit", type=int, default=ridge.memory_limit, help="of the ridge")
    parser.add_argument("--epochs", type=int, default=trainer.epochs, help="at most so many")
    parser.add_argument("--patience", type=int, default=trainer.patience, help="epochs, no gain")
    parser.add_argument("--batch-size", type=int, default=trainer.batch_size)
    parser.add_argument("--lr", type=float, default=trainer.lr)
    parser.add_argument("--threads", type=int, help="of the CPU; default: what torch takes")
    parser.add_argument("--shuffle-ties", action="store_true", help="equal times in random order")
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    parser.add_argument("--directory", type=Path, help="folder of the run, see above")
    parser.add_argument("--resume", action="store_true", help="an error if there is no run yet")
    parser.add_argument("--no-baselines", action="store_true", help="nothing but MDSRec")
    return parser


def run_directory(parser: ArgumentParser, args: Namespace) -> Path:
    """A name that holds every option, so that no two runs share a folder."""
    data = "synthetic" if args.data is None else args.data.resolve().name
    name = f"{data}-{args.preset}-seed{args.seed}"
    for option, value in vars(args).items():
        if option not in ELSEWHERE and value != parser.get_default(option):
            text = "-".join(value) if isinstance(value, list) else value
            name += f"-{option}-{text}".replace("_", "-")
    return Path("runs") / name


def say_what_next(directory: Path, user: object) -> None:
    """The commands that come next."""
    python = Path(sys.executable)
    if python.is_relative_to(Path.cwd()):
        python = python.relative_to(Path.cwd())
    words = f"{python} examples/recommend.py {directory} --user {shlex.quote(str(user))}"
    print(f"What next\n  Recommendations of this run, with the why of each:\n    {words}")
    print(f"  Your own data:\n    {python} examples/train_mdsrec.py --data FOLDER")


def main(argv: list[str] | None = None) -> int:
    """Trains, evaluates, writes."""
    parser = make_parser(Preset(), TrainerConfig(), RelationsConfig())
    args = parser.parse_args(argv)
    own: dict[str, Any] = {}
    if args.data is None:  # other settings are usual for synthetic data
        form, usual = synthetic_settings(args.preset)
        ridge = synthetic_settings("best")[0].relations or RelationsConfig()
        parser = make_parser(form, usual, ridge)
        args = parser.parse_args(argv)
        own = preset_options(args.preset, form)
        print(f"settings of the synthetic data: {own}, lr {usual.lr}, patience {usual.patience}\n")
    directory = args.directory or run_directory(parser, args)
    # One process at a time, to the end, or the files in the folder would be those of two runs.
    with cpu_threads(args.threads), claim(directory, make=True):
        return run(directory, args, own, argv or sys.argv[1:])


def run(directory: Path, args: Namespace, own: dict[str, Any], words: list[str]) -> int:
    """Does what the options say."""
    settings = {
        "data": args.data and str(args.data.resolve()),
        **{name: vars(args)[name] for name in ("modalities", "duplicates", "split", "preset")},
        "seed": args.seed,
        "options": {**own, "channels": args.channels, "num_centers": args.centers},
    }
    changed = {name: vars(args)[name] for name in ("l2", "feature_weight", "memory_limit")}
    ridge = RidgeConfig(**{name: value for name, value in changed.items() if value != "auto"})
    if PRESETS[args.preset].relations is not None:
        settings["options"]["relations"] = changed
    held = directory / "settings.json"
    if args.resume and not (directory / "last.pt").exists():
        raise ValueError(f"--resume needs a run in {directory} (there is no last.pt)")
    if held.exists() and read_json(held, dict, "the settings of a run") != settings:
        raise ValueError(f"--directory {directory} holds a run with other settings")

    dataset: RecommendationDataset = SyntheticDataset(seed=0)
    if args.data is not None:
        dataset = FolderDataset(args.data, args.modalities, duplicates=args.duplicates)
    split = SPLITS[args.split](dataset)
    print(dataset, split, "MDSRec is built from the training part ...", sep="\n\n", end="\n\n")
    model = build_mdsrec(
        dataset.features, split.train, args.preset, seed=args.seed, **settings["options"]
    )
    model.item_ids = dataset.item_ids  # what recommendations take and give
    before = [evaluate(model, part) for part in (split.val, split.test)]
    write_json(held, settings)
    if dataset.item_text is not None:
        write_texts(directory, dataset.item_text)
    names = ("lr", "epochs", "batch_size", "patience", "shuffle_ties", "seed")
    trainer = Trainer(model, directory=directory, **{name: vars(args)[name] for name in names})
    history = trainer.fit(split.train, split.val, resume=(directory / "last.pt").exists())
    if history.interrupted:
        print(f"the same command continues the run in {directory}")
        return 130

    models: dict[str, Recommender] = {}
    if not args.no_baselines:
        print()
        models = fit_baselines(dataset.features, split, config=trainer.config, ridge=ridge)
    found = {n: [evaluate(m, part) for part in (split.val, split.test)] for n, m in models.items()}
    found["MDSRec before training"] = before
    found["MDSRec"] = [evaluate(model, part) for part in (split.val, split.test)]
    masked = history.rows[0]["exclude_seen"]  # as on validation: not without a history bias
    shown = {n: [p.metrics_masked if masked else p.metrics for p in ps] for n, ps in found.items()}
    table = pd.DataFrame({name: test for name, (_, test) in shown.items()}).T
    val, test = found.pop("MDSRec")
    print(f"\n{test}\n\nBeside it, seen items {'masked' if masked else 'kept as candidates'}:")
    print(table.to_string(float_format="{:.4f}".format), end="\n\n")
    result = {
        **settings,
        **{"best_epoch": history.best_epoch, "epochs": len(history)},
        "seconds": round(sum(row["seconds"] for row in history.rows), 1),
        **{"val": val.to_dict(), "test": test.to_dict()},
        "baselines": {name: {p.split: p.to_dict() for p in parts} for name, parts in found.items()},
        "versions": {m.__name__: m.__version__ for m in (mdsrec_pyg, torch, torch_geometric)},
    }
    write_json(directory / "result.json", result)
    command = shlex.join(["python", "examples/train_mdsrec.py", *words])
    rules: dict[str, Any] = {"data": dataset.name, "split": args.split, "seed": args.seed}
    rules["metrics"] = test.metrics_masked if masked else test.metrics
    ModelCard(exclude_seen=masked, command=command, **rules).write(directory / "model")
    ids = {"user_ids": dataset.user_ids, "item_ids": dataset.item_ids}
    save_ranks(directory / "ranks.parquet", test, **ids)
    values = {name: shown[name][0]["ndcg@10"] for name in models}
    start, path = shown["MDSRec before training"][0]["ndcg@10"], directory / "learning.svg"
    try:
        picture = str(plot_learning(history.rows, values, path, start=start, title=directory.name))
    except ImportError as error:
        picture = str(error)
    print(f"Validation by epoch, beside the baselines: {picture}\n")
    say_what_next(directory, dataset.user_ids[split.test.user_id[0]])
    return 0


if __name__ == "__main__":
    sys.exit(run_script(main))  # a mistake in the options or the data ends in one line
