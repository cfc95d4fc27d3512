"""``mdsrec similar``: the items that are most like one, by every way that a run knows."""

from __future__ import annotations

import json
from collections.abc import Sequence

from mdsrec_pyg.cli.device import check_device
from mdsrec_pyg.cli.parser import Namespace, Parser
from mdsrec_pyg.cli.recommend import for_a_terminal, with_texts
from mdsrec_pyg.cli.source import open_run
from mdsrec_pyg.retrieval import Retriever
from mdsrec_pyg.showing import json_text, showable

EXAMPLES = """\
  mdsrec similar runs/shop B001
  mdsrec similar runs/shop B001 -k 5 --by image text
  mdsrec similar runs/shop B001 --by "votes image" --json

What there is depends on the model: its modalities (cosine of their features), "votes MODALITY"
(what the item votes for over the learned graph), "item graph MODALITY" (its neighbors) and
"vectors"."""


def make_parser() -> Parser:
    """The options."""
    parser = Parser(
        "similar",
        "Show the items that are most like one, from a run of mdsrec train.",
        EXAMPLES,
        usage="mdsrec similar RUN ITEM [OPTIONS]",
    )
    parser.add_argument("run", metavar="RUN", help="folder of the run, or of a saved model")
    parser.add_argument("item", metavar="ITEM", help="id of the item")
    parser.add_argument("-k", type=int, default=10, metavar="INT", help="items by each similarity")
    parser.add_argument("--by", nargs="+", metavar="NAME", help="similarities; default: all")
    parser.add_argument("--device", metavar="DEVICE", help="default: the CPU")
    parser.add_argument("--json", action="store_true", help="print JSON: a list of similarities")
    return parser


def parse(argv: Sequence[str]) -> Namespace:
    """Reads the options."""
    return make_parser().read(argv)


def run(args: Namespace) -> int:
    """Prints a table a similarity."""
    check_device(args.device)
    trained = open_run(args.run)
    retriever = Retriever(trained.model, trained.item_ids, device=args.device)
    table = retriever.similar_items(args.item, args.k, by=args.by)
    table = with_texts(table, trained)
    groups = {name: rows.drop(columns="by") for name, rows in table.groupby("by", sort=False)}
    if args.json:
        found = [
            {"by": name, "items": json.loads(rows.to_json(orient="records"))}
            for name, rows in groups.items()
        ]
        print(json_text(found, 2))
        return 0
    for number, (name, rows) in enumerate(groups.items()):
        shown = for_a_terminal(rows.drop(columns="rank"))
        print(f"{'' if number == 0 else chr(10)}{showable(str(name))}")
        print(shown.to_string(index=False, float_format="{:.3f}".format))
    return 0
