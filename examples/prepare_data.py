"""From raw files to a folder that the model reads.

    python examples/prepare_data.py amazon --root downloads --category Pantry --generation 2018 \
        --out data/pantry
    python examples/prepare_data.py amazon --reviews Gift_Cards_5.json.gz \
        --metadata meta_Gift_Cards.json.gz --generation 2018 --out data/gift_cards
    python examples/prepare_data.py movielens ml-1m --set version=1m min_rating=4 --out data/ml-1m

What to expect: the settings, a table of the steps with the users, items and interactions after
each, a summary of the data set, and the commands that come next. Nothing is written if anything is
wrong. The counts stay in ``meta.json`` of the folder.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path

from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.datasets import SOURCES as OTHERS
from mdsrec_pyg.datasets import AmazonReviewsDataset, RecommendationDataset


def add_amazon(parser: argparse.ArgumentParser) -> None:
    """Options of the Amazon Reviews."""
    parser.add_argument("--root", type=Path, help="folder with the files of --category")
    parser.add_argument(
        "--category", help="as in the files' names, or Scientific, Pantry, Baby, Sports, Clothing"
    )
    parser.add_argument("--generation", choices=("2014", "2018", "2023"), default="2023")
    parser.add_argument("--reviews", type=Path, metavar="FILE", help="instead of what --root has")
    parser.add_argument("--metadata", type=Path, metavar="FILE")
    parser.add_argument("--image-features", type=Path, metavar="FILE", help="those of 2014")
    parser.add_argument(
        "--require", nargs="+", default=[], metavar="WHAT", help="text, image_url, image"
    )
    parser.add_argument("--max-text-length", type=int, default=2_000, help="characters")
    parser.add_argument("--min-coverage", type=float, default=0.5, help="of items by metadata")
    parser.add_argument("--on-error", choices=("raise", "skip"), default="raise")
    add_common(parser, repeats="first", k_core=5)


def amazon(args: argparse.Namespace) -> RecommendationDataset:
    """Reads the Amazon Reviews."""
    names = ("reviews", "metadata", "image_features", "repeats", "require", "max_text_length")
    options = {name: vars(args)[name] for name in (*names, "min_coverage", "on_error")}
    return AmazonReviewsDataset(
        args.root, args.category, args.generation, k_core=args.k_core or None, **options
    )


def add_common(parser: argparse.ArgumentParser, repeats: str, k_core: int) -> None:
    """Options of every source, with its defaults."""
    parser.add_argument(
        "--repeats",
        choices=("keep", "first", "last"),
        default=repeats,
        help=f"what stays of repeated (user, item) pairs (default: {repeats})",
    )
    parser.add_argument(
        "--k-core", type=int, default=k_core, help=f"0: no k-core (default: {k_core})"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")


def add_other(parser: argparse.ArgumentParser) -> None:
    """Another source; the documentation of its class has the options for --set."""
    parser.add_argument("root", type=Path, help="folder with the files")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="k_core=null")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")


def other(args: argparse.Namespace) -> RecommendationDataset:
    """Reads another source; a value is JSON, and text if it is not."""
    options, known = {}, list(inspect.signature(OTHERS[args.source]).parameters)[1:]
    for name, equals, value in (text.partition("=") for text in args.set):
        if name not in known:
            raise ValueError(f"--set must name one of {', '.join(known)} (got {name!r})")
        if not equals:
            raise ValueError(f"--set must give {name} a value, {name}=... (got none)")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    return OTHERS[args.source](args.root, **options)


Reader = Callable[[argparse.Namespace], RecommendationDataset]
# A source: its name, its options, its reader.
SOURCES: dict[str, tuple[Callable[[argparse.ArgumentParser], None], Reader]] = {
    "amazon": (add_amazon, amazon),
    **dict.fromkeys(OTHERS, (add_other, other)),
}


def print_next(dataset: RecommendationDataset, folder: Path) -> None:
    """The commands that come next."""
    print("\nNext:")
    print(f"  python examples/inspect_data.py {folder}")
    if dataset.features:
        print(f"  python examples/train_mdsrec.py --data {folder}")
        return
    # Without features, the model is one of IDs.
    if dataset.item_text is not None:
        model = "sentence-transformers/all-MiniLM-L6-v2"
        print(f"  python examples/encode_features.py {folder} --text {model}")
    if dataset.image_urls is not None:
        model = "openai/clip-vit-base-patch32"
        print(f"  python examples/encode_features.py {folder} --download --image-model {model}")
    print(f"  python examples/train_mdsrec.py --data {folder}")


def main(argv: list[str] | None = None) -> None:
    """Reads a source and writes a folder."""
    parser = argparse.ArgumentParser(description="Prepare a data set.")
    commands = parser.add_subparsers(dest="source", required=True, metavar="SOURCE")
    for name, (add, _) in SOURCES.items():
        add(commands.add_parser(name, help=add.__doc__))
    args = parser.parse_args(argv)
    settings = {name: value for name, value in vars(args).items() if value not in (None, [])}
    width = max(map(len, settings))
    for name, value in settings.items():
        print(f"{name:<{width}}  {value}")
    dataset = SOURCES[args.source][1](args)
    print(f"\n{dataset.steps_table()}")
    dataset.save(args.out)
    dataset.report = dataset.meta["items"]  # the steps stand in the table
    print(f"\n{dataset}\n\nwritten to {args.out}")
    print_next(dataset, args.out)


if __name__ == "__main__":
    sys.exit(run_script(main))  # a mistake in the options or the data ends in one line
