"""All votes of histories, gathered by what they are for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

#: Devices where a size that depends on the data need not be waited for.
COMPACT = ("cpu",)


@dataclass
class Queries:
    """What is asked: histories, each with the item that comes next.

    Args:
        item_id: Items ``[Q, L]``.
        voter: Rows of the tables that stand for them, ``[Q, L]``.
        mask: Where an item stands that votes, ``[Q, L]``.
        distance: How many steps back each stands, ``[Q, L]``.
    """

    item_id: Tensor
    voter: Tensor
    mask: Tensor
    distance: Tensor

    def __len__(self) -> int:
        """Q."""
        return self.item_id.size(0)

    def part(self, rows: slice) -> Queries:
        """Some of the queries."""
        return Queries(self.item_id[rows], self.voter[rows], self.mask[rows], self.distance[rows])


@dataclass
class Evidence:
    """What speaks for each candidate of each query.

    Args:
        place: ``query * N + item`` of each candidate, ascending, each once, ``[C]``; on a GPU
            some are filled up with ``Q * N``, which is no place.
        votes: Weighted votes for it over each graph, ``[C, M]``.
        largest: The largest edge that it is voted for by, over each graph, ``[C, M]``.
        inverse: Where further places given stand among ``place``.
    """

    place: Tensor
    votes: Tensor
    largest: Tensor
    inverse: Tensor


def gather_evidence(
    tables: nn.ModuleList, queries: Queries, alpha: Tensor, num_items: int, more: Tensor
) -> Evidence:
    r"""Votes :math:`v_m(j) = \sum_i \alpha_{m,d(i)} S_m[i, j]` and :math:`\max_i S_m[i, j]`.

    Only edges out of the histories' items are looked at, whatever the size of the graphs.

    Args:
        tables: An :class:`~mdsrec_pyg.nn.votes.edge_table.EdgeTable` a modality.
        queries: The histories.
        alpha: What a vote counts by steps back, ``[M, D]``; the last is that of all further back.
        num_items: N.
        more: Places that are candidates whoever votes for them, ``[P]``.
    """
    size = len(queries) * num_items
    row, voter, distance, real = _voters(queries)
    distance = distance.clamp(max=alpha.size(1) - 1)
    keys, weights = [], []
    for table in tables:
        target, weight = table(voter)  # [V, H]
        weight = weight if real is None else weight * real[:, None]
        key = torch.where(weight > 0, row[:, None] * num_items + target, size)
        keys.append(key.flatten())
        weights.append(weight)
    place, inverse = distinct_places(torch.cat([*keys, more]), size)
    parts = inverse.split([*(len(key) for key in keys), len(more)])
    votes, largest = [], []
    for m, weight in enumerate(weights):
        cast = (weight * alpha[m][distance][:, None]).flatten()
        votes.append(sum_at(parts[m], cast, len(place)))
        none = weight.new_zeros(len(place))
        largest.append(none.scatter_reduce(0, parts[m], weight.flatten(), "amax"))
    return Evidence(place, torch.stack(votes, 1), torch.stack(largest, 1), parts[-1])


def _voters(queries: Queries) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Query, row of the tables and steps back of each voter, [V]; whether each is one."""
    if queries.item_id.device.type in COMPACT:
        row, step = queries.mask.nonzero(as_tuple=True)
        return row, queries.voter[row, step], queries.distance[row, step], None
    row = torch.arange(len(queries), device=queries.item_id.device)[:, None]
    row = row.expand_as(queries.item_id).flatten()
    mask = queries.mask.flatten()
    return row, queries.voter.flatten(), queries.distance.flatten(), mask


def distinct_places(key: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The distinct keys below ``size``, ascending, and where each key stands among them.

    Keys of ``size``, which are no place, stand last. Where a device would have to be waited for,
    the result is as long as ``key``, filled up with ``size``.
    """
    if key.device.type not in COMPACT:
        ordered, order = key.sort()
        step = torch.ones_like(ordered)
        step[:1] = 0
        step[1:] = ordered.diff() != 0
        inverse = torch.empty_like(order).scatter_(0, order, step.cumsum(0))
        return torch.full_like(key, size).scatter_(0, inverse, key), inverse
    if size > 16 * len(key):  # a table of all places would be mostly empty
        return torch.unique(key, return_inverse=True)
    there = torch.zeros(size + 1, dtype=torch.bool)
    there[key] = True
    return there.nonzero()[:, 0], (there.cumsum(0) - 1)[key]


def sum_at(place: Tensor, value: Tensor, size: int) -> Tensor:
    """Sums values [V] by place, [size], always in the same order."""
    total = value.new_zeros(size)
    if value.device.type == "cpu":
        return total.index_add(0, place, value)
    # On a GPU index_add_ sums in any order; there index_put_ sorts first.
    return total.index_put((place,), value, accumulate=True)


def at_most(queries: Queries, tables: Iterable[nn.Module], votes: int) -> list[slice]:
    """Parts of the queries that cast at most so many votes each, at least a query a part."""
    width = sum(table.get_buffer("target").size(1) for table in tables)
    step = max(1, votes // max(1, queries.item_id.size(1) * width))
    return [slice(start, min(start + step, len(queries))) for start in range(0, len(queries), step)]
