"""Exits with an error unless the compiled extras are there and agree with PyTorch's own kernels."""

from __future__ import annotations

import sys
import warnings

import torch

try:
    with warnings.catch_warnings():
        # They script their functions on import.
        warnings.simplefilter("ignore", DeprecationWarning)
        import torch_scatter
        import torch_sparse
except (ImportError, OSError) as reason:  # not there, or compiled for another torch
    sys.exit(f"error: torch-sparse or torch-scatter cannot be imported: {reason}")


def largest_error() -> float:
    """The largest deviation from PyTorch on one random graph, in double precision."""
    generator = torch.Generator().manual_seed(0)
    num_nodes, num_edges, channels = 50, 400, 8
    row, col = torch.randint(num_nodes, (2, num_edges), generator=generator)
    weight = torch.rand(num_edges, generator=generator, dtype=torch.double)
    x = torch.randn(num_nodes, channels, generator=generator, dtype=torch.double)

    size = (num_nodes, num_nodes)
    expected = torch.sparse.mm(torch.sparse_coo_tensor(torch.stack([row, col]), weight, size), x)
    adj = torch_sparse.SparseTensor(row=row, col=col, value=weight, sparse_sizes=size)
    results = [
        torch_sparse.matmul(adj, x),
        torch_scatter.scatter_add(weight[:, None] * x[col], row, dim=0, dim_size=num_nodes),
    ]
    return max(float((result - expected).abs().max()) for result in results)


if __name__ == "__main__":
    error = largest_error()
    if error > 1e-12:
        raise SystemExit(f"torch-sparse or torch-scatter is off by {error} from torch.sparse.mm")
    print(f"torch-sparse {torch_sparse.__version__} agrees with torch.sparse.mm to {error:.0e}")
