from __future__ import annotations

import errno
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from mdsrec_pyg.data import Interactions, ModalFeature
from mdsrec_pyg.graphs import build_item_graph, cache, cached_item_graph, count_cooccurrences


def make_inputs() -> tuple[ModalFeature, Interactions]:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(12, 4)) + 0.5)
    feature = ModalFeature(x, torch.arange(12) != 3)
    item = rng.integers(0, 12, 40)
    return feature, Interactions.from_arrays(np.repeat(np.arange(8), 5), item, num_items=12)


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every graph that is really built."""
    calls: list[int] = []
    build = cache.build_item_graph

    def spy(*args: Any, **kwargs: Any) -> Data:
        calls.append(1)
        return build(*args, **kwargs)

    monkeypatch.setattr(cache, "build_item_graph", spy)
    return calls


@pytest.mark.parametrize("weighting", ["product", "ridge"])
def test_second_call_loads_the_same(tmp_path: Path, weighting: Any, builds: list[int]) -> None:
    feature, interactions = make_inputs()
    first = cached_item_graph(tmp_path / "new", feature, interactions, weighting=weighting)
    again = cached_item_graph(
        tmp_path / "new",
        feature.x.numpy().copy(),
        replace(interactions, item_id=interactions.item_id.copy()),
        weighting=weighting,
        mask=feature.mask.clone(),
        block_size=None,  # a default, said once more
    )
    assert len(builds) == 1
    assert set(first.keys()) == set(again.keys())
    for key, value in first.to_dict().items():
        same = torch.equal(value, again[key]) if torch.is_tensor(value) else value == again[key]
        assert same, key
    assert len(list((tmp_path / "new").iterdir())) == 1


@pytest.mark.parametrize("weighting", ["product", "ridge"])
def test_a_graph_without_features_is_cached_too(
    tmp_path: Path, weighting: Any, builds: list[int]
) -> None:
    feature, interactions = make_inputs()
    cached_item_graph(tmp_path, feature, interactions, weighting=weighting)
    first = cached_item_graph(tmp_path, None, interactions, weighting=weighting)
    again = cached_item_graph(tmp_path, None, interactions, weighting=weighting)
    assert len(builds) == 2
    assert torch.equal(first.edge_weight, again.edge_weight)
    assert "x" not in first
    assert "x" not in again


def test_whatever_changes_makes_another_graph(tmp_path: Path, builds: list[int]) -> None:
    feature, interactions = make_inputs()
    x = feature.x.clone()
    x[0, 0] += 1e-3
    item = interactions.item_id.copy()
    item[0] = (item[0] + 1) % 12
    counts = count_cooccurrences(interactions)
    more = counts.copy()
    more.data[:] += 1
    calls: list[tuple[Any, Any, dict[str, Any]]] = [
        (feature, interactions, {}),
        (ModalFeature(x, feature.mask), interactions, {}),
        (ModalFeature(feature.x), interactions, {}),
        (feature, replace(interactions, item_id=item), {}),
        (feature, counts, {}),
        (feature, more, {}),
        (feature, interactions, {"behavior": "count"}),
        (feature, interactions, {"weighting": "ridge"}),
        (feature, interactions, {"weighting": "ridge", "l2": 1.0}),
    ]
    for _ in range(2):
        for x_, interactions_, options in calls:
            cached_item_graph(tmp_path, x_, interactions_, **options)
    assert len(builds) == len(calls)
    assert len(list(tmp_path.iterdir())) == len(calls)


@pytest.mark.parametrize("broken", ["empty", "cut", "half", "text", "other"])
def test_a_broken_file_is_built_again(tmp_path: Path, broken: str, builds: list[int]) -> None:
    first = cached_item_graph(tmp_path, *make_inputs())
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    if broken == "other":
        torch.save({"weight": torch.ones(2)}, path)
    else:
        half = whole[: len(whole) // 2]
        content = {"empty": b"", "cut": whole[:-100], "half": half, "text": b"nothing like it"}
        path.write_bytes(content[broken])
    with pytest.warns(UserWarning, match=rf"{path.name}: expected a saved item graph") as caught:
        again = cached_item_graph(tmp_path, *make_inputs())
    assert [warning.filename for warning in caught] == [__file__]
    assert torch.equal(again.edge_weight, first.edge_weight)
    assert list(tmp_path.iterdir()) == [path]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cached_item_graph(tmp_path, *make_inputs())
    assert len(builds) == 2


def test_a_graph_that_cannot_be_kept_is_used_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "no space")

    expected = build_item_graph(*make_inputs())
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", fail)
        with pytest.warns(UserWarning, match=r"not cached in .*No space left.*item_graph_product"):
            graph = cached_item_graph(tmp_path, *make_inputs())
    assert torch.equal(graph.edge_weight, expected.edge_weight)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.warns(UserWarning, match="not cached in"):
        cached_item_graph(tmp_path / "file", *make_inputs())


def test_one_bit_and_it_is_built_again(tmp_path: Path, builds: list[int]) -> None:
    first = cached_item_graph(tmp_path, *make_inputs())
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for place in np.random.default_rng(0).integers(0, 8 * len(whole), 60):
        data = bytearray(whole)
        data[place // 8] ^= 1 << place % 8
        path.write_bytes(data)
        with pytest.warns(UserWarning, match="expected a saved item graph"):
            again = cached_item_graph(tmp_path, *make_inputs())
        assert torch.equal(again.edge_weight, first.edge_weight)
    assert len(builds) == 61


def test_the_graph_of_other_items_is_not_served(tmp_path: Path) -> None:
    feature, interactions = make_inputs()
    first = cached_item_graph(tmp_path, feature, interactions)
    (path,) = tmp_path.iterdir()
    cached_item_graph(tmp_path, feature, interactions, behavior="count")
    (other,) = set(tmp_path.iterdir()) - {path}
    path.write_bytes(other.read_bytes())  # whole, sealed, and of another graph
    with pytest.warns(UserWarning, match="another graph than its name says"):
        again = cached_item_graph(tmp_path, feature, interactions)
    assert torch.equal(again.edge_weight, first.edge_weight)


def test_unknown_option_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no option"):
        cached_item_graph(tmp_path, *make_inputs(), neighbors=3)
