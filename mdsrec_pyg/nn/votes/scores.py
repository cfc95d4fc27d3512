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
from mdsrec_pyg.nn.history_bias import HistoryBias, first_only, steps_back, visible_steps
from mdsrec_pyg.nn.losses import targets
from mdsrec_pyg.nn.precision import full_precision
from mdsrec_pyg.nn.votes.attention import RelationAttention
from mdsrec_pyg.nn.votes.edge_table import EdgeTable, alone_is_cheaper, num_nodes, sum_at
from mdsrec_pyg.nn.votes.fit import Relations
from mdsrec_pyg.nn.votes.training_votes import TrainingVotes


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
        if base <= 0:
            raise ValueError(f"'base' must be positive (got {base})")
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
        if labels is None:
            labels = [torch.zeros(len(x), dtype=torch.long) for x in features]
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
        if alone_is_cheaper(item_id.numel(), len(batch), self.num_items, item_id.device):
            key, vote = self._cast(batch, weights)
            scores = sum_at(key, vote, len(batch) * self.num_items)
            if torch.is_grad_enabled():
                scores = torch.log1p(scores * scale)
            else:  # log1p(0) = 0: the rest of the catalog needs none
                scores[key] = torch.log1p(scores[key] * scale)
            scores = scores.view(len(batch), self.num_items)
        else:
            scores = torch.log1p(self._propagate(item_id, mask, weights) * scale)
        if self.history_bias is None:
            return scores
        history = torch.where(mask, item_id, item_id[:, -1:])  # padding repeats the newest item
        bias = self.history_bias.values(mask, newest_only=True)  # [B, 1, L]
        bias = first_only(bias, item_id, mask)[:, 0]
        scores = scores.scatter_(1, history, 0.0)
        return scores.scatter_add_(1, item_id, bias.to(scores.dtype))

    def _propagate(self, item_id: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
        """Votes [B, N]: the whole graphs times the histories."""
        total = torch.zeros((), device=item_id.device)
        for m in range(weights.size(1)):
            voters = weights.new_zeros(len(item_id), self.num_items)
            voters = voters.scatter_add(1, item_id, first_only(weights[:, m], item_id, mask)[:, 0])
            total = total + self.conv(voters.t().contiguous(), *self.edges(m))  # [N, B]
        return total.t()

    def _cast(self, batch: SequenceBatch, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Every vote of the histories: places ``row * N + item`` and votes, [V], unordered.

        Only the edges out of the history's items are looked at, whatever the size of the graphs.
        """
        row, step = batch.mask.nonzero(as_tuple=True)
        first = batch.item_id[row, step] * self.num_items  # an item's edges have these keys ...
        keys, votes = [], []
        for m, table in enumerate(self.tables):
            edges, weight = table.get_buffer("key"), table.get_buffer("weight")
            start = torch.searchsorted(edges, first)
            count = torch.searchsorted(edges, first + self.num_items) - start  # ... up to here
            voter = torch.repeat_interleave(count)
            skipped = start - (count.cumsum(0) - count)
            edge = torch.arange(len(voter), device=voter.device) + skipped[voter]
            keys.append(edges[edge] + (row * self.num_items - first)[voter])
            votes.append(weight[edge] * weights[row, m, 0, step][voter])
        return torch.cat(keys), torch.cat(votes)

    def sparse_scores(
        self, batch: SequenceBatch, keys: Sequence[Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        """The scores of :meth:`forward` that may differ from zero.

        Args:
            batch: Histories.
            keys: Result of :meth:`RelationAttention.item_keys`.

        Returns:
            Places ``row * N + item`` [P], sorted, of all items that are voted for or stand in the
            history, and their scores [P].
        """
        row, step = batch.mask.nonzero(as_tuple=True)
        history = row * self.num_items + batch.item_id[row, step]
        weights = self.attention(batch.item_id, batch.mask, keys, newest_only=True)
        place, vote = self._cast(batch, weights)
        place, inverse = torch.unique(torch.cat([place, history]), return_inverse=True)
        total = sum_at(inverse[: len(vote)], vote, len(place))
        scores = torch.log1p(total * torch.exp(-self.log_base))
        if self.history_bias is not None:
            bias = self.history_bias.values(batch.mask, newest_only=True)[row, 0, step]
            seen = inverse[len(vote) :]
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
        if known is not None and (
            torch.equal(seen.sum(2)[:, 0].long() + new[:, 0], known[1])
            if batch.positions is None
            else batch.positions.whole
        ):
            # Histories and targets are all that the users took: no pair needs a look.
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
