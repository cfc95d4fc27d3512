"""An inspection as text that lines up."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

import pandas as pd

from mdsrec_pyg.data.interactions import show_time
from mdsrec_pyg.inspection.difference import ModalityDifference
from mdsrec_pyg.inspection.findings import Findings
from mdsrec_pyg.showing import counted, showable

WIDTH = 100
LABEL = 33  # the longest label and two blanks
LONGEST = 40  # of the name of a modality
Rows = Iterable[tuple[str, object]]


def format_inspection(inspection: Findings) -> str:
    """The table: sections of labels and figures, then pairs and warnings."""
    parts = [
        _section(f"{showable(inspection.name)}: all interactions", _counts(inspection)),
        _features(inspection),
        _alignment(inspection),
        _differences(inspection),
        _section(f"Split: {showable(inspection.split.method)}", _split(inspection)),
        _section("Leaks and oddities", _oddities(inspection)),
        _sentences("Read", [text for text in inspection.notes if not text.startswith("0 ")]),
        _sentences("Sampled", inspection.sampled),
        _warnings(inspection),
    ]
    return "\n\n".join(part for part in parts if part)


def _section(title: str, rows: Rows) -> str:
    return "\n".join([title, *(f"  {label:<{LABEL}}{value}" for label, value in rows)])


def _table(title: str, frame: pd.DataFrame, note: str = "") -> str:
    lines = [title, *(f"  {line}".rstrip() for line in frame.to_string().splitlines())]
    return "\n".join([*lines, *_wrap(note, 2, 2)])


def _wrap(text: str, first: int, rest: int) -> list[str]:
    """Lines of at most ``WIDTH`` characters, the first indented by ``first``."""
    return textwrap.wrap(text, WIDTH, initial_indent=" " * first, subsequent_indent=" " * rest)


def _counts(inspection: Findings) -> Rows:
    found = inspection.interactions
    length = found.length
    yield "users", f"{found.num_users:,}"
    yield "items", f"{found.num_items:,}"
    yield "interactions", f"{found.num_interactions:,}"
    yield "a user: least, quartiles, most", "  ".join(f"{value:g}" for value in length.values())
    yield "density of distinct pairs", f"{found.density:.3%}"
    yield "items with fewer than 5", _share(found.items_below_5, found.num_items)
    yield "items without any", _share(found.items_unused, found.num_items)
    yield (
        "top 1 %, 10 % of the items have",
        f"{found.top_1_percent:.1%}, {found.top_10_percent:.1%}",
    )
    yield "Gini of popularity", f"{found.gini:.3f}"
    if found.first is None or found.last is None:
        yield "time", "only the order is known"
    else:
        yield "time", f"{_time(found.first)} to {_time(found.last)}"


def _features(inspection: Findings) -> str:
    if not inspection.features:
        return ""
    rows = {
        _label(name): {
            "features": found.num_features,
            "items": f"{found.num_present:,}",
            "of items": f"{found.share_items:.1%}",
            "of training": f"{found.share_interactions:.1%}",
            "zero rows": f"{found.num_zero:,}",
            "equal rows": f"{found.num_duplicates:,}",
            "constant": len(found.constant_columns),
            "extreme": found.num_extreme,
        }
        for name, found in inspection.features.items()
    }
    return _table(
        "Modalities",
        pd.DataFrame(rows).T,
        "of training: share of the training interactions; equal rows: exactly that of an item "
        "before; constant: columns; extreme: rows 20 times as long as the median.",
    )


def _alignment(inspection: Findings) -> str:
    if not inspection.alignment:
        return ""
    first = next(iter(inspection.alignment.values()))
    rows = {
        _label(name): {
            "hit rate": f"{found.hit_rate:.4f}",
            "shuffled": f"{found.shuffled:.4f}",
            "chance": f"{found.chance:.4f}",
            "popularity": f"{found.popularity:.4f}",
            "queries": f"{found.num_queries:,}",
            "candidates": f"{found.num_candidates:,}",
        }
        for name, found in inspection.alignment.items()
    }
    return _table(
        f"Are the features aligned and useful? Hit rate at {first.k}",
        pd.DataFrame(rows).T,
        "Each user's last training item by mean cosine to the three before it, features "
        "standardized on training items; candidates: all items with the modality but the history; "
        "ties: mean rank. Test and validation items are not looked at.",
    )


def _differences(inspection: Findings) -> str:
    if not inspection.differences:
        return ""
    rows = {
        f"{_label(found.first)}, {_label(found.second)}": {
            "common neighbors": f"{found.common_neighbors:.1%}",
            "random": f"{found.random:.1%}",
            "agreement": f"{found.agreement:.3f}",
            "items": f"{found.num_items:,}",
            "H": found.num_neighbors,
            "K": found.num_centers,
        }
        for found in inspection.differences
    }
    table = _table(
        "Do the modalities differ?",
        pd.DataFrame(rows).T,
        "Over the items that have both: share of the H nearest by cosine that both name; adjusted "
        "mutual information of K k-means groups (0: chance, 1: the same).",
    )
    return "\n\n".join([table, *filter(None, map(_examples, inspection.differences))])


def _examples(found: ModalityDifference) -> str:
    if not found.examples:
        return ""
    lines = [f"Where {_label(found.first)} and {_label(found.second)} disagree most"]
    for number, pair in enumerate(found.examples, 1):
        cosines = ", ".join(f"{_label(name)} {value:.2f}" for name, value in pair.cosine.items())
        lines.append(f"  {number:>2}. alike in {_label(pair.alike_in)}: cosine {cosines}")
        for raw_id, text in zip(pair.raw_ids, pair.texts, strict=True):
            line = f"{showable(raw_id)}  {showable(text)}".rstrip()
            lines.append(f"      {textwrap.shorten(line, WIDTH - 6, placeholder=' ...')}")
    return "\n".join(lines)


def _split(inspection: Findings) -> Rows:
    found = inspection.split
    yield (
        "training",
        ", ".join(
            [
                counted(found.train_interactions, "interaction"),
                counted(found.train_users, "user"),
                counted(found.train_items, "item"),
            ]
        ),
    )
    yield "queries of validation, test", f"{found.val_queries:,}, {found.test_queries:,}"
    yield "cold targets of validation", _share(found.val_cold, found.val_queries)
    yield "cold targets of the test", _share(found.test_cold, found.test_queries)
    yield "held-out users not asked about", _share(found.users_not_asked, found.held_out_users)
    yield "test users unknown to training", f"{found.users_unknown:.1%}"


def _oddities(inspection: Findings) -> Rows:
    found = inspection.oddities
    rows = inspection.interactions.num_interactions
    yield (
        "items held out only",
        _share(found.items_only_held_out, inspection.interactions.num_items),
    )
    yield (
        "users with another's history",
        _share(found.identical_users, inspection.interactions.num_users),
    )
    yield "rows that repeat a user's item", _share(found.repeated_pairs, rows)
    if found.consecutive_tied is None or found.test_targets_tied is None:
        return
    yield "before 1990", f"{found.before_1990:,}"
    yield "in the future", f"{found.in_future:,}"
    yield "far from all other times", f"{found.far_from_rest:,}"
    yield "consecutive, one timestamp", f"{found.consecutive_tied:.1%}"
    yield "test targets tied with history", f"{found.test_targets_tied:.1%}"


def _sentences(title: str, sentences: list[str]) -> str:
    return "\n".join([title, *(f"  {showable(text)}" for text in sentences)]) if sentences else ""


def _warnings(inspection: Findings) -> str:
    if not inspection.warnings:
        return "No warnings"
    lines = [f"Warnings ({len(inspection.warnings)})"]
    for warning in inspection.warnings:
        lines += _wrap(showable(f"[{warning.code}] {warning.message}."), 2, 4)
        lines += _wrap(showable(f"-> {_ended(warning.advice)}"), 4, 7)
    return "\n".join(lines)


def _label(name: str) -> str:
    """The name of a modality, of bounded width."""
    return showable(name, LONGEST)


def _time(seconds: float) -> str:
    # Beyond the calendar of 64-bit microseconds; such times are warned of.
    return show_time(seconds) if abs(seconds) < 1e11 else f"{seconds:.4g} s"


def _share(count: int, total: int) -> str:
    return f"{count:,} ({count / max(total, 1):.1%})"


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith("?") else f"{sentence}."
