"""Folders of saved models that were changed, cut or mixed up, and what cannot be saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from mdsrec_pyg.io import sha256
from mdsrec_pyg.nn import GRU4Rec, MDSRec, Recommender, SASRec
from mdsrec_pyg.nn.models.saving import folder as saved_module
from mdsrec_pyg.nn.models.saving.folder import FORMAT
from mdsrec_pyg.nn.models.saving.save_load import load_model

Make = Callable[..., MDSRec]


def sealed(folder: Path, **changes: Any) -> None:
    """Changes the configuration, and its hashes with it: what only the contents can tell."""
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **changes}
    for name in config["hashes"]:
        if name != "config.json":
            config["hashes"][name] = sha256(folder / name)
    config["hashes"]["config.json"] = saved_module._own_hash(config)
    path.write_text(json.dumps(config))


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
    text = path.read_text()
    assert '"vector_weight": 0.1' in text
    path.write_text(text.replace('"vector_weight": 0.1', '"vector_weight": 0.2'))
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
