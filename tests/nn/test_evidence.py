"""Votes gathered by candidate: both ways to find the distinct ones, and parts of the queries."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from mdsrec_pyg.nn.votes.edge_table import EdgeTable
from mdsrec_pyg.nn.votes.evidence import (
    Queries,
    at_most,
    distinct_places,
    gather_evidence,
    sum_at,
)
from tests.nn.vote_cases import like_a_gpu, make_graph

#: Of 8 keys: a table of all places, and one that would be mostly empty.
SMALL, LARGE = 16 * 8, 16 * 8 + 1
KEYS = [5, 90, 5, 0, 90, 127, 3, 5]


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("full", [False, True])  # with keys that are no place
def test_distinct_places(monkeypatch, size: int, full: bool) -> None:
    key = torch.tensor(KEYS)
    if full:
        key[[1, 6]] = size
    calls, unique = [], torch.unique

    def counted(*args: Any, **options: Any) -> Any:
        calls.append(1)
        return unique(*args, **options)

    monkeypatch.setattr(torch, "unique", counted)
    place, inverse = distinct_places(key, size)
    assert bool(calls) == (size > SMALL)
    assert place.tolist() == sorted(set(key.tolist()))
    assert torch.equal(place[inverse], key)


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("full", [False, True])
def test_distinct_places_of_a_fixed_size(monkeypatch, size: int, full: bool) -> None:
    like_a_gpu(monkeypatch)
    key = torch.tensor(KEYS)
    if full:
        key[[1, 6]] = size
    place, inverse = distinct_places(key, size)
    distinct = sorted(set(key.tolist()) - {size})
    assert place.tolist() == [*distinct, *[size] * (len(key) - len(distinct))]
    assert torch.equal(place[inverse], key)
    one = torch.full((4,), 7)
    place, inverse = distinct_places(one, 9)
    assert place.tolist() == [7, 9, 9, 9]
    assert inverse.tolist() == [0] * 4


def queries(rows: int = 3) -> Queries:
    """Histories of up to 4 of 7 items, of different lengths, with repeated items."""
    item = torch.tensor([[1, 4, 4, 2], [0, 0, 6, 3], [5, 5, 0, 5]])[:rows]
    mask = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1], [0, 1, 1, 1]]).bool()[:rows]
    return Queries(item, item, mask, torch.tensor([3, 2, 1, 0]).expand_as(item))


@pytest.mark.parametrize("compact", [True, False])
def test_evidence_is_the_sum_and_the_largest_of_the_votes(
    monkeypatch, dense_edges, compact: bool
) -> None:
    if not compact:
        like_a_gpu(monkeypatch)
    graphs, asked = [make_graph(seed=seed) for seed in range(2)], queries()
    tables = nn.ModuleList(EdgeTable.from_graph(graph) for graph in graphs)
    alpha = torch.tensor([[1.0, 0.5, 0.2], [0.3, 0.7, 0.9]])  # three steps back as two
    more = torch.tensor([8, 0, 8])
    found = gather_evidence(tables, asked, alpha, 7, more)
    votes, largest = torch.zeros(21, 2), torch.zeros(21, 2)
    voted = set(more.tolist())
    for m, graph in enumerate(graphs):
        dense = dense_edges(graph)
        for q, step in asked.mask.nonzero().tolist():
            for j, weight in enumerate(dense[asked.item_id[q, step]].tolist()):
                place = q * 7 + j
                votes[place, m] += alpha[m, min(3 - step, 2)] * weight
                largest[place, m] = max(float(largest[place, m]), weight)
                voted |= {place} if weight else set()
    real = found.place < 21
    assert found.place[real].tolist() == sorted(voted)
    assert (found.place.diff() >= 0).all()
    assert (~real).sum() <= 1 or not compact  # what fills the tables up is no place
    torch.testing.assert_close(found.votes[real], votes[found.place[real]])
    torch.testing.assert_close(found.largest[real], largest[found.place[real]])
    assert not found.votes[~real].any()
    assert not found.largest[~real].any()
    assert torch.equal(found.place[found.inverse], more)


def test_parts_cast_at_most_so_many_votes_and_cover_all() -> None:
    tables = [EdgeTable(torch.zeros(7, width), torch.ones(7, width)) for width in (2, 3)]
    asked = queries()  # 4 steps x 5 edges are 20 votes a query
    for votes, want in ((0, [1, 1, 1]), (39, [1, 1, 1]), (40, [2, 1]), (60, [3])):
        parts = at_most(asked, tables, votes)
        assert [part.stop - part.start for part in parts] == want
        assert torch.cat([asked.part(part).item_id for part in parts]).equal(asked.item_id)


def test_sums_are_over_equal_places() -> None:
    total = sum_at(torch.tensor([2, 0, 2]), torch.tensor([1.0, 2.0, 3.0]), 4)
    assert total.tolist() == [2.0, 0.0, 4.0, 0.0]
