"""``mdsrec update``: a trained model over a data set that has grown."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mdsrec_pyg.cli.parser import Namespace, Parser
from mdsrec_pyg.cli.source import open_run
from mdsrec_pyg.datasets import RecommendationDataset
from mdsrec_pyg.nn import ModelCard
from mdsrec_pyg.nn.models.growing.model import GrowingRecommender
from mdsrec_pyg.showing import counted, json_text, showable
from mdsrec_pyg.training import update_model, write_texts
from mdsrec_pyg.training.run_texts import TEXTS
from mdsrec_pyg.training.runs import SETTINGS

EXAMPLES = """\
  mdsrec train --data data/shop --growable --directory runs/shop
  mdsrec update runs/shop --data data/shop --out models/shop
  mdsrec serve models/shop --data data/shop

Items that the model lacks are added by their features, and its graphs are fitted on all
interactions that the data set holds now; weights stay as they were trained. Update the run each
time, not the model that was updated before. A service that has the folder loads it on SIGHUP."""


def make_parser() -> Parser:
    """The options."""
    parser = Parser(
        "update",
        "Bring a trained model up to a data set that has grown, without training.",
        EXAMPLES,
        usage="mdsrec update RUN --out FOLDER [OPTIONS]",
    )
    parser.add_argument(
        "run", metavar="RUN", help="folder of the run, or of a saved model, trained with --growable"
    )
    parser.add_argument("--out", metavar="FOLDER", required=True, help="of the new model")
    parser.add_argument("--data", metavar="FOLDER", help="of the data set; default: the run's")
    parser.add_argument(
        "--votes",
        choices=("neighbors", "ridge"),
        default="neighbors",
        help="what votes for new items: what votes for their neighbors, or the ridge",
    )
    parser.add_argument("--json", action="store_true", help="print what was done as JSON only")
    return parser


def parse(argv: Sequence[str]) -> Namespace:
    """Reads the options."""
    args = make_parser().read(argv)
    args.command = shlex.join(["mdsrec", "update", *argv])
    return args


def run(args: Namespace) -> int:
    """Writes the new model; says what is new in it."""
    out = Path(args.out)
    for folder in (out, out.resolve().parent):
        if (folder / SETTINGS).is_file():
            raise ValueError(
                f"'out' must not be of a run, which stays as it was trained (got {out})"
            )
    trained = open_run(args.run, args.data)
    model: Any = trained.model
    if not isinstance(model, GrowingRecommender) or model.built_from is None:
        raise ValueError(
            f"the model in {trained.directory} must keep what it was built from: train it with "
            "--growable; the same command with it writes the model of a run that has ended anew"
        )
    trained.config = trained.config.replace(modalities=list(model.built_from.features))
    dataset = trained.dataset
    print("the graphs are fitted again ...", file=sys.stderr)
    new = update_model(model, dataset, votes=args.votes)
    card = ModelCard(data=dataset.name, seed=trained.config.seed, command=args.command)
    new.save(out, card=card, growable=True)
    _write_texts(out, new.item_ids, dataset)
    _say(args, model, new, dataset)
    return 0


def _write_texts(out: Path, item_ids: Any, dataset: RecommendationDataset) -> None:
    """The texts of the new model's items, in its order."""
    if dataset.item_text is None:
        (out / TEXTS).unlink(missing_ok=True)
        return
    known = dict(zip(dataset.item_ids.tolist(), dataset.item_text, strict=True))
    write_texts(out, [known.get(item, "") for item in item_ids])


def _say(args: Namespace, old: Any, new: Any, dataset: RecommendationDataset) -> None:
    added = new.num_items - old.num_items
    before, now = len(old.built_from.train), len(dataset.interactions)
    if args.json:
        done = {"folder": args.out, "items": new.num_items, "added": added, "interactions": now}
        print(json_text(done, 2))
        return
    print(
        f"{showable(args.out)}: {counted(new.num_items, 'item')}, {added:,} of them new; graphs of "
        f"{counted(now, 'interaction')} (before: {before:,})"
    )
    data = "" if args.data is None else f" --data {shlex.quote(args.data)}"
    print(f"\nNext:\n  mdsrec serve {shlex.quote(args.out)}{data}")
