"""Finished runs of ``accuracy.py``: a JSON line each, and beside them the ranks of every query."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.trials import NEEDS_FEATURES, TRIALS
from mdsrec_pyg.datasets import RecommendationDataset
from mdsrec_pyg.showing import file_name, json_text

RESULTS = Path(__file__).parent / "results" / "accuracy.jsonl"
#: What trials and epochs were chosen by, and the figures of a row that say it. Rows chosen by the
#: former rule stay in the file, and no cell mixes the two.
RULES = {"ndcg@10, seen items masked": "masked", "ndcg@10, seen items kept": "kept"}
RULE, FORMER_RULE = RULES
#: Rows that say nothing of these are from before there was a choice.
BEFORE: dict[str, Any] = {
    "split": "leave_last_out",
    "modalities": ["image", "text"],
    "chosen_by": FORMER_RULE,
}

Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """Finished runs.

    Raises:
        ValueError: A line is no JSON object; file and line are named.
    """
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(
        path.read_text(encoding="utf-8", errors="replace").splitlines(), 1
    ):
        if not line.strip():
            continue
        try:
            rows.append({**BEFORE, **json.loads(line)})
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}, line {number}: expected a JSON object ({error})") from error
    return rows


def append(path: Path, row: Row) -> None:
    """One line in one write, so that two processes may share the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json_text(row) + "\n")


def has(row: Row, key: Row) -> bool:
    """Whether a row is of a run with these settings."""
    return all(row.get(name) == value for name, value in key.items())


def of_one_rule(rows: list[Row], rule: str | None = None) -> list[Row]:
    """The rows that were chosen by a rule; by default the first of ``RULES`` that has any."""
    if rule is None:
        found = {row["chosen_by"] for row in rows}
        rule = next((known for known in RULES if known in found), RULE)
    return [row for row in rows if row["chosen_by"] == rule]


def winner(
    rows: list[Row], dataset: str, model: str, split: str = BEFORE["split"], rule: str = RULE
) -> dict[str, Any] | None:
    """Options of the trial with the best validation NDCG@10; None until all trials are done.

    Args:
        rows: Finished runs.
        dataset: Name of the data set.
        model: Name of the model.
        split: Name of the split.
        rule: What judges; only trials whose epochs were chosen by the same take part. Trials of
            a former rule are those that were run then.
    """
    key = {"dataset": dataset, "model": model, "kind": "trial", "split": split, "chosen_by": rule}
    trials = [row for row in rows if has(row, key)]
    wanted = TRIALS[model] if rule == RULE else [row["options"] for row in trials]
    done = {json.dumps(row["options"], sort_keys=True) for row in trials}
    if not wanted or any(json.dumps(options, sort_keys=True) not in done for options in wanted):
        return None
    current = [row for row in trials if row["options"] in wanted]
    best: Row = max(current, key=lambda row: row["val"][RULES[rule]]["ndcg@10"] or 0.0)
    return best["options"]


def chosen(path: Path, dataset: str, model: str, split: str, modalities: list[str]) -> Row:
    """Options of the winning trial among the rows of a file, by today's rule.

    Trials over the same modalities count before others of that data set.

    Raises:
        ValueError: There is none yet.
    """
    rows = [row for row in read_rows(path) if row["dataset"] == dataset and row["split"] == split]
    same = [row for row in rows if row["modalities"] == modalities]
    options = winner(same, dataset, model, split) or winner(rows, dataset, model, split)
    if options is None:
        raise ValueError(
            f"no finished trials of {model} on {dataset}, split {split}, chosen by {RULE}: run "
            "accuracy.py there first"
        )
    return options


def models_for(dataset: RecommendationDataset, asked: list[str] | None) -> list[str]:
    """The models asked for, or all that the data set can be given.

    Raises:
        ValueError: One was asked for that needs features, and there are none.
    """
    if dataset.features:
        return asked or list(TRIALS)
    for model in asked or ():
        if model in NEEDS_FEATURES:
            raise ValueError(f"{model} needs features, and {dataset.name} has none: --models ...")
    return asked or [model for model in TRIALS if model not in NEEDS_FEATURES]


def ranks_path(rows: Path, key: Row) -> Path:
    """Where the ranks of a run are kept: a folder beside the rows, a name out of all settings."""
    words = json.dumps(key, sort_keys=True)
    name = file_name(f"{key['dataset']}-{key['model']}-seed{key['seed']}-{words}")
    return rows.with_name(f"{rows.stem}-ranks") / f"{name}.parquet"
