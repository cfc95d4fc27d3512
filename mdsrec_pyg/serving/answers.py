"""From a request to the retriever and back: questions that are checked, answers for people."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from mdsrec_pyg.serving.config import ServiceConfig
from mdsrec_pyg.serving.errors import ServiceError, shown
from mdsrec_pyg.serving.schemas import RecommendRequest, SimilarRequest
from mdsrec_pyg.serving.state import Loaded
from mdsrec_pyg.serving.why import reasons

__all__ = ["Question", "answer_questions", "question_of", "similar"]


@dataclass(eq=False)
class Question:
    """A request for recommendations that the model can be asked.

    Args:
        loaded: The model that answers it, whatever is loaded meanwhile.
        request: The request.
        history: Its items that the catalog has, or those of the known user.
        dropped: The others.
        limits: ``include`` and ``exclude`` where they are given.
    """

    loaded: Loaded
    request: RecommendRequest
    history: list[str]
    dropped: list[str]
    limits: dict[str, list[str]] = field(default_factory=dict)

    @property
    def key(self) -> Hashable:
        """Questions of the same key are answered together."""
        asked = self.request
        options = (asked.k, asked.exclude_seen, asked.modality, asked.explain)
        return (id(self.loaded), *options, bool(self.history), *sorted(self.limits))


def question_of(request: RecommendRequest, loaded: Loaded, config: ServiceConfig) -> Question:
    """Checks a request against limits and model.

    Raises:
        ServiceError: A limit is exceeded, or an argument names what does not exist.
    """
    check_k(request.k, loaded, config)
    if (request.history is None) == (request.user is None):
        given = "neither" if request.history is None else "both"
        raise ServiceError(422, f"give 'history' or 'user' (got {given})", "history")
    items = [str(item) for item in request.history or ()]
    if request.user is not None:
        items = history_of(loaded, request.user)
    if len(items) > config.max_history and request.history is not None:
        raise ServiceError(
            422,
            f"'history' must hold at most {config.max_history} items (got {len(items)})",
            "history",
        )
    if request.modality is not None and request.modality not in loaded.modalities:
        known = ", ".join(map(repr, loaded.modalities)) or "nothing: the model has no modalities"
        raise ServiceError(
            422, f"'modality' must be among {known} (got {shown(request.modality)})", "modality"
        )
    if request.explain and not hasattr(loaded.retriever.model, "explain"):
        kind = type(loaded.retriever.model).__name__
        raise ServiceError(
            422, f"'explain' must be false: a {kind} has no reasons to give (got true)", "explain"
        )
    limits = {
        name: _allowed(name, given, loaded, config)
        for name, given in (("include", request.include), ("exclude", request.exclude))
        if given is not None
    }
    history = [item for item in items if item in loaded.catalog]
    dropped = list(dict.fromkeys(item for item in items if item not in loaded.catalog))
    if not history and loaded.retriever.item_counts is None:
        what = "no item" if not items else "no item that the catalog has"
        raise ServiceError(
            422,
            f"'history' must hold an item (got {what}; the model knows no popularity to fall back "
            "on)",
            "history",
        )
    return Question(loaded, request, history, dropped, limits)


def check_k(k: int, loaded: Loaded, config: ServiceConfig) -> None:
    """Raises a ServiceError where ``k`` is beyond the limit or the catalog."""
    most = min(config.max_k, len(loaded.catalog))
    if k > most:
        raise ServiceError(422, f"'k' must be at most {most} (got {shown(k)})", "k")


def history_of(loaded: Loaded, user: Any) -> list[str]:
    """What a known user has taken."""
    if loaded.histories is None:
        raise ServiceError(
            404, "'user' needs known users: start with --data or --histories", "user"
        )
    history = loaded.histories.history(user)
    if history is None:
        raise ServiceError(404, f"'user' must be a known user (got {shown(user)})", "user")
    return history


def _allowed(name: str, given: Sequence[Any], loaded: Loaded, config: ServiceConfig) -> list[str]:
    """The items of ``include`` or ``exclude``, all of them known."""
    if len(given) > config.max_items:
        raise ServiceError(
            422, f"{name!r} must hold at most {config.max_items} items (got {len(given)})", name
        )
    unknown = [item for item in given if item not in loaded.catalog]
    if unknown:
        raise ServiceError(
            422, f"{name!r} must hold items of the catalog (got {shown(unknown[0])})", name
        )
    return [str(item) for item in given]


def answer_questions(questions: Sequence[Question]) -> list[Any]:
    """The answers to questions of one key; a user who cannot be answered gets a ServiceError."""
    loaded, asked = questions[0].loaded, questions[0].request
    options: dict[str, Any] = {}
    for name in questions[0].limits:
        options[name] = {row: question.limits[name] for row, question in enumerate(questions)}
    if asked.modality is not None:
        options["modality"] = asked.modality
    table = loaded.retriever.recommend(
        [question.history for question in questions],
        asked.k,
        exclude_seen=asked.exclude_seen,
        explain=asked.explain,
        on_error="skip",
        empty="raise" if questions[0].history else "popularity",
        **options,
    )
    refused = {part["position"]: part["reason"] for part in table.attrs.get("skipped", ())}
    parts = dict(iter(table.groupby("user", sort=False)))
    return [
        ServiceError(422, _about(refused[row]), "k")
        if row in refused
        else _answer(question, parts[row])
        for row, question in enumerate(questions)
    ]


def _about(reason: str) -> str:
    """Why a user cannot be answered, without the place in the batch, which nobody knows of."""
    return re.sub(r"\buser \d+( \(position \d+\))?", "the user", reason)


def _answer(question: Question, table: pd.DataFrame) -> dict[str, Any]:
    """One answer as it is sent."""
    loaded, asked = question.loaded, question.request
    card = loaded.catalog.card
    why: Sequence[Any] = [None] * len(table)
    if asked.explain and question.history:
        why = reasons(loaded, table)
    rows = zip(table["item"], table["rank"], table["score"], why, strict=True)
    return {
        "user": None if asked.user is None else str(asked.user),
        "source": "model" if question.history else "popularity",
        "dropped": question.dropped,
        "history": [card(item) for item in question.history],
        "items": [
            {**card(item), "rank": int(rank), "score": float(score), "why": reason}
            for item, rank, score, reason in rows
        ],
        "model": loaded.version,
    }


def similar(request: SimilarRequest, loaded: Loaded) -> dict[str, Any]:
    """Items that are like an item, by each kind of likeness.

    Raises:
        ServiceError: There is no such item, or no such kind of likeness.
    """
    if request.item not in loaded.catalog:
        raise ServiceError(
            404, f"'item' must be an item of the catalog (got {shown(request.item)})", "item"
        )
    retriever: Any = loaded.retriever
    known = list(retriever.similarities)
    unknown = [name for name in request.by or () if name not in known]
    if unknown:
        names = ", ".join(map(repr, known)) or "nothing: the model knows no likeness"
        raise ServiceError(422, f"'by' must be among {names} (got {shown(unknown[0])})", "by")
    card = loaded.catalog.card
    if not known:
        return {"item": card(request.item), "similar": []}
    table = retriever.similar_items(str(request.item), request.k, by=request.by)
    groups: Mapping[str, list[Any]] = {name: [] for name in request.by or known}
    for row in table.to_dict("records"):
        found = {**card(row["item"]), "rank": int(row["rank"]), "score": float(row["score"])}
        groups[row["by"]].append(found)
    return {
        "item": card(request.item),
        "similar": [{"by": name, "items": items} for name, items in groups.items()],
    }
