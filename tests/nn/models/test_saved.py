"""Saved models: what is in the folder, what is refused, and that nothing else is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.cluster
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch_geometric.nn import GATv2Conv, GCNConv

from mdsrec_pyg.graphs import ridge
from mdsrec_pyg.nn import EASE, GRU4Rec, MDSRec, Popularity, Recommender, SASRec
from mdsrec_pyg.nn.models import saved as saved_module
from mdsrec_pyg.nn.models.loading import load_model
from mdsrec_pyg.nn.models.saved import FORMAT, SavedModel, sha256
from mdsrec_pyg.retrieval import Retriever, recommend

Make = Callable[..., MDSRec]


@pytest.fixture
def folder(make_mdsrec: Make, tmp_path: Path) -> Path:
    make_mdsrec().save(tmp_path / "model", item_ids=[f"i{i}" for i in range(24)])
    return tmp_path / "model"


def names_in(folder: Path) -> set[str]:
    with safe_open(folder / "model.safetensors", "pt") as file:
        return set(file.keys())


def sealed(folder: Path, **changes: Any) -> None:
    """Changes the configuration, and its hashes with it: what only the contents can tell."""
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **changes}
    for name in config["hashes"]:
        if name != "config.json":
            config["hashes"][name] = sha256(folder / name)
    config["hashes"]["config.json"] = saved_module._own_hash(config)
    path.write_text(json.dumps(config))


# ---- what is in it ------------------------------------------------------------------------------


def test_the_folder_holds_what_scoring_needs(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "config.json",
        "items.json",
        "model.safetensors",
    }
    names = names_in(folder)
    assert {"centers_0", "scaling.0.mean", "edge_index_1", "labels", "votes.tables.0.key"} <= names
    assert not [name for name in names if "training_votes" in name or "total" in name]
    assert "item_probability" not in names
    config = json.loads((folder / "config.json").read_text())
    assert config["versions"]["torch"] == torch.__version__
    assert config["class"] == "MDSRec"


def test_it_is_smaller_than_all_that_training_holds(make_mdsrec: Make, folder: Path) -> None:
    model = make_mdsrec()
    every = sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))
    kept = sum(t.numel() * t.element_size() for t in SavedModel.read(folder).tensors.values())
    assert kept < 0.8 * every


def test_negatives_are_drawn_as_before(tmp_path: Path) -> None:
    model = SASRec(5, channels=4, num_negatives=2)
    model.set_item_counts(torch.tensor([9.0, 1, 1, 1, 1]))
    model.save(tmp_path / "model")
    loaded = SASRec.load(tmp_path / "model")
    assert torch.equal(loaded.item_probability, model.item_probability)


def test_the_layout_of_a_table_is_kept(world, tmp_path: Path) -> None:
    model = EASE(world.train)
    model.weight = model.weight.t().contiguous().t()
    model.save(tmp_path / "model")
    loaded = EASE.load(tmp_path / "model")
    assert loaded.weight.stride() == model.weight.stride() == (1, 24)
    assert torch.equal(loaded.weight, model.weight)


@pytest.mark.parametrize(
    "ids", [list(range(7, 31)), [str(i) for i in range(24)], ["a", *range(23)]]
)
def test_ids_keep_their_types(tmp_path: Path, ids: list[Any]) -> None:
    model = SASRec(24, channels=4)
    model.save(tmp_path / "model", item_ids=np.array(ids, dtype=object))
    read = SASRec.load(tmp_path / "model").item_ids
    assert read is not None
    assert [(value, type(value)) for value in read.tolist()] == [(v, type(v)) for v in ids]


def test_precision_and_device_survive(make_mdsrec: Make, world, tmp_path: Path) -> None:
    model = make_mdsrec().double()
    scores = model(world.batch)
    model.save(tmp_path / "model")
    loaded = MDSRec.load(tmp_path / "model", device="cpu")
    assert loaded(world.batch).dtype == torch.float64
    assert torch.equal(loaded.to("cpu")(world.batch), scores)
    assert all(t.is_meta for t in MDSRec.load(tmp_path / "model", "meta").buffers())


# ---- nothing else is needed ---------------------------------------------------------------------

SCRIPT = """
import sys, torch
from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.nn import Recommender
model = Recommender.load(sys.argv[1])
batch = SequenceBatch.from_histories([[3, 1, 4], [1, 5, 9, 2, 6]], model.max_length)
torch.save(model(batch).detach(), sys.argv[2])
"""


def test_another_process_gives_the_same_bits(make_mdsrec: Make, tmp_path: Path) -> None:
    from mdsrec_pyg.data import SequenceBatch

    model = make_mdsrec(vote_interests=True, num_components=3, center_form="soft")
    model.save(tmp_path / "model")
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "model"), str(tmp_path / "scores.pt")]
    subprocess.run(command, check=True, cwd=tmp_path)
    batch = SequenceBatch.from_histories([[3, 1, 4], [1, 5, 9, 2, 6]], model.max_length)
    assert torch.equal(torch.load(tmp_path / "scores.pt"), model(batch))


def test_loading_fits_nothing(world, folder: Path, tmp_path: Path, monkeypatch) -> None:
    EASE(world.train, list(world.features.values())).save(tmp_path / "ease")
    Popularity(world.train).save(tmp_path / "popularity")

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("something is fitted")

    monkeypatch.setattr(sklearn.cluster.KMeans, "fit", never)
    monkeypatch.setattr(ridge, "lapack", None)
    for name in ("inv", "solve", "cholesky", "svd", "eigh"):
        monkeypatch.setattr(torch.linalg, name, never)
    for path in (folder, tmp_path / "ease", tmp_path / "popularity"):
        assert Recommender.load(path)(world.batch).isfinite().all()
    with pytest.raises(AttributeError, match="dpotrf"):
        EASE(world.train, list(world.features.values()))


def test_votes_cannot_be_trained_further_and_vectors_can(
    make_mdsrec: Make, world, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="cannot be trained further"):
        MDSRec.load(folder).loss(world.batch)
    make_mdsrec(relations=None).save(tmp_path / "vectors")
    model = MDSRec.load(tmp_path / "vectors").train()
    model.loss(world.batch).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_ids_of_the_model_are_the_default(folder: Path) -> None:
    model = MDSRec.load(folder)
    table = recommend(model, [["i3", "i1"]], 4, exclude_seen=True)
    assert set(table["item"]) < {f"i{i}" for i in range(24)}
    again = Retriever.from_folder(folder).recommend([["i3", "i1"]], 4, exclude_seen=True)
    assert again.equals(table)
    other = recommend(model, [[3, 1]], 4, exclude_seen=True, item_ids=range(24))
    assert [f"i{item}" for item in other["item"]] == list(table["item"])


# ---- modules of the caller's own ----------------------------------------------------------------


def gat() -> GATv2Conv:
    return GATv2Conv(4, 4, edge_dim=1)


def test_an_own_layer_is_asked_for(make_mdsrec: Make, world, tmp_path: Path) -> None:
    model = make_mdsrec(conv=gat, relations=None)
    model.save(tmp_path / "model")
    loaded = MDSRec.load(tmp_path / "model", conv=gat)
    assert torch.equal(loaded(world.batch), model(world.batch))
    with pytest.raises(ValueError, match=r"'conv' must be given .* own, GATv2Conv\(4, 4"):
        MDSRec.load(tmp_path / "model")
    with pytest.raises(ValueError, match=r"'conv' must make a .*GATv2Conv.*got a .*GCNConv"):
        MDSRec.load(tmp_path / "model", conv=lambda: GCNConv(4, 4))
    with pytest.raises(ValueError, match="'fusion' must be left out"):
        MDSRec.load(tmp_path / "model", conv=gat, fusion=torch.nn.Identity())
    with pytest.raises(ValueError, match=r"'propagate.0.convs.0.*' has shape"):
        MDSRec.load(tmp_path / "model", conv=lambda: GATv2Conv(4, 2, heads=2, edge_dim=1))


# ---- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.safetensors", "items.json", "config.json"])
@pytest.mark.parametrize("damage", ["byte", "cut", "gone"])
def test_a_damaged_file_is_named(folder: Path, name: str, damage: str) -> None:
    path = folder / name
    data = bytearray(path.read_bytes())
    if damage == "byte":
        data[len(data) // 2] ^= 1
    path.write_bytes(data if damage == "byte" else data[: len(data) // 2])
    if damage == "gone":
        path.unlink()
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        MDSRec.load(folder)


def test_any_changed_option_is_noticed(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"vector_weight": 0.05', '"vector_weight": 0.06'))
    with pytest.raises(ValueError, match=r"config\.json' must be as it was saved"):
        MDSRec.load(folder)


def test_the_tensors_of_another_model_are_refused(
    make_mdsrec: Make, folder: Path, tmp_path: Path
) -> None:
    other = make_mdsrec()
    with torch.no_grad():
        other.ids.weight.add_(1)
    other.save(tmp_path / "other")
    (tmp_path / "other" / "model.safetensors").replace(folder / "model.safetensors")
    with pytest.raises(ValueError, match="or belongs to another model"):
        MDSRec.load(folder)


def test_another_format_and_class_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"must hold a SASRec \(it holds a MDSRec\)"):
        SASRec.load(folder)
    sealed(folder, **{"class": "Elsewhere"})
    with pytest.raises(ValueError, match="Elsewhere, which is not imported"):
        Recommender.load(folder)
    sealed(folder, format=FORMAT + 1)
    with pytest.raises(ValueError, match=rf"must be of format {FORMAT} \(got {FORMAT + 1}\)"):
        Recommender.load(folder)
    with pytest.raises(ValueError, match=r"there is no '.*config\.json'"):
        Recommender.load(folder / "nothing")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.update(more=torch.zeros(1)), "it has 'more', which the model does not have"),
        (lambda t: t.pop("ids.weight"), "'ids.weight' is missing"),
        (lambda t: t.pop("labels"), "'labels' is missing"),
        (lambda t: t.update({"ids.weight": torch.zeros(23, 4)}), "'ids.weight' has shape"),
        (lambda t: t.update(item_probability=torch.zeros(24)), "it has 'item_probability'"),
    ],
)
def test_tensors_must_be_those_of_the_model(folder: Path, change: Any, message: str) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    change(tensors)
    save_file(tensors, folder / "model.safetensors")
    sealed(folder)
    with pytest.raises(ValueError, match=message):
        MDSRec.load(folder)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "b"], r"must hold 3 distinct ids.*got 2, 2 distinct"),
        (["a", "b", "b"], r"got 3, 2 distinct"),
        (["a", "b", 1.5], r"text or integers \(got 1.5, a float, for item 2\)"),
        ([True, "a", "b"], r"got True, a bool"),
    ],
)
def test_ids_that_cannot_be_kept(tmp_path: Path, ids: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SASRec(3, channels=4).save(tmp_path / "model", item_ids=ids)
    assert not list(tmp_path.iterdir())


class Silent(SASRec):
    def hyperparameters(self) -> dict[str, Any]:
        return {"x": object()}


def test_a_model_of_your_own_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotImplementedError, match=r"arguments of Recommender\(\.\.\.\)"):
        Recommender(3, 5).save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"Silent\.hyperparameters must return what JSON can"):
        Silent(3, channels=4).save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_loading_needs_the_family(folder: Path) -> None:
    assert type(load_model(MDSRec, folder, "cpu", {})) is MDSRec
    with pytest.raises(ValueError, match="must hold a GRU4Rec"):
        load_model(GRU4Rec, folder, "cpu", {})


def test_a_second_save_replaces_the_first(folder: Path) -> None:
    SASRec(5, channels=4).save(folder)
    loaded = Recommender.load(folder)
    assert isinstance(loaded, SASRec)
    assert loaded.item_ids is None
