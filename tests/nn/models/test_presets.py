from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor
from torch_geometric.nn import GCNConv

from mdsrec_pyg import (
    Interactions,
    ModalFeature,
    SyntheticDataset,
    Trainer,
    build_mdsrec,
    leave_last_out,
)
from mdsrec_pyg.data import FeatureScaler
from mdsrec_pyg.graphs import InterestCenters
from mdsrec_pyg.nn import PRESETS, MDSRec
from mdsrec_pyg.nn.models import presets

SMALL: dict[str, Any] = {"num_centers": 4, "channels": 8, "max_length": 10}


@pytest.fixture(scope="module")
def dataset() -> SyntheticDataset:
    return SyntheticDataset(num_users=60, num_items=80, num_interests=4, channels=6)


def build(dataset: SyntheticDataset, preset: str = "best", **options: Any) -> MDSRec:
    split = leave_last_out(dataset.interactions)
    return build_mdsrec(dataset.features, split.train, preset, **{**SMALL, **options})


def content(model: MDSRec) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def same(first: MDSRec, second: MDSRec) -> bool:
    a, b = content(first), content(second)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_paper_is_the_papers_own_form(dataset: SyntheticDataset) -> None:
    model = build(dataset, "paper")
    assert model.history_bias is None
    assert model.votes is None
    assert model.center is not None
    assert model.center_shift is None
    assert not len(model.project)
    assert all(encoder.center_mode == "only" for encoder in model.encoder)
    assert model.fusion.mode == "gumbel"
    items = model.encode_items()
    assert items.embedding is not None
    for m in range(2):
        source, target = getattr(model, f"edge_index_{m}")
        weight = getattr(model, f"edge_weight_{m}")[:, None]
        assert torch.equal(weight[source == target], torch.full((80, 1), 0.25))  # itself, too
        want = torch.zeros(80, 8).index_add(0, target, weight * model.ids.weight[source])
        torch.testing.assert_close(items.embedding[m], want)


def test_self_loops_of_weight_one_are_the_id_added(dataset: SyntheticDataset) -> None:
    loops = build(dataset, "paper", graph={"self_loops": 1})
    added = build(dataset, "paper", graph={"self_loops": 0}, add_id=True)
    assert torch.equal(loops.ids.weight, added.ids.weight)
    source, target = added.get_buffer("edge_index_0")
    assert (source != target).all()
    first, second = loops.encode_items().embedding, added.encode_items().embedding
    assert first is not None
    torch.testing.assert_close(first, second)
    assert not torch.allclose(first, loops.ids.weight)  # the neighbors count, too


def test_best_is_the_default_and_votes(dataset: SyntheticDataset) -> None:
    model = build(dataset)
    assert same(model, build(dataset, "best"))
    assert model.votes is not None
    assert model.votes.history_bias is not None
    assert not same(model, build(dataset, "paper"))


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_may_be_overridden(dataset: SyntheticDataset, preset: str) -> None:
    model = build(dataset, preset, history_bias=True, relations=True, vectors=False, vote_hidden=5)
    assert not model.config.vectors
    assert model.votes is not None
    assert model.votes.history_bias is not None
    assert model.votes.fusion.hidden == 5
    plain = build(dataset, preset, num_centers=0, num_layers=2)
    assert plain.center is None
    assert plain.encoder[0].get_submodule("blocks.1")
    other = build(dataset, preset, conv=lambda: GCNConv(8, 8))
    assert isinstance(other.propagate[0].get_submodule("convs.0"), GCNConv)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_build_repeats_with_its_seed(dataset: SyntheticDataset, preset: str) -> None:
    model = build(dataset, preset)
    assert same(model, build(dataset, preset))
    other = build(dataset, preset, seed=1)
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1 and parameter.any() and "votes.weight" not in name:
            assert not torch.equal(parameter, other.get_parameter(name)), name


def test_the_global_random_state_is_left_alone(dataset: SyntheticDataset) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    build(dataset)
    assert torch.equal(torch.rand(2), expected)


def with_cold_items(dataset: SyntheticDataset, shift: float) -> MDSRec:
    """Ten items more that nobody took, with features around ``shift``."""
    generator = torch.Generator().manual_seed(0)
    features = {
        name: ModalFeature(torch.cat([feature.x, shift + torch.randn(10, 6, generator=generator)]))
        for name, feature in dataset.features.items()
    }
    train = leave_last_out(dataset.interactions).train
    cold = Interactions(train.user_id, train.item_id, train.timestamp, 60, 90)
    return build_mdsrec(features, cold, **SMALL)


def test_scaling_and_centers_follow_the_training_items(dataset: SyntheticDataset) -> None:
    near, far = (content(with_cold_items(dataset, shift)) for shift in (0.0, 50.0))
    known = leave_last_out(dataset.interactions).train.item_counts() > 0
    seen = np.append(known, np.zeros(10, bool))
    assert torch.equal(near["labels"][:, seen], far["labels"][:, seen])
    for m in range(2):
        name = f"project.{m}.x"
        torch.testing.assert_close(near[name][seen], far[name][seen])
        assert not torch.allclose(near[name][~seen], far[name][~seen])


def test_features_are_scaled_by_training_items(dataset: SyntheticDataset) -> None:
    model = build(dataset, add_features=True)
    known = leave_last_out(dataset.interactions).train.item_counts() > 0
    for m, feature in enumerate(dataset.features.values()):
        want = FeatureScaler().fit_transform(feature, known).x
        assert torch.equal(model.project[m].get_buffer("x"), want)


def test_components_take_the_place_of_wide_features(dataset: SyntheticDataset) -> None:
    train = leave_last_out(dataset.interactions).train
    known = torch.from_numpy(train.item_counts() > 0)
    base = {name: feature.x for name, feature in dataset.features.items()}
    narrow = next(iter(base))
    features = {
        name: ModalFeature(x if name == narrow else torch.cat([x, x.square()], dim=1))
        for name, x in base.items()
    }
    width = base[narrow].size(1)
    options = {**SMALL, "num_components": width, "add_features": True}
    model = build_mdsrec(features, train, **options)
    whole = build_mdsrec(features, train, **{**options, "num_components": None})
    assert model.votes is not None
    assert whole.votes is not None
    for m, (name, feature) in enumerate(features.items()):
        scaled = FeatureScaler().fit_transform(feature, known)
        got = model.project[m].get_buffer("x")
        if name == narrow:  # no wider than that: as it is
            assert torch.equal(got, scaled.x)
            continue
        expected = PCA(width).fit(scaled.x[known]).transform(scaled.x)
        expected = torch.from_numpy(expected / (expected[known.numpy()] ** 2).mean() ** 0.5)
        torch.testing.assert_close(got.abs(), expected.float().abs(), rtol=1e-3, atol=1e-3)
        # The relations see the features as they are.
        for one, two in zip(model.votes.edges(m), whole.votes.edges(m), strict=True):
            assert torch.equal(one, two)


def test_components_that_nothing_reads_warn(dataset: SyntheticDataset) -> None:
    with pytest.warns(UserWarning, match=r"\['num_components'\] have no effect"):
        build(dataset, "paper", num_components=2)
    with pytest.raises(ValueError, match="'num_components' must be at least 1"):
        build(dataset, num_components=0)


def test_soft_centers_are_those_of_the_features(dataset: SyntheticDataset) -> None:
    """Centers and what belongs to them come from the same features, not once from scaled ones."""
    scale = torch.tensor([1.0, 9.0, 0.2, 3.0, 5.0, 0.5])
    features = {
        name: ModalFeature(feature.x * scale + 7 * scale)
        for name, feature in dataset.features.items()
    }
    train = leave_last_out(dataset.interactions).train
    known = torch.from_numpy(train.item_counts() > 0)
    model = build_mdsrec(features, train, "paper", **SMALL, center_form="soft")
    assert model.center is not None
    for m, feature in enumerate(features.values()):
        centers = InterestCenters(4, random_state=0).fit(feature.x, items=known)
        want = torch.softmax(centers.affinity_ / 0.1, 1)
        torch.testing.assert_close(model.center[m].get_buffer("assignment")[:, :4], want)


@pytest.mark.parametrize("preset", PRESETS)
def test_epochs_lower_the_loss(dataset: SyntheticDataset, preset: str) -> None:
    split = leave_last_out(dataset.interactions)
    model = build(dataset, preset)
    trainer = Trainer(
        model, epochs=3, batch_size=16, lr=3e-3, device="cpu", progress=False, log=lambda _: None
    )
    history = trainer.fit(split.train, split.val)
    losses = [row["loss"] for row in history.rows]
    assert losses[2] < losses[1] < losses[0]


@pytest.mark.parametrize("preset", PRESETS)
def test_targets_of_the_evaluation_change_nothing(dataset: SyntheticDataset, preset: str) -> None:
    whole = dataset.interactions
    last = whole.user_ptr[1:] - 1
    item = whole.item_id.copy()
    held_out = np.concatenate([last, last - 1])
    item[held_out] = np.random.default_rng(1).permutation(item[held_out])
    assert (item != whole.item_id).mean() > 0.2
    changed = Interactions(whole.user_id, item, whole.timestamp, 60, 80)
    splits = leave_last_out(whole), leave_last_out(changed)
    assert not np.array_equal(splits[0].test.target, splits[1].test.target)
    models = [build_mdsrec(dataset.features, s.train, preset, **SMALL) for s in splits]
    assert same(*models)
    # It would have been noticed.
    assert not same(models[0], build_mdsrec(dataset.features, changed, preset, **SMALL))


def test_models_built_at_once_start_as_those_built_alone(dataset: SyntheticDataset) -> None:
    """The generators that the weights are drawn from are the process's."""
    split = leave_last_out(dataset.interactions)

    def build(seed: int) -> list[torch.Tensor]:
        options: dict[str, Any] = {"relations": False, "num_centers": None, "channels": 8}
        model = build_mdsrec(dataset.features, split.train, seed=seed, **options)
        return [parameter.detach() for parameter in model.parameters()]

    want = [build(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for got, expected in zip(pool.map(build, range(4)), want, strict=True):
            assert all(map(torch.equal, got, expected))


def test_the_device_reaches_every_part(monkeypatch) -> None:
    """What is asked of a GPU is computed on the CPU here."""
    given: dict[str, str] = {}
    graph, fit, relations = presets.product_graph, InterestCenters.fit, presets.fit_relations

    def spied_graph(*args: Any, device: str) -> Any:
        given["graph"] = device
        return graph(*args)

    def spied_fit(self: InterestCenters, *args: Any, device: str, **kwargs: Any) -> Any:
        given["centers"] = device
        return fit(self, *args, **kwargs)

    def spied_relations(units: Any, train: Any, config: Any, **kwargs: Any) -> Any:
        given["relations"] = config.device
        return relations(units, train, config.replace(device="cpu"), **kwargs)

    monkeypatch.setattr(presets, "product_graph", spied_graph)
    monkeypatch.setattr(InterestCenters, "fit", spied_fit)
    monkeypatch.setattr(presets, "fit_relations", spied_relations)
    dataset = SyntheticDataset(60, 40, num_interests=4, seed=0)
    train = leave_last_out(dataset.interactions).train
    model = build_mdsrec(dataset.features, train, num_centers=3, device="meta")
    assert given == {"graph": "meta", "centers": "meta", "relations": "meta"}
    assert all(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))
    own = build_mdsrec(
        dataset.features, train, num_centers=3, device="cpu", relations={"device": "cpu:0"}
    )
    assert given == {"graph": "cpu", "centers": "cpu", "relations": "cpu:0"}
    assert own.num_items == 40
