"""Full ranking of the catalog, and the metrics that follow from the rank of the target."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from mdsrec_pyg.configs import check_device
from mdsrec_pyg.data.splits import EvaluationSplit
from mdsrec_pyg.evaluation.metrics import (
    check_cutoffs,
    metrics_by_popularity,
    per_user_metric,
    ranking_metrics,
)
from mdsrec_pyg.evaluation.result import Evaluation, save_ranks
from mdsrec_pyg.evaluation.scores import check_scores, seen_items
from mdsrec_pyg.nn.history_bias import leave_out_history_bias
from mdsrec_pyg.nn.mode import Unchanged, model_device, scorer, scoring_copy, uncompiled
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

    The scores are computed once for both rules. Only a target that stands in its own history is
    scored once more: with seen items masked it is ranked without the model's history bias, see
    :func:`target_ranks`.

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
        cold=np.asarray(split.cold),
        num_left_out=split.num_left_out,
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
            reads) are taken out of the candidates. The target itself always stays; if it was
            seen, what the model adds for that is left out of its score, so that models with such a
            bias and without are asked the same: a :class:`~mdsrec_pyg.nn.HistoryBias`, an attribute
            ``history_bias`` that is a number or a tensor, and whatever a module's own method
            ``leave_out_history_bias()`` takes out.
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
    device = model_device(model) if device is None else check_device(device)
    weights = Unchanged(model.parameters())
    model = scoring_copy(model, device, own_weights=False)
    with tqdm(
        total=len(split), desc=split.name, leave=False, disable=None if progress else True
    ) as bar:
        items = model.encode_items()
        ranks, ranks_masked = _ranks_of_split(model, items, split, batch_size, device, bar)
        repeated = split.repeated
        plain = uncompiled(model)
        if repeated.any() and leave_out_history_bias(plain):
            part = split.select(repeated)
            unbiased = _ranks_of_split(plain, items, part, batch_size, device, None)
            ranks_masked[repeated] = unbiased[1]
    weights.check("during its evaluation")
    return ranks, ranks_masked


def _ranks_of_split(
    model: Recommender,
    items: Any,
    split: EvaluationSplit,
    batch_size: int,
    device: torch.device,
    bar: tqdm[Any] | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    ranks, ranks_masked = np.empty(len(split)), np.empty(len(split))
    score = scorer(model)
    for rows, batch in split.batches(batch_size, model.max_length):
        scores = score(batch.to(device), items)
        shape = rows.stop - rows.start, split.num_items
        check_scores(model, scores, shape, partial(_query, split, rows))
        target = torch.from_numpy(split.target[rows]).to(device)
        seen = seen_items(split.history_ptr, split.history_item, rows, split.num_items)
        plain, masked = _ranks_of_block(scores, target, *(s.to(device) for s in seen))
        ranks[rows], ranks_masked[rows] = plain.cpu().numpy(), masked.cpu().numpy()
        del scores  # before the next ones are made: one batch at a time
        if bar is not None:
            bar.update(rows.stop - rows.start)
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
