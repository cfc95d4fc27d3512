"""Saved models: what is in the folder, and that nothing else is needed."""

from __future__ import annotations

import copy
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
from torch_geometric.nn import GATv2Conv, GCNConv

from mdsrec_pyg.graphs import ridge
from mdsrec_pyg.nn import EASE, MDSRec, Popularity, Recommender, SASRec
from mdsrec_pyg.nn.models.saving import folder as saved
from mdsrec_pyg.nn.models.saving.folder import SavedModel
from mdsrec_pyg.nn.votes.weights import RidgeWeights
from mdsrec_pyg.retrieval import Retriever, recommend

Make = Callable[..., MDSRec]
TWO = {"image": 2.0, "text": 2.0}


def names_in(folder: Path) -> set[str]:
    with safe_open(folder / "model.safetensors", "pt") as file:
        return set(file.keys())


# ---- what is in it ------------------------------------------------------------------------------


def test_the_folder_holds_what_scoring_needs(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "config.json",
        "items.json",
        "model.safetensors",
    }
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1  # all or none may read
    names = names_in(folder)
    assert {"centers_0", "scaling.0.mean", "edge_index_1", "labels"} <= names
    assert {"votes.tables.0.target", "votes.tables.1.weight"} <= names
    assert not [name for name in names if "training_votes" in name]
    assert "item_probability" not in names
    config = json.loads((folder / "config.json").read_text())
    assert config["versions"]["torch"] == torch.__version__
    assert config["class"] == "MDSRec"


def test_it_says_by_which_ridge_its_votes_were_learned(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    told = config["hyperparameters"]["ridge_weights"]
    assert told["l2"] == {"image": 3.0, "text": 3.0}
    loaded = MDSRec.load(folder)
    assert loaded.ridge_weights == RidgeWeights({"image": 3.0, "text": 3.0}, TWO)
    chosen = RidgeWeights(TWO, TWO, 0.2, 0.1, ("l2", "feature_weight"), 20, 24, 9)
    loaded.ridge_weights = chosen
    again = MDSRec.from_hyperparameters(json.loads(json.dumps(loaded.hyperparameters())))
    assert again.ridge_weights == chosen
    older = {k: v for k, v in loaded.hyperparameters().items() if k != "ridge_weights"}
    assert MDSRec.from_hyperparameters(older).ridge_weights is None


def test_it_is_smaller_than_all_that_training_holds(make_mdsrec: Make, folder: Path) -> None:
    model = make_mdsrec()
    every = sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))
    kept = sum(t.numel() * t.element_size() for t in SavedModel.read(folder).tensors.values())
    assert kept < 0.8 * every


def test_the_centers_that_label_new_items_are_kept(folder: Path, world) -> None:
    model = MDSRec.load(folder)
    for m, centers in enumerate(world.centers.values()):
        assert torch.equal(model.get_buffer(f"centers_{m}"), centers.centers_)


def test_negatives_are_drawn_as_before(tmp_path: Path) -> None:
    model = SASRec(5, channels=4, num_negatives=2)
    model.set_item_counts(torch.tensor([9.0, 1, 1, 1, 1]))
    model.save(tmp_path / "model")
    loaded = SASRec.load(tmp_path / "model")
    assert torch.equal(loaded.item_probability, model.item_probability)


def test_ids_of_the_model_before_do_not_stay(tmp_path: Path) -> None:
    SASRec(2, channels=4).save(tmp_path / "model", item_ids=["a", "b"])
    assert (tmp_path / "model" / "items.json").is_file()
    SASRec(2, channels=4).save(tmp_path / "model")
    assert not (tmp_path / "model" / "items.json").exists()
    assert SASRec.load(tmp_path / "model").item_ids is None


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
    model = copy.deepcopy(make_mdsrec()).double()  # the relations are those of all tests
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

    model = make_mdsrec(num_components=3, center_form="soft")
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


def test_a_model_that_is_replaced_while_it_is_read_is_refused(tmp_path: Path, monkeypatch) -> None:
    first, second = SASRec(5, channels=4, bias_lr=2.0), SASRec(5, channels=4, bias_lr=3.0)
    first.save(tmp_path / "model")
    read = saved.load_file

    def late(path: Path) -> Any:
        second.save(tmp_path / "model")  # after the hashes were looked at
        return read(path)

    monkeypatch.setattr(saved, "load_file", late)
    with pytest.raises(ValueError, match="must not be written while it is read"):
        SASRec.load(tmp_path / "model")
    monkeypatch.undo()
    assert SASRec.load(tmp_path / "model").bias_lr == 3.0


def test_a_class_that_stands_in_for_a_model_is_not_loaded(tmp_path: Path) -> None:
    """Tracing by torch.export leaves subclasses that bear the names of the models' classes."""
    names = {"__module__": SASRec.__module__, "__qualname__": SASRec.__qualname__}
    stand_in = type("SASRec", (SASRec,), names)
    SASRec(9, channels=4).save(tmp_path / "model")
    assert type(SASRec.load(tmp_path / "model")) is SASRec
    assert stand_in in SASRec.__subclasses__()
