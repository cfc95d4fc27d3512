"""What a warning is, and from where on a figure is one."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DataWarning", "Thresholds"]


@dataclass(frozen=True)
class DataWarning:
    """One thing to look at before training.

    Args:
        code: A word for programs, such as ``'not_aligned'``.
        message: What was found, with figures.
        advice: What to do: the option, function or file to change.
    """

    code: str
    message: str
    advice: str


@dataclass(frozen=True)
class Thresholds:
    """From where on a figure is a warning. Shares lie between 0 and 1; all bounds are ours.

    Args:
        rare_items: Share of the items with fewer than five interactions (``rare_items``).
        concentration: Share of the interactions that one hundredth of the items has
            (``concentrated``).
        missing: Share of the training interactions whose item lacks a modality
            (``missing_modality``).
        aligned_ratio: Hit rate over that of shuffled rows that aligned features reach
            (``not_aligned``, below it).
        aligned_z: Standard errors between the two below which the difference may be chance
            (``alignment_unclear``).
        few_queries: Queries below which alignment is not judged (``alignment_unclear``).
        small_catalog: Candidates over the cutoff below which alignment is not judged
            (``alignment_unclear``): with 100 items, 20 are hit by chance in a fifth of the cases.
        common_neighbors: Share of common neighbors (``same_modalities``).
        agreement: Adjusted mutual information (``same_modalities``).
        zero_columns: Share of the columns that are zero throughout (``constant_columns``; one
            constant column that is not zero is enough).
        duplicates: Share of the present items with another item's row (``duplicated_rows``).
        unknown_targets: Share of the test targets without a training interaction
            (``cold_targets``).
        users_not_asked: Share of the users with held-out interactions that no query asks about
            (``users_without_history``).
        identical_users: Share of the users with another's history (``identical_histories``).
        repeated_pairs: Share of the rows that repeat a user's item (``repeated_pairs``).
        baskets: Share of consecutive rows with one timestamp (``baskets``).
        tied_targets: Share of the test targets with the time of the history (``tied_targets``).
    """

    rare_items: float = 0.5
    concentration: float = 0.5
    missing: float = 0.1
    aligned_ratio: float = 1.5
    aligned_z: float = 3.0
    few_queries: int = 100
    small_catalog: int = 5
    common_neighbors: float = 0.5
    agreement: float = 0.8
    zero_columns: float = 0.1
    duplicates: float = 0.01
    unknown_targets: float = 0.01
    users_not_asked: float = 0.1
    identical_users: float = 0.01
    repeated_pairs: float = 0.01
    baskets: float = 0.1
    tied_targets: float = 0.1
