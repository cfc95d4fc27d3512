"""The ways to build item graphs and interest centers that item_graph.py compares."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from benchmarks.catalog import Catalog
from mdsrec_pyg.data import ModalFeature
from mdsrec_pyg.graphs import (
    InterestCenters,
    local_ridge_graph,
    product_graph,
    ridge_graph,
    ridge_precision,
)
from mdsrec_pyg.graphs.cells import Cells
from mdsrec_pyg.graphs.nearest import nearest
from mdsrec_pyg.graphs.neighbors import unit_rows

NEIGHBORS, CENTERS = 10, 32

Settings = argparse.Namespace
Result = dict[str, Any]


def product(data: Catalog, _: Settings) -> Result:
    """Our product graph, features and counts included."""
    graph = product_graph(data.x, data.interactions, num_neighbors=NEIGHBORS)
    return {"edges": graph.num_edges}


def local_ridge(data: Catalog, args: Settings) -> Result:
    """Our local ridge, of all targets or, extrapolated, of a sample of them."""

    def run(targets: Tensor | None) -> tuple[float, int]:
        start = time.perf_counter()
        graph = local_ridge_graph(
            data.interactions,
            data.x,
            num_candidates=args.candidates,
            search=args.search,
            targets=targets,
        )
        return time.perf_counter() - start, graph.num_edges

    if args.targets is None:
        return {"edges": run(None)[1]}
    sample = near_targets(data, args.targets)
    (alone, _), (seconds, edges) = run(sample[:1]), run(sample)
    each = (seconds - alone) / (len(sample) - 1)
    total = alone + each * len(data.x)
    return {"targets": len(sample), "edges": edges, "extrapolated_s": float(f"{total:.4g}")}


def near_targets(data: Catalog, number: int) -> Tensor:
    """Whole cells of targets: they share their work, as they do where all are solved."""
    label = Cells(unit_rows(ModalFeature(torch.as_tensor(data.x)))[0]).label_
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(int(label.max()) + 1, generator=generator)[label].argsort(stable=True)
    return order[:number]


def exact_ridge(data: Catalog, _: Settings) -> Result:
    """The dense N x N ridge, which is EASE with features."""
    return {"edges": ridge_graph(ridge_precision(data.interactions, data.x)).num_edges}


def dense(data: Catalog, _: Settings) -> Result:
    """All cosines at once, then the largest of each row, as MMRec builds its item graphs."""
    index = dense_neighbors(torch.as_tensor(data.x).float(), NEIGHBORS)[1]
    return {"edges": index.numel()}


def dense_neighbors(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Values and ids of the nearest others, from the whole N x N matrix."""
    unit = x / x.norm(dim=1, keepdim=True)
    return (unit @ unit.T).fill_diagonal_(0).topk(k, dim=1)


def sklearn_neighbors(data: Catalog, _: Settings) -> Result:
    """Brute force in blocks by scikit-learn."""
    search = NearestNeighbors(n_neighbors=NEIGHBORS, algorithm="brute", metric="cosine")
    index = search.fit(np.asarray(data.x, np.float32)).kneighbors(return_distance=False)
    return {"edges": index.size}


def cells(data: Catalog, args: Settings) -> Result:
    """Our search in cells: built whole, and its recall on a sample of queries."""
    unit, present = unit_rows(ModalFeature(torch.as_tensor(data.x)))
    start = time.perf_counter()
    found = Cells(unit)
    built = time.perf_counter() - start
    query = torch.randperm(len(unit), generator=torch.Generator().manual_seed(0))[: args.queries]
    query = query[present[query]].sort().values
    exact = nearest(unit, query, NEIGHBORS)
    near = nearest(unit, query, NEIGHBORS, cells=found)
    wanted, got = ((part[0] * len(unit) + part[1]).numpy() for part in (exact, near))
    return {"build_s": built, f"recall@{NEIGHBORS}": float(np.isin(wanted, got).mean())}


def centers(data: Catalog, _: Settings) -> Result:
    """Our interest centers, labels and affinities of all items included."""
    x = torch.as_tensor(data.x).float()
    fitted = InterestCenters(CENTERS, n_init=1).fit(x)
    return {"inertia": inertia(x, fitted.centers_)}


def sklearn_kmeans(data: Catalog, _: Settings) -> Result:
    """k-means on all items."""
    x = np.asarray(data.x, np.float32)
    fitted = KMeans(CENTERS, n_init=1, random_state=0).fit(x)
    return {"inertia": inertia(torch.from_numpy(x), torch.from_numpy(fitted.cluster_centers_))}


def sklearn_minibatch(data: Catalog, _: Settings) -> Result:
    """k-means in mini-batches."""
    x = np.asarray(data.x, np.float32)
    fitted = MiniBatchKMeans(CENTERS, n_init=1, random_state=0, batch_size=4096).fit(x)
    return {"inertia": inertia(torch.from_numpy(x), torch.from_numpy(fitted.cluster_centers_))}


def inertia(x: Tensor, center: Tensor) -> float:
    """Mean squared distance of an item to its nearest center."""
    parts = [torch.cdist(part, center.float()).min(1).values.square() for part in x.split(2**15)]
    return float(torch.cat(parts).double().mean())


METHODS: dict[str, Callable[[Catalog, Settings], Result]] = {
    "product": product,
    "local ridge": local_ridge,
    "exact ridge": exact_ridge,
    "dense N x N": dense,
    "scikit-learn neighbors": sklearn_neighbors,
    "cells": cells,
    "centers": centers,
    "scikit-learn KMeans": sklearn_kmeans,
    "scikit-learn MiniBatchKMeans": sklearn_minibatch,
}
