"""Finished runs of ``accuracy.py``: a JSON line each, and beside them the ranks of every query."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.trials import NEEDS_FEATURES, OF_IDS, TRIALS, UNTUNED
from mdsrec_pyg.datasets import RecommendationDataset
from mdsrec_pyg.showing import file_name, json_text

RESULTS = Path(__file__).parent / "results" / "accuracy.jsonl"
#: What trials and epochs are chosen by, which every row says, and the figures of a row that judge.
RULE, SEEN = "ndcg@10, seen items masked", "masked"
#: The split where nothing else is asked for.
USUAL_SPLIT = "leave_last_out"

Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """Finished runs.

    Raises:
        ValueError: A line is no JSON object, or of a run that was chosen by anything but ``RULE``:
            its figures belong to other tables. File and line are named.
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
            row = {**json.loads(line)}
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}, line {number}: expected a JSON object ({error})") from error
        if row.get("chosen_by") != RULE:
            given = row.get("chosen_by", "nothing")
            raise ValueError(f"{path}, line {number}: 'chosen_by' must be {RULE!r} (got {given!r})")
        rows.append(row)
    return rows


def append(path: Path, row: Row) -> None:
    """One line in one write, so that two processes may share the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json_text(row) + "\n")


def has(row: Row, key: Row) -> bool:
    """Whether a row is of a run with these settings; a model of IDs has any modalities."""
    free = ("modalities",) if row["model"] in OF_IDS else ()
    return all(row.get(name) == value for name, value in key.items() if name not in free)


def setting(row: Row) -> str:
    """What the figures of one cell must share: settings of the trainer, and modalities if read."""
    modalities = [] if row["model"] in OF_IDS else row["modalities"]
    return json.dumps({"trainer": row.get("trainer"), "modalities": modalities}, sort_keys=True)


def winner(
    rows: list[Row],
    dataset: str,
    model: str,
    split: str = USUAL_SPLIT,
    like: Row | None = None,
) -> dict[str, Any] | None:
    """Options of the trial with the best validation NDCG@10; None until all trials are done.

    Only trials of one :func:`setting` are held against each other.

    Args:
        rows: Finished runs.
        dataset: Name of the data set.
        model: Name of the model.
        split: Name of the split.
        like: Modalities and trainer of the trials that are wanted. Where there are none such, the
            nearest that are complete count: the same modalities first, then the same trainer.
    """
    key = {"dataset": dataset, "model": model, "kind": "trial", "split": split}
    wanted: Row = {name: like[name] for name in ("modalities", "trainer") if like and name in like}
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if has(row, key):
            groups.setdefault(setting(row), []).append(row)
    near = [trials for trials in groups.values() if has(trials[0], wanted)] or sorted(
        groups.values(),
        key=lambda trials: [not has(trials[0], {name: wanted[name]}) for name in wanted],
    )
    found = (_best(trials, TRIALS[model]) for trials in near)
    return next((options for options in found if options is not None), None)


def _best(trials: list[Row], wanted: list[Row]) -> Row | None:
    """Options of the best of comparable trials; None where one that is wanted is missing."""
    current = [row for row in trials if row["options"] in wanted]
    if any(options not in [row["options"] for row in current] for options in wanted):
        return None
    best: Row = max(current, key=lambda row: row["val"][SEEN]["ndcg@10"] or 0.0)
    return best["options"]


def chosen(path: Path, dataset: str, model: str, settings: Row) -> Row:
    """Options of the winning trial among the rows of a file.

    Those of a run without a search are given.

    Args:
        path: The file.
        dataset: Name of the data set that the trials were run on.
        model: Name of the model.
        settings: ``split``, ``modalities`` and ``trainer`` of the run that takes them, see
            :func:`winner`.

    Raises:
        ValueError: There is none yet.
    """
    if model in UNTUNED:
        return UNTUNED[model][1]
    split = settings["split"]
    options = winner(read_rows(path), dataset, model, split, like=settings)
    if options is None:
        raise ValueError(
            f"no finished trials of {model} on {dataset}, split {split}, chosen by {RULE}: run "
            "accuracy.py there first"
        )
    return options


def tuned_on(path: Path, dataset: str, model: str, split: str, trials_of: str | None) -> str:
    """The data set whose winner a data set takes: its own where it has trials of the model.

    Args:
        path: The file of rows.
        dataset: Name of the data set.
        model: Name of the model.
        split: Name of the split.
        trials_of: Name of the data set that stands in for one without trials; None for no other.
    """
    own = {"dataset": dataset, "model": model, "kind": "trial", "split": split}
    if trials_of is None or any(has(row, own) for row in read_rows(path)):
        return dataset
    return trials_of


def parts(rows: list[Row], modalities: list[str] | None = None) -> dict[str, list[Row]]:
    """The rows of each table: a data set, its modalities, settings of the trainer; by its name.

    Args:
        rows: Finished runs.
        modalities: Of data sets that were run with several sets of modalities only this one;
            None for a table each.

    Raises:
        ValueError: No data set was run with ``modalities``.
    """
    found: dict[str, list[Row]] = {}
    trainers: dict[str, list[Any]] = {}
    for row in rows:
        known = trainers.setdefault(row["dataset"], [])
        if row.get("trainer") not in known:
            known.append(row.get("trainer"))
    for dataset, known in trainers.items():
        for trainer in known:
            own = [
                row for row in rows if (row["dataset"], row.get("trainer")) == (dataset, trainer)
            ]
            sets = modality_sets(own)
            for names in [modalities] if modalities in sets else sets:
                words = [", ".join(names) or "IDs", *_what_differs(trainer, known)]
                found[f"{dataset} ({'; '.join(words)})"] = [
                    row for row in own if has(row, {"modalities": names})
                ]
    if modalities is not None and not any(modalities in modality_sets(p) for p in found.values()):
        raise ValueError(f"--modalities must be those of some rows (got {modalities})")
    return found


def modality_sets(rows: list[Row]) -> list[list[str]]:
    """The sets of modalities that were read; of models of IDs alone none was."""
    found: list[list[str]] = []
    for row in rows:
        if row["model"] not in OF_IDS and row["modalities"] not in found:
            found.append(row["modalities"])
    return found or [[]]


def _what_differs(trainer: Row | None, known: list[Row | None]) -> list[str]:
    """The settings of a trainer that are not the same for all of a data set."""
    given = [row or {} for row in known]
    names = sorted({name for row in given for name in row})
    differ = [name for name in names if any(row.get(name) != given[0].get(name) for row in given)]
    return [f"{name} {(trainer or {}).get(name)}" for name in differ]


def final_rows(rows: list[Row], model: str, others: list[Row]) -> list[Row]:
    """The final runs of the winning trial, one a seed; the trial itself while there are none.

    Args:
        rows: Those of one table, see :func:`parts`.
        model: Name of the model, or of its run without a search.
        others: Rows whose winner a data set without trials of the model takes, all of another one.

    Raises:
        ValueError: The runs found differ in modalities or in settings of the trainer.
    """
    split = rows[0]["split"]
    options: Row | None
    like = {"modalities": modality_sets(rows)[0], "trainer": rows[0].get("trainer")}
    tuned = rows if any(has(row, {"model": model, "kind": "trial"}) for row in rows) else others
    if model in UNTUNED:
        model, options = UNTUNED[model]
    else:
        options = winner(tuned, tuned[0]["dataset"], model, split, like) if tuned else None
    found = [row for row in rows if (row["model"], row["options"]) == (model, options)]
    final = [row for row in found if row["kind"] == "final"]
    final = final or [row for row in found if row["kind"] == "trial"]
    settings = sorted({setting(row) for row in final})
    if len(settings) > 1:
        raise ValueError(f"the runs of a cell must have one setting (got {settings})")
    by_seed = {row["seed"]: row for row in reversed(final)}  # the first of each
    return [by_seed[seed] for seed in sorted(by_seed)]


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


def ranks_folder(rows: Path) -> Path:
    """Where the ranks of all runs of a file are kept: a folder beside it."""
    return rows.with_name(f"{rows.stem}-ranks")


def ranks_path(rows: Path, key: Row) -> Path:
    """Where the ranks of a run are written: a name out of all settings."""
    words = json.dumps(key, sort_keys=True)
    name = file_name(f"{key['dataset']}-{key['model']}-seed{key['seed']}-{words}")
    return ranks_folder(rows) / f"{name}.parquet"


def kept_ranks(rows: Path, key: Row) -> Path:
    """The ranks of a run, which may be one over other modalities where none is read.

    Where there are none, :func:`ranks_path`, which does not exist.
    """
    own = ranks_path(rows, key)
    names = [row["ranks"] for row in read_rows(rows) if "ranks" in row and has(row, key)]
    paths = (own, *(own.with_name(name) for name in names))
    return next((path for path in paths if path.exists()), own)
