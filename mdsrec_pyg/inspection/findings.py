"""The figures of a data set, before anybody has looked at them."""

from __future__ import annotations

from dataclasses import dataclass

from mdsrec_pyg.inspection.alignment import Alignment
from mdsrec_pyg.inspection.counts import InteractionSummary
from mdsrec_pyg.inspection.coverage import FeatureSummary
from mdsrec_pyg.inspection.difference import ModalityDifference
from mdsrec_pyg.inspection.oddities import Oddities
from mdsrec_pyg.inspection.parts import SplitSummary
from mdsrec_pyg.inspection.thresholds import DataWarning

__all__ = ["Findings"]


@dataclass(frozen=True, eq=False)
class Findings:
    """The figures of a data set; :class:`~mdsrec_pyg.inspection.Inspection` shows and saves them.

    Args:
        name: Name of the data set.
        seed: Seed of all samples.
        interactions: Counts, over all interactions.
        features: Coverage and soundness of each modality.
        split: The split that was looked at: its parts, cold targets, users without a history.
        alignment: Hit rates of each modality, over the training part.
        differences: Each two modalities compared.
        oddities: Leaks and oddities.
        sampled: What was sampled, a sentence each.
        notes: What was counted or dropped while reading, a sentence each.
        warnings: What to look at before training.
    """

    name: str
    seed: int
    interactions: InteractionSummary
    split: SplitSummary
    features: dict[str, FeatureSummary]
    alignment: dict[str, Alignment]
    differences: list[ModalityDifference]
    oddities: Oddities
    sampled: list[str]
    notes: list[str]
    warnings: list[DataWarning]
