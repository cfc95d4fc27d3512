"""Mapped retrievers: the answers of others, over files that processes share."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch_geometric.data import Data

from mdsrec_pyg import MDSRec, SASRec
from mdsrec_pyg.nn import Recommender, Relations
from mdsrec_pyg.retrieval import Retriever
from mdsrec_pyg.retrieval.mapped import VECTORS
from tests.small_models import moved, small_mdsrec

NUM_ITEMS = 30
RAW = [f"item {i}" for i in range(NUM_ITEMS)]
HISTORIES = [["item 3", "item 4"], ["item 29"], RAW[:12]]
HOW: dict[str, Any] = {"k": 5, "exclude_seen": True}

ANSWERS_AND_MEMORY = """
import json, re, sys
from mdsrec_pyg.retrieval import Retriever
retriever = Retriever.from_folder(sys.argv[1], mmap=sys.argv[2] == "mapped")
items = retriever.recommend([[1, 2], [70], list(range(500))], 5, exclude_seen=True)["item"]
print(json.dumps(items.tolist()), flush=True)
sys.stdin.readline()  # until all have answered
found, name = {"files": {}, "own": 0}, ""
for line in open("/proc/self/smaps"):
    if re.match("[0-9a-f]+-", line):
        name = line.split()[-1].rsplit("/", 1)[-1]
    else:
        key, value = line.split()[:2]
        if name.endswith((".safetensors", ".faiss")) and key[:-1] in ("Rss", "Private_Dirty",
                "Private_Clean", "Shared_Clean", "Size"):
            own = found["files"].setdefault(name, {})
            own[key[:-1]] = own.get(key[:-1], 0) + int(value)
        if key == "Private_Dirty:":  # clean pages of a file are the cache's, whoever looks
            found["own"] += int(value)
print(json.dumps(found), flush=True)
sys.stdin.read()  # until all have looked: what another has left is nobody else's any more
"""


@pytest.fixture(scope="module")
def model(toy_split: Any) -> MDSRec:
    made = moved(small_mdsrec(toy_split.train, vector_weight=0.7)).eval()
    made.item_ids = RAW
    return made


@pytest.fixture
def folder(model: MDSRec, tmp_path: Path) -> Path:
    model.save(tmp_path / "model")
    return tmp_path / "model"


def places(*names: str) -> list[tuple[int, int]]:
    """Where files of these names are mapped in this process."""
    ranges = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith(names):
            start, stop = (int(part, 16) for part in line.split()[0].split("-"))
            ranges.append((start, stop))
    return ranges


def is_mapped(tensor: torch.Tensor, ranges: list[tuple[int, int]]) -> bool:
    return any(start <= tensor.data_ptr() < stop for start, stop in ranges)


def large_model() -> MDSRec:
    """Tables of some 30 MB."""
    torch.manual_seed(0)
    num_items = 40_000
    graphs = {}
    for name in ("image", "text"):
        source = torch.arange(num_items).repeat_interleave(5)
        target = (source * 7 + torch.arange(len(source))) % num_items
        graphs[name] = Data(
            x=torch.randn(num_items, 16),
            edge_index=torch.stack([source, target]),
            edge_weight=torch.rand(len(source)),
            num_nodes=num_items,
        )
    return MDSRec(graphs, None, Relations(graphs, None, "none"), channels=32).eval()


def in_processes(folder: Path, ways: list[str]) -> tuple[list[Any], list[Any]]:
    """Answers of several processes, and their memory while all of them are there."""
    pipe = subprocess.PIPE
    started = [
        subprocess.Popen(
            [sys.executable, "-c", ANSWERS_AND_MEMORY, str(folder), way],
            stdin=pipe,
            stdout=pipe,
            text=True,
        )
        for way in ways
    ]
    answers = [json.loads(process.stdout.readline()) for process in started if process.stdout]
    memory = []
    for process in started:
        assert process.stdin
        assert process.stdout
        process.stdin.write("\n")
        process.stdin.flush()
        memory.append(json.loads(process.stdout.readline()))
    for process in started:
        process.communicate(timeout=60)
        assert process.returncode == 0
    return answers, memory


def test_answers_are_those_of_the_model(model, folder) -> None:
    want = Retriever(model).recommend(HISTORIES, explain=True, **HOW)
    for _ in range(2):  # the first writes the vectors, the second reads them
        mapped = Retriever.from_folder(folder, mmap=True)
        found = mapped.recommend(HISTORIES, explain=True, **HOW)
        pd.testing.assert_frame_equal(found, want, rtol=1e-4)


def test_every_table_lies_in_a_mapped_file(folder) -> None:
    retriever = Retriever.from_folder(folder, mmap=True)
    ranges = places("model.safetensors", VECTORS)
    items: Any = retriever.items
    for part in (items.embedding, items.center):
        assert is_mapped(part, places(VECTORS))
    own = {
        name
        for name, tensor in (
            *retriever.model.named_parameters(),
            *retriever.model.named_buffers(),
        )
        if tensor.numel() > 1 and not is_mapped(tensor, ranges)
    }
    assert own <= set(retriever.model.training_only)  # not saved
    plain = Retriever.from_folder(folder)
    assert not any(is_mapped(parameter, ranges) for parameter in plain.model.parameters())


def test_vectors_that_are_weights_need_no_file(tmp_path) -> None:
    SASRec(NUM_ITEMS, channels=8).save(tmp_path / "model")
    retriever = Retriever.from_folder(tmp_path / "model", mmap=True)
    assert is_mapped(retriever.items, places("model.safetensors"))
    assert not (tmp_path / "model" / VECTORS).exists()


class Doubled(SASRec):
    """A model whose item vectors are one tensor, and no weight."""

    def encode_items(self) -> torch.Tensor:
        found: torch.Tensor = 2 * super().encode_items()
        return found


def test_vectors_that_are_one_tensor_are_mapped(tmp_path) -> None:
    Doubled(NUM_ITEMS, channels=8).save(tmp_path / "model")
    for _ in range(2):
        retriever = Retriever.from_folder(tmp_path / "model", mmap=True)
        assert is_mapped(retriever.items, places(VECTORS))
        assert torch.equal(retriever.items, retriever.model.encode_items())


def test_of_many_that_start_at_once_one_computes(folder, monkeypatch) -> None:
    own, calls = MDSRec.encode_items, []

    def slow(self: MDSRec) -> Any:
        calls.append(self)
        time.sleep(0.3)
        return own(self)

    monkeypatch.setattr(MDSRec, "encode_items", slow)
    with ThreadPoolExecutor(4) as pool:
        opened = pool.map(lambda _: Retriever.from_folder(folder, mmap=True), range(4))
        assert all(is_mapped(part.items.embedding, places(VECTORS)) for part in opened)
    assert len(calls) == 1


def test_vectors_of_another_model_are_written_anew(model, folder, toy_split) -> None:
    Retriever.from_folder(folder, mmap=True)
    before = (folder / VECTORS).read_bytes()
    other = moved(moved(small_mdsrec(toy_split.train, vector_weight=0.7))).eval()
    other.item_ids = RAW
    other.save(folder)
    found = Retriever.from_folder(folder, mmap=True).recommend(HISTORIES, **HOW)
    want = Retriever(other).recommend(HISTORIES, **HOW)
    pd.testing.assert_frame_equal(found, want, rtol=1e-4)
    assert (folder / VECTORS).read_bytes() != before


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "text"])
def test_a_damaged_file_of_vectors_is_written_anew(model, folder, damage) -> None:
    Retriever.from_folder(folder, mmap=True)
    whole = (folder / VECTORS).read_bytes()
    other = whole[:-1] + bytes([whole[-1] ^ 64])
    parts = {"cut": whole[:-9], "changed": other, "empty": b"", "text": b"{}" * 99}
    (folder / VECTORS).write_bytes(parts[damage])
    found = Retriever.from_folder(folder, mmap=True).recommend(HISTORIES, **HOW)
    pd.testing.assert_frame_equal(found, Retriever(model).recommend(HISTORIES, **HOW))
    again = (folder / VECTORS).read_bytes()
    assert (len(again), again[-99:]) == (len(whole), whole[-99:])


def test_a_folder_that_cannot_be_written_warns(folder, monkeypatch) -> None:
    def refused(*args: Any) -> None:
        raise PermissionError("Permission denied")

    monkeypatch.setattr("mdsrec_pyg.retrieval.mapped._write", refused)
    with pytest.warns(UserWarning, match="not shared between processes"):
        retriever = Retriever.from_folder(folder, mmap=True)
    assert len(retriever.recommend(HISTORIES, **HOW)) == 15


def test_pickles_hold_the_path_and_open_the_same_files(folder) -> None:
    retriever = Retriever.from_folder(folder, mmap=True)
    want = retriever.recommend(HISTORIES, **HOW)
    data = pickle.dumps(retriever)
    assert len(data) < 2_000
    for other in (pickle.loads(data), copy.deepcopy(retriever)):
        pd.testing.assert_frame_equal(other.recommend(HISTORIES, **HOW), want)
        assert is_mapped(other.items.embedding, places(VECTORS))
    Recommender.load(folder).save(folder, item_ids=[f"other {i}" for i in range(NUM_ITEMS)])
    with pytest.raises(ValueError, match="must hold the model that was there when it was pick"):
        pickle.loads(data)


def test_threads_get_what_one_thread_gets(folder) -> None:
    retriever = Retriever.from_folder(folder, mmap=True)
    requests: list[dict[str, Any]] = [
        {},
        {"modality": "image"},
        {"modality": "text", "explain": True},
        {"include": RAW[5:25]},
        {"exclude": {0: RAW[20:], 2: RAW[12:20]}},
        {"unknown": "drop"},
    ] * 4

    def ask(options: dict[str, Any]) -> Any:
        found = retriever.recommend(HISTORIES, **HOW, **options)
        similar = retriever.similar_items("item 3", 3)
        return found.to_json(), similar.to_json()

    want = [ask(options) for options in requests]
    retriever._by_modality.clear()  # made anew, by many at once
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, requests)) == want


def test_another_device_is_an_error(folder) -> None:
    with pytest.raises(ValueError, match=r"mmap=True needs device='cpu'.*\(got meta\)"):
        Retriever.from_folder(folder, mmap=True, device="meta")


@pytest.mark.slow
def test_two_processes_hold_one_copy(tmp_path) -> None:
    large_model().save(tmp_path / "model")
    answers, memory = in_processes(tmp_path / "model", ["mapped", "mapped", "read"])
    assert answers[0] == answers[1] == answers[2]
    size = (tmp_path / "model" / "model.safetensors").stat().st_size // 1024
    for part in memory[:2]:
        assert part["files"]["model.safetensors"]["Size"] >= size
        assert part["files"][VECTORS]["Shared_Clean"] > 1_000
        for file in part["files"].values():
            assert file["Private_Dirty"] == 0
    for part in memory[:2]:  # what a process has to itself
        assert part["own"] + 0.8 * size < memory[2]["own"]
