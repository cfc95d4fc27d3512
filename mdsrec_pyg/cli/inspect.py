"""``mdsrec inspect``: what a data set holds, whether its features help, and what is odd."""

from __future__ import annotations

import inspect
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from mdsrec_pyg.cli.parser import Namespace, Parser
from mdsrec_pyg.datasets import SPLITS, FolderDataset, RecommendationDataset, SyntheticDataset
from mdsrec_pyg.inspection import inspect_dataset, plot_inspection
from mdsrec_pyg.showing import json_text

EXAMPLES = """\
  mdsrec inspect shop
  mdsrec inspect shop --split temporal
  mdsrec inspect shop --modalities text --json | jq .warnings
  mdsrec inspect                                the synthetic data set"""

#: Options that are numbers: the argument of inspect_dataset each stands for, and its text.
NUMBERS = {
    "cutoff": ("k", "of the hit rates"),
    "neighbors": ("num_neighbors", "that modalities are compared by"),
    "centers": ("num_centers", "that modalities are compared by"),
    "examples": ("num_examples", "disagreeing pairs shown each way"),
    "max-queries": ("max_queries", "most users and items asked"),
    "seed": ("seed", "of samples, shuffles and k-means"),
}


def make_parser() -> Parser:
    """The options."""
    parser = Parser(
        "inspect",
        "Look at a data set before training: counts, figures, warnings that say what to do.",
        EXAMPLES,
        usage="mdsrec inspect [FOLDER] [OPTIONS]",
    )
    parser.add_argument(
        "folder", nargs="?", metavar="FOLDER", help="the data set; default: synthetic data"
    )
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        help="for inspection.json and pictures; default: runs/inspect-NAME, with --json none",
    )
    parser.add_argument(
        "--format", choices=("png", "svg"), default="png", help="of the pictures (extra plot)"
    )
    parser.add_argument(
        "--modalities", nargs="+", metavar="NAME", help="default: all in the folder"
    )
    parser.add_argument(
        "--duplicates",
        choices=("keep", "drop"),
        default="keep",
        help="further interactions of a user with the same item",
    )
    parser.add_argument(
        "--split",
        choices=sorted(SPLITS),
        default="leave_last_out",
        help="the split that will be trained on",
    )
    usual = inspect.signature(inspect_dataset).parameters
    for option, (name, text) in NUMBERS.items():
        parser.add_argument(
            f"--{option}", type=int, metavar="INT", default=usual[name].default, help=text
        )
    parser.add_argument("--json", action="store_true", help="print all figures as JSON only")
    return parser


def parse(argv: Sequence[str]) -> Namespace:
    """Reads the options."""
    return make_parser().read(argv)


def run(args: Namespace) -> int:
    """Reads, looks, prints, writes."""
    dataset: RecommendationDataset = SyntheticDataset(seed=0)
    if args.folder is not None:
        dataset = FolderDataset(args.folder, args.modalities, duplicates=args.duplicates)
    elif args.modalities is not None or args.duplicates != "keep":
        raise ValueError("--modalities and --duplicates need a FOLDER (got none)")
    options = {
        name: getattr(args, option.replace("-", "_")) for option, (name, _) in NUMBERS.items()
    }
    inspection = inspect_dataset(dataset, split=args.split, **options)
    if args.json:
        print(json_text(inspection.to_dict(), 2))
    else:
        print(inspection, end="\n\n")
    if args.json and args.out is None:
        return 0
    out = Path("runs") / f"inspect-{dataset.name}" if args.out is None else Path(args.out)
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out must be a folder (got the file {out})")
    out.mkdir(parents=True, exist_ok=True)
    inspection.save(out / "inspection.json")
    print(f"wrote {out / 'inspection.json'}", file=sys.stderr if args.json else sys.stdout)
    try:
        written = plot_inspection(inspection, dataset, out, file_format=args.format)
    except ImportError as error:
        print(f"no pictures: {error}", file=sys.stderr)
        written = []
    for path in written:
        print(f"wrote {path}", file=sys.stderr if args.json else sys.stdout)
    if not args.json:
        _say_what_next(dataset, args)
    return 0


def _say_what_next(dataset: RecommendationDataset, args: Namespace) -> None:
    """The commands that come next, with the options given here."""
    print("\nNext:")
    if args.folder is None:
        print("  mdsrec train\n  mdsrec inspect FOLDER")
        return
    folder, train = shlex.quote(args.folder), ["mdsrec", "train", "--data", args.folder]
    if not dataset.features:  # without, the model is one of IDs
        if dataset.item_text is not None:
            print(f"  mdsrec encode {folder} --text MODEL")
        if dataset.image_urls is not None:
            print(f"  mdsrec encode {folder} --download --image-model MODEL")
        if dataset.item_text is None and dataset.image_urls is None:
            print(f"  features [N, F] put into {folder}, such as text.npy, would be read")
    if args.modalities is not None:
        train += ["--modalities", *args.modalities]
    for option, usual in (("duplicates", "keep"), ("split", "leave_last_out")):
        if getattr(args, option) != usual:
            train += [f"--{option}", getattr(args, option)]
    print(f"  {shlex.join(train)}")
