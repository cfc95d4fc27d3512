"""The table of the docs, before and after."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mdsrec_pyg.io import atomic_write
from tests.attacks.harness import ENDS, FAULTS, REFUSED, RIGHT

TABLE = Path(__file__).parents[2] / "docs" / "attacks_table.md"
COUNTS = Path(__file__).with_name("counts.json")
#: Attacks of these kinds stand in one row each.
GROUPS = {
    "killed": "kill -9",
    "damaged": "damaged files",
    "bit": "one bit of what is hashed",
    "at once": "2 and 16 processes at once",
    "threads": "2, 8 and 16 threads",
    "full disk": "full disk",
    "read-only": "read-only disk",
    "file size": "limited file size",
    "hostile": "hostile",
}


def write_page(before: Path, after: Path) -> None:
    """Keeps two files of counts, and writes the docs' table of them."""
    both = {"before": _read(before), "after": _read(after)}
    with atomic_write(COUNTS) as temporary:
        temporary.write_text(json.dumps(both, indent=1) + "\n", encoding="utf-8")
    with atomic_write(TABLE) as temporary:
        temporary.write_text(page(both), encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    rows = [{key: row[key] for key in ("attack", "tries", "ends")} for row in content["counts"]]
    return {"about": content["about"], "seconds": content["seconds"], "counts": rows}


def page(both: Mapping[str, Any]) -> str:
    """The table: a row an attack; faults of the code before in brackets."""
    before = {row["attack"]: row for row in both["before"]["counts"]}
    shown = (RIGHT, ENDS[1], REFUSED)
    lines = [
        f"| attack | tries | {' | '.join(shown)} | {' | '.join(FAULTS)} | faults before |",
        f"|---|---|{'---|' * (len(shown) + len(FAULTS) + 1)}",
    ]
    rows = both["after"]["counts"]
    for group, title in GROUPS.items():
        some = [row for row in rows if row["attack"].partition(":")[0] == group]
        if len(some) > 1:
            lines.append(_line(f"**{title}**", some, before))
        lines += [_line(_name(row, title, len(some)), [row], before) for row in some]
    lines.append(_line("**all**", rows, before))
    where = both["after"]["about"]
    seconds = both["after"]["seconds"]
    versions = ", ".join(f"{name} {version}" for name, version in where["versions"].items())
    lines += [
        "",
        f"`{where['command']}`, seed 0, {seconds / 60:.0f} minutes on {where['hardware']}; "
        f"{versions}; {where['date']}, code {where['code']}. Before: code "
        f"{both['before']['about']['code']}.",
    ]
    return "\n".join(lines) + "\n"


def _name(row: Mapping[str, Any], title: str, size: int) -> str:
    name = row["attack"].partition(": ")[2]
    return f"{title}: {name}" if size == 1 else name


def _line(title: str, rows: Sequence[Mapping[str, Any]], before: Mapping[str, Any]) -> str:
    def total(end: str, of: Sequence[Mapping[str, Any]]) -> int:
        return sum(row["ends"].get(end, 0) for row in of)

    tries = sum(row["tries"] for row in rows)
    cells = [f"{total(end, rows):,}" for end in (RIGHT, ENDS[1], REFUSED, *FAULTS)]
    known = [before[row["attack"]] for row in rows if row["attack"] in before]
    faults = sum(total(end, known) for end in FAULTS)
    had = f"{faults:,} of {sum(row['tries'] for row in known):,}" if known else "not tried"
    return f"| {title} | {tries:,} | {' | '.join(cells)} | {had} |"
