"""A retriever and its folder: item counts, and an index that is saved with the model."""

from __future__ import annotations

import copy
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mdsrec_pyg import MDSRec, Popularity, SASRec, Trainer
from mdsrec_pyg.nn import Recommender
from mdsrec_pyg.retrieval import FaissIndex, Retriever, recommend
from tests.small_models import moved, small_mdsrec

NUM_ITEMS = 30
RAW = [f"item {i}" for i in range(NUM_ITEMS)]
HISTORIES = [["item 3", "item 4"], ["item 29"], RAW[:12]]
HOW: dict[str, Any] = {"k": 5, "exclude_seen": True}


@pytest.fixture(scope="module")
def model(toy_split: Any) -> MDSRec:
    made = moved(small_mdsrec(toy_split.train, vector_weight=0.7)).eval()
    made.item_ids, made.item_counts = RAW, np.arange(NUM_ITEMS)
    return made


@pytest.fixture
def folder(model: MDSRec, tmp_path: Path) -> Path:
    model.save(tmp_path / "model")
    return tmp_path / "model"


class TestCounts:
    @pytest.mark.parametrize("mmap", [False, True])
    def test_a_saved_model_answers_users_without_a_history(self, folder, mmap) -> None:
        retriever = Retriever.from_folder(folder, mmap=mmap)
        with pytest.warns(UserWarning, match="1 user without a history"):
            table = retriever.recommend({"new": []}, 2, exclude_seen=True, empty="popularity")
        assert table["item"].tolist() == ["item 29", "item 28"]
        np.testing.assert_allclose(table["score"], np.log1p([29, 28]), rtol=1e-6)

    def test_counts_that_are_given_come_before_those_of_the_model(self, model) -> None:
        counts = np.arange(NUM_ITEMS)[::-1]
        for table in (
            recommend(model, [[]], 1, exclude_seen=True, empty="popularity", item_counts=counts),
            Retriever(model, item_counts=counts).recommend(
                [[]], 1, exclude_seen=True, empty="popularity"
            ),
        ):
            assert table["item"].tolist() == ["item 0"]

    def test_the_trainer_sets_them(self, toy_split, tmp_path) -> None:
        model = SASRec(NUM_ITEMS, channels=8)
        assert model.item_counts is None
        Trainer(model, epochs=1, progress=False, log=lambda text: None).fit(
            toy_split.train, toy_split.val
        )
        want = toy_split.train.item_counts()
        model.save(tmp_path / "model")
        loaded = Recommender.load(tmp_path / "model")
        for found in (model.item_counts, loaded.item_counts, copy.deepcopy(model).item_counts):
            assert found is not None
            assert found.tolist() == want.tolist()
            assert found.dtype == np.int64
        assert Popularity(toy_split.train).item_counts is not None

    def test_models_that_do_not_know_them_stay_without(self, tmp_path) -> None:
        SASRec(NUM_ITEMS, channels=8).save(tmp_path / "model")
        assert Recommender.load(tmp_path / "model").item_counts is None
        with pytest.raises(ValueError, match="got None, and the model does not know them"):
            Retriever.from_folder(tmp_path / "model").recommend(
                [[]], exclude_seen=True, empty="popularity"
            )

    @pytest.mark.parametrize("wrong", [[1, 2], [-1] * 30, ["a"] * 30, [float("nan")] * 30])
    def test_what_is_no_count_is_an_error(self, wrong) -> None:
        with pytest.raises(ValueError, match="'item_counts' must hold 30 numbers from 0"):
            SASRec(NUM_ITEMS, channels=8).item_counts = wrong

    def test_they_cannot_be_written_to(self, model) -> None:
        with pytest.raises(ValueError, match="read-only"):
            model.item_counts[0] = 7


class TestIndex:
    @pytest.fixture(autouse=True)
    def faiss(self) -> Any:
        return pytest.importorskip("faiss")

    @pytest.mark.parametrize("mmap", [False, True])
    @pytest.mark.parametrize("factory", [None, "IVF4,Flat", "PQ4x4"])
    def test_it_comes_back_with_the_model(self, model, tmp_path, factory, mmap) -> None:
        search = "nprobe=2" if factory == "IVF4,Flat" else None
        index = FaissIndex(12, factory=factory, search=search)
        retriever = Retriever(model, index=index)
        want = retriever.recommend(HISTORIES, **HOW)
        retriever.save(tmp_path / "model")
        found = Retriever.from_folder(tmp_path / "model", mmap=mmap)
        assert found.index is not None
        assert found.index.num_candidates == 12
        assert found.index.factory == factory
        assert found.index.search_parameters == search
        if search is None:
            object.__setattr__(found._scoring, "score", None)  # the catalog is not scored
        pd.testing.assert_frame_equal(found.recommend(HISTORIES, **HOW), want, rtol=1e-4)
        assert found.item_counts is not None
        if mmap:
            assert "index.faiss" in Path("/proc/self/maps").read_text()
            again = pickle.loads(pickle.dumps(found))
            assert again.index is not None
            pd.testing.assert_frame_equal(again.recommend(HISTORIES, **HOW), want, rtol=1e-4)

    def test_it_may_be_left_out_or_asked_for(self, model, tmp_path) -> None:
        Retriever(model, index=FaissIndex(12)).save(tmp_path / "with")
        Retriever(model).save(tmp_path / "without")
        assert Retriever.from_folder(tmp_path / "with", index=False).index is None
        assert Retriever.from_folder(tmp_path / "with", index=True).index is not None
        assert Retriever.from_folder(tmp_path / "without").index is None
        with pytest.raises(
            ValueError, match=r"'folder' must hold a saved index \(there is no .*npz"
        ):
            Retriever.from_folder(tmp_path / "without", index=True)
        own = FaissIndex(7)
        assert Retriever.from_folder(tmp_path / "with", index=own).index is own

    def test_saving_without_one_removes_the_old(self, model, tmp_path) -> None:
        Retriever(model, index=FaissIndex(12)).save(tmp_path / "model")
        Retriever(model).save(tmp_path / "model")
        assert Retriever.from_folder(tmp_path / "model").index is None

    @pytest.mark.parametrize("mmap", [False, True])
    def test_an_index_of_other_weights_is_refused(self, model, tmp_path, mmap) -> None:
        folder = tmp_path / "model"
        Retriever(model, index=FaissIndex(12)).save(folder)
        trained = copy.deepcopy(model)
        with torch.no_grad():
            trained.ids.weight[7] += 0.1
        trained.save(folder)
        with pytest.raises(ValueError, match=r"model/index: 'index' must be built .* remove this"):
            Retriever.from_folder(folder, mmap=mmap)
        assert Retriever.from_folder(folder, index=False, mmap=mmap).index is None
        SASRec(NUM_ITEMS, channels=8).save(tmp_path / "sasrec")
        shutil.copytree(folder / "index", tmp_path / "sasrec" / "index")
        with pytest.raises(ValueError, match=r"\[30, 8\] \(got \[30, 16\]\)"):
            Retriever.from_folder(tmp_path / "sasrec", mmap=mmap)

    @pytest.mark.parametrize("name", ["index.faiss", "index.npz"])
    @pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
    def test_a_damaged_file_is_refused(self, model, tmp_path, name, damage) -> None:
        index = FaissIndex(12)
        Retriever(model, index=index)
        index.save(tmp_path / "index")
        path = tmp_path / "index" / name
        whole = path.read_bytes()
        if damage == "gone":
            path.unlink()
        else:
            middle = len(whole) // 2
            changed = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
            path.write_bytes(whole[:-7] if damage == "cut" else changed)
        with pytest.raises(ValueError, match=name):
            FaissIndex.load(tmp_path / "index")

    def test_an_index_that_is_not_built_cannot_be_saved(self, tmp_path) -> None:
        with pytest.raises(ValueError, match="'index' must be built to be saved"):
            FaissIndex(12).save(tmp_path / "index")
        assert not (tmp_path / "index").exists()
