"""Options of the learned relations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from mdsrec_pyg.configs import check_at_least
from mdsrec_pyg.graphs.config import RidgeConfig, RidgeForm

__all__ = ["AUTO", "RelationsConfig", "Weight"]

#: What the training part chooses.
AUTO: Literal["auto"] = "auto"

#: One number for all modalities, one a modality by its name, or what the training part chooses.
Weight = float | dict[str, float] | Literal["auto"]


@dataclass(frozen=True, kw_only=True)
class RelationsConfig(RidgeForm):
    """Options of the learned relations of all modalities.

    Args:
        feature_weight: Weight *a* of the affinity, not negative: a number for all modalities,
            numbers by their names, or ``'auto'``: chosen for each modality by the training part
            alone, see :class:`~mdsrec_pyg.nn.RidgeWeights`.
        l2: Ridge *l*, positive; given as ``feature_weight`` is.
        num_folds: Folds of users, local form only: it is fitted once for inference and once without
            each fold, so on a large catalog two folds take half the time of five.
        num_neighbors, denoising, memory_limit, num_candidates, max_sequence_length, block_size, \
search, num_probes, device: See :class:`~mdsrec_pyg.graphs.RidgeForm`.

    Raises:
        ValueError: An option out of range.
    """

    num_neighbors: int = 50
    # About what validation wants where that is known, and far better where features are weak or a
    # catalog is unlike those (benchmarks/README.md).
    feature_weight: Weight = AUTO
    l2: Weight = AUTO
    denoising: float = 0.33
    num_folds: int = 5

    def __post_init__(self) -> None:
        """Checks the options."""
        super().__post_init__()
        check_at_least(self, 2, "num_folds")
        for value, of in _numbers("feature_weight", self.feature_weight):
            if not value >= 0:
                raise ValueError(f"'feature_weight' must not be negative (got {value}{of})")
        for value, of in _numbers("l2", self.l2):
            if not value > 0:
                raise ValueError(f"'l2' must be positive (got {value}{of})")

    def ridge(self, l2: float, feature_weight: float) -> RidgeConfig:
        """The options of one modality's graph."""
        rest: dict[str, Any] = {name: getattr(self, name) for name in RidgeForm.names()}
        return RidgeConfig(**rest, l2=l2, feature_weight=feature_weight)


def _numbers(option: str, given: Weight) -> list[tuple[float, str]]:
    """The numbers that an option holds, and whose each is, for a message."""
    if isinstance(given, str):
        return []
    if not isinstance(given, dict):
        return [(given, "")]
    if not given:
        raise ValueError(f"{option!r} must hold a number for each modality (got none)")
    return [(value, f" of {name!r}") for name, value in given.items()]
