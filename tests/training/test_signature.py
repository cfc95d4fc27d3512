"""A checkpoint meets the model it was written from, or an error that says what differs."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from mdsrec_pyg import FolderDataset, SyntheticDataset, Trainer, build_mdsrec, leave_last_out
from mdsrec_pyg.nn import MDSRec
from mdsrec_pyg.training import load_weights
from mdsrec_pyg.training.signature import built_from, check_built_from

SMALL: dict[str, Any] = {"num_centers": 4, "channels": 4, "max_length": 8}


@pytest.fixture(scope="module")
def dataset() -> SyntheticDataset:
    return SyntheticDataset(120, 60, num_interests=6, seed=0)


def build(dataset: Any, **options: Any) -> MDSRec:
    train = leave_last_out(dataset.interactions).train
    return build_mdsrec(dataset.features, train, **{**SMALL, **options})


@pytest.fixture(scope="module")
def run(dataset: SyntheticDataset, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("run")
    fit(build(dataset), dataset, folder, epochs=1)
    return folder


def fit(model: MDSRec, dataset: Any, folder: Any, epochs: int, resume: bool = False) -> None:
    split = leave_last_out(dataset.interactions)
    options: dict[str, Any] = {"progress": False, "log": lambda line: None, "directory": folder}
    Trainer(model, epochs=epochs, **options).fit(split.train, split.val, resume=resume)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"vector_weight": 0.7}, "vector_weight = 0.1.*vector_weight = 0.7"),
        ({"add_id": False}, "add_id = True.*add_id = False"),
        ({"num_negatives": 5}, "num_negatives = None.*num_negatives = 5"),
        ({"relations": {"l2": 5.0}}, r"table 'votes\..*tables\.0\."),
        ({"relations": {"num_neighbors": 3}}, r"table 'votes\..*tables\.0\."),
        ({"graph": {"window": 1}}, "table 'edge_"),
        ({"seed": 1}, "table 'labels' differs"),
    ],
)
def test_other_options_are_errors(dataset, run, options: dict[str, Any], named: str) -> None:
    model = build(dataset, **options)
    with pytest.raises(ValueError, match=named):
        load_weights(model, run / "best.pt")
    before = (run / "last.pt").read_bytes()
    with pytest.raises(ValueError, match=named):
        fit(model, dataset, run, epochs=2, resume=True)
    assert (run / "last.pt").read_bytes() == before


def test_changed_features_are_an_error(dataset, tmp_path) -> None:
    dataset.save(tmp_path / "shop")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shop = FolderDataset(tmp_path / "shop")
        fit(build(shop), shop, tmp_path / "run", epochs=1)
        load_weights(build(FolderDataset(tmp_path / "shop")), tmp_path / "run" / "best.pt")
        features = np.load(tmp_path / "shop" / "image.npy")
        features[3] = features[4]  # one row of sixty
        np.save(tmp_path / "shop" / "image.npy", features)
        with pytest.raises(ValueError, match="built from the data and options of the one in"):
            load_weights(build(FolderDataset(tmp_path / "shop")), tmp_path / "run" / "best.pt")


def test_an_mdsrec_resumes_bit_by_bit(dataset, run, tmp_path) -> None:
    whole, resumed = build(dataset), build(dataset)
    fit(whole, dataset, tmp_path / "whole", epochs=3)
    fit(resumed, dataset, run, epochs=3, resume=True)
    assert all(
        torch.equal(one, two)
        for one, two in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    )


def test_rounding_is_no_difference_but_order_is() -> None:
    class Table(torch.nn.Module):
        def __init__(self, values: torch.Tensor) -> None:
            super().__init__()
            self.register_buffer("values", values, persistent=False)

    values = torch.rand(1000)
    own = built_from(Table(values))
    check_built_from(own, built_from(Table(values * (1 + 1e-7))), "x")
    for other in (values.flip(0), values + 1e-3, values[:-1]):
        with pytest.raises(ValueError, match="table 'values' differs"):
            check_built_from(own, built_from(Table(other)), "x")
    check_built_from({}, own, "x")  # a checkpoint that does not say


class Tables(torch.nn.Module):
    def __init__(self, **tables: torch.Tensor) -> None:
        super().__init__()
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)


def swapped(table: torch.Tensor) -> torch.Tensor:
    changed = table.clone()
    changed[[700, 900]] = changed[[900, 700]]
    return changed


def replaced(table: torch.Tensor) -> torch.Tensor:
    changed = table.clone()
    changed[700] = changed[900]
    return changed


@pytest.mark.parametrize("change", [swapped, replaced])
@pytest.mark.parametrize("shape", [(1000, 16), (1000, 1200)])
def test_rows_that_change_places_are_a_difference(change: Any, shape: tuple[int, int]) -> None:
    """In a table of a million entries their sums differ by less than a hundred-thousandth."""
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0)) + 100
    own = built_from(Tables(x=x))
    check_built_from(own, built_from(Tables(x=x * (1 + 3e-6))), "x")
    with pytest.raises(ValueError, match="table 'x' differs"):
        check_built_from(own, built_from(Tables(x=change(x))), "x")


def test_one_edge_in_a_million_is_a_difference() -> None:
    edges = torch.arange(2_000_000).view(2, -1) + 2**54  # beyond what float64 tells apart
    own = built_from(Tables(edge_index=edges, mask=edges[0] % 2 == 0))
    check_built_from(own, built_from(Tables(edge_index=edges, mask=edges[0] % 2 == 0)), "x")
    other = edges.clone()
    other[1, 5] += 1
    with pytest.raises(ValueError, match="table 'edge_index' differs"):
        check_built_from(own, built_from(Tables(edge_index=other, mask=edges[0] % 2 == 0)), "x")
    with pytest.raises(ValueError, match="table 'mask' differs"):
        check_built_from(own, built_from(Tables(edge_index=edges, mask=edges[0] % 2 == 1)), "x")
    flat = edges.view(4, -1)
    with pytest.raises(ValueError, match="table 'edge_index' differs"):
        check_built_from(own, built_from(Tables(edge_index=flat, mask=edges[0] % 2 == 0)), "x")


def test_a_signature_is_small() -> None:
    table = built_from(Tables(x=torch.ones(3000, 2000)))["tables"]["x"]
    assert table["sums"].shape == (-(-6_000_000 // 184), 2)  # of 6 million entries


def test_a_module_of_another_class_is_a_difference() -> None:
    """Same weights, same attributes: only the class tells them apart."""
    one, other = (
        torch.nn.Sequential(torch.nn.Linear(2, 2), module)
        for module in (torch.nn.Tanh(), torch.nn.Sigmoid())
    )
    with pytest.raises(ValueError, match=r"1 is a Tanh.*1 is a Sigmoid"):
        check_built_from(built_from(one), built_from(other), "x")


def test_relations_of_other_interactions_are_an_error(dataset) -> None:
    split = leave_last_out(dataset.interactions)
    part = split.train.select(split.train.user_id != 3)
    model = build_mdsrec(dataset.features, part, **SMALL)
    with pytest.raises(ValueError, match="'train' must hold the interactions that the relations"):
        Trainer(model, epochs=1, log=lambda line: None).fit(split.train, split.val)
    with pytest.warns(UserWarning, match="the exact ridge"):
        local = build(dataset, relations={"memory_limit": 0, "num_folds": 2})
    fewer = SyntheticDataset(119, 60, num_interests=6, seed=0).interactions
    with pytest.raises(ValueError, match="must have the 120 users"):
        local.check_training(fewer)
