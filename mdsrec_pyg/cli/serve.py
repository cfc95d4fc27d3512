"""``mdsrec serve``: a run or a saved model as a service over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_type_hints

from mdsrec_pyg.cli.parser import Namespace, Parser, metavar_of, option_texts
from mdsrec_pyg.serving import ServiceConfig, serve

EXAMPLES = """\
  mdsrec serve runs/shop --data data/shop
  mdsrec serve runs/shop/model --histories histories.tsv --port 8080 --workers 2
  curl localhost:8000/recommend --json '{"history": ["B001", "B002"], "k": 3}'
  kill -HUP PID     loads the folder anew, without a dropped request

Nothing but this machine can reach it unless --host says so. /openapi.json describes what it takes
and gives. The libraries are an extra: pip install 'mdsrec_pyg[serve]'"""

_USUAL = ServiceConfig()
_PATHS = {"data": "FOLDER", "histories": "FILE", "images": "FOLDER"}


def make_parser() -> Parser:
    """The options: those of the service's configuration."""
    parser = Parser(
        "serve",
        "Answer requests for recommendations over HTTP.",
        EXAMPLES,
        usage="mdsrec serve FOLDER [OPTIONS]",
    )
    parser.add_argument("folder", metavar="FOLDER", help="of a run, or of a saved model")
    hints, texts = get_type_hints(ServiceConfig), option_texts(ServiceConfig)
    for name in ServiceConfig.names():
        option, default = f"--{name.replace('_', '-')}", getattr(_USUAL, name)
        if hints[name] is bool:
            parser.add_argument(option, action="store_true", help=texts[name])
            continue
        parser.add_argument(
            option,
            type=hints[name],
            default=default,
            metavar=_PATHS.get(name) or metavar_of(hints[name]),
            help=texts[name],
        )
    return parser


def parse(argv: Sequence[str]) -> Namespace:
    """Reads the options."""
    return make_parser().read(argv)


def run(args: Namespace) -> int:
    """Serves until it is stopped."""
    options = {name: getattr(args, name) for name in ServiceConfig.names()}
    serve(args.folder, ServiceConfig(**options))
    return 0
