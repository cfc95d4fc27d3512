"""The history votes for its neighbors over learned relation graphs; a mixture, trained exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from mdsrec_pyg.data import Interactions, SequenceBatch
from mdsrec_pyg.nn.conv import LightGraphConv
from mdsrec_pyg.nn.history_bias import HistoryBias, steps_back, taken_keys, visible_steps
from mdsrec_pyg.nn.losses import targets
from mdsrec_pyg.nn.precision import full_precision
from mdsrec_pyg.nn.votes.attention import RelationAttention
from mdsrec_pyg.nn.votes.edge_table import EdgeTable, cast_votes, num_nodes, sum_at
from mdsrec_pyg.nn.votes.fit import Relations
from mdsrec_pyg.nn.votes.training_votes import TrainingVotes

#: What a vote costs that is cast alone, and an edge of the whole product, in units of what one more
#: user costs there (measured on the CPU; times the edges of an item); votes that are cast at once.
VOTE_COST, EDGE_COST, SINGLE_VOTES = 240, 20, 2**16


class RelationVotes(nn.Module):
    r"""Scores by votes of the history over learned relation graphs (ours).

    .. math::
        v(u, j) = \sum_m \sum_{i \in \mathcal{H}_u} w_{m,i}(u) \, S_m[i, j], \qquad
        s(u, j) = \begin{cases}
            \log(1 + v(u, j) / b) & j \notin \mathcal{H}_u \\
            \sum_{i \in \mathcal{H}_u : i = j} \gamma_{d(i)} & j \in \mathcal{H}_u
        \end{cases}

    with w from :class:`RelationAttention`, S the kept (positive) edges of the learned graphs and
    b a learned base. A ridge regression estimates probabilities, not their logarithms; taking the
    logarithm makes the softmax of s a mixture,
    :math:`p(j) \propto b + v(u, j)`: every history item spreads its votes, and a uniform base is
    added. Against votes that enter the softmax as they are, this was much better on one of two
    data sets and equal on the other (benchmarks/README.md). And it makes training cheap: the
    denominator is a sum of row sums, so no score but the target's is ever computed. Where there
    is a history bias, items of the history take it in place of votes: at inference the graphs
    contain the user's own history, in training they must not, so votes inside the history would
    mean something else there.

    Args:
        graphs: One learned item graph a modality, edges from voter to candidate, positive.
        attention: Weighs the votes.
        training_votes: :class:`LeaveOneUserOut` or :class:`CrossFittedVotes`; None for inference.
        history_bias: Learn :math:`\gamma`; without it items of the history take votes like any
            other. (default: ``True``)
        base: b at the start; far from its optimum the votes take many epochs to settle, with a
            false preference for recent items on the way (measured). (default: ``0.001``)

    Shapes:
        - **input:** a batch of histories :math:`(B, L)`
        - **output:** scores :math:`(B, N)`

    Raises:
        ValueError: ``base`` is not positive.
    """

    def __init__(
        self,
        graphs: Sequence[Data],
        attention: RelationAttention,
        training_votes: TrainingVotes | None,
        *,
        history_bias: bool = True,
        base: float = 0.001,
    ) -> None:
        super().__init__()
        if not 0 < base < math.inf:
            raise ValueError(f"'base' must be positive and finite (got {base})")
        self.num_items = num_nodes(graphs[0])
        self.attention = attention
        self.training_votes = training_votes
        self.history_bias = HistoryBias(attention.max_length) if history_bias else None
        self.base, self.log_base = base, nn.Parameter(torch.tensor(math.log(base)))
        self.conv = LightGraphConv()
        for m, graph in enumerate(graphs):
            self.register_buffer(f"edge_index_{m}", graph.edge_index, persistent=False)
            self.register_buffer(f"edge_weight_{m}", graph.edge_weight, persistent=False)
        self.tables = nn.ModuleList(EdgeTable(graph) for graph in graphs)

    def reset_parameters(self) -> None:
        """The base at its start; the attention draws its own."""
        nn.init.constant_(self.log_base, math.log(self.base))

    @classmethod
    def from_relations(
        cls,
        relations: Relations,
        features: Sequence[Tensor],
        labels: Sequence[Tensor] | None = None,
        *,
        history_bias: bool = True,
        **attention: Any,
    ) -> RelationVotes:
        """Votes over fitted relations.

        Args:
            relations: Result of :func:`~mdsrec_pyg.nn.fit_relations`.
            features: Scaled features of each modality, [N, F_m].
            labels: Interest center of each item, Long tensor [N], one a modality; None: all one.
            history_bias: See above.
            **attention: Options of :class:`RelationAttention`.
        """
        labels = labels or [torch.zeros(len(x), dtype=torch.long) for x in features]
        weights = RelationAttention(features, labels, **attention)
        graphs = list(relations.graphs.values())
        return cls(graphs, weights, relations.training_votes, history_bias=history_bias)

    def edges(self, modality: int) -> tuple[Tensor, Tensor]:
        """Edge index [2, E] and weights [E] of a modality's graph."""
        return getattr(self, f"edge_index_{modality}"), getattr(self, f"edge_weight_{modality}")

    def forward(self, batch: SequenceBatch, keys: Sequence[Tensor] | None) -> Tensor:
        """Scores [B, N] after the newest step: the weighted history, propagated over each graph.

        Args:
            batch: Histories.
            keys: Result of :meth:`RelationAttention.item_keys`.
        """
        item_id, mask = batch.item_id, batch.mask
        weights = self.attention(item_id, mask, keys, newest_only=True)  # [B, M, 1, L]
        scale = torch.exp(-self.log_base)
        if item_id.numel() * VOTE_COST <= self.num_items * (EDGE_COST + len(batch)):
            scores = self._sums(batch, weights, scale)
        else:
            scores = self._propagate(item_id, weights)
            if torch.is_grad_enabled():
                scores = torch.log1p(scores * scale)
            else:
                scores.mul_(scale).log1p_()
        if self.history_bias is None:
            return scores
        bias = self.history_bias.summed(item_id, mask, newest_only=True)[:, 0]  # [B, L]
        # Padding repeats the newest item.
        scores = scores.scatter_(1, torch.where(mask, item_id, item_id[:, -1:]), 0.0)
        if batch.older is not None:
            scores = scores.index_put_(tuple(batch.older), scores.new_zeros(()))
        return self.history_bias.add_older_(scores.scatter_add_(1, item_id, bias.to(scores)), batch)

    def _propagate(self, item_id: Tensor, weights: Tensor) -> Tensor:
        """Votes [B, N]: the whole graphs times the histories."""
        total = None
        for m in range(weights.size(1)):
            voters = weights.new_zeros(self.num_items, len(item_id))
            voters = voters.scatter_add_(0, item_id.t(), weights[:, m, 0].t())
            votes = self.conv(voters, *self.edges(m))  # [N, B]
            total = votes if total is None else total.add_(votes)
        assert total is not None
        return total.t()

    def _sums(self, batch: SequenceBatch, weights: Tensor, scale: Tensor) -> Tensor:
        """Scores [B, N] from votes that are cast alone, of part of the rows at a time.

        A vote takes ten times the memory of a score while it is cast.
        """
        size, edges = len(batch), sum(table.get_buffer("key").numel() for table in self.tables)
        votes_a_row = max(1, batch.item_id.size(1) * edges // self.num_items)
        step = max(1, max(SINGLE_VOTES, size * self.num_items // 16) // votes_a_row)
        parts = []
        for start in range(0, size, step):
            rows = slice(start, min(start + step, size))
            part = batch.item_id[rows], batch.mask[rows], weights[rows]
            key, vote = cast_votes(self.tables, *part)
            scores = sum_at(key, vote, (rows.stop - start) * self.num_items)
            if torch.is_grad_enabled():
                scores = torch.log1p(scores * scale)
            else:  # log1p(0) = 0: the rest of the catalog needs none
                scores[key] = torch.log1p(scores[key] * scale)
            parts.append(scores.view(-1, self.num_items))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def sparse_scores(
        self, batch: SequenceBatch, keys: Sequence[Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        """The scores of :meth:`forward` that may differ from zero; its arguments.

        Returns:
            Places ``row * N + item`` [P], sorted, of all items voted for or taken, and scores [P].
        """
        taken = taken_keys(batch, self.num_items)
        weights = self.attention(batch.item_id, batch.mask, keys, newest_only=True)
        place, vote = cast_votes(self.tables, batch.item_id, batch.mask, weights)
        place, inverse = torch.unique(torch.cat([place, taken]), return_inverse=True)
        total = sum_at(inverse[: len(vote)], vote, len(place))
        scores = torch.log1p(total * torch.exp(-self.log_base))
        if self.history_bias is not None:
            step, bias = self.history_bias.steps(batch, self.num_items)
            seen = torch.searchsorted(place, step)
            scores = scores.index_fill(0, seen, 0.0).index_add(0, seen, bias.to(scores.dtype))
        return place, scores

    def votes(
        self, batch: SequenceBatch, keys: Sequence[Tensor] | None, item_index: Tensor
    ) -> Tensor:
        r"""The single votes :math:`w_{m,i}(u) S_m[i, j]` behind the scores of a few items.

        Args:
            batch: Histories.
            keys: Result of :meth:`RelationAttention.item_keys`.
            item_index: Items j, Long tensor [B, k].

        Returns:
            Votes [B, M, k, L] of each step of the history.
        """
        weights = self.attention(batch.item_id, batch.mask, keys, newest_only=True)  # [B, M, 1, L]
        source, target = batch.item_id[:, None, :], item_index[:, :, None]
        edges = torch.stack([table(source, target) for table in self.tables], dim=1)
        return weights * edges

    def loss_sum(
        self, batch: SequenceBatch, keys: Sequence[Tensor] | None, newest_only: bool = False
    ) -> Tensor:
        r"""Sum over the positions that count of :math:`\log Z - s(y)`, exactly.

        .. math::
            Z = \sum_j \exp s(u, j) = N - |\mathcal{H}_u| + \frac{1}{b} \sum_{m,i} w_{m,i}
            \Bigl(\sum_j S_m[i, j] - \sum_{k \in \mathcal{H}_u} S_m[i, k]\Bigr)
            + \sum_{k \in \mathcal{H}_u} \exp s(u, k)

        in which only sums over the history occur: O(L^2) a sequence, whatever N.

        Args:
            batch: Histories of training users, with targets.
            keys: Result of :meth:`RelationAttention.item_keys`.
            newest_only: Only the newest position of each sequence.
        """
        weights = self.attention(batch.item_id, batch.mask, keys, newest_only)  # [B, M, T, L]
        # Small differences of large sums: bfloat16 would lose them.
        with full_precision(weights.device):
            return self._loss_sum(batch, weights.float(), newest_only)

    def _loss_sum(self, batch: SequenceBatch, weights: Tensor, newest_only: bool) -> Tensor:
        item_id, user_id = batch.item_id, batch.user_id
        steps = slice(-1, None) if newest_only else slice(None)
        target, counts = (part[:, steps] for part in targets(batch))  # [B, T]
        scale = torch.exp(-self.log_base)
        votes = self._without_user().pairs(item_id, target, user_id)
        score = torch.log1p((weights * votes).sum((1, 3)) * scale)  # [B, T]
        rest = torch.full_like(score, float(self.num_items))
        if self.history_bias is None:
            totals = self._without_user().totals(item_id, user_id)[:, :, None]  # [B, M, 1, L]
        else:
            distance = steps_back(item_id.size(1), newest_only, item_id.device)
            visible = visible_steps(batch.mask, distance)  # [B, T, L]
            same = item_id[:, :, None] == item_id[:, None, :]  # [B, L, L]
            earlier = (same & batch.mask[:, None]).tril(-1).any(2)
            seen = (visible & ~earlier[:, None]).to(score.dtype)  # each history item once
            again = (item_id[:, None, :] == target[:, :, None]) & visible
            totals = self._outside(batch, seen, votes, ~again.any(2))  # [B, M, T, L]
            bias = self.history_bias.values(batch.mask, newest_only)  # [B, T, L]
            seen_score = bias @ same.to(bias.dtype)  # sums over repetitions
            rest = rest - seen.sum(2) + (seen * torch.exp(seen_score)).sum(2)
            score = torch.where(again.any(2), (bias * again).sum(2), score)
        total = rest + (weights * totals.clamp(min=0)).sum((1, 3)) * scale
        return ((torch.log(total) - score) * counts).sum()

    def _outside(self, batch: SequenceBatch, seen: Tensor, votes: Tensor, new: Tensor) -> Tensor:
        """All votes but those for the history, [B, M, T, L].

        Args:
            batch: Histories.
            seen: Each history item once, [B, T, L].
            votes: Votes for the targets, [B, M, T, L].
            new: True where the target does not stand in the history, [B, T].
        """
        item_id, user_id = batch.item_id, batch.user_id
        known = self._without_user().others(item_id, user_id) if new.size(1) == 1 else None
        if known is not None:
            whole = None if batch.positions is None else batch.positions.whole
            if whole is None:
                whole = torch.equal(seen.sum(2)[:, 0].long() + new[:, 0], known[1])
            if whole:  # histories and targets are all that the users took: no pair needs a look
                return known[0][:, :, None] + votes * new[:, None, :, None]
        totals = self._without_user().totals(item_id, user_id)[:, :, None]
        return totals - seen[:, None] @ self._without_user().pairs(item_id, item_id, user_id)

    def check_training(self, train: Interactions) -> None:
        """Raises a ValueError where the votes cannot be trained on these interactions."""
        self._without_user().check(train)

    def _without_user(self) -> TrainingVotes:
        if self.training_votes is None:
            raise ValueError(
                "the votes cannot be trained further: a saved model holds nothing that only "
                "training needs; build it from its data again"
            )
        return self.training_votes

    def fast_parameters(self) -> list[nn.Parameter]:
        """Scalars that need a larger step: plain votes, base, history bias."""
        fast = [self.attention.weight, self.log_base]
        return fast if self.history_bias is None else [*fast, self.history_bias.weight]
