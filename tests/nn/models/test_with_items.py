"""A model with further items: what stays, and what they get."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv

from mdsrec_pyg import MDSRec, ModalFeature, recommend
from mdsrec_pyg.data import leave_last_out
from mdsrec_pyg.evaluation import evaluate
from mdsrec_pyg.graphs import (
    InterestCenters,
    local_ridge_graph,
    neighbor_votes,
    ridge_graph,
    ridge_precision,
)
from mdsrec_pyg.graphs.growing import cold_edges
from mdsrec_pyg.graphs.neighbors import UnitRows
from tests.nn.models.growing_cases import (
    FEATURES,
    GIVEN,
    IDS,
    NEW,
    NEW_IDS,
    OLD,
    WHOLE,
    build,
    content,
    grown,
    histories,
    interactions,
    padded,
)


def edges(model: Any) -> list[tuple[Tensor, Tensor]]:
    assert model.votes is not None
    return [model.votes.edges(m) for m in range(2)]


def same_edges(first: list[tuple[Tensor, Tensor]], second: list[tuple[Tensor, Tensor]]) -> None:
    for (index, weight), (other, wanted) in zip(first, second, strict=True):
        assert torch.equal(index, other)
        torch.testing.assert_close(weight, wanted, rtol=1e-5, atol=1e-7)


def scratch_edges(**options: Any) -> list[tuple[Tensor, Tensor]]:
    """Learned graphs that are fitted over the grown catalog."""
    found = []
    for feature in WHOLE.values():
        ridge: dict[str, Any] = {"l2": 3.0, "feature_weight": 4.0, "denoising": 0.33}
        graph = ridge_graph(ridge_precision(padded(), feature, **ridge), 5)
        if options:
            graph = local_ridge_graph(padded(), feature, num_neighbors=5, **ridge, **options)
        found.append((graph.edge_index, graph.edge_weight))
    return found


def test_the_old_model_stays_as_it_is() -> None:
    model = build()
    before, scores = content(model), model.score(histories())
    bigger = grown(model)
    assert bigger.num_items == OLD + NEW
    assert (model.num_items, model.num_added, list(model.item_ids)) == (OLD, 0, IDS)
    after = content(model)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(model.score(histories()), scores)
    with torch.no_grad():
        for parameter in bigger.parameters():
            parameter.zero_()
    assert torch.equal(model.score(histories()), scores)


@pytest.mark.parametrize("form", ["mean", "projected", "soft", "embedding"])
@pytest.mark.parametrize("preset", ["best", "paper"])
def test_what_the_vectors_say_of_old_items_stays(preset: str, form: str) -> None:
    options = {"relations": False} if preset == "best" else {}
    model = build(preset, center_form=form, **options)
    bigger = grown(model)
    old, new = model.score(histories()), bigger.score(histories())
    assert new.shape == (2, OLD + NEW)
    torch.testing.assert_close(new[:, :OLD], old, rtol=1e-5, atol=1e-6)
    assert new[:, OLD:].isfinite().all()
    assert (new[:, OLD:] != 0).any(0).all()  # each new item has a vector


def test_the_votes_are_those_of_a_fit_from_scratch() -> None:
    model = build()
    bigger = grown(model, votes="ridge")
    same_edges(edges(bigger), scratch_edges())
    assert torch.equal(bigger.votes.weight, model.votes.weight)
    assert bigger.ridge_weights == model.ridge_weights


def test_the_block_inverse_gives_the_same_votes_again_and_again() -> None:
    model = build()
    bigger = grown(model, votes="ridge", keep_inverse=True)
    same_edges(edges(bigger), scratch_edges())
    kept = model.built_from.inverses
    assert {name: p.shape for name, p in kept.items()} == {
        "image": (OLD, OLD),
        "text": (OLD, OLD),
    }
    kept = dict(kept)
    part = {name: feature.take(np.arange(2)) for name, feature in GIVEN.items()}
    first = model.with_items(NEW_IDS[:2], part, votes="ridge", keep_inverse=True)
    assert all(model.built_from.inverses[name] is p for name, p in kept.items())
    rest = {name: feature.take(np.arange(2, NEW)) for name, feature in GIVEN.items()}
    second = first.with_items(NEW_IDS[2:], rest, votes="ridge", keep_inverse=True)
    same_edges(edges(second), scratch_edges())
    torch.testing.assert_close(
        second.score(histories()), bigger.score(histories()), rtol=1e-4, atol=1e-5
    )
    assert not grown(model, votes="ridge").built_from.inverses


def test_the_local_form_is_solved_again() -> None:
    options = {"memory_limit": 0, "num_candidates": 7}
    given = {"l2": 3.0, "feature_weight": 4.0, "num_neighbors": 5, **options}
    with pytest.warns(UserWarning, match="memory_limit is 0: local"):
        model = build(relations=given)
    with pytest.warns(UserWarning, match="memory_limit is 0: local, each .* 7 best candidates$"):
        bigger = grown(model, votes="ridge")
    same_edges(edges(bigger), scratch_edges(num_candidates=7))
    with (
        pytest.warns(UserWarning, match="memory_limit is 0: local"),
        pytest.warns(UserWarning, match="'keep_inverse' has no effect"),
    ):
        grown(model, votes="ridge", keep_inverse=True)


def test_a_new_item_gets_neighbors_by_affinity_and_no_id_of_its_own() -> None:
    model = build()
    bigger = grown(model)
    assert not bigger.ids.weight[OLD:].any()
    assert torch.equal(bigger.ids.weight[:OLD], model.ids.weight)
    for m, (name, feature) in enumerate(WHOLE.items()):
        index, weight = bigger._edges(m)
        new = (index >= OLD).any(0)
        old_index, old_weight = model._edges(m)
        assert torch.equal(index[:, ~new], old_index)
        assert torch.equal(weight[~new], old_weight)
        rows = cold_edges(UnitRows(feature), interactions(), OLD, num_neighbors=4)
        assert torch.equal(index[:, new], rows.edge_index)
        assert torch.equal(weight[new], rows.edge_weight)
        assert (index[0] < OLD).all(), name


def test_a_new_item_gets_the_nearest_center() -> None:
    model = build(center_form="soft")
    bigger = grown(model)
    for m, feature in enumerate(WHOLE.values()):
        centers = InterestCenters(3)
        centers.centers_ = model.get_buffer(f"centers_{m}")
        labels, _ = centers.assign(feature.x, feature.mask)
        assert torch.equal(bigger.labels[m], labels)
        assert torch.equal(bigger.center[m].labels, labels)
        assert torch.equal(bigger.center_shift[m].labels, labels)
    assert bigger.labels[0, OLD + 3] == 3  # without an image: item 33 of 8 k + 1
    assert torch.equal(bigger.center[0].assignment[OLD + 3], torch.tensor([0.0, 0, 0, 1]))
    assert (bigger.center[1].assignment[OLD:].sum(1) - 1).abs().max() < 1e-6


@pytest.mark.parametrize("num_components", [None, 3])
def test_features_are_scaled_as_those_of_the_model(num_components: int | None) -> None:
    model = build(num_components=num_components)
    bigger = grown(model)
    for m, feature in enumerate(WHOLE.values()):
        projected = 0.1 * model.project[m].linear(model.scaling[m](feature))
        torch.testing.assert_close(bigger.project[m](), projected * feature.mask[:, None])
        assert torch.equal(bigger.project[m]()[:OLD], model.project[m]())


def test_a_modality_may_be_missing() -> None:
    model = build()
    bigger = model.with_items(["a"], {"image": GIVEN["image"].take(np.arange(1))})
    assert bigger.labels[1, OLD] == 3
    assert not bigger.project[1]()[OLD].any()
    assert not (bigger._edges(1)[0] >= OLD).any()
    assert (bigger._edges(0)[0] >= OLD).any()
    lacks = ModalFeature(torch.zeros(1, 7), torch.tensor([False]))
    with pytest.warns(UserWarning, match="1 new item of 1 without features in any modality"):
        bare = model.with_items(["a"], {"text": lacks})
    assert not (bare.votes.edges(0)[0] >= OLD).any()


def test_a_copy_of_an_item_goes_where_the_item_goes() -> None:
    model = build("paper", graph={"normalization": "row", "self_loops": 0})
    copied = {name: feature.take(np.array([4])) for name, feature in FEATURES.items()}
    bigger = model.with_items(["copy"], copied)
    for m in range(2):
        index, weight = bigger._edges(m)
        into = index[1] == OLD
        assert index[0, into][weight[into].argmax()] == 4


def test_a_grown_model_is_a_model(tmp_path: Path) -> None:
    model = grown(build())
    model.save(tmp_path / "model", growable=True)
    loaded: Any = MDSRec.load(tmp_path / "model")
    assert list(loaded.item_ids) == IDS + NEW_IDS
    assert loaded.num_added == NEW
    batch = histories()
    batch.item_id[0, 0] = OLD + 2  # new items may stand in histories
    assert torch.equal(loaded.score(batch), model.score(batch))
    assert torch.equal(pickle.loads(pickle.dumps(model)).score(batch), model.score(batch))
    assert torch.equal(copy.deepcopy(model).score(batch), model.score(batch))
    table = recommend(loaded, [["i0", "n2"]], k=OLD + NEW - 2, exclude_seen=True, explain=True)
    assert set(NEW_IDS) - {"n2"} <= set(table["item"])
    split = leave_last_out(padded())
    assert evaluate(loaded, split.test).num_items == OLD + NEW
    again = loaded.with_items(["m"], {"text": GIVEN["text"].take(np.arange(1))})
    assert (again.num_items, again.num_added) == (OLD + NEW + 1, NEW + 1)
    torch.testing.assert_close(
        again.encode_items().embedding[:, :OLD], model.encode_items().embedding[:, :OLD]
    )


def test_a_layer_of_ones_own_goes_along() -> None:
    model = build(conv=lambda: GCNConv(8, 8, normalize=False), relations=False)
    bigger = grown(model)
    old, new = model.score(histories()), bigger.score(histories())
    torch.testing.assert_close(new[:, :OLD], old, rtol=1e-5, atol=1e-6)


def test_a_saved_model_grows_where_it_keeps_what_it_was_built_from(tmp_path: Path) -> None:
    model = build()
    model.save(tmp_path / "model", growable=True)
    loaded = MDSRec.load(tmp_path / "model")
    for name, tensor in content(grown(model)).items():
        torch.testing.assert_close(content(grown(loaded))[name], tensor, rtol=0, atol=0)
    model.save(tmp_path / "model")  # replaces it: nothing of it is left
    assert not (tmp_path / "model" / "growing.safetensors").exists()
    with pytest.raises(ValueError, match="'model' must keep what it was built from"):
        grown(MDSRec.load(tmp_path / "model"))
    with pytest.raises(ValueError, match=r"'growable' must be False.*\(got a MDSRec\)"):
        MDSRec.load(tmp_path / "model").save(tmp_path / "other", growable=True)
    assert not (tmp_path / "other").exists()


def test_votes_by_nearest_items_leave_all_old_scores_as_they_are() -> None:
    model = build()
    bigger = grown(model)
    old, new = model.score(histories()), bigger.score(histories())
    torch.testing.assert_close(new[:, :OLD], old, rtol=1e-5, atol=1e-6)
    ridge = grown(model, votes="ridge").score(histories())
    assert (ridge[:, :OLD] - old).abs().max() > 1e-3  # the ridge explains away
    for m, feature in enumerate(WHOLE.values()):
        index, weight = model.votes.edges(m)
        graph = Data(edge_index=index, edge_weight=weight, num_nodes=OLD)
        wanted = neighbor_votes(
            graph, UnitRows(feature), interactions(), model.built_from.relations
        )
        assert torch.equal(bigger.votes.edges(m)[0], wanted.edge_index)
        assert torch.equal(bigger.votes.edges(m)[1], wanted.edge_weight)
        assert (wanted.edge_index >= OLD).any(1).all()
