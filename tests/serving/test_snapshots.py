"""Workers map a copy: nothing that happens to the model's folder reaches them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mdsrec_pyg import Retriever, SyntheticDataset, build_mdsrec, leave_last_out
from mdsrec_pyg.serving import ServiceConfig
from mdsrec_pyg.serving.state import State
from tests.serving.conftest import save_model

HISTORY = [["item-3", "item-5"]]


@pytest.fixture
def folder(model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder, tmp_path / "shop"))


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def answers(state: State) -> list[float]:
    table = state.current.retriever.recommend(HISTORY, 5, exclude_seen=True)
    return [float(score) for score in table["score"]]


def test_a_file_that_is_written_to_reaches_no_worker(folder: Path, scratch: Path) -> None:
    states = [State(folder, ServiceConfig(), scratch) for _ in range(2)]
    expected = Retriever.from_folder(folder).recommend(HISTORY, 5, exclude_seen=True)
    before = sorted(path.name for path in folder.iterdir())
    for state in states:
        assert answers(state) == expected["score"].tolist()
    weights = folder / "model.safetensors"
    weights.write_bytes(b"cut")  # in place: a mapped file would end the process
    for state in states:
        assert answers(state) == expected["score"].tolist()
        assert not state.reload()
        assert answers(state) == expected["score"].tolist()
    assert sorted(path.name for path in folder.iterdir()) == before
    mapped = Path("/proc/self/maps").read_text()
    assert str(scratch) in mapped
    assert str(folder) not in mapped


def test_a_model_that_is_mended_is_loaded(folder: Path, scratch: Path) -> None:
    state = State(folder, ServiceConfig(), scratch)
    old = state.current.key
    save_model(folder, seed=1)
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-4])
    assert not state.reload()
    weights.write_bytes(whole)
    assert state.reload()
    assert state.current.key != old


def test_copies_are_kept_for_the_last_two_models(folder: Path, scratch: Path) -> None:
    state = State(folder, ServiceConfig(), scratch)
    keys = [state.current.key]
    for seed in (1, 2):
        save_model(folder, seed=seed)
        assert state.reload()
        keys.append(state.current.key)
    assert {path.name for path in scratch.iterdir()} == set(keys[1:])
    assert len(set(keys)) == 3


def test_without_workers_nothing_is_copied(folder: Path) -> None:
    state = State(folder, ServiceConfig())
    (folder / "model.safetensors").write_bytes(b"cut")
    assert len(answers(state)) == 5


def test_a_model_that_can_grow_is_served_by_workers(scratch: Path, tmp_path: Path) -> None:
    dataset = SyntheticDataset(60, 40)
    train = leave_last_out(dataset.interactions).train
    model = build_mdsrec(dataset.features, train, channels=8, num_centers=4)
    model.save(tmp_path / "grows", item_ids=dataset.item_ids, growable=True)
    state = State(tmp_path / "grows", ServiceConfig(), scratch)
    assert state.reload()
    (tmp_path / "grows" / "growing.safetensors").write_bytes(b"cut")
    assert not state.reload()
    assert state.last_reload is not None
    assert "growing.safetensors' must be as it was saved" in state.last_reload["message"]
