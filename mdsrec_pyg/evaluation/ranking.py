"""Full ranking of the catalog, and the metrics that follow from the rank of the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from tqdm import tqdm

from mdsrec_pyg.data.splits import EvaluationSplit
from mdsrec_pyg.evaluation.metrics import (
    check_cutoffs,
    metrics_by_popularity,
    per_user_metric,
    ranking_metrics,
)
from mdsrec_pyg.evaluation.scores import check_scores, seen_items
from mdsrec_pyg.io import atomic_write
from mdsrec_pyg.nn.mode import Unchanged, model_device, scorer, scoring_copy
from mdsrec_pyg.nn.models.base import Recommender

__all__ = [
    "Evaluation",
    "evaluate",
    "metrics_by_popularity",
    "per_user_metric",
    "ranking_metrics",
    "save_ranks",
    "target_ranks",
]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The ranks of all targets of a split under both rules for seen items.

    Args:
        split: Name of the split, such as ``'test'``.
        user_id: The user of each query ``[Q]``.
        target: The item to be found ``[Q]``.
        ranks: Mean rank of the target from 0 ``[Q]``, seen items being candidates like all others.
        ranks_masked: The same with the items of the history taken out of the candidates.
        tied: Share of the queries whose target has the timestamp of the newest history item, so
            that "next" is not defined for them.
        num_items: Size of the catalog that was ranked.
        k: Cutoffs of the metrics.
    """

    split: str
    user_id: NDArray[np.int64]
    target: NDArray[np.int64]
    ranks: NDArray[np.float64]
    ranks_masked: NDArray[np.float64]
    tied: float
    num_items: int
    k: tuple[int, ...] = (10, 20)

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

    def to_dict(self) -> dict[str, object]:
        """Everything but the ranks, ready for JSON."""
        return {
            "split": self.split,
            "num_queries": len(self),
            "num_items": self.num_items,
            "tied": self.tied,
            "ties": "mean rank",
            "seen_kept": self.metrics,
            "seen_masked": self.metrics_masked,
        }

    def __str__(self) -> str:
        """A table with one line for each rule about seen items."""
        tied = f", {self.tied:.1%} with the timestamp of their history" if self.tied else ""
        table = pd.DataFrame([self.metrics, self.metrics_masked], index=["kept", "masked"])
        return (
            f"{self.split}: {len(self):,} queries over {self.num_items:,} items{tied}\n"
            + table.rename_axis("seen items").to_string(float_format="{:.4f}".format)
        )


def evaluate(
    model: Recommender,
    split: EvaluationSplit,
    k: Sequence[int] = (10, 20),
    *,
    batch_size: int = 512,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> Evaluation:
    """Ranks the whole catalog for every query, with seen items masked and not.

    The scores are computed once for both rules.

    Args:
        model: The model. A copy in evaluation mode scores, over the same weights; the model's own
            mode is never touched.
        split: Histories and targets.
        k: Cutoffs of Recall and NDCG.
        batch_size: Queries scored at a time. Beside the model, its item vectors and at most 1 MB,
            the memory is what ``model.score`` needs: ``batch_size * num_items`` scores of the
            sequence models, EASE and popularity, three times as many of an MDSRec with votes.
        device: Where to compute; the model stays where it is. Default: there.
        progress: Shows a progress bar.

    Raises:
        ValueError: If a cutoff is below 1, the split has no query, the catalogs differ in size or
            a score is NaN.
    """
    check_cutoffs(k)
    ranks, ranks_masked = _count_ranks(model, split, batch_size, device, progress)
    return Evaluation(
        split=split.name,
        user_id=np.asarray(split.user_id),
        target=np.asarray(split.target),
        ranks=ranks,
        ranks_masked=ranks_masked,
        tied=float(np.mean(split.tied)),
        num_items=split.num_items,
        k=tuple(k),
    )


def target_ranks(
    model: Recommender,
    split: EvaluationSplit,
    *,
    exclude_seen: bool,
    batch_size: int = 512,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> NDArray[np.float64]:
    r"""Mean rank of each query's target among all items, counted from 0.

    .. math::
        r = |\{j : s_j > s_t\}| + \tfrac{1}{2} |\{j \neq t : s_j = s_t\}|

    A constant scorer thus has rank :math:`(N - 1) / 2` for every target. Memory: see
    :func:`evaluate`.

    Args:
        model: The model. A copy in evaluation mode scores, over the same weights; the model's own
            mode is never touched.
        split: Histories and targets.
        exclude_seen: Whether the items of the whole history (not only the part that the model
            reads) are taken out of the candidates. The target itself always stays.
        batch_size: Queries scored at a time.
        device: Where to compute; the model stays where it is. Default: there.
        progress: Shows a progress bar.

    Returns:
        The ranks ``[Q]``, multiples of one half.

    Raises:
        ValueError: If the split has no query, the catalogs differ in size or a score is NaN.
    """
    ranks, ranks_masked = _count_ranks(model, split, batch_size, device, progress)
    return ranks_masked if exclude_seen else ranks


@torch.no_grad()  # not inference_mode: a model may keep what it computes here for its training
def _count_ranks(
    model: Recommender,
    split: EvaluationSplit,
    batch_size: int,
    device: str | torch.device | None,
    progress: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if len(split) == 0:
        raise ValueError(f"'split' must have at least one query (got none in {split.name!r})")
    if split.num_items != model.num_items:
        raise ValueError(
            f"'split' and 'model' must have the same catalog (got {split.num_items} and "
            f"{model.num_items} items)"
        )
    device = model_device(model) if device is None else torch.device(device)
    weights = Unchanged(model.parameters())
    model = scoring_copy(model, device, own_weights=False)
    ranks, ranks_masked = np.empty(len(split)), np.empty(len(split))
    with tqdm(
        total=len(split), desc=split.name, leave=False, disable=None if progress else True
    ) as bar:
        items, score = model.encode_items(), scorer(model)
        for rows, batch in split.batches(batch_size, model.max_length):
            scores = score(batch.to(device), items)
            shape = rows.stop - rows.start, split.num_items
            check_scores(model, scores, shape, partial(_query, split, rows))
            target = torch.from_numpy(split.target[rows]).to(device)
            seen = seen_items(split.history_ptr, split.history_item, rows, split.num_items)
            plain, masked = _ranks_of_block(scores, target, *(s.to(device) for s in seen))
            ranks[rows], ranks_masked[rows] = plain.cpu().numpy(), masked.cpu().numpy()
            del scores  # before the next ones are made: one batch at a time
            bar.update(rows.stop - rows.start)
    weights.check("during its evaluation")
    return ranks, ranks_masked


def _query(split: EvaluationSplit, rows: slice, row: int) -> str:
    """How an error calls a query of a batch."""
    query = rows.start + row
    return f"{split.user_id[query]} (query {query} of {split.name!r})"


def _ranks_of_block(
    scores: Tensor, target: Tensor, seen_row: Tensor, seen_item: Tensor
) -> tuple[Tensor, Tensor]:
    """Ranks ``[B]`` without and with the seen (row, item) pairs taken out of ``scores [B, N]``."""
    target_score = scores.gather(1, target[:, None])  # [B, 1]
    ranks = _mean_ranks(scores, target_score)

    # The seen pairs are few: taking their counts away is cheaper than a second pass over [B, N].
    other = seen_item != target[seen_row]
    row, item = seen_row[other], seen_item[other]
    score, reference = scores[row, item], target_score[row, 0]
    taken = (score > reference).double() + (score == reference).double() / 2
    return ranks, ranks - torch.zeros_like(ranks).index_add_(0, row, taken)


def _mean_ranks(scores: Tensor, target_score: Tensor) -> Tensor:
    r"""Mean ranks [B] in ``scores [B, N]`` of targets that have ``target_score [B, 1]``.

    .. math::
        r = \tfrac{1}{2} \Bigl(N - 1 + \sum_j \mathrm{sign}(s_j - s_t)\Bigr)

    The same as better items plus half of the equal ones, but counted at once, and in blocks that
    stay in the processor's cache.
    """
    num_items = scores.size(1)
    block = 2**18 if scores.device.type == "cpu" else 2**25
    rows = min(max(1, block // num_items), len(scores))
    whole = torch.float32 if num_items < 2**24 else torch.float64  # holds whole numbers up to N
    buffer = scores.new_empty(rows, num_items)
    signs = torch.cat(
        [
            torch.sub(part, reference, out=buffer[: len(part)]).sign_().sum(1, dtype=whole)
            for part, reference in zip(scores.split(rows), target_score.split(rows), strict=True)
        ]
    )
    ranks = (num_items - 1 + signs.double()) / 2
    infinite = signs.isnan()  # inf - inf, where the sign of NaN is not 0, as it is on the CPU
    if infinite.any():
        part, reference = scores[infinite], target_score[infinite]
        better, equal = (part > reference).sum(1), (part == reference).sum(1) - 1
        ranks[infinite] = better + equal.double() / 2
    return ranks


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
        table.to_parquet(temporary, index=False)
