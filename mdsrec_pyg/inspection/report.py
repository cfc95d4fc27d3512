"""All figures of a data set in one object, as a table, as JSON and as warnings."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from typing import Any

from mdsrec_pyg.data.splits import Split
from mdsrec_pyg.datasets import SPLITS
from mdsrec_pyg.datasets.dataset import RecommendationDataset
from mdsrec_pyg.inspection.alignment import feature_alignment
from mdsrec_pyg.inspection.counts import summarize_interactions
from mdsrec_pyg.inspection.coverage import summarize_feature
from mdsrec_pyg.inspection.difference import FIT_ITEMS, modality_difference
from mdsrec_pyg.inspection.findings import Findings
from mdsrec_pyg.inspection.oddities import find_oddities
from mdsrec_pyg.inspection.parts import summarize_split
from mdsrec_pyg.inspection.rules import find_warnings
from mdsrec_pyg.inspection.table import format_inspection
from mdsrec_pyg.inspection.thresholds import Thresholds
from mdsrec_pyg.io import atomic_write

__all__ = ["Inspection", "inspect_dataset"]


class Inspection(Findings):
    """The figures of a data set, with the fields of :class:`Findings`. Printed, it is a table."""

    def __str__(self) -> str:
        """The table."""
        return format_inspection(self)

    def to_dict(self) -> dict[str, Any]:
        """All figures, ready for JSON; times are seconds since 1970."""
        return {
            "name": self.name,
            "seed": self.seed,
            "interactions": asdict(self.interactions),
            "split": asdict(self.split),
            "features": {name: asdict(found) for name, found in self.features.items()},
            "alignment": {name: asdict(found) for name, found in self.alignment.items()},
            "differences": [found.to_dict() for found in self.differences],
            "oddities": asdict(self.oddities),
            "sampled": self.sampled,
            "notes": self.notes,
            "warnings": [asdict(warning) for warning in self.warnings],
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes :meth:`to_dict` as JSON. The folder of ``path`` must exist."""
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
        with atomic_write(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")


def inspect_dataset(
    dataset: RecommendationDataset,
    *,
    split: str | Split = "leave_last_out",
    seed: int = 0,
    k: int = 20,
    num_neighbors: int = 10,
    num_centers: int = 32,
    num_examples: int = 5,
    max_queries: int = 2_000,
    thresholds: Thresholds | None = None,
    now: float | None = None,
) -> Inspection:
    """Looks at a data set before anything is trained.

    Features are judged on the training part of the split alone; held-out rows enter only where the
    question is about them (counts, copies of histories, cold and tied targets).

    Example:
        >>> print(inspect_dataset(dataset, split="temporal"))

    Time and memory are bounded for large sets by ``max_queries``: similarities to the whole
    catalog are computed for so many users or items, in blocks of 64 MB. Beside the data set, one
    copy of one modality is held at a time.

    Args:
        dataset: The data set.
        split: The split that will be trained on: a name of :data:`~mdsrec_pyg.datasets.SPLITS`, or
            a split of these interactions.
        seed: Seed of samples, shuffles and k-means.
        k: Cutoff of the hit rates.
        num_neighbors: Neighbors *H* that modalities are compared by.
        num_centers: Centers *K* that they are compared by.
        num_examples: Pairs of items shown each way on which two modalities disagree.
        max_queries: Most users (hit rates) and items (neighbors) asked.
        thresholds: From where on a figure is a warning.
        now: Seconds since 1970 that no timestamp should exceed. Default: the clock.

    Returns:
        The figures.

    Raises:
        ValueError: The data have no such split (leave-last-out: no user has three interactions;
            given: it came with none), or an option is out of range.
    """
    if seed < 0:
        raise ValueError(f"'seed' must not be negative (got {seed})")
    interactions = dataset.interactions
    parts = _split_of(dataset, split)
    inspection = Inspection(
        name=dataset.name,
        seed=seed,
        interactions=summarize_interactions(interactions),
        split=summarize_split(interactions, parts),
        features={
            name: summarize_feature(feature, parts.train, dataset.item_ids)
            for name, feature in dataset.features.items()
        },
        alignment=feature_alignment(
            dataset.features, parts.train, k=k, max_queries=max_queries, seed=seed
        ),
        differences=modality_difference(
            dataset.features,
            num_neighbors=num_neighbors,
            num_centers=num_centers,
            num_examples=num_examples,
            max_queries=max_queries,
            seed=seed,
            item_ids=dataset.item_ids,
            item_text=dataset.item_text,
        ),
        oddities=find_oddities(interactions, parts, dataset.user_ids, now=now),
        sampled=_sampled(dataset, max_queries, seed),
        notes=_notes(dataset, split),
        warnings=[],
    )
    return replace(inspection, warnings=find_warnings(inspection, thresholds))


def _split_of(dataset: RecommendationDataset, split: str | Split) -> Split:
    if isinstance(split, Split):
        return split
    if split not in SPLITS:
        names = ", ".join(map(repr, sorted(SPLITS)))
        raise ValueError(f"'split' must be a Split or one of {names} (got {split!r})")
    return SPLITS[split](dataset)


def _notes(dataset: RecommendationDataset, split: str | Split) -> list[str]:
    """What was said while reading, and whether another split came with the data."""
    notes = list(dataset.report)
    if dataset.labels is not None and split in ("leave_last_out", "temporal"):
        notes.append(
            "the data came with a split of their own, another than the one looked at: "
            "split='given' looks at it"
        )
    return notes


def _sampled(dataset: RecommendationDataset, max_queries: int, seed: int) -> list[str]:
    """What is not computed over everything."""
    found = []
    if dataset.features and dataset.num_users > max_queries:
        found.append(f"hit rates: at most {max_queries:,} of {dataset.num_users:,} users")
    if len(dataset.features) > 1 and dataset.num_items > max_queries:
        found.append(f"common neighbors: at most {max_queries:,} of {dataset.num_items:,} items")
    if len(dataset.features) > 1 and dataset.num_items > FIT_ITEMS:
        found.append(f"k-means: fitted on {FIT_ITEMS:,} items, all are labeled")
    return [f"{text} (seed {seed})" for text in found]
