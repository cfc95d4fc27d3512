"""Pairs of items that one modality calls alike and another does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DisagreeingPair", "disagreeing_pairs"]

TEXT_LENGTH = 160


@dataclass(frozen=True)
class DisagreeingPair:
    """Two items about which two modalities disagree.

    Args:
        alike_in: The modality in which they are alike.
        cosine: Their cosine in each of the two modalities.
        items: Their numbers.
        raw_ids: Their raw ids.
        texts: Their texts, the first 160 characters; empty where there are none.
    """

    alike_in: str
    cosine: dict[str, float]
    items: tuple[int, int]
    raw_ids: tuple[str, str]
    texts: tuple[str, str]


def disagreeing_pairs(
    names: tuple[str, str],
    pairs: NDArray[np.int64],
    cosine: NDArray[np.float64],
    is_random: NDArray[np.bool_],
    num_examples: int,
    item_ids: NDArray[Any],
    item_text: Sequence[str] | None,
) -> list[DisagreeingPair]:
    r"""The pairs of the largest difference of standardized cosines, each way.

    .. math::
        d_{ij} = \frac{c^a_{ij} - \mu_a}{\sigma_a} - \frac{c^b_{ij} - \mu_b}{\sigma_b}

    with mean and standard deviation of each modality's cosines over the random pairs, since the
    cosines of two encoders have different ranges. An item is shown once each way.

    Args:
        names: The two modalities *a* and *b*.
        pairs: Items ``[P, 2]``.
        cosine: Cosine of each pair in each modality ``[P, 2]``.
        is_random: True for pairs that were drawn at random ``[P]``.
        num_examples: Pairs each way.
        item_ids: Raw ids ``[N]``.
        item_text: Texts ``[N]``.

    Returns:
        The pairs alike in *a*, the most different first, then those alike in *b*.
    """
    base = cosine[is_random] if is_random.any() else cosine
    spread = base.std(0)
    score = (cosine - base.mean(0)) / np.where(spread > 0, spread, 1.0)
    found = []
    for side in (0, 1):
        order = np.argsort(score[:, 1 - side] - score[:, side], kind="stable")
        for row in _distinct(pairs, order, num_examples):
            if score[row, side] > score[row, 1 - side]:
                found.append(_pair(names, side, pairs[row], cosine[row], item_ids, item_text))
    return found


def _distinct(pairs: NDArray[np.int64], order: NDArray[np.int64], size: int) -> list[int]:
    """The first ``size`` rows of ``order`` in which no item comes again."""
    rows: list[int] = []
    used: set[int] = set()
    for row in order.tolist():
        if len(rows) == size:
            break
        if used.isdisjoint(pairs[row].tolist()):
            rows.append(row)
            used.update(pairs[row].tolist())
    return rows


def _pair(
    names: tuple[str, str],
    side: int,
    pair: NDArray[np.int64],
    cosine: NDArray[np.float64],
    item_ids: NDArray[Any],
    item_text: Sequence[str] | None,
) -> DisagreeingPair:
    first, second = sorted(pair.tolist())
    return DisagreeingPair(
        alike_in=names[side],
        cosine=dict(zip(names, cosine.tolist(), strict=True)),
        items=(first, second),
        raw_ids=(str(item_ids[first]), str(item_ids[second])),
        texts=(_text(item_text, first), _text(item_text, second)),
    )


def _text(item_text: Sequence[str] | None, item: int) -> str:
    return "" if item_text is None else " ".join(item_text[item].split())[:TEXT_LENGTH]
