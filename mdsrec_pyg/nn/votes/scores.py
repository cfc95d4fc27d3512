"""From the votes of a history to scores, and the exact loss that trains what weighs them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from mdsrec_pyg.data import Interactions, SequenceBatch
from mdsrec_pyg.nn.history_bias import HistoryBias, steps_back, taken_keys, visible_steps
from mdsrec_pyg.nn.losses import targets
from mdsrec_pyg.nn.precision import full_precision
from mdsrec_pyg.nn.votes.edge_table import EdgeTable, num_nodes
from mdsrec_pyg.nn.votes.evidence import Queries, at_most, gather_evidence, sum_at
from mdsrec_pyg.nn.votes.fusion import VoteFusion
from mdsrec_pyg.nn.votes.training_votes import TrainingVotes

#: Steps of a history that have a weight of their own; those further back share the last.
STEPS = 20
#: What a step further back counts less, at first.
DECAY = 0.85
#: Votes that are cast at a time without gradients: at least so many, and as many as take no more
#: memory than the scores, as a vote takes some 250 bytes until it has become part of one.
VOTES = 2**12
SHARE = 64


class RelationVotes(nn.Module):
    r"""Scores from a history's votes over learned relation graphs (ours).

    Item i of the history, d steps back, votes with the edges of each graph:

    .. math::
        v_m(j) = \sum_{i \in \mathcal{H}_u} \alpha_{m,d(i)} S_m[i, j], \qquad
        s(u, j) = \mathrm{VoteFusion}(v(j)) \text{ where } j \notin \mathcal{H}_u, \qquad
        s(u, j) = \sum_{i \in \mathcal{H}_u : i = j} \gamma_{d(i)} \text{ where } j \in
        \mathcal{H}_u.

    Items of the history take a learned bias in place of votes: at inference the graphs contain
    the user's own history, in training they must not, so votes inside the history would mean
    something else there. No other candidate than those with votes and the history has a score
    that is not zero, so the softmax over the catalog is exact at their cost:

    .. math::
        \log Z = \log \Bigl( N - |\mathcal{C}_u| + \sum_{j \in \mathcal{C}_u} \exp s(u, j) \Bigr).

    Args:
        graphs: One learned item graph a modality, edges from voter to candidate, positive.
        training_votes: :class:`LeaveOneUserOut` or :class:`CrossFittedVotes`; None for inference.
        max_length: Largest number of history steps.
        hidden: Units of the :class:`VoteFusion`. (default: ``32``)
        history_bias: Learn :math:`\gamma`; without it items of the history take votes like any
            other. (default: ``True``)

    Shapes:
        - **input:** a batch of histories :math:`(B, L)`
        - **output:** scores :math:`(B, N)`

    Raises:
        ValueError: No graph, or ``hidden`` is negative.
    """

    def __init__(
        self,
        graphs: Sequence[Data],
        training_votes: TrainingVotes | None,
        *,
        max_length: int,
        hidden: int = 32,
        history_bias: bool = True,
    ) -> None:
        super().__init__()
        if not graphs:
            raise ValueError("'graphs' must hold at least one item graph (got none)")
        self.num_items = num_nodes(graphs[0])
        self.training_votes = training_votes
        self.weight = nn.Parameter(torch.empty(len(graphs), min(STEPS, max_length)))
        self.fusion = VoteFusion(len(graphs), hidden)
        self.history_bias = HistoryBias(max_length) if history_bias else None
        self.tables = nn.ModuleList(EdgeTable.from_graph(graph) for graph in graphs)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Votes that count less the further back; the fusion and the bias draw their own."""
        with torch.no_grad():
            self.weight.copy_(math.log(DECAY) * torch.arange(self.weight.size(1)))

    def set_graphs(self, graphs: Sequence[Data], training_votes: TrainingVotes | None) -> None:
        """Takes other graphs, of as many modalities; what weighs their votes stays.

        Args:
            graphs: One learned item graph a modality, of the same or further items.
            training_votes: What training over them needs; ``None``: for inference.
        """
        self.num_items = num_nodes(graphs[0])
        self.tables = nn.ModuleList(EdgeTable.from_graph(graph) for graph in graphs)
        self.training_votes = training_votes
        self.to(self.weight.device)

    def leave_out_history_bias(self) -> bool:
        """Items of the history take votes like any other: beside a bias of zero they take none.

        Returns:
            Whether there was a bias.
        """
        had, self.history_bias = self.history_bias is not None, None
        return had

    @property
    def alpha(self) -> Tensor:
        """What a vote d steps back counts, positive, [M, STEPS]."""
        return self.weight.exp()

    def edges(self, modality: int) -> tuple[Tensor, Tensor]:
        """Edge index [2, E] and weights [E] of a modality's graph, sorted by source."""
        table = self.tables[modality]
        target, weight = table.get_buffer("target"), table.get_buffer("weight")
        source, column = (weight > 0).nonzero(as_tuple=True)
        index = torch.stack([source, target[source, column].long()])
        return index, weight[source, column]

    def forward(self, batch: SequenceBatch) -> Tensor:
        """Scores [B, N] after the newest step."""
        scores = self.weight.new_zeros(len(batch) * self.num_items)
        for place, score in self._parts(batch):
            if torch.is_grad_enabled():
                scores = scores.index_put((place,), score)
            else:
                scores[place] = score
        return scores.view(len(batch), -1)

    def sparse_scores(self, batch: SequenceBatch) -> tuple[Tensor, Tensor]:
        """The scores of :meth:`forward` that may differ from zero.

        Returns:
            Places ``row * N + item`` [P], sorted, of all items voted for or taken, and scores [P].
        """
        places, scores = (torch.cat(values) for values in zip(*self._parts(batch), strict=True))
        return places, scores

    def _parts(self, batch: SequenceBatch) -> Iterator[tuple[Tensor, Tensor]]:
        """:meth:`sparse_scores` of some histories after the other."""
        distance = steps_back(batch.mask.size(1), True, batch.mask.device)
        queries = Queries(
            batch.item_id, batch.item_id, batch.mask, distance.expand_as(batch.item_id)
        )
        size, bias = self.num_items, None
        if self.history_bias is None:
            taken = taken_keys(batch, size)
        else:
            taken, bias = self.history_bias.steps(batch, size)
        rows = at_most(queries, self.tables, max(VOTES, len(queries) * size // SHARE))
        if torch.is_grad_enabled():
            rows = [slice(0, len(queries))]
        for part in rows:
            own = _between(taken, part, size)
            added = None if bias is None else bias[own]
            places = taken[own] - part.start * size
            place, score = self._scores(self.tables, queries.part(part), places, added)
            real = place < (part.stop - part.start) * size  # on a GPU some only fill up
            yield place[real] + part.start * size, score[real]

    def _scores(
        self,
        tables: nn.ModuleList,
        queries: Queries,
        taken: Tensor,
        bias: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Sorted places of all candidates, and their scores.

        Args:
            tables: Edges of the voters.
            queries: Histories.
            taken: Places of their items, with a bias as often as they stand there.
            bias: What each of these adds.
        """
        found = gather_evidence(tables, queries, self.alpha, self.num_items, taken)
        score = self.fusion(found.votes, found.largest)
        if bias is None:
            return found.place, score
        history = torch.zeros_like(score, dtype=torch.bool).index_fill(0, found.inverse, True)
        added = sum_at(found.inverse, bias.to(score.dtype), len(score))
        return found.place, torch.where(history, added, score)

    def votes(self, batch: SequenceBatch, item_index: Tensor) -> Tensor:
        r"""The single votes :math:`\alpha_{m,d(i)} S_m[i, j]` behind the scores of a few items.

        Args:
            batch: Histories.
            item_index: Items j, Long tensor [B, k].

        Returns:
            Votes [B, M, k, L] of each step of the history.
        """
        distance = steps_back(batch.mask.size(1), True, batch.mask.device)[0]  # [L]
        alpha = self.alpha[:, distance.clamp(max=self.weight.size(1) - 1)]  # [M, L]
        voter, candidate = batch.item_id[:, None, :], item_index[:, :, None]
        edges = [cast(EdgeTable, table).between(voter, candidate) for table in self.tables]
        return alpha[:, None] * torch.stack(edges, dim=1) * batch.mask[:, None, None]

    def loss(self, batch: SequenceBatch, positions: int) -> Tensor:
        """Mean of log Z - s(target) over the newest positions of each sequence that count.

        Args:
            batch: Histories of training users, with targets.
            positions: How many positions of each sequence, at most. They look like what is asked
                at inference: by whole histories.
        """
        with full_precision(batch.mask.device):  # bfloat16 would round the differences away
            return self._loss(batch, positions)

    def _loss(self, batch: SequenceBatch, positions: int) -> Tensor:
        length = batch.mask.size(1)
        newest = slice(-min(positions, length), None)
        target, counts = (part[:, newest].flatten() for part in targets(batch))  # [B * T]
        queries, bias = self._asked(batch, newest)
        size = len(queries)
        start = torch.arange(size, device=target.device) * self.num_items
        taken = torch.where(queries.mask, start[:, None] + queries.item_id, size * self.num_items)
        place, score = self._scores(self._without_user().tables, queries, taken.flatten(), bias)
        row = torch.div(place, self.num_items, rounding_mode="floor").clamp(max=size)
        top = score.new_zeros(size + 1).scatter_reduce(0, row, score.detach(), "amax")
        found = sum_at(row, torch.exp(score - top[row]), size + 1)[:size]
        number = sum_at(row, torch.ones_like(score), size + 1)[:size]
        top = top[:size]
        total = found + (self.num_items - number) * torch.exp(-top)
        wanted = start + target
        at = torch.searchsorted(place, wanted).clamp(max=len(place) - 1)
        own = torch.where(place[at] == wanted, score[at], torch.zeros_like(wanted, dtype=top.dtype))
        # A sequence that is shorter than the batch begins with positions that ask for nothing.
        return ((total.log() + top - own) * counts).sum() / counts.sum().clamp(min=1)

    def _asked(self, batch: SequenceBatch, newest: slice) -> tuple[Queries, Tensor | None]:
        """The history before each of the newest positions, and its steps' bias, [B * T * L]."""
        length = batch.mask.size(1)
        distance = steps_back(length, False, batch.mask.device)[newest]  # [T, L]
        visible = visible_steps(batch.mask, distance)  # [B, T, L]
        voters = self._without_user().voters(batch.item_id, batch.user_id)

        def each(rows: Tensor) -> Tensor:
            return rows[:, None].expand_as(visible).flatten(0, 1)

        far = distance.clamp(min=0)[None].expand_as(visible).flatten(0, 1)
        queries = Queries(each(batch.item_id), each(voters), visible.flatten(0, 1), far)
        if self.history_bias is None:
            return queries, None
        bias = self.history_bias.values(batch.mask, newest_only=False)[:, newest]
        return queries, bias.flatten()

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
        """All that is learned here: it takes larger steps."""
        return list(self.parameters())


def _between(place: Tensor, rows: slice, num_items: int) -> Tensor:
    """Which places lie in some of the rows."""
    return (place >= rows.start * num_items) & (place < rows.stop * num_items)
