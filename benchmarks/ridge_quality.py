"""What the local ridge loses against the exact one on data where both fit.

python -m benchmarks.ridge_quality DATA/scientific_full DATA/hm_week --threads 2

Graphs come from the training part, quality is that of the plain votes on validation: no parameter
is trained, so nothing but the graph differs.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch_geometric.data import Data

from benchmarks.about import about
from benchmarks.harness import add_common_arguments, positive, result_path, save, table
from mdsrec_pyg import FolderDataset, evaluate, leave_last_out
from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.data import SequenceBatch, Split
from mdsrec_pyg.graphs import local_ridge_graph, ridge_graph, ridge_precision
from mdsrec_pyg.memory import use_huge_pages
from mdsrec_pyg.nn.models import Recommender

#: What the figures of the README were made with.
RIDGE: dict[str, Any] = {"feature_weight": 20.0, "l2": 100.0}
MAX_LENGTH = 50


class PlainVotes(Recommender):
    """Scores of a graph: the rows of the history's items, summed.

    Args:
        graph: A learned item graph.
    """

    supports_training = False

    def __init__(self, graph: Data) -> None:
        super().__init__(int(graph.num_nodes), MAX_LENGTH)
        self.rows = sparse(graph)

    def score(self, batch: SequenceBatch, items: Any = None) -> Tensor:
        """Scores [B, N]."""
        row, step = (index.numpy() for index in batch.mask.nonzero(as_tuple=True))
        item = batch.item_id.numpy()[row, step]
        shape = len(batch), self.num_items
        history = sp.csr_matrix((np.ones(len(row), np.float32), (row, item)), shape)
        return torch.from_numpy((history @ self.rows).toarray())


def sparse(graph: Data) -> sp.csr_matrix:
    """The graph as a matrix, from the voter to the candidate."""
    index = tuple(graph.edge_index.numpy())
    size = int(graph.num_nodes)
    return sp.csr_matrix((graph.edge_weight.numpy(), index), (size, size))


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--modalities", nargs="+", help="default: all in the folder")
    parser.add_argument(
        "--candidates", type=positive, nargs="+", help="a target (default: 100 200 400)"
    )
    parser.add_argument("--num-neighbors", type=positive, default=100, help="edges kept of an item")
    add_common_arguments(parser)
    args = parser.parse_args()
    args.candidates = args.candidates or ([5] if args.short else [100, 200, 400])
    return args


def graphs(dataset: FolderDataset, split: Split, name: str, args: argparse.Namespace) -> Any:
    """The exact graph of a modality, then each local one: name, seconds, graph."""
    feature, train, keep = dataset.features[name], split.train, args.num_neighbors
    start = time.perf_counter()
    precision = ridge_precision(train, feature.x, feature.mask, **RIDGE)
    exact = ridge_graph(precision, keep)
    yield "exact", time.perf_counter() - start, exact
    for count in args.candidates:
        for search in ("exact", "cells"):
            start = time.perf_counter()
            options = {"num_neighbors": keep, "num_candidates": count, "search": search, **RIDGE}
            graph = local_ridge_graph(train, feature, **options)
            yield f"local, c={count}, {search} search", time.perf_counter() - start, graph


def compare(folder: Path, args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row a modality and graph."""
    dataset = FolderDataset(folder, modalities=args.modalities)
    split = leave_last_out(dataset.interactions)
    rows = []
    for name in dataset.features:
        exact = sp.csr_matrix((0, 0))
        for form, seconds, graph in graphs(dataset, split, name, args):
            matrix = sparse(graph)
            exact = matrix if form == "exact" else exact
            common = matrix.multiply(exact != 0)
            found = evaluate(PlainVotes(graph), split.val)
            rows.append(
                {
                    "data": dataset.name,
                    "modality": name,
                    "graph": form,
                    "edges": matrix.nnz,
                    "of_exact": round(common.nnz / exact.nnz, 3),
                    "weight_diff": round(float(abs(common - exact).sum() / exact.sum()), 3),
                    "ndcg@10": round(found.metrics_masked["ndcg@10"], 4),
                    "recall@20": round(found.metrics_masked["recall@20"], 4),
                    "s": float(f"{seconds:.3g}"),
                }
            )
    return rows


def main() -> None:
    """Prints a table and writes a file."""
    use_huge_pages()
    args = parse()
    torch.set_num_threads(args.threads)
    print(
        f"{RIDGE}, {args.num_neighbors} neighbors; validation of leave-last-out, whole catalog,\n"
        "seen items masked, ties at the mean rank; of_exact: share of the exact graph's edges;\n"
        "weight_diff: absolute difference of weights over the exact weights"
    )
    rows = [row for folder in args.folders for row in compare(folder, args)]
    print(table(rows))
    result = {"benchmark": "ridge_quality", **about(args.threads), "results": rows}
    save(result, args.out or result_path("ridge-quality", result["date"], "cpu", args.threads))


if __name__ == "__main__":
    sys.exit(run_script(main))
