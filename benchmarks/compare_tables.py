"""What ``compare.py`` finds out about the queries of a data set, and how it shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from mdsrec_pyg.evaluation import compare_with_all, difference_by_popularity, holm

#: The two judgments; a new target does not stand in its own history.
ALL, NEW = "all targets", "new targets only"

Values = Mapping[str, NDArray[np.float64]]


@dataclass
class Judged:
    """Models on some queries of a data set.

    Args:
        queries: How many.
        means: The mean metric of each model.
        table: The comparison with each other model: ``compare_with_all``, ``t`` and the p-values
            corrected for the models and, by :func:`over_sets`, for the data sets.
        buckets: By the training count of the target, for each other model.
    """

    queries: int
    means: dict[str, float]
    table: pd.DataFrame
    buckets: dict[str, pd.DataFrame]


def judge(
    values: Values, model: str, target: NDArray[np.int64], counts: NDArray[np.int64]
) -> Judged:
    """Compares a model with the others.

    Args:
        values: The metric of each model for each query [Q].
        model: Which is compared with the others.
        target: Targets [Q].
        counts: Training interactions of each item [N].
    """
    table = compare_with_all(values, model).rename(columns={"p_holm": "p_holm_models"})
    ours = values[model]
    others = {name: values[name] for name in values if name != model}
    table["t"] = [
        float(stats.ttest_rel(ours, value).statistic) if (ours != value).any() else 0.0
        for value in others.values()
    ]
    return Judged(
        len(target),
        {name: float(value.mean()) for name, value in values.items()},
        table,
        {
            name: difference_by_popularity(ours, value, target, counts)
            for name, value in others.items()
        },
    )


def over_sets(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables with each baseline's p-values corrected for the number of data sets."""
    corrected = {name: table.assign(p_holm_sets=np.nan) for name, table in tables.items()}
    for model in dict.fromkeys(model for table in tables.values() for model in table.index):
        where = [name for name, table in tables.items() if model in table.index]
        p_values = holm([tables[name].loc[model, "p_permutation"] for name in where])
        for name, p_value in zip(where, p_values, strict=True):
            corrected[name].loc[model, "p_holm_sets"] = p_value
    return corrected


def means_table(found: Mapping[str, Mapping[str, Judged]]) -> str:
    """A row a model, a column a data set: the mean over all targets / new targets only."""
    columns: dict[str, dict[str, str]] = {}
    for name, own in found.items():
        every, new = own[ALL], own.get(NEW)
        share = 0.0 if new is None else new.queries / every.queries
        columns[f"{name} (new: {share:.1%})"] = {
            model: f"{_short(mean)} / {'-' if new is None else _short(new.means[model])}"
            for model, mean in every.means.items()
        }
    return _aligned(columns)


def differences_table(found: Mapping[str, Mapping[str, Judged]], judgment: str) -> str:
    """A row a baseline, a column a data set: difference, paired t, p with Holm over the sets."""
    columns: dict[str, dict[str, str]] = {}
    for name, own in found.items():
        if judgment in own:
            judged = own[judgment]
            cells = judged.table[["difference", "t", "p_holm_sets"]].to_numpy(float)
            columns[f"{name} ({judged.queries:,})"] = {
                str(model): f"{_short(difference, '+')}  t {t:5.2f}  p {_short(p_value)}"
                for model, (difference, t, p_value) in zip(judged.table.index, cells, strict=True)
            }
    return _aligned(columns)


def print_buckets(found: Mapping[str, Mapping[str, Judged]], metric: str) -> None:
    """The differences by the target's training count, with their standard errors."""
    for name, own in found.items():
        for judgment, judged in own.items():
            if judgment == NEW and judged.queries == own[ALL].queries:
                continue  # the same
            print(f"\n{name}, {judgment}: difference of {metric} by the target's training count,")
            print("its standard error:\n")
            cells = {
                model: [
                    f"{_short(difference, '+')} ({_short(error)})" if queries else "-"
                    for queries, difference, error in part[
                        ["queries", "difference", "standard_error"]
                    ].to_numpy(float)
                ]
                for model, part in judged.buckets.items()
            }
            first = next(iter(judged.buckets.values()))
            table = pd.DataFrame({"queries": first["queries"].tolist(), **cells}, first.index)
            print(table.to_string())


def as_json(own: Mapping[str, Judged]) -> dict[str, Any]:
    """What was found for a data set; what a bucket without queries has not is null."""
    parts = {
        judgment: {
            "queries": judged.queries,
            "means": judged.means,
            "comparison": _rows(judged.table),
            "by_training_count": {model: _rows(part) for model, part in judged.buckets.items()},
        }
        for judgment, judged in own.items()
    }
    return {**parts[ALL], "new_targets": parts.get(NEW)}


def _rows(table: pd.DataFrame) -> dict[str, Any]:
    rows: dict[str, Any] = json.loads(table.to_json(orient="index", double_precision=15))
    return rows


def _aligned(columns: Mapping[str, Mapping[str, str]]) -> str:
    rows = list(dict.fromkeys(model for cells in columns.values() for model in cells))
    return pd.DataFrame(columns, index=rows).fillna("").to_string()


def _short(value: float, sign: str = "") -> str:
    if np.isnan(value):
        return "-"
    return f"{round(value, 4) + 0.0:{sign}.4f}".replace("0.", ".", 1)  # + 0.0: not -.0000
