"""Ways to split a data set, by name."""

from __future__ import annotations

from collections.abc import Callable

from mdsrec_pyg.data.given_split import given_split
from mdsrec_pyg.data.splits import Split, leave_last_out, temporal_split
from mdsrec_pyg.datasets.dataset import RecommendationDataset

__all__ = ["SPLITS"]

#: ``'leave_last_out'`` and ``'temporal'`` are ours with their defaults; ``'given'`` is the one that
#: came with the data, ``'given_by_label'`` the same with ``order='label'``, for splits at random.
SPLITS: dict[str, Callable[[RecommendationDataset], Split]] = {
    "given": lambda data: given_split(data.interactions, data.labels),
    "given_by_label": lambda data: given_split(data.interactions, data.labels, order="label"),
    "leave_last_out": lambda data: leave_last_out(data.interactions),
    "temporal": lambda data: temporal_split(data.interactions),
}
