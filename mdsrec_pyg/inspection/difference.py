"""Do two modalities say different things about which items belong together?"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import adjusted_mutual_info_score
from torch import Tensor

from mdsrec_pyg.data.features import ModalFeature
from mdsrec_pyg.graphs.centers import InterestCenters
from mdsrec_pyg.graphs.nearest import nearest
from mdsrec_pyg.graphs.neighbors import rough_products, unit_rows
from mdsrec_pyg.inspection._rows import filled_rows, sample
from mdsrec_pyg.inspection.pairs import DisagreeingPair, disagreeing_pairs

__all__ = ["ModalityDifference", "modality_difference"]

FIT_ITEMS = 20_000  # k-means: a few dozen centers are means of hundreds of items then
RANDOM_PAIRS = 20_000
NEIGHBOR_PAIRS = 20_000


@dataclass(frozen=True, eq=False)
class ModalityDifference:
    """How much two modalities have in common, over the items that have both.

    Args:
        first: A modality.
        second: The other.
        num_items: Items that have both, rows of zeros not counted.
        num_queries: Items whose neighbors were compared.
        num_neighbors: *H*, nearest items by cosine.
        common_neighbors: Share of the *H* neighbors that both modalities name, mean over queries.
        random: What random neighbors would share, ``H / (num_items - 1)``.
        num_centers: Centers of the k-means of each modality.
        agreement: Adjusted mutual information of the two labelings: 0 by chance, 1 the same.
        examples: Pairs of items about which they disagree most.
        pairs: Items of the pairs looked at ``[P, 2]``, random ones first, then neighbors.
        cosine: Cosine of each pair in each of the two modalities ``[P, 2]``.
        is_random: True for random pairs ``[P]``.
    """

    first: str
    second: str
    num_items: int
    num_queries: int
    num_neighbors: int
    common_neighbors: float
    random: float
    num_centers: int
    agreement: float
    examples: list[DisagreeingPair]
    pairs: NDArray[np.int64] = field(repr=False)
    cosine: NDArray[np.float64] = field(repr=False)
    is_random: NDArray[np.bool_] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the sampled pairs, ready for JSON."""
        hidden = ("pairs", "cosine", "is_random", "examples")
        content = {key: value for key, value in vars(self).items() if key not in hidden}
        return content | {"examples": [vars(pair) for pair in self.examples]}


def modality_difference(
    features: Mapping[str, ModalFeature],
    *,
    num_neighbors: int = 10,
    num_centers: int = 32,
    num_examples: int = 5,
    max_queries: int = 2_000,
    seed: int = 0,
    item_ids: NDArray[Any] | None = None,
    item_text: Sequence[str] | None = None,
) -> list[ModalityDifference]:
    r"""Compares each two modalities: neighbors, groups, and pairs they disagree about.

    Features enter as they are, as the paper's item graphs and interest centers take them. With
    :math:`\mathcal{N}_m(i)` the *H* nearest items of item *i* by cosine in modality *m*, among the
    items that have both modalities, the share of common neighbors is

    .. math::
        \tfrac{1}{|Q|} \sum_{i \in Q} \tfrac{1}{H} |\mathcal{N}_a(i) \cap \mathcal{N}_b(i)|

    The labels are those of :class:`~mdsrec_pyg.graphs.InterestCenters`; fewer centers are
    taken where there are fewer than ten items a center (at least two). Pairs to disagree about are
    20,000 random ones and as many of neighbors; see
    :func:`~mdsrec_pyg.inspection.pairs.disagreeing_pairs` for how they are scored.

    Args:
        features: Features of each modality, ``[N, F]`` each.
        num_neighbors: *H*.
        num_centers: *K*.
        num_examples: Disagreeing pairs each way.
        max_queries: Items whose neighbors are compared, drawn by ``seed`` where there are more.
        seed: Seed of the samples and of k-means.
        item_ids: Raw ids ``[N]`` for the examples. Default: ``0..N-1``.
        item_text: Texts ``[N]`` for the examples.

    Returns:
        One entry for each two modalities that share three items or more, in order.

    Raises:
        ValueError: ``num_neighbors`` or ``max_queries`` is below 1, ``num_centers`` below 2, or
            ``num_examples`` negative.
    """
    _check_least("num_neighbors", num_neighbors, 1)
    _check_least("num_centers", num_centers, 2)
    _check_least("num_examples", num_examples, 0)
    _check_least("max_queries", max_queries, 1)
    labels = {name: _labels(feature, num_centers, seed) for name, feature in features.items()}
    found = []
    for names in combinations(features, 2):
        a, b = (features[name] for name in names)
        both = filled_rows(a) & filled_rows(b)
        if int(both.sum()) < 3:
            continue
        sampled = _sample_pairs((a, b), both, num_neighbors, max_queries, seed)
        ids = np.arange(len(both)) if item_ids is None else item_ids
        examples = disagreeing_pairs(
            names, sampled.pairs, sampled.cosine, sampled.is_random, num_examples, ids, item_text
        )
        groups = [labels[name][both.numpy()] for name in names]
        found.append(
            ModalityDifference(
                *names,
                num_items=int(both.sum()),
                num_centers=int(max(group.max() for group in groups)) + 1,
                agreement=float(adjusted_mutual_info_score(*groups)),
                examples=examples,
                **vars(sampled),
            )
        )
    return found


def _check_least(name: str, value: int, low: int) -> None:
    if value < low:
        raise ValueError(f"'{name}' must be at least {low} (got {value})")


def _labels(feature: ModalFeature, num_centers: int, seed: int) -> NDArray[np.int64]:
    """k-means label of each item with a filled row ``[N]``."""
    filled = filled_rows(feature)
    count = min(num_centers, max(2, int(filled.sum()) // 10))
    if int(filled.sum()) < count:
        return np.zeros(len(feature), np.int64)
    centers = InterestCenters(count, seed, max_items=max(FIT_ITEMS, count))
    with warnings.catch_warnings():
        # Too few distinct rows: the duplicated rows are counted and said elsewhere.
        warnings.simplefilter("ignore")
        return centers.fit(feature.x, filled).labels_.numpy()


def _random_pairs(items: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Different pairs of different items, the smaller first ``[P, 2]``."""
    n = len(items)
    if n * (n - 1) // 2 <= RANDOM_PAIRS:
        return items[np.stack(np.triu_indices(n, 1), axis=1)]
    first = rng.integers(n, size=2 * RANDOM_PAIRS)
    second = (first + rng.integers(1, n, size=len(first))) % n
    drawn = np.sort(np.stack([first, second], axis=1), axis=1)
    distinct = np.unique(drawn[:, 0] * n + drawn[:, 1])
    distinct = rng.permutation(distinct)[:RANDOM_PAIRS]
    return items[np.stack([distinct // n, distinct % n], axis=1)]


@dataclass(frozen=True, eq=False)
class _Sampled:
    num_queries: int
    num_neighbors: int
    common_neighbors: float
    random: float
    pairs: NDArray[np.int64]
    cosine: NDArray[np.float64]
    is_random: NDArray[np.bool_]


def _sample_pairs(
    features: tuple[ModalFeature, ModalFeature],
    both: Tensor,
    num_neighbors: int,
    max_queries: int,
    seed: int,
) -> _Sampled:
    """Neighbors in both modalities, and random and neighboring pairs with their cosines.

    Unit rows are made anew each time they are needed: one copy of one modality at a time.
    """
    rng, size = np.random.default_rng(seed), len(both)
    items = both.nonzero()[:, 0].numpy()
    h = min(num_neighbors, len(items) - 1)
    queries = sample(items, max_queries, rng)
    near: list[NDArray[np.int64]] = []
    for feature in features:
        query, item, _ = nearest(_unit(feature, both), torch.from_numpy(queries), h)
        near.append((query * size + item).numpy())  # one number a pair
    drawn = _random_pairs(items, rng)
    pair = np.sort(np.stack(np.divmod(np.union1d(near[0], near[1]), size), axis=1), axis=1)
    close = np.setdiff1d(pair @ [size, 1], drawn @ [size, 1])
    close = sample(close, NEIGHBOR_PAIRS, rng)
    pairs = np.concatenate([drawn, np.stack(np.divmod(close, size), axis=1)])
    row, column = torch.from_numpy(pairs).unbind(1)
    cosine = [rough_products(_unit(feature, both), row, column).numpy() for feature in features]
    return _Sampled(
        num_queries=len(queries),
        num_neighbors=h,
        common_neighbors=len(np.intersect1d(near[0], near[1], assume_unique=True))
        / (h * len(queries)),
        random=h / (len(items) - 1),
        pairs=pairs,
        cosine=np.stack(cosine, axis=1).astype(np.float64),
        is_random=np.arange(len(pairs)) < len(drawn),
    )


def _unit(feature: ModalFeature, both: Tensor) -> Tensor:
    """Unit rows, zero for items that lack one of the modalities: those are never found."""
    unit = unit_rows(feature)[0]
    return unit.masked_fill_(~both[:, None], 0.0)
