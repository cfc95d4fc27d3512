"""The search in cells beside the exact one, and blocks on several threads."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mdsrec_pyg.data import ModalFeature
from mdsrec_pyg.graphs import RidgeConfig, build_item_graph, cells, local_ridge_graph, product_graph
from mdsrec_pyg.graphs.cells import Cells, make_cells
from mdsrec_pyg.graphs.local_ridge import _LocalSolver
from mdsrec_pyg.graphs.nearest import nearest
from mdsrec_pyg.graphs.neighbors import UnitRows, affinity, rough_products, unit_rows
from mdsrec_pyg.graphs.pair_counts import count_parts
from mdsrec_pyg.graphs.parallel import map_blocks

from .graph_cases import dense, make_feature, make_interactions, planted


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def grouped(num_items: int = 2000, missing: int = 50) -> tuple[Tensor, Tensor]:
    """Unit rows in groups of twenty, some items without the modality."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(num_items // 20, 12))[np.arange(num_items) % (num_items // 20)]
    mask = torch.ones(num_items, dtype=torch.bool)
    mask[:missing] = False
    x = x + 0.4 * rng.normal(size=x.shape)
    return unit_rows(ModalFeature(torch.from_numpy(x), mask))


def recall(unit: Tensor, present: Tensor, num_probes: int) -> float:
    query = present.nonzero()[:, 0]
    exact, near = nearest(unit, query, 5), nearest(unit, query, 5, cells=Cells(unit, num_probes))
    wanted, got = ((found[0] * len(unit) + found[1]).numpy() for found in (exact, near))
    return float(np.isin(wanted, got).mean())


def test_a_few_cells_find_nearly_all_and_more_cells_more() -> None:
    unit, present = grouped()
    found = [recall(unit, present, num_probes) for num_probes in (1, 4, 12)]
    assert 0.2 < found[0] < found[1] < found[2] < 1
    assert found[2] > 0.95  # of 44 cells


def test_all_cells_are_the_exact_search() -> None:
    unit, present = grouped()
    query = present.nonzero()[:, 0]
    exact = nearest(unit, query, 5)
    for part, expected in zip(nearest(unit, query, 5, cells=Cells(unit, 44)), exact, strict=True):
        assert torch.equal(part, expected)


def test_items_of_near_cells_by_hand() -> None:
    angle = torch.tensor([0, 2, 90, 92, 200, 202]) * torch.pi / 180
    x = torch.cat([torch.stack([angle.cos(), angle.sin()], 1), torch.zeros(1, 2)])
    found = Cells(x, 1, 3, seed=1)
    assert found.label_[6] == 0  # zeros: in no cell
    assert {tuple(found.items(cell).tolist()) for cell in range(3)} == {(0, 1), (2, 3), (4, 5)}
    first = int(found.label_[0])
    assert found.items(first, at_least=3).tolist() == [0, 1, 2, 3]
    assert found.near_[first, 0] == first
    # More items wanted than there are in cells: all are compared.
    assert next(found.blocks(torch.tensor([0]), 7, None))[1] is None


def test_blocks_keep_to_their_size_and_lose_no_query() -> None:
    unit, _ = grouped()
    query = torch.arange(0, 2000, 3)
    blocks = list(Cells(unit, 4).blocks(query, 6, 7))
    assert max(len(part) for part, _ in blocks) == 7
    assert torch.equal(torch.cat([part for part, _ in blocks]).sort().values, query)
    assert all(items is not None and 6 <= len(items) < 2000 for _, items in blocks)


def test_blocks_take_64_mb_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Cells(grouped()[0], 4)
    monkeypatch.setattr(found, "items", lambda cell, at_least: torch.arange(2**20))
    assert max(len(part) for part, _ in found.blocks(torch.arange(2000), 6, None)) == 16


def test_no_features_at_all() -> None:
    interactions, feature = planted()
    none = ModalFeature(feature.x, torch.zeros(300, dtype=torch.bool))
    options: Any = {"num_candidates": 20, "num_neighbors": 10}
    expected = local_ridge_graph(interactions, none, **options, search="exact")
    graph = local_ridge_graph(interactions, none, **options, search="cells")
    torch.testing.assert_close(dense(graph), dense(expected))
    assert product_graph(none, interactions, search="cells").num_edges > 0


@pytest.mark.parametrize("missing", [0, 100])
def test_local_ridge_in_cells(missing: int) -> None:
    interactions, feature = planted()
    feature = ModalFeature(feature.x, torch.arange(300) >= missing)
    options: Any = {"num_neighbors": 20, "num_candidates": 40, "feature_weight": 30.0, "l2": 300.0}
    exact = dense(local_ridge_graph(interactions, feature, **options))
    whole = dense(
        local_ridge_graph(interactions, feature, **options, search="cells", num_probes=17)
    )
    # Where candidates run out, the exact search goes on with items that lack the modality.
    torch.testing.assert_close(whole, exact, rtol=1e-4, atol=1e-4 if missing else 1e-6)
    few = dense(local_ridge_graph(interactions, feature, **options, search="cells", num_probes=6))
    assert not torch.equal(few, whole)
    assert (few * exact).sum() / (few.norm() * exact.norm()) > 0.95
    assert ((few > 0) & (exact > 0)).sum() / (exact > 0).sum() > 0.85


def test_product_fill_in_cells() -> None:
    interactions, feature = planted()
    options: Any = {"num_neighbors": 40}
    exact = dense(product_graph(feature, interactions, **options))
    whole = product_graph(feature, interactions, **options, search="cells", num_probes=17)
    torch.testing.assert_close(dense(whole), exact)
    few = dense(product_graph(feature, interactions, **options, search="cells", num_probes=6))
    assert not torch.equal(few, exact)
    assert ((few > 0) & (exact > 0)).sum() / (exact > 0).sum() > 0.85


@pytest.mark.filterwarnings("ignore:the ridge over")
@pytest.mark.parametrize("weighting", ["product", "ridge"])
def test_cells_beyond_a_number_of_items(monkeypatch: pytest.MonkeyPatch, weighting: Any) -> None:
    interactions, feature = planted()
    options: dict[str, Any] = {"weighting": weighting, "num_neighbors": 30, "num_probes": 2}
    options |= {"memory_limit": 0, "num_candidates": 30} if weighting == "ridge" else {}
    exact, in_cells = (
        dense(build_item_graph(feature, interactions, **options, search=search))
        for search in ("exact", "cells")
    )
    assert not torch.equal(exact, in_cells)
    for most, expected in ((300, exact), (299, in_cells)):
        monkeypatch.setattr(cells, "EXACT_ITEMS", most)
        assert torch.equal(dense(build_item_graph(feature, interactions, **options)), expected)


@pytest.mark.parametrize("search", ["exact", "cells"])
def test_threads_change_nothing(search: Any) -> None:
    interactions, feature = planted()
    found = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        options: Any = {"search": search, "num_probes": 4, "block_size": 19}
        local = local_ridge_graph(interactions, feature, num_candidates=30, **options)
        product = product_graph(feature, interactions, num_neighbors=30, **options)
        found.append([dense(local), dense(product)])
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_block_size_changes_nothing_in_cells() -> None:
    interactions, feature = planted()
    options: Any = {"search": "cells", "num_probes": 4}
    whole = dense(local_ridge_graph(interactions, feature, num_candidates=30, **options))
    options["block_size"] = 1
    single = dense(local_ridge_graph(interactions, feature, num_candidates=30, **options))
    torch.testing.assert_close(single, whole, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("weighting", ["product", "ridge"])
def test_errors(weighting: Any) -> None:
    case = make_feature(), make_interactions()
    with pytest.raises(ValueError, match=r"'search' must be 'exact', .* \(got 'all'\)"):
        build_item_graph(*case, weighting=weighting, search="all")
    with pytest.raises(ValueError, match=r"'num_probes' must be at least 1 \(got 0\)"):
        build_item_graph(*case, weighting=weighting, num_probes=0)


def test_a_device_that_does_not_exist() -> None:
    with pytest.raises(RuntimeError, match="nowhere"):
        local_ridge_graph(make_interactions(), make_feature(), device="nowhere")
    with (
        pytest.raises(RuntimeError, match="nowhere"),
        pytest.warns(UserWarning, match="the ridge over"),
    ):
        build_item_graph(
            make_feature(), make_interactions(), weighting="ridge", memory_limit=0, device="nowhere"
        )


def test_seed_and_features_decide_the_cells() -> None:
    unit, _ = grouped()
    first, again, other = (Cells(unit, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.label_, again.label_)
    assert not torch.equal(first.label_, other.label_)
    assert make_cells(unit, None, 4) is None
    chosen = make_cells(unit, "cells", 4)
    assert chosen is not None
    assert chosen.num_probes == 4


def test_rough_products_are_close_to_the_affinity() -> None:
    unit, _ = grouped()
    row = torch.arange(2000).repeat_interleave(3)
    column = torch.randint(2000, (6000,), generator=torch.Generator().manual_seed(0))
    rough = rough_products(unit, row, column, block_size=7)
    torch.testing.assert_close(rough.clamp(min=0), affinity(unit, row, column), rtol=0, atol=1e-6)


def test_map_blocks_keeps_order_and_threads() -> None:
    torch.set_num_threads(3)
    taken: list[int] = []

    def blocks() -> Iterator[int]:
        for block in range(50):
            taken.append(block)
            yield block

    inside: list[int] = []

    def double(block: int) -> int:
        inside.append(torch.get_num_threads())
        return 2 * block

    found = map_blocks(double, blocks())
    assert next(found) == 0
    assert len(taken) <= 7  # two a thread ahead, not all at once
    assert list(found) == [2 * block for block in range(1, 50)]
    assert set(inside) == {1}
    assert torch.get_num_threads() == 3


def test_map_blocks_leaves_the_threads_of_all_others_alone() -> None:
    torch.set_num_threads(3)

    def of_a_new_thread() -> int:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(torch.get_num_threads).result()

    found = map_blocks(lambda block: torch.get_num_threads(), range(20))
    assert next(found) == 1
    assert of_a_new_thread() == 3
    assert torch.get_num_threads() == 3
    with ThreadPoolExecutor(2) as pool:  # each in a thread that began while blocks were at work
        for part in pool.map(lambda _: list(map_blocks(abs, range(20))), range(4)):
            assert part == list(range(20))
    del found  # given up half way
    assert of_a_new_thread() == 3


def test_map_blocks_passes_errors_on() -> None:
    with pytest.raises(ZeroDivisionError):
        list(map_blocks(lambda block: 1 // block, [1, 0, 1]))


@pytest.mark.parametrize("weight", [0.5, 30.0])
def test_candidates_are_the_best_of_near_cells_and_all_co_occurring_items(weight: float) -> None:
    interactions, feature = planted()
    counts = count_parts(interactions, 200)
    config = RidgeConfig(feature_weight=weight, l2=300.0)
    solver = _LocalSolver(interactions, counts, UnitRows(feature), config)
    found, pairs = Cells(solver.rows, 1), torch.from_numpy(counts.toarray())
    for target, items in found.blocks(torch.arange(300), 11, None):
        assert items is not None
        candidate = solver._candidates(target, items, 10)
        score = (pairs[target] + weight * solver.rows[target] @ solver.rows.T) / solver.scale
        met = pairs[target] > 0
        met[:, items] = True
        met[torch.arange(len(target)), target] = False
        expected = score.masked_fill(~met, -torch.inf).topk(10, dim=1).values
        torch.testing.assert_close(score.gather(1, candidate).sort(1, True).values, expected)
