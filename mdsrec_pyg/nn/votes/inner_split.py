"""Votes inside the training part: what is asked of graphs that the training part is asked about."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from mdsrec_pyg.data import Interactions, ModalFeature
from mdsrec_pyg.data.queries import EvaluationSplit, make_queries
from mdsrec_pyg.data.sequences import MAX_LENGTH
from mdsrec_pyg.graphs.neighbors import BEHAVIOR, UnitRows
from mdsrec_pyg.graphs.ridge import ridge_graph, ridge_precision
from mdsrec_pyg.nn.votes.config import RelationsConfig
from mdsrec_pyg.nn.votes.scores import DECAY, STEPS

__all__ = ["InnerSplit", "some_items"]

#: A fit takes O(N^3): on larger catalogs so many items stand for all.
ITEMS = 4_000
#: Targets, at most: more would tell no more.
TARGETS = 20_000
#: Votes are counted for so many targets at a time.
BLOCK = 4_096

#: A number of each modality, by option and modality.
State = dict[tuple[str, str], float]


def some_items(
    units: Mapping[str, UnitRows], interactions: Interactions, rng: np.random.Generator
) -> tuple[Mapping[str, UnitRows], Interactions]:
    """A catalog of at most ITEMS items, drawn at random.

    All users keep what they have of these: counts and co-occurrences stay what they are.
    """
    num_items = interactions.num_items
    if num_items <= ITEMS:
        return units, interactions
    kept = np.sort(rng.permutation(num_items)[:ITEMS])
    place = np.full(num_items, -1)
    place[kept] = np.arange(ITEMS)
    item = place[interactions.item_id]
    some = Interactions.from_arrays(
        interactions.user_id[item >= 0],
        item[item >= 0],
        num_users=interactions.num_users,
        num_items=ITEMS,
    )
    rows, features = torch.from_numpy(kept), {n: unit.feature for n, unit in units.items()}
    parts = {n: ModalFeature(part.x[rows], part.mask[rows]) for n, part in features.items()}
    return {name: UnitRows(part) for name, part in parts.items()}, some


class InnerSplit:
    """What is asked of the graphs of the rest, and how well they answer.

    Args:
        units: Unit rows of each modality.
        interactions: The training part; the newest row of each user with two or more is a target,
            or only taken out where the user had taken the item before, or is not drawn.
        config: How the graphs are fitted.
        rng: Draws users where there are too many.
        fitted: Called after each fit.
        max_length: Newest items of a history that vote.
    """

    def __init__(
        self,
        units: Mapping[str, UnitRows],
        interactions: Interactions,
        config: RelationsConfig,
        rng: np.random.Generator,
        fitted: Callable[[], object],
        max_length: int = MAX_LENGTH,
    ) -> None:
        self.units, self.config, self.fitted = units, config, fitted
        self.max_length = max_length
        several = np.diff(interactions.user_ptr) > 1
        newest = interactions.user_ptr[1:][several] - 1
        rest = np.ones(len(interactions), bool)
        rest[newest] = False
        self.rest = interactions.select(rest)
        pair = interactions.user_id * interactions.num_items + interactions.item_id
        asked = newest[~np.isin(pair[newest], pair[rest])]
        if len(asked) > TARGETS:
            asked = np.sort(rng.permutation(asked)[:TARGETS])
        self.queries = make_queries("inner", interactions, asked, self.rest)
        self.num_targets = len(asked)
        self._graphs: dict[tuple[str, float, float], sp.csr_matrix] = {}
        self._found: dict[tuple[float, ...], NDArray[np.float64]] = {}

    @property
    def num_fits(self) -> int:
        """Ridges fitted."""
        return len(self._graphs)

    def ndcg(self, state: State) -> NDArray[np.float64]:
        """NDCG@10 of each target, float64 ``[Q]``."""
        key = tuple(state.values())
        if key not in self._found:
            graphs = [self._graph(name, state) for name in self.units]
            stacked = sp.vstack(graphs).tocsr()
            self._found[key] = ndcg_of_votes(self.queries, stacked, len(graphs), self.max_length)
        return self._found[key]

    def _graph(self, name: str, state: State) -> sp.csr_matrix:
        """Edges from voter to candidate; without affinity those of all modalities are the same."""
        l2, weight = (state[option, name] for option in ("l2", "feature_weight"))
        key = (name if weight else BEHAVIOR, l2, weight)
        if key not in self._graphs:
            precision = ridge_precision(
                self.rest,
                self.units[name],
                feature_weight=weight,
                l2=l2,
                denoising=self.config.denoising,
                device=self.config.device,
            )
            graph = ridge_graph(precision, self.config.num_neighbors).cpu()
            source, target = graph.edge_index.numpy()
            size = self.rest.num_items
            edges = graph.edge_weight.numpy()
            self._graphs[key] = sp.csr_matrix((edges, (source, target)), shape=(size, size))
            self.fitted()
        return self._graphs[key]


def ndcg_of_votes(
    queries: EvaluationSplit,
    graphs: sp.csr_matrix,
    num_graphs: int,
    max_length: int = MAX_LENGTH,
) -> NDArray[np.float64]:
    """NDCG@10 of each query's target by plain votes, seen items masked, ties at their mean rank.

    Args:
        queries: Histories and targets, none of which is in its history.
        graphs: Edges of all graphs, one below the other, ``[M * N, N]``.
        num_graphs: M.
        max_length: Newest items of a history that vote.
    """
    parts = []
    for start in range(0, len(queries), BLOCK):
        rows = slice(start, min(start + BLOCK, len(queries)))
        history, seen = _histories(queries, rows, max_length)
        votes = sp.hstack([history] * num_graphs).tocsr() @ graphs
        parts.append(_ndcg(votes, seen, queries.target[rows]))
    return np.concatenate(parts)


def _histories(
    queries: EvaluationSplit, rows: slice, max_length: int
) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """What each item's votes count, and which items were taken, both ``[Q, N]``."""
    ptr = queries.history_ptr[rows.start : rows.stop + 1]
    item, length = queries.history_item[ptr[0] : ptr[-1]], np.diff(ptr)
    back = np.repeat(ptr[1:], length) - 1 - np.arange(ptr[0], ptr[-1])
    count = DECAY ** np.minimum(back, STEPS - 1) * (back < max_length)
    shape = (len(length), queries.num_items)
    history = sp.csr_matrix((count.astype(np.float32), item, ptr - ptr[0]), shape=shape)
    seen = sp.csr_matrix((np.ones(len(item), np.float32), item, ptr - ptr[0]), shape=shape)
    seen.sum_duplicates()
    return history, seen


def _ndcg(
    votes: sp.csr_matrix, seen: sp.csr_matrix, target: NDArray[np.int64]
) -> NDArray[np.float64]:
    """NDCG@10 of targets; an item without votes has score zero."""
    size, num_items = votes.shape
    query = np.arange(size)
    own = np.asarray(votes[query, target]).ravel()

    def count(row: NDArray[np.int64], where: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(row[where], minlength=size)

    row, taken = (np.repeat(query, np.diff(part.indptr)) for part in (votes, seen))
    masked = np.asarray(votes[taken, seen.indices]).ravel()
    above = count(row, votes.data > own[row]) - count(taken, masked > own[taken])
    equal = count(row, votes.data == own[row]) - count(taken, masked == own[taken])
    voted = count(row, votes.data > 0) - count(taken, masked > 0)
    # Items that nobody voted for stand in no row, but tie with such a target.
    silent = num_items - np.diff(seen.indptr) - voted
    rank = above + (np.where(own > 0, equal, silent) - 1) / 2
    return np.where(rank < 10, 1 / np.log2(rank + 2), 0.0)
