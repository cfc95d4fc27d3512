"""The formulas of the votes, written out slowly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.nn import RelationVotes, VoteFusion
from mdsrec_pyg.nn.votes import evidence


def make_graph(num_nodes: int = 7, num_edges: int = 15, seed: int = 0) -> Data:
    """Random edges, none from a node to itself."""
    generator = torch.Generator().manual_seed(seed)
    key = torch.randperm(num_nodes**2, generator=generator)[:num_edges]
    key = key[key // num_nodes != key % num_nodes]
    return Data(
        edge_index=torch.stack([key // num_nodes, key % num_nodes]),
        edge_weight=torch.rand(len(key), generator=generator) + 0.1,
        num_nodes=num_nodes,
    )


def naive_fusion(fusion: VoteFusion, votes: Tensor, largest: Tensor) -> Tensor:
    """s of each candidate, [N]; votes and largest are [N, M]."""
    score = fusion.log_scale.exp() * votes.sum(1) / votes.size(1)
    if fusion.inner is None or fusion.outer is None:
        return score
    e = torch.cat([(1 + votes / 0.003).log(), (1 + largest / 0.003).log()], 1)
    w, b, out = fusion.inner.weight, fusion.inner.bias, fusion.outer.weight[0]

    def f(x: Tensor) -> Tensor:
        return (x @ w.t() + b).clamp(min=0) @ out

    return score + f(e) - f(torch.zeros_like(e))


def naive_scores(votes: RelationVotes, table: Tensor, history: list[int]) -> Tensor:
    """Scores of all items after a history, oldest first; table: S, [M, N, N]."""
    alpha = votes.weight.exp()
    cast, edges = torch.zeros(table.shape[:2]), torch.zeros(table.shape[:2])
    for m in range(len(table)):
        for back, item in enumerate(reversed(history)):
            cast[m] = cast[m] + alpha[m, min(back, alpha.size(1) - 1)] * table[m, item]
            edges[m] = torch.maximum(edges[m], table[m, item])
    scores = list(naive_fusion(votes.fusion, cast.t(), edges.t()))
    if votes.history_bias is not None:
        for item in set(history):
            own = [back for back, other in enumerate(reversed(history)) if other == item]
            scores[item] = votes.history_bias.gamma[own].sum()
    return torch.stack(scores)


def naive_loss(
    votes: RelationVotes, batch: SequenceBatch, tables: Callable[[int], Tensor], positions: int
) -> Tensor:
    """Mean cross-entropy with all N scores of the newest positions that count."""
    assert batch.target is not None
    assert batch.target_mask is not None
    terms = []
    for b, t in batch.target_mask.nonzero().tolist():
        if t >= batch.mask.size(1) - positions:
            history = batch.item_id[b, : t + 1][batch.mask[b, : t + 1]].tolist()
            scores = naive_scores(votes, tables(int(batch.user_id[b])), history)
            terms.append(-torch.log_softmax(scores, 0)[batch.target[b, t]])
    return torch.stack(terms).mean()


def assert_same_gradients(found: Tensor, want: Tensor, module: nn.Module) -> None:
    """Of all parameters, none of which is without one."""
    parameters = dict(module.named_parameters())
    own = torch.autograd.grad(found, list(parameters.values()), retain_graph=True)
    slow = torch.autograd.grad(want, list(parameters.values()), retain_graph=True)
    for name, one, two in zip(parameters, own, slow, strict=True):
        scale = float(two.abs().max())
        difference = float((one - two).abs().max())
        assert difference <= 1e-4 * scale + 1e-6, (name, difference, scale)
        assert two.any(), name


def like_a_gpu(monkeypatch: Any) -> None:
    """What is asked is gathered in a fixed size, as where a device must not be waited for."""
    monkeypatch.setattr(evidence, "COMPACT", ())


def rows_of(batch: SequenceBatch, rows: Any) -> SequenceBatch:
    """Some sequences of a batch."""
    assert batch.target is not None
    assert batch.target_mask is not None
    return replace(
        batch,
        item_id=batch.item_id[rows],
        mask=batch.mask[rows],
        user_id=batch.user_id[rows],
        target=batch.target[rows],
        target_mask=batch.target_mask[rows],
        positions=None,
    )


def pruned(table: Any, num_neighbors: int) -> Tensor:
    """Keeps the largest entries of each row, float32."""
    table = np.asarray(table)
    kept = np.zeros_like(table)
    for row, out in zip(table, kept, strict=True):
        top = np.argsort(-row, kind="stable")[:num_neighbors]
        out[top] = row[top].clip(0)
    return torch.from_numpy(kept).float()
