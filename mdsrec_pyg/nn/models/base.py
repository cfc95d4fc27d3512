"""What every model offers to the trainer, the evaluation and the recommendations."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mdsrec_pyg.data import Interactions, SequenceBatch
from mdsrec_pyg.nn.history_bias import BIAS_LR, HistoryBias, taken_keys
from mdsrec_pyg.nn.losses import (
    SampledCandidates,
    cross_entropy_sum,
    full_cross_entropy,
    inner_products,
    linear_cross_entropy,
    loss_positions,
    masked_target,
    num_groups,
    sampled_cross_entropy,
    targets,
)
from mdsrec_pyg.nn.losses.linear import block_rows
from mdsrec_pyg.nn.models.dense import InnerProducts
from mdsrec_pyg.nn.models.saving.standalone import StandsAlone
from mdsrec_pyg.nn.reset import reset_modules

__all__ = ["Recommender", "SequentialRecommender"]


class _Counted(NamedTuple):
    users: Tensor  # [P, C]
    items: Tensor  # [N, C]
    target: Tensor  # [P]
    history: Tensor | None  # [P, L]
    bias: Tensor | None  # [P, L]


class Recommender(StandsAlone):
    """A model that scores every item for a history.

    It can be saved and loaded (:meth:`save`, :meth:`load`), copied, pickled and compiled.

    Args:
        num_items: N.
        max_length: Number of history steps that the model reads.

    Raises:
        ValueError: One of the two is below 1.
    """

    #: False for models that are fitted when they are made (popularity, EASE).
    supports_training: bool = True

    def __init__(self, num_items: int, max_length: int) -> None:
        super().__init__()
        if num_items < 1 or max_length < 1:
            raise ValueError(
                "'num_items' and 'max_length' must be at least 1 "
                f"(got num_items={num_items}, max_length={max_length})"
            )
        self.num_items = num_items
        self.max_length = max_length

    def reset_parameters(self) -> None:
        """Draws all parameters anew; a model that is fitted when it is made has none.

        After the same seed they are those of a new model, where the caller's own modules draw in
        their ``reset_parameters`` what they draw in their constructors.
        """
        reset_modules(self)

    def forward(self, batch: SequenceBatch, items: Any = None) -> Tensor:
        """:meth:`score`, by the name that ``torch.compile`` and hooks know."""
        return self.score(batch, items)

    def encode_items(self) -> Any:
        """Everything that does not depend on the user; computed once an evaluation."""
        return None

    def score(self, batch: SequenceBatch, items: Any = None) -> Tensor:
        """Scores of every item as the next one, [B, N]; many threads call it, so write nothing.

        Args:
            batch: Histories; ``batch.older`` are items that were taken before those.
            items: Result of :meth:`encode_items`; computed here by default.
        """
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Shows the size."""
        return f"num_items={self.num_items}, max_length={self.max_length}"


class SequentialRecommender(Recommender):
    r"""Scores are inner products of user and item vectors, plus the history bias.

    .. math::
        s(u, j) = \mathbf{h}_u^{\top} \mathbf{e}_j
        + \sum_{i \in \mathcal{H}_u : i = j} \gamma_{d(i)}

    A model of this kind gives item vectors (:meth:`encode_items`) and one user vector a step
    (:meth:`encode_users`). The loss is full cross-entropy over the catalog at every position, in
    blocks where the scores are many, or a sampled softmax.

    Args:
        num_items: N.
        max_length: Largest number of history steps.
        history_bias: Learn :class:`~mdsrec_pyg.nn.HistoryBias`. (default: ``True``)
        num_negatives: Draw so many items for each few positions, for a sampled softmax with log-Q
            correction instead of full cross-entropy. (default: ``None``)
        max_scores: Most scores that full cross-entropy holds at once. Default: by the device, see
            :func:`~mdsrec_pyg.nn.losses.linear.most_scores`.
        bias_lr: Step of the history bias (and of other scalars), as a multiple of the trainer's
            learning rate. (default: ``5.0``)

    Raises:
        ValueError: A number out of range.
    """

    export_form: type[nn.Module] = InnerProducts
    item_probability: Tensor

    def __init__(
        self,
        num_items: int,
        max_length: int,
        *,
        history_bias: bool = True,
        num_negatives: int | None = None,
        max_scores: int | None = None,
        bias_lr: float = BIAS_LR,
    ) -> None:
        super().__init__(num_items, max_length)
        if num_negatives is not None and num_negatives < 1:
            raise ValueError(f"'num_negatives' must be at least 1 (got {num_negatives})")
        block_rows(1, num_items, max_scores)  # checks it
        if not 0 < bias_lr < float("inf"):
            raise ValueError(f"'bias_lr' must be positive and finite (got {bias_lr})")
        self.history_bias = HistoryBias(max_length) if history_bias else None
        self.num_negatives = num_negatives
        self.max_scores = max_scores
        self.bias_lr = bias_lr
        uniform = torch.full((num_items,), 1.0 / num_items)
        self.register_buffer("item_probability", uniform, persistent=False)

    @property
    def training_only(self) -> tuple[str, ...]:
        """What negatives are drawn by, where none are drawn."""
        return ("item_probability",) if self.num_negatives is None else ()

    def sequence_options(self) -> dict[str, Any]:
        """The options above as plain JSON, a part of a subclass's hyperparameters."""
        return {
            "max_length": self.max_length,
            "history_bias": self.history_bias is not None,
            **{name: getattr(self, name) for name in ("num_negatives", "max_scores", "bias_lr")},
        }

    def set_item_counts(self, counts: Tensor) -> None:
        """Draws the negatives of a sampled softmax by popularity instead of uniformly.

        Args:
            counts: Training interactions of each item, [N]; one is added to each.
        """
        if counts.shape != (self.num_items,):
            raise ValueError(f"'counts' must have shape [{self.num_items}] (got {counts.shape})")
        weight = counts.to(self.item_probability) + 1
        self.item_probability.copy_(weight / weight.sum())

    def encode_items(self) -> Any:
        """Item vectors [N, C], or an object with the vectors as its attribute ``table``."""
        raise NotImplementedError

    def encode_users(self, batch: SequenceBatch, items: Any, newest_only: bool) -> Tensor:
        """User vectors [B, T, C]: one a step (T = L), or for the newest step (T = 1)."""
        raise NotImplementedError

    def item_table(self, items: Any) -> Tensor:
        """The item vectors [N, C] in the result of :meth:`encode_items`."""
        return items if isinstance(items, Tensor) else items.table

    def step_scores(self, batch: SequenceBatch, items: Any, newest_only: bool) -> Tensor:
        """Scores [B, T, N] of every item after every step, or after the newest."""
        users = self.encode_users(batch, items, newest_only)
        scores = inner_products(users, self.item_table(items))  # [B, T, C], [N, C] -> [B, T, N]
        if self.history_bias is not None:
            # Without a gradient in place: no second [B, T, N].
            add = self.history_bias if torch.is_grad_enabled() else self.history_bias.add_
            scores = add(scores, batch.item_id, batch.mask)
            if newest_only:
                self.history_bias.add_older_(scores[:, -1], batch)
        return scores

    def score(self, batch: SequenceBatch, items: Any = None) -> Tensor:
        """Scores of every item as the next one, [B, N]."""
        items = self.encode_items() if items is None else items
        return self.step_scores(batch, items, newest_only=True)[:, -1]

    @property
    def dense_weight(self) -> float | None:
        """Weight of the inner products in the scores; ``None``: there are none.

        With :meth:`sparse_scores` the answer to
        :class:`~mdsrec_pyg.nn.models.decomposed.DecomposedScores`; a subclass with another
        :meth:`score` has to answer both anew.
        """
        return 1.0

    def sparse_scores(self, batch: SequenceBatch, items: Any) -> tuple[Tensor, Tensor]:
        """What the scores are beside inner products, of the items that have it: the history bias.

        Returns:
            Keys ``row * N + item`` [P], sorted, and their scores [P].
        """
        key = taken_keys(batch, self.num_items)
        score = torch.zeros(len(key), device=key.device)
        if self.history_bias is not None:
            step, bias = self.history_bias.steps(batch, self.num_items)
            score.index_add_(0, torch.searchsorted(key, step), bias)
        return key, score

    def loss(self, batch: SequenceBatch) -> Tensor:
        """Mean loss over the positions of the batch that count."""
        return self.cross_entropy(batch, self.encode_items())

    @property
    def loss_form(self) -> str:
        """Which form of the loss these settings lead to.

        - ``'sampled'``: a sampled softmax, with ``num_negatives``.
        - ``'scores'``: :func:`~mdsrec_pyg.nn.full_cross_entropy`, for a model with a
          :meth:`step_scores` or :meth:`loss_sum` of its own: all [B, L, N] scores, or gradient
          checkpoints over blocks of sequences.
        - ``'linear'``: :func:`~mdsrec_pyg.nn.losses.linear.linear_cross_entropy`, for all
          others: only positions that count are scored, in blocks of
          :func:`~mdsrec_pyg.nn.losses.linear.block_rows`, one block where all fit.
        """
        if self.num_negatives is not None:
            return "sampled"
        for name in ("step_scores", "loss_sum"):
            inherited = getattr(type(self), name) is getattr(SequentialRecommender, name)
            if not inherited or name in self.__dict__:
                return "scores"
        return "linear"

    def cross_entropy(self, batch: SequenceBatch, items: Any) -> Tensor:
        """Mean cross-entropy of :meth:`step_scores`: full, or over sampled items."""
        if self.loss_form != "scores":
            return self._product_loss(batch, items)
        return full_cross_entropy(
            lambda part: self.loss_sum(part, items), batch, self.num_items, self.max_scores
        )

    def loss_sum(self, batch: SequenceBatch, items: Any) -> Tensor:
        """Sum of the cross-entropy over the positions of a block, by way of all its scores."""
        scores = self.step_scores(batch, items, newest_only=False)
        return cross_entropy_sum(scores, masked_target(batch))

    def _counted(self, batch: SequenceBatch, items: Any) -> _Counted:
        """What a loss of inner products reads: the positions that count, and nothing else."""
        place, length = loss_positions(batch).place, batch.item_id.size(1)
        users = self.encode_users(batch, items, newest_only=False).flatten(0, 1)[place]
        history = bias = None
        if self.history_bias is not None:
            history = batch.item_id[place // length]
            bias = self.history_bias.summed(batch.item_id, batch.mask, newest_only=False)
            bias = bias.flatten(0, 1)[place]
        target = targets(batch)[0].flatten()[place]
        return _Counted(users, self.item_table(items), target, history, bias)

    def _product_loss(self, batch: SequenceBatch, items: Any) -> Tensor:
        found, counted = loss_positions(batch), self._counted(batch, items)
        if self.num_negatives is None:
            return linear_cross_entropy(*counted, self.max_scores, found.weight) / found.count
        groups = num_groups(len(found.place))
        sample = SampledCandidates(self.num_negatives, self.item_probability, groups)
        return sampled_cross_entropy(*counted, sample, found.weight) / found.count

    def check_training(self, train: Interactions) -> None:
        """Raises a ValueError where the model cannot be trained on these interactions."""

    def fast_parameters(self) -> list[nn.Parameter]:
        """Parameters that take ``bias_lr`` times the learning rate, and no weight decay."""
        return [] if self.history_bias is None else [self.history_bias.weight]

    def param_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """Parameter groups for AdamW: matrices, vectors (never decayed), fast scalars."""
        fast = [p for p in self.fast_parameters() if p.requires_grad]
        fast_ids = {id(parameter) for parameter in fast}
        rest = [p for p in self.parameters() if p.requires_grad and id(p) not in fast_ids]
        groups = [
            {"params": [p for p in rest if p.dim() > 1], "lr": lr, "weight_decay": weight_decay},
            {"params": [p for p in rest if p.dim() <= 1], "lr": lr, "weight_decay": 0.0},
            {"params": fast, "lr": lr * self.bias_lr, "weight_decay": 0.0},
        ]
        return [group for group in groups if group["params"]]
