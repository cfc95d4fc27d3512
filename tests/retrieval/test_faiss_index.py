"""Candidates by FAISS: with an exact index the exact answers, every option with its effect."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mdsrec_pyg import EASE, Interactions, Popularity, SASRec
from mdsrec_pyg.retrieval import Retriever, faiss_index
from mdsrec_pyg.retrieval.faiss_index import FaissIndex
from tests.small_models import moved, small_mdsrec

NUM_ITEMS = 300
HISTORIES: Any = [[3, 4, 3], [299], list(range(40, 60)), [7, 100, 8]]

TWO_LIBRARIES = """
import torch, faiss
from mdsrec_pyg.retrieval.faiss_index import FaissIndex
table = torch.randn(2000, 8)
index = FaissIndex(factory="IVF16,Flat")
index.build(table)
for threads in (2, 1):
    torch.set_num_threads(threads)
    for _ in range(5):  # in turn, each with threads of its own
        found = index.search(torch.randn(64, 512) @ torch.randn(512, 8), 10)
    assert found.shape == (64, 10)
    print(torch.get_num_threads(), faiss.omp_get_max_threads())
"""


@pytest.fixture(scope="module")
def train() -> Interactions:
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(80), 8)
    item = np.append(rng.integers(0, NUM_ITEMS, 80 * 8 - 1), NUM_ITEMS - 1)
    return Interactions.from_arrays(user, item, num_items=NUM_ITEMS)


@pytest.fixture
def sasrec() -> SASRec:
    torch.manual_seed(0)
    return moved(SASRec(NUM_ITEMS, channels=8)).eval()


def recall(model: Any, index: FaissIndex, k: int = 5) -> float:
    options: dict[str, Any] = {"k": k, "exclude_seen": True}
    histories = [[i, i + 1] for i in range(0, 200, 4)]
    want = Retriever(model).recommend(histories, **options)["item"].to_numpy().reshape(-1, k)
    found = Retriever(model, index=index).recommend(histories, **options)
    got = found["item"].to_numpy().reshape(-1, k)
    return float(np.mean([np.isin(w, g).mean() for w, g in zip(want, got, strict=True)]))


class TestWithFaiss:
    @pytest.fixture(autouse=True)
    def faiss(self) -> Any:
        return pytest.importorskip("faiss")

    @pytest.mark.parametrize("exclude_seen", [True, False])
    @pytest.mark.parametrize(
        "options",
        [
            {"vector_weight": 0.3},
            {"history_bias": False},
            {"preset": "paper"},
            {"preset": "paper", "history_bias": True},
        ],
    )
    def test_an_exact_index_gives_the_exact_answers(self, train, options, exclude_seen) -> None:
        model = moved(small_mdsrec(train, **options)).eval()
        ids = [f"item {i}" for i in range(NUM_ITEMS)]
        histories = [[ids[i] for i in history] for history in HISTORIES]
        request: dict[str, Any] = {"k": 6, "exclude_seen": exclude_seen, "user_id": list("abcd")}
        want = Retriever(model, ids).recommend(histories, **request)
        retriever = Retriever(model, ids, index=FaissIndex(40, factory="Flat"))
        model.score = None  # the catalog is not scored
        for batch_size in (1, 3, 64):
            found = retriever.recommend(histories, batch_size=batch_size, **request)
            pd.testing.assert_frame_equal(found, want, rtol=1e-4)

    def test_explanations_stay(self, train) -> None:
        model = moved(small_mdsrec(train)).eval()
        request: dict[str, Any] = {"k": 3, "exclude_seen": True, "explain": True}
        want = Retriever(model).recommend(HISTORIES, **request)
        found = Retriever(model, index=FaissIndex()).recommend(HISTORIES, **request)
        pd.testing.assert_frame_equal(found, want, rtol=1e-4)

    def test_seen_items_do_not_use_up_the_candidates(self, sasrec) -> None:
        first = Retriever(sasrec).recommend([[1]], 100, exclude_seen=False)["item"].tolist()
        history = [*first[:90], 1]
        want = Retriever(sasrec).recommend([history], 2, exclude_seen=True)
        retriever = Retriever(sasrec, index=FaissIndex(2))
        sasrec.score = None  # no way out
        found = retriever.recommend([history], 2, exclude_seen=True)
        assert found["item"].tolist() == want["item"].tolist()

    def test_more_candidates_miss_fewer(self, sasrec) -> None:
        few, many = (recall(sasrec, FaissIndex(n, factory="PQ1x4")) for n in (5, 150))
        assert few < many
        assert recall(sasrec, FaissIndex(NUM_ITEMS, factory="PQ1x4")) == 1

    def test_search_parameters_count(self, sasrec) -> None:
        few, all_lists = (
            recall(sasrec, FaissIndex(50, factory="IVF8,Flat", search=f"nprobe={n}"))
            for n in (1, 8)
        )
        assert few < all_lists == 1

    def test_the_factory_makes_the_index(self, sasrec, faiss) -> None:
        index = FaissIndex(factory="HNSW8,Flat", search="efSearch=77")
        assert recall(sasrec, index) > 0.5
        hnsw = faiss.downcast_index(index.index)
        assert (type(hnsw).__name__, hnsw.hnsw.efSearch) == ("IndexHNSWFlat", 77)
        assert hnsw.metric_type == faiss.METRIC_INNER_PRODUCT
        assert index.nbytes > 4 * NUM_ITEMS * 8

    def test_the_default_index(self, sasrec, faiss, monkeypatch) -> None:
        index = FaissIndex()
        index.build(sasrec.encode_items())
        assert isinstance(faiss.downcast_index(index.index), faiss.IndexFlat)
        monkeypatch.setattr(faiss_index, "SMALL", 100)
        monkeypatch.setattr(faiss_index, "MAX_TRAINING", 200)
        index = FaissIndex()
        index.build(sasrec.encode_items())
        lists = faiss.extract_index_ivf(index.index)
        assert (lists.nlist, lists.nprobe, lists.ntotal) == (68, 4, NUM_ITEMS)

    def test_too_few_candidates_are_made_up_for(self, sasrec) -> None:
        index = FaissIndex(200, factory="IVF32,Flat", search="nprobe=1")
        want = Retriever(sasrec).recommend(HISTORIES, 150, exclude_seen=True)
        found = Retriever(sasrec, index=index).recommend(HISTORIES, 150, exclude_seen=True)
        pd.testing.assert_frame_equal(found, want)

    @pytest.mark.parametrize("first", ["torch", "faiss"])
    def test_faiss_takes_as_many_threads_as_torch(self, first: str) -> None:
        """In a process of its own: which OpenMP FAISS gets depends on what is imported first."""
        result = subprocess.run(
            [sys.executable, "-c", f"import {first}\n{TWO_LIBRARIES}"],
            env={**os.environ, "OMP_NUM_THREADS": "3"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout.split() == ["2", "2", "1", "1"]

    def test_a_built_index_is_used_again(self, sasrec) -> None:
        index = FaissIndex()
        Retriever(sasrec, index=index)
        built = index.index
        Retriever(sasrec, index=index)
        assert index.index is built
        with pytest.raises(ValueError, match=r"vectors of the model, \[300, 4\] \(got \[300, 8\]"):
            Retriever(SASRec(NUM_ITEMS, channels=4), index=index)

    @pytest.mark.parametrize("factory", [None, "PQ4x4"])
    def test_an_index_over_other_vectors_is_refused(self, sasrec, factory) -> None:
        index = FaissIndex(factory=factory)
        before = Retriever(sasrec, index=index)
        options: dict[str, Any] = {"k": 5, "exclude_seen": True}
        answers = before.recommend(HISTORIES, **options)
        with torch.no_grad():
            sasrec.ids.weight[7] += 0.01  # one item only
        with pytest.raises(ValueError, match=r"before more training: 1 of 300 items .* new FaissI"):
            Retriever(sasrec, index=index)
        pd.testing.assert_frame_equal(answers, before.recommend(HISTORIES, **options))
        with torch.no_grad():
            sasrec.ids.weight[7] -= 0.01  # again up to rounding
        Retriever(sasrec, index=index)

    def test_an_index_can_be_copied_and_pickled(self, sasrec) -> None:
        retriever = Retriever(sasrec, index=FaissIndex(30, factory="IVF4,Flat", search="nprobe=1"))
        options: dict[str, Any] = {"k": 5, "exclude_seen": True}
        want = retriever.recommend(HISTORIES, **options)
        for other in (copy.deepcopy(retriever), pickle.loads(pickle.dumps(retriever))):
            pd.testing.assert_frame_equal(other.recommend(HISTORIES, **options), want)
            Retriever(sasrec, index=other.index)
        unbuilt = pickle.loads(pickle.dumps(FaissIndex(7)))
        assert unbuilt.num_candidates == 7
        assert unbuilt.index is None

    def test_one_index_is_built_once_by_many_threads(self, sasrec, monkeypatch) -> None:
        index, fitted = FaissIndex(30), []
        fit = index._fitted

        def counted(vectors: Any) -> Any:
            fitted.append(1)
            return fit(vectors)

        monkeypatch.setattr(index, "_fitted", counted)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: Retriever(sasrec, index=index), range(8)))
        assert fitted == [1]

    @pytest.mark.parametrize("value", [torch.nan, torch.inf])
    def test_weights_that_diverged_are_refused(self, sasrec, value) -> None:
        with torch.no_grad():
            sasrec.ids.weight[7] = value
        with pytest.raises(ValueError, match=r"finite item vectors .* item 7\): the model has div"):
            Retriever(sasrec, index=FaissIndex())

    def test_errors(self, sasrec, train) -> None:
        with pytest.raises(ValueError, match=r"'num_candidates' must be at least 1 \(got 0\)"):
            FaissIndex(0)
        wrong: Any
        for wrong in ({"factory": "NoSuchIndex"}, {"search": "nprobe=2", "factory": "Flat"}):
            with pytest.raises(ValueError, match="'factory' and 'search' must be what FAISS accep"):
                Retriever(sasrec, index=FaissIndex(**wrong))
        retriever = Retriever(sasrec, index=FaissIndex(5))
        with pytest.raises(ValueError, match=r"'num_candidates' \(got k=6 and 5\)"):
            retriever.recommend([[1]], 6, exclude_seen=True)
        with pytest.raises(ValueError, match=r"user 0 has seen all but 2 items"):
            retriever.recommend([list(range(NUM_ITEMS - 2))], 3, exclude_seen=True)
        for model in (EASE(train), Popularity(train), small_mdsrec(train, vectors=False)):
            message = f"by inner products with item vectors.*{type(model).__name__}"
            with pytest.raises(ValueError, match=message):
                Retriever(model, index=FaissIndex())

    def test_scores_of_ones_own_are_an_error(self) -> None:
        class Own(SASRec):
            def score(self, batch: Any, items: Any = None) -> torch.Tensor:
                return -super().score(batch, items)

        with pytest.raises(ValueError, match=r"inner products .* \(got Own\)"):
            Retriever(Own(NUM_ITEMS, channels=8), index=FaissIndex())


def test_without_faiss_the_error_names_the_extra(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match=r"pip install 'mdsrec_pyg\[ann\]'"):
        FaissIndex()
