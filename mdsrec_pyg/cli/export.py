"""``mdsrec export``: a run as a program that answers without this library."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from mdsrec_pyg.cli.parser import Namespace, Parser
from mdsrec_pyg.export.folder import SETTINGS
from mdsrec_pyg.export.formats import FORMATS
from mdsrec_pyg.nn import Recommender
from mdsrec_pyg.nn.models.saving.folder import CONFIG
from mdsrec_pyg.showing import counted, json_text, showable
from mdsrec_pyg.training import Run

EXAMPLES = """\
  mdsrec export runs/shop --format onnx --out shop-onnx -k 20
  mdsrec export runs/shop --format torch --out shop-torch --keep-seen

The program takes item indices [B, L] and their mask, and returns the k best items and their scores;
export.json says the rest. Nothing is written before the program has answered as the model does."""


def make_parser() -> Parser:
    """The options."""
    parser = Parser(
        "export",
        "Write a run as a program: ONNX, or torch.export.",
        EXAMPLES,
        usage="mdsrec export RUN --out FOLDER [OPTIONS]",
    )
    parser.add_argument("run", metavar="RUN", help="folder of the run, or of a saved model")
    parser.add_argument("--out", metavar="FOLDER", required=True, help="made if missing")
    parser.add_argument("--format", choices=FORMATS, default="onnx", help="form of the program")
    parser.add_argument("-k", type=int, default=10, metavar="INT", help="items a history")
    parser.add_argument("--keep-seen", action="store_true", help="recommend seen items, too")
    parser.add_argument("--json", action="store_true", help="print the settings as JSON")
    return parser


def parse(argv: Sequence[str]) -> Namespace:
    """Reads the options."""
    return make_parser().read(argv)


def run(args: Namespace) -> int:
    """Writes the folder; says what is in it."""
    saved = (Path(args.run) / CONFIG).is_file()  # a model without its run
    model = Recommender.load(args.run) if saved else Run(args.run).model
    print("the program is traced, written and checked ...", file=sys.stderr)
    settings = model.export(args.out, format=args.format, k=args.k, exclude_seen=not args.keep_seen)
    if args.json:
        print(json_text(settings, 2))
        return 0
    folder, checked = Path(args.out), settings["checked"]
    size = sum((folder / name).stat().st_size for name in settings["hashes"]) / 1e6
    seen = "left out" if settings["exclude_seen"] else "kept"
    print(
        f"{showable(str(folder / settings['program']))}: {settings['model']} of "
        f"{counted(settings['num_items'], 'item')}, the {settings['k']} best, seen items {seen}, "
        f"{size:.1f} MB\n"
        f"{showable(str(folder / SETTINGS))}: settings, versions and hashes\n"
        f"checked with {counted(checked['histories'], 'history')}: scores differ from the model's "
        f"by {checked['difference']:.1e} of the largest"
    )
    return 0
