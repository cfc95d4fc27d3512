"""``mdsrec prepare``: raw files of a public source, or made-up data -> a data set folder."""

from __future__ import annotations

import inspect
import shlex
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from mdsrec_pyg.cli.parser import Namespace, Parser, argument_texts, metavar_of, plain
from mdsrec_pyg.datasets import SOURCES as OTHERS
from mdsrec_pyg.datasets import AmazonReviewsDataset, RecommendationDataset, SyntheticDataset
from mdsrec_pyg.datasets.movielens import VERSIONS
from mdsrec_pyg.io import claim
from mdsrec_pyg.showing import json_text

#: The readers by name; their arguments are the options.
SOURCES: dict[str, Callable[..., RecommendationDataset]] = {
    "amazon": AmazonReviewsDataset,
    **OTHERS,
    "synthetic": SyntheticDataset,
}

EXAMPLES = """\
  mdsrec prepare amazon --root downloads --category Pantry --generation 2018 --out pantry
  mdsrec prepare movielens ml-100k --min-rating 4 --out movies
  mdsrec prepare synthetic --out data/shop --num-users 300 --num-items 300
  mdsrec prepare movielens --help               the options of a source"""

TABLES = """

CSV files and data frames of your own: in Python, mdsrec_pyg.datasets.from_csv and
from_dataframe."""

CHOICES: dict[str, tuple[str, ...]] = {
    "generation": ("2014", "2018", "2023"),
    "repeats": ("keep", "first", "last"),
    "on_error": ("raise", "skip"),
    "zero_rows": ("keep", "missing"),
    "version": tuple(VERSIONS),
}


def make_parser(source: str | None = None) -> Parser:
    """The options of one source, or, without one, the choice of it."""
    if source is None:
        lines = [f"  {name:<10} {_first_line(reader)}" for name, reader in SOURCES.items()]
        parser = Parser(
            "prepare",
            "Read the raw files of a public source, or make data up; write a data set folder.",
            EXAMPLES + "\n\nsources:\n" + "\n".join(lines) + TABLES,
            usage="mdsrec prepare SOURCE [OPTIONS]",
        )
        parser.add_argument("source", choices=list(SOURCES), metavar="SOURCE", help="see below")
        return parser
    reader = SOURCES[source]
    parser = Parser(f"prepare {source}", _first_line(reader), usage=_usage(source))
    hints, texts = get_type_hints(reader.__init__), argument_texts(reader)
    for name, parameter in list(inspect.signature(reader).parameters.items()):
        _add(parser, name, parameter, hints[name], texts.get(name, ""))
    parser.add_argument("--out", required=True, metavar="FOLDER", help="folder that is written")
    parser.add_argument("--json", action="store_true", help="print what was done as JSON only")
    return parser


def _first_line(reader: Callable[..., RecommendationDataset]) -> str:
    return plain((reader.__doc__ or "").strip().splitlines()[0])


def _usage(source: str) -> str:
    folder = "" if source in ("amazon", "synthetic") else " FOLDER"
    return f"mdsrec prepare {source}{folder} --out FOLDER [OPTIONS]"


def _add(parser: Parser, name: str, parameter: inspect.Parameter, hint: Any, text: str) -> None:
    """One argument of a reader as an option."""
    option: dict[str, Any] = {"help": text}
    if parameter.default is inspect.Parameter.empty:
        parser.add_argument(name, metavar="FOLDER", **option)
        return
    option["default"] = parameter.default
    kinds = set(get_args(hint)) if get_origin(hint) in (Union, types.UnionType) else {hint}
    if name in CHOICES:
        option |= {"choices": CHOICES[name]}
    elif any(get_origin(kind) is tuple for kind in kinds):
        option |= {"nargs": len(parameter.default), "metavar": "NAME"}
    elif any(get_origin(kind) is Sequence for kind in kinds):
        option |= {"nargs": "+", "metavar": "NAME"}
    elif any(get_origin(kind) is Mapping for kind in kinds):
        option |= {"type": dict[str, str], "metavar": "JSON"}
    elif str in kinds:  # text, whatever else it may be: a path, a date
        is_file = name in ("reviews", "metadata", "image_features")
        option["metavar"] = "FILE" if is_file else "FOLDER" if name == "root" else "TEXT"
    else:
        option |= {"type": hint, "metavar": metavar_of(hint)}
    if name == "k_core":
        option["help"] += " 0 is null."
    parser.add_argument(f"--{name.replace('_', '-')}", **option)


def parse(argv: Sequence[str]) -> Namespace:
    """Reads the source, and then its options."""
    if not argv or argv[0] not in SOURCES:
        return make_parser().read(argv)
    args = make_parser(argv[0]).read(argv[1:])
    args.source = argv[0]
    return args


def run(args: Namespace) -> int:
    """Claims the folder, so that a second one is told before it reads for an hour."""
    with claim(args.out, f"{args.out} is being prepared"):
        return _prepare(args)


def _prepare(args: Namespace) -> int:
    """Reads the source and writes the folder."""
    reader = SOURCES[args.source]
    options = {name: getattr(args, name) for name in inspect.signature(reader).parameters}
    if options.get("k_core") == 0:
        options["k_core"] = None
    out = Path(args.out)
    dataset = reader(**options)
    dataset.save(out)
    if args.json:
        counts = {name: getattr(dataset, f"num_{name}") for name in ("users", "items")}
        rows = {"interactions": len(dataset.interactions), "modalities": list(dataset.features)}
        print(json_text({"folder": str(out), **counts, **rows, "meta": dataset.meta}, 2))
        return 0
    settings = {"source": args.source, **options, "out": out}
    given = {name: value for name, value in settings.items() if value not in (None, [], ())}
    width = max(map(len, given))
    for name, value in given.items():
        shown = " ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
        print(f"{name:<{width}}  {shown}")
    if "steps" in dataset.meta:  # made-up data have none
        print(f"\n{dataset.steps_table()}")
        # The steps stand in the table.
        dataset.report = [*dataset.meta["notes"], *dataset.meta["items"]]
    print(f"\n{dataset}\n\nwritten to {out}")
    _print_next(dataset, out)
    return 0


def _print_next(dataset: RecommendationDataset, folder: Path) -> None:
    """The commands that come next."""
    place = shlex.quote(str(folder))
    print(f"\nNext:\n  mdsrec inspect {place}")
    if not dataset.features:  # without, the model is one of IDs
        if dataset.item_text is not None:
            model = "sentence-transformers/all-MiniLM-L6-v2"
            print(f"  mdsrec encode {place} --text {model}")
        if dataset.image_urls is not None:
            model = "openai/clip-vit-base-patch32"
            print(f"  mdsrec encode {place} --download --image-model {model}")
    print(f"  mdsrec train --data {place}")
