"""``mdsrec doctor``: what is installed, which kernels run, whether a GPU is used, what to do."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict

from mdsrec_pyg.cli.checks import PROBLEM, Check, all_checks
from mdsrec_pyg.cli.parser import Namespace, Parser
from mdsrec_pyg.showing import counted, json_text

EXAMPLES = """\
  mdsrec doctor
  mdsrec doctor --json | jq '.checks[] | select(.state != "ok")'

Exit code 1 where something does not work; a note is no problem."""


def make_parser() -> Parser:
    """The options."""
    parser = Parser("doctor", "Look at this installation and machine.", EXAMPLES)
    parser.add_argument("--json", action="store_true", help="print the checks as JSON only")
    return parser


def parse(argv: Sequence[str]) -> Namespace:
    """Reads the options."""
    return make_parser().read(argv)


def run(args: Namespace) -> int:
    """Looks and prints; 1 where there is a problem."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as that of torch about its sparse matrices
        found = list(all_checks())
    problems = sum(check.state == PROBLEM for check in found)
    if args.json:
        print(json_text({"problems": problems, "checks": [asdict(c) for c in found]}, 2))
    else:
        print(table(found))
        notes = sum(bool(check.advice) for check in found) - problems
        print(f"\n{counted(problems, 'problem')}, {counted(notes, 'note')}")
    return 1 if problems else 0


def table(found: Sequence[Check]) -> str:
    """A line a check, and below it what to do."""
    width = max(len(check.name) for check in found)
    lines = []
    for check in found:
        lines.append(f"{check.state:<7}  {check.name:<{width}}  {check.found}")
        if check.advice:
            lines.append(f"{'':<7}  {'':<{width}}  -> {check.advice}")
    return "\n".join(lines)
