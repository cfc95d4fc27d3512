"""What the training part chooses for l2 and feature_weight of each modality."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from mdsrec_pyg import SyntheticDataset
from mdsrec_pyg.data import EvaluationSplit, Interactions, ModalFeature, leave_last_out
from mdsrec_pyg.data.sequences import MAX_LENGTH
from mdsrec_pyg.evaluation import evaluate
from mdsrec_pyg.graphs.neighbors import as_unit
from mdsrec_pyg.nn import RelationsConfig, RelationVotes, build_mdsrec, fit_relations
from mdsrec_pyg.nn.votes import inner_split, weights
from mdsrec_pyg.nn.votes.inner_split import InnerSplit, some_items
from mdsrec_pyg.nn.votes.weights import RidgeWeights, choose_weights

AUTO: dict[str, Any] = {"l2": "auto", "feature_weight": "auto"}
SPLIT = leave_last_out(SyntheticDataset(400, 124, seed=0).interactions)
FEATURES = SyntheticDataset(400, 124, seed=0).features


def choose(
    features: dict[str, ModalFeature] = FEATURES,
    train: Interactions = SPLIT.train,
    seed: int = 0,
    **options: Any,
) -> RidgeWeights:
    units = {name: as_unit(feature) for name, feature in features.items()}
    units = units or {"behavior": as_unit(None, None, train.num_items)}
    return choose_weights(units, train, RelationsConfig(**{**AUTO, **options}), seed=seed)


def test_it_finds_what_votes_better_for_held_out_items() -> None:
    found = choose()
    assert found.ndcg is not None
    assert found.start_ndcg is not None
    assert found.ndcg > found.start_ndcg + 0.01
    assert (found.num_targets, found.num_items) == (400, 124)
    plain: dict[str, Any] = {"vectors": False, "vote_hidden": 0, "num_centers": 0}
    ndcg = []
    for l2, weight in ((found.l2, found.feature_weight), (70.0, 20.0)):
        relations = {"l2": l2, "feature_weight": weight}
        model = build_mdsrec(FEATURES, SPLIT.train, relations=relations, **plain)
        ndcg.append(evaluate(model, SPLIT.test).metrics_masked["ndcg@10"])
    assert ndcg[0] > ndcg[1]


def test_votes_are_counted_as_the_model_counts_them() -> None:
    """The judge's NDCG is that of the evaluation, over graphs of all but each newest item."""
    newest = np.zeros(len(SPLIT.train), bool)
    newest[SPLIT.train.user_ptr[1:] - 1] = True
    rest = SPLIT.train.select(~newest)
    config = RelationsConfig(num_neighbors=9, denoising=0.2)
    units = {name: as_unit(feature) for name, feature in FEATURES.items()}
    inner = InnerSplit(units, SPLIT.train, config, np.random.default_rng(0), lambda: None)
    state = {("l2", "image"): 20.0, ("l2", "text"): 200.0}
    state |= {("feature_weight", "image"): 7.0, ("feature_weight", "text"): 0.0}
    relations = config.replace(
        l2={"image": 20.0, "text": 200.0}, feature_weight={"image": 7.0, "text": 0.0}
    )
    plain: dict[str, Any] = {"vectors": False, "vote_hidden": 0, "num_centers": 0}
    model = build_mdsrec(FEATURES, rest, relations=relations, history_bias=False, **plain)
    want = evaluate(model, inner.queries)
    found = inner.ndcg(state)
    assert len(found) == 400
    assert found.mean() == pytest.approx(want.metrics_masked["ndcg@10"], abs=1e-3)
    assert found.mean() > 0.01


@pytest.mark.parametrize("max_length", [MAX_LENGTH, 7])
def test_a_step_back_counts_as_in_an_untrained_model(max_length: int) -> None:
    queries = EvaluationSplit(
        "inner", np.array([0]), np.array([60]), np.array([0, 60]), np.arange(60), 61
    )
    graph = Data(edge_index=torch.tensor([[0], [1]]), edge_weight=torch.ones(1), num_nodes=61)
    alpha = RelationVotes([graph], None, max_length=max_length).alpha[0].tolist()
    want = [alpha[min(back, len(alpha) - 1)] for back in range(max_length)]
    want += [0.0] * (61 - max_length)
    found = inner_split._histories(queries, slice(0, 1), max_length)[0].toarray()[0]
    assert found[59::-1].tolist() == pytest.approx(want[:60])


def test_weights_are_chosen_by_as_many_items_as_the_model_reads() -> None:
    auto: dict[str, Any] = {"vectors": False, "relations": {"num_neighbors": 9, **AUTO}}
    asked = [
        build_mdsrec(FEATURES, SPLIT.train, max_length=length, **auto).ridge_weights
        for length in (1, MAX_LENGTH)
    ]
    direct = fit_relations(FEATURES, SPLIT.train, num_neighbors=9, max_length=1, **AUTO).weights
    assert asked[0] == direct
    assert asked[0] != asked[1]


def test_without_weight_all_modalities_have_one_graph() -> None:
    units = {name: as_unit(feature) for name, feature in FEATURES.items()}
    rng = np.random.default_rng(0)
    inner = InnerSplit(units, SPLIT.train, RelationsConfig(), rng, lambda: None)
    plain = {("l2", name): 70.0 for name in units} | {
        ("feature_weight", name): 0.0 for name in units
    }
    inner.ndcg(plain)
    assert inner.num_fits == 1
    inner.ndcg({**plain, ("l2", "text"): 7.0})
    assert inner.num_fits == 2


@pytest.mark.parametrize("again", [[], [0], [1, 0]])
def test_ties_have_their_mean_rank_and_seen_items_are_masked(again: list[int]) -> None:
    user, item = [0] * (len(again) + 3) + [1] * 3, [*again, 0, 1, 2, 0, 1, 0]
    train = Interactions.from_arrays(user, item, num_items=5)
    units = {"image": as_unit(torch.zeros(5, 1))}
    inner = InnerSplit(units, train, RelationsConfig(), np.random.default_rng(0), lambda: None)
    # The newest item of user 1 is none that can be recommended: it was taken before.
    assert inner.queries.user_id.tolist() == [0]
    assert len(inner.rest) == 4 + len(again)
    # Nobody votes for item 2: it ties with 3 and 4 at the mean of ranks 0, 1, 2.
    found = inner.ndcg({("l2", "image"): 1.0, ("feature_weight", "image"): 0.0})
    assert found.tolist() == pytest.approx([1 / np.log2(3)])


def test_held_out_interactions_cannot_matter() -> None:
    """Relations get the training part; what else the users did changes nothing."""
    data = SyntheticDataset(400, 124, seed=0).interactions
    rng, other = np.random.default_rng(0), data.item_id.copy()
    for back in (1, 2):  # test and validation items become others
        rows = data.user_ptr[1:] - back
        other[rows] = rng.permutation(other[rows])
    changed = leave_last_out(Interactions.from_arrays(data.user_id, other, data.timestamp))
    assert not np.array_equal(changed.test.target, SPLIT.test.target)
    assert choose(train=changed.train) == choose()


def test_each_option_can_be_chosen_alone_and_what_is_given_stays() -> None:
    both, l2, weight = choose(), choose(feature_weight=2.0), choose(l2={"image": 3.0, "text": 9.0})
    assert l2.feature_weight == {"image": 2.0, "text": 2.0}
    assert weight.l2 == {"image": 3.0, "text": 9.0}
    assert l2.l2 != {"image": 70.0, "text": 70.0}
    assert weight.feature_weight != {"image": 20.0, "text": 20.0}
    assert [found.chosen for found in (both, l2, weight)] == [
        ("l2", "feature_weight"),
        ("l2",),
        ("feature_weight",),
    ]
    given = choose(l2=3.0, feature_weight={"text": 1.0, "image": 2.0})
    assert given == RidgeWeights({"image": 3.0, "text": 3.0}, {"image": 2.0, "text": 1.0})


@pytest.mark.parametrize("option", [{"denoising": 0.9}, {"num_neighbors": 1}])
def test_options_of_the_graphs_are_those_of_the_choice(option: dict[str, Any]) -> None:
    assert choose(**option).start_ndcg != choose().start_ndcg


def shuffled() -> dict[str, ModalFeature]:
    """Texts that tell nothing."""
    order = torch.randperm(124, generator=torch.Generator().manual_seed(0))
    return {"image": FEATURES["image"], "text": ModalFeature(FEATURES["text"].x[order])}


def test_a_useless_modality_ends_with_less_weight() -> None:
    found = choose(shuffled())
    assert found.feature_weight["text"] < 20.0 <= found.feature_weight["image"]


def test_a_gain_within_noise_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "ERRORS", 1e6)
    for features in (FEATURES, shuffled()):
        found = choose(features)
        assert found.l2 == {"image": 70.0, "text": 70.0}
        assert found.feature_weight == {"image": 20.0, "text": 20.0}
        assert found.ndcg == found.start_ndcg


@pytest.mark.parametrize("users", [1, 2, 3, 10, 1000])
def test_one_user_alone_moves_nothing(users: int) -> None:
    class Inner:
        def ndcg(self, state: Any) -> Any:
            return state

    inner: Any = Inner()
    none: Any = np.zeros(users)
    gain: Any = np.zeros(users)
    for gain[0] in (1.0, 0.1, 1 / 3, 0.63):
        assert weights._gain(inner, none, gain) == 0
    if users > 1:
        gain[1] = gain[0]
        assert weights._gain(inner, none, gain) == pytest.approx(2 * gain[0] / users)


def test_from_any_weight_a_step_leads_to_none() -> None:
    for l2, beside in ((7.0, [20.0]), (200.0, [70.0, 700.0])):
        state = {("l2", "image"): l2, ("feature_weight", "image"): 70.0}
        found = list(weights._moves(state, list(state)))
        assert [move["l2", "image"] for move in found] == [*beside, l2, l2, l2]
        assert [move["feature_weight", "image"] for move in found][-3:] == [0.0, 20.0, 200.0]


def test_it_is_the_same_again_and_with_more_threads() -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = choose()
        torch.set_num_threads(2)
        assert choose() == one
    finally:
        torch.set_num_threads(threads)


def test_a_large_catalog_is_judged_by_some_of_its_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inner_split, "ITEMS", 60)
    one, two = choose(seed=0), choose(seed=1)
    assert one == choose(seed=0)
    assert one.num_items == two.num_items == 60
    assert one.start_ndcg != two.start_ndcg
    assert fit_relations(FEATURES, SPLIT.train, seed=1, **AUTO).weights == two
    units, some = some_items(
        {name: as_unit(feature) for name, feature in FEATURES.items()},
        SPLIT.train,
        np.random.default_rng(0),
    )
    # Items are those of the whole, each with all of its users and its own features.
    counts = SPLIT.train.item_counts()
    rows = [(FEATURES["image"].x == x).all(1).nonzero() for x in units["image"].feature.x]
    item = torch.stack(rows).flatten().numpy()
    assert len(np.unique(item)) == 60
    assert np.array_equal(some.item_counts(), counts[item])
    assert np.array_equal(
        (some.to_csr().T @ some.to_csr()).toarray(),
        (SPLIT.train.to_csr().T @ SPLIT.train.to_csr()).toarray()[np.ix_(item, item)],
    )
    # What a user has of them stays in its order.
    place = {int(i): row for row, i in enumerate(item)}
    for user in range(400):
        start, stop = SPLIT.train.user_ptr[user : user + 2]
        kept = [place[i] for i in SPLIT.train.item_id[start:stop] if i in place]
        assert some.item_id[some.user_ptr[user] : some.user_ptr[user + 1]].tolist() == kept


def test_not_more_users_are_asked_than_tell_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inner_split, "TARGETS", 100)
    found = choose()
    assert found.num_targets == 100
    assert found.start_ndcg != choose(seed=1).start_ndcg


@pytest.mark.filterwarnings("ignore:the exact ridge")
def test_the_local_form_takes_the_same_choice() -> None:
    options: dict[str, Any] = {**AUTO, "num_candidates": 10, "num_folds": 2}
    exact = fit_relations(FEATURES, SPLIT.train, **options)
    local = fit_relations(FEATURES, SPLIT.train, memory_limit=0, **options)
    assert (exact.solver, local.solver) == ("exact", "local")
    assert exact.weights == local.weights == choose()
    given = {"l2": exact.weights.l2, "feature_weight": exact.weights.feature_weight}
    for found, more in ((exact, {}), (local, {"memory_limit": 0})):
        want = fit_relations(FEATURES, SPLIT.train, **{**options, **given, **more})
        for name, graph in found.graphs.items():
            assert torch.equal(graph.edge_weight, want.graphs[name].edge_weight)


def test_without_features_there_is_only_the_ridge_to_choose() -> None:
    found = choose({})
    assert found.feature_weight == {"behavior": 20.0}
    assert found.l2 != {"behavior": 70.0}
    assert found.num_fits <= len(weights.GRID["l2"])  # nothing else is tried
    nothing = ModalFeature(torch.randn(124, 3), torch.zeros(124, dtype=torch.bool))
    assert choose({"image": nothing}).feature_weight == {"image": 20.0}


@pytest.mark.parametrize("option", ["l2", "feature_weight"])
def test_numbers_by_name_are_those_of_the_modalities(option: str) -> None:
    for given in ({"image": 2.0}, {"image": 2.0, "text": 2.0, "audio": 2.0}):
        options: dict[str, Any] = {option: given}
        with pytest.raises(ValueError, match=rf"'{option}' must hold a number for each of the mod"):
            fit_relations(FEATURES, SPLIT.train, **options)


def test_the_summary_says_what_was_chosen_and_why() -> None:
    found = RidgeWeights(
        {"image": 200.0}, {"image": 7.0}, 0.1234, 0.1, ("l2", "feature_weight"), 2_906, 1_012, 16
    )
    assert found.summary() == {
        "ridge of image": "l2 200, feature weight 7",
        "chosen": "by votes within the training part: NDCG@10 0.1234, with l2 70, feature_weight "
        "20 0.1000 (2,906 users, 1,012 items, 16 fits)",
    }
    assert list(choose(l2=3.0, feature_weight=2.0).summary()) == ["ridge of image", "ridge of text"]
