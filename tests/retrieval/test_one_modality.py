"""One modality alone: what it adds beside the others, and nothing of the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mdsrec_pyg import SASRec
from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.nn.models.one_modality import one_modality
from mdsrec_pyg.retrieval import FaissIndex, Retriever, recommend
from tests.small_models import moved, small_mdsrec

HISTORIES = [[3, 4, 3], [29], [*range(12)]]
FORMS: dict[str, dict[str, Any]] = {
    "votes and vectors": {"vector_weight": 0.7},
    "votes": {"vectors": False},
    "vectors": {"relations": False},
}


@pytest.fixture(scope="module")
def models(toy_split: Any) -> dict[str, Any]:
    return {
        name: moved(small_mdsrec(toy_split.train, **options)).eval()
        for name, options in FORMS.items()
    }


def without(model: Any, modality: int) -> None:
    """Takes a modality's edges and vectors away, by hand."""
    if model.votes is not None:
        model.votes.tables[modality].weight = torch.zeros_like(model.votes.tables[modality].weight)
    if model.config.vectors:
        fusion = model.fusion.forward
        kept = torch.tensor([float(m != modality) for m in range(2)])
        model.fusion.forward = lambda users: fusion(users) * kept


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize(("place", "name"), [(0, "image"), (1, "text")])
def test_scores_are_those_without_the_other(models, toy_split, form, place, name) -> None:
    batch = SequenceBatch.from_histories(HISTORIES, models[form].max_length)
    by_hand = moved(small_mdsrec(toy_split.train, **FORMS[form])).eval()
    without(by_hand, 1 - place)
    with torch.no_grad():
        want, all_of_it = by_hand.score(batch), models[form].score(batch)
        found = one_modality(models[form], name).score(batch)
        again = models[form].score(batch)
    torch.testing.assert_close(found, want)
    assert not torch.allclose(found, all_of_it, atol=1e-3)
    assert torch.equal(again, all_of_it)  # the model itself stays as it is


@pytest.mark.parametrize("form", list(FORMS))
def test_a_retriever_answers_by_one_modality_and_by_all_in_turn(models, form) -> None:
    model = models[form]
    retriever = Retriever(model)
    options: dict[str, Any] = {"k": 5, "exclude_seen": True}
    first = retriever.recommend(HISTORIES, **options)
    for name in ("image", "text", "image"):
        found = retriever.recommend(HISTORIES, modality=name, **options)
        pd.testing.assert_frame_equal(
            found, Retriever(one_modality(model, name)).recommend(HISTORIES, **options)
        )
        pd.testing.assert_frame_equal(found, recommend(model, HISTORIES, modality=name, **options))
        assert found["item"].tolist() != first["item"].tolist()
    pd.testing.assert_frame_equal(first, retriever.recommend(HISTORIES, **options))


def test_with_an_exact_index_too(models) -> None:
    pytest.importorskip("faiss")
    model = models["votes and vectors"]
    options: dict[str, Any] = {"k": 5, "exclude_seen": True, "modality": "text"}
    want = Retriever(model).recommend(HISTORIES, **options)
    retriever = Retriever(model, index=FaissIndex(10, factory="Flat"))
    scoring = retriever._scoring_by("text")
    object.__setattr__(scoring, "score", None)  # the catalog is not scored
    pd.testing.assert_frame_equal(retriever.recommend(HISTORIES, **options), want, rtol=1e-4)


@pytest.mark.parametrize("form", list(FORMS))
def test_explanations_name_the_one_modality(models, form) -> None:
    for name in ("image", "text"):
        table = recommend(
            models[form], HISTORIES, 20, exclude_seen=False, modality=name, explain=True
        )
        assert set(table["modality"].dropna()) == {name}
        named = {part for row in table["voter_modalities"] for part in row}
        assert named == ({name} if models[form].votes is not None else set())


def test_tensors_are_shared_with_the_model(models) -> None:
    model = models["votes and vectors"]
    own = one_modality(model, "text")
    assert own.ids.weight is model.ids.weight
    assert own.votes.tables[1].weight is model.votes.tables[1].weight
    assert own.votes.tables[0].weight.untyped_storage().nbytes() <= 4
    assert not any(module.training for module in own.modules())


def test_the_history_bias_stays(models) -> None:
    model = models["votes"]
    batch = SequenceBatch.from_histories(HISTORIES, model.max_length)
    with torch.no_grad():
        model.votes.history_bias.weight.fill_(3.0)
        found = one_modality(model, "image").score(batch).numpy()
    for row, history in enumerate(HISTORIES):
        assert set(np.argsort(-found[row])[: len(set(history))]) == set(history)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("audio", r"'modality' must be one of 'image', 'text' \(got 'audio'\)"),
        ("", r"'modality' must be one of 'image', 'text' \(got ''\)"),
        (0, r"'modality' must be one of 'image', 'text' \(got 0\)"),
    ],
)
def test_another_name_is_an_error_that_says_what_there_is(models, name, message) -> None:
    retriever = Retriever(models["votes"])
    with pytest.raises(ValueError, match=message):
        retriever.recommend(HISTORIES, exclude_seen=True, modality=name)
    with pytest.raises(ValueError, match=message):
        recommend(models["votes"], HISTORIES, exclude_seen=True, modality=name)


def test_a_model_without_modalities_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"needs a model of several modalities.*'image' and SASR"):
        recommend(SASRec(30, channels=8), [[1]], exclude_seen=True, modality="image")
