"""Workers map a copy: nothing that happens to the model's folder reaches them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from mdsrec_pyg import Retriever, SyntheticDataset, build_mdsrec, leave_last_out
from mdsrec_pyg.serving import ServiceConfig
from mdsrec_pyg.serving.state import State
from mdsrec_pyg.training.run_texts import write_texts
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
    old = state.current.copy
    save_model(folder, seed=1)
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-4])
    assert not state.reload()
    weights.write_bytes(whole)
    assert state.reload()
    assert state.current.copy != old


def test_copies_are_kept_for_the_last_two_models(folder: Path, scratch: Path) -> None:
    state = State(folder, ServiceConfig(), scratch)
    copies = [state.current.copy]
    for seed in (1, 2):
        save_model(folder, seed=seed)
        assert state.reload()
        copies.append(state.current.copy)
    assert {path for path in scratch.iterdir() if path.is_dir()} == set(copies[1:])
    assert len(set(copies)) == 3


def test_a_worker_that_starts_later_serves_what_the_others_do(folder: Path, scratch: Path) -> None:
    first = State(folder, ServiceConfig(), scratch)
    save_model(folder, seed=1)
    second = State(folder, ServiceConfig(), scratch)
    assert second.current.version == first.current.version
    assert answers(second) == answers(first)
    assert first.reload()
    assert first.current.version != second.current.version
    (folder / "config.json").write_bytes(b"broken")
    third = State(folder, ServiceConfig(), scratch)
    assert third.current.version == first.current.version
    assert answers(third) == answers(first)


def test_where_the_copy_is_gone_the_folder_is_copied_anew(folder: Path, scratch: Path) -> None:
    first = State(folder, ServiceConfig(), scratch)
    assert first.current.copy is not None
    shutil.rmtree(first.current.copy)  # as what cleans temporary files does
    assert answers(State(folder, ServiceConfig(), scratch)) == answers(first)


def test_texts_belong_to_the_copy(model_folder: Path, scratch: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(model_folder, run / "model")
    write_texts(run, [f"first {i}" for i in range(40)])
    first = State(run, ServiceConfig(), scratch)
    write_texts(run, [f"second {i}" for i in range(40)])
    second = State(run, ServiceConfig(), scratch)
    assert second.current.catalog.card("item-3")["text"] == "first 3"
    assert second.reload()
    assert second.current.catalog.card("item-3")["text"] == "second 3"
    assert second.current.version == first.current.version


def test_a_model_that_is_written_while_it_is_read_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = State(folder, ServiceConfig())
    own = Retriever.from_folder

    def from_folder(*args: Any, **options: Any) -> Any:
        found = own(*args, **options)
        save_model(folder, seed=1)
        return found

    monkeypatch.setattr(Retriever, "from_folder", from_folder)
    assert not state.reload()
    assert state.last_reload is not None
    assert "must not be written while it is read" in state.last_reload["message"]


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
