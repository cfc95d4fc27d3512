"""The result of an evaluation: ranks, metrics, and for which targets they hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import PathLike

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mdsrec_pyg.evaluation.metrics import ranking_metrics
from mdsrec_pyg.io import atomic_write
from mdsrec_pyg.showing import counted

__all__ = ["Evaluation", "save_ranks"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The ranks of all targets of a split under both rules for seen items.

    Args:
        split: Name of the split, such as ``'test'``.
        user_id: The user of each query ``[Q]``.
        target: The item to be found ``[Q]``.
        ranks: Mean rank of the target from 0 ``[Q]``, seen items being candidates like all others.
        ranks_masked: The same with the items of the history taken out of the candidates, the target
            ranked without the model's history bias.
        tied: Share of the queries whose target has the timestamp of the newest history item, so
            that "next" is not defined for them.
        num_items: Size of the catalog that was ranked.
        k: Cutoffs of the metrics.
        cold: True where no training user took the target ``[Q]``. (default: none is)
        num_left_out: Users with a target but without a history, who were not asked about.
    """

    split: str
    user_id: NDArray[np.int64]
    target: NDArray[np.int64]
    ranks: NDArray[np.float64]
    ranks_masked: NDArray[np.float64]
    tied: float
    num_items: int
    k: tuple[int, ...] = (10, 20)
    cold: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    num_left_out: int = 0

    def __post_init__(self) -> None:
        """Without a word about them, no target is cold."""
        if not len(self.cold):
            object.__setattr__(self, "cold", np.zeros(len(self.ranks), bool))

    def __len__(self) -> int:
        """Number of queries."""
        return len(self.ranks)

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics with seen items as candidates."""
        return ranking_metrics(self.ranks, self.k)

    @property
    def metrics_masked(self) -> dict[str, float]:
        """Metrics with seen items masked."""
        return ranking_metrics(self.ranks_masked, self.k)

    @property
    def by_training(self) -> pd.DataFrame:
        """Metrics of the queries whose target a training user took, and of those without.

        Returns:
            A row for each of ``'warm'`` and ``'cold'`` that has queries, and each rule about seen
            items: the number of ``queries`` and the metrics.
        """
        rows = {}
        for seen, ranks in (("kept", self.ranks), ("masked", self.ranks_masked)):
            for name, part in (("warm", ~self.cold), ("cold", self.cold)):
                if part.any():
                    metrics = ranking_metrics(ranks[part], self.k)
                    rows[seen, name] = {"queries": int(part.sum()), **metrics}
        table = pd.DataFrame.from_dict(rows, orient="index")
        table.index = pd.MultiIndex.from_tuples(rows, names=["seen items", "target"])
        return table

    def to_dict(self) -> dict[str, object]:
        """Everything but the ranks, ready for JSON.

        ``warm`` and ``cold`` hold the metrics of :attr:`by_training`, ``None`` without queries.
        """
        return {
            "split": self.split,
            "num_queries": len(self),
            "num_items": self.num_items,
            "tied": self.tied,
            "ties": "mean rank",
            "seen_kept": self.metrics,
            "seen_masked": self.metrics_masked,
            "num_left_out": self.num_left_out,
            "warm": self._part(~self.cold),
            "cold": self._part(self.cold),
        }

    def _part(self, part: NDArray[np.bool_]) -> dict[str, object] | None:
        if not part.any():
            return None
        return {
            "num_queries": int(part.sum()),
            "seen_kept": ranking_metrics(self.ranks[part], self.k),
            "seen_masked": ranking_metrics(self.ranks_masked[part], self.k),
        }

    def __str__(self) -> str:
        """A table with one line for each rule about seen items; cold targets have their own."""
        text = f"{self.split}: {counted(len(self), 'query')} over {counted(self.num_items, 'item')}"
        if self.tied:
            text += f", {self.tied:.1%} with the timestamp of their history"
        if self.num_left_out:
            text += f"; {counted(self.num_left_out, 'user')} without a history left out"
        table = pd.DataFrame([self.metrics, self.metrics_masked], index=["kept", "masked"])
        text += "\n" + _shown(table.rename_axis("seen items"))
        if self.cold.any():
            text += (
                f"\n{self.cold.mean():.1%} of the targets were taken by no training user (cold):\n"
                + _shown(self.by_training)
            )
        return text


def _shown(table: pd.DataFrame) -> str:
    return table.to_string(float_format="{:.4f}".format)


def save_ranks(
    path: str | PathLike[str],
    evaluation: Evaluation,
    *,
    user_ids: ArrayLike | None = None,
    item_ids: ArrayLike | None = None,
) -> None:
    """Writes the rank of every query as parquet; an existing file is replaced whole.

    Columns: ``user``, ``target``, ``rank`` (seen items are candidates), ``rank_masked``.

    Args:
        path: The file.
        evaluation: What :func:`evaluate` returned.
        user_ids: Raw id of each user; default: the consecutive ids.
        item_ids: Raw id of each item; default: the consecutive ids.
    """
    user, target = evaluation.user_id, evaluation.target
    table = pd.DataFrame(
        {
            "user": user if user_ids is None else np.asarray(user_ids)[user],
            "target": target if item_ids is None else np.asarray(item_ids)[target],
            "rank": evaluation.ranks,
            "rank_masked": evaluation.ranks_masked,
        }
    )
    with atomic_write(path) as temporary:
        table.to_parquet(temporary, index=False, write_page_checksum=True)
