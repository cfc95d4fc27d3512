"""Small cases that the tests of the light graph convolution share."""

from __future__ import annotations

import torch
from torch import Tensor

N, D = 9, 4


def random_graph(seed: int = 0, ordered: bool = False) -> tuple[Tensor, Tensor]:
    """Directed, with repeated edges, and nodes that have no edge in or out."""
    generator = torch.Generator().manual_seed(seed)
    edge_index = torch.randint(0, N - 1, (2, 40), generator=generator)
    if ordered:
        edge_index = edge_index[:, edge_index[1].argsort(stable=True)]
    return edge_index, torch.rand(40, generator=generator)


def dense(edge_index: Tensor, edge_weight: Tensor) -> Tensor:
    matrix = torch.zeros(N, N, dtype=edge_weight.dtype)
    for source, target, weight in zip(*edge_index.tolist(), edge_weight, strict=True):
        matrix[target, source] += weight
    return matrix


def to_csr(edge_index: Tensor, edge_weight: Tensor) -> Tensor:
    return dense(edge_index, edge_weight).to_sparse_csr()


def features(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(N, D, dtype=dtype, generator=torch.Generator().manual_seed(1))
