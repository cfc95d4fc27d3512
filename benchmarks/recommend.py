"""Times recommendations for one user over large catalogs: exact, and approximate with FAISS.

python -m benchmarks.recommend --sizes 10000 100000 1000000 --threads 2

The models are untrained and the items synthetic: vectors in clusters of about a hundred, whose
lengths differ, and histories that mostly stay in one cluster. Vectors without clusters
(``--spread 10``) are the worst case of every approximate index.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data
from tqdm import tqdm

from benchmarks.about import about
from benchmarks.harness import (
    Seconds,
    add_common_arguments,
    digits,
    interleave,
    megabytes,
    peak_memory,
    positive,
    result_path,
    save,
    table,
    write,
)
from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.memory import use_huge_pages
from mdsrec_pyg.nn import MDSRec, Relations, SASRec, SequentialRecommender
from mdsrec_pyg.retrieval import Retriever
from mdsrec_pyg.retrieval.faiss_index import FaissIndex
from mdsrec_pyg.retrieval.recommendations import recommend

MODELS = ("MDSRec", "MDSRec-vectors", "SASRec")
CLUSTER = 100  # items
NUM_NEIGHBORS = 5  # of the item graphs
COLUMNS = ["model", "items", "way", "p50_ms", "p99_ms", "users_per_s", "recall", "build_s"]


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=positive, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument(
        "--calls", type=positive, default=300, help="timed calls for one user, each way"
    )
    parser.add_argument("--slow-calls", type=positive, default=10, help="of recommend() itself")
    parser.add_argument("-k", type=positive, default=10)
    parser.add_argument("--length", type=positive, default=20, help="mean number of history items")
    parser.add_argument("--batch", type=positive, default=512, help="users of the calls for many")
    parser.add_argument("--channels", type=positive, default=64, help="a modality")
    parser.add_argument("--edges", type=positive, default=100, help="votes of an item and modality")
    parser.add_argument("--most-edges", type=positive, default=20_000_000, help="of a modality")
    parser.add_argument("--spread", type=float, default=0.5, help="deviation inside a cluster")
    parser.add_argument("--candidates", type=positive, default=200)
    parser.add_argument("--factory", help="FAISS index (default: FaissIndex's own)")
    parser.add_argument("--search", help="FAISS search parameters, such as nprobe=32")
    add_common_arguments(parser)
    args = parser.parse_args()
    args.repeats = args.repeats or 3
    if args.short:
        args.sizes, args.calls, args.slow_calls, args.batch = [2_000], 5, 2, 16
        args.channels, args.edges, args.repeats = 8, 10, 1
    return args


def item_vectors(num_items: int, channels: int, spread: float) -> Tensor:
    """Vectors of small clusters: item i belongs to cluster ``i % clusters``; [N, D]."""
    centers = torch.randn(max(2, num_items // CLUSTER), channels)
    vectors = centers.repeat(-(-num_items // len(centers)), 1)[:num_items]
    vectors = vectors + spread * torch.randn(num_items, channels)
    length = torch.exp(0.3 * torch.randn(num_items, 1))  # popular items have long vectors
    return 0.1 * length * vectors


def make_graph(num_items: int, degree: int, weight: float) -> Data:
    """So many distinct targets an item, half of them in its own cluster, at random weights."""
    clusters = max(2, num_items // CLUSTER)
    near = clusters * (1 + torch.randperm(num_items // clusters - 1)[: -(-degree // 2)])
    far = torch.randint(1, num_items, (4 * degree,)).unique()
    far = far[far % clusters > 0]
    step = torch.cat([near, far[torch.randperm(len(far))][: degree - len(near)]])
    source = torch.arange(num_items).repeat_interleave(len(step))
    target = (source.view(num_items, -1) + step).flatten() % num_items
    weights = weight * torch.empty(len(source)).exponential_()
    index = torch.stack([source, target])
    return Data(edge_index=index, edge_weight=weights, num_nodes=num_items)


def make_model(name: str, num_items: int, args: argparse.Namespace) -> SequentialRecommender:
    """An untrained model of the size asked for, with item vectors in clusters."""
    vectors = item_vectors(num_items, args.channels, args.spread)
    if name == "SASRec":
        model: SequentialRecommender = SASRec(num_items, channels=args.channels)
    else:
        modalities = ("image", "text")
        graphs = {
            part: make_graph(num_items, NUM_NEIGHBORS, 1 / NUM_NEIGHBORS) for part in modalities
        }
        for part in modalities:
            graphs[part].x = torch.randn(num_items, 16)
        options: dict[str, Any] = {}
        if name == "MDSRec":
            degree = min(args.edges, args.most_edges // num_items)
            votes = {part: make_graph(num_items, degree, 0.05) for part in modalities}
            relations = Relations(votes, None, "none")
            options = {"relations": relations, "vector_weight": 0.1}
        model = MDSRec(graphs, channels=args.channels, add_id=True, add_features=True, **options)
    with torch.no_grad():
        model.get_parameter("ids.weight").copy_(vectors)
    return model.eval()


def make_histories(num_items: int, count: int, length: int) -> list[list[int]]:
    """Histories of 1 to ``2 * length - 1`` items, four of five of them from one cluster."""
    rng = np.random.default_rng(0)
    clusters = max(2, num_items // CLUSTER)
    histories = []
    for _ in range(count):
        size = int(rng.integers(1, 2 * length))
        inside = rng.integers(clusters) + clusters * rng.integers(num_items // clusters, size=size)
        items = np.where(rng.random(size) < 0.8, inside, rng.integers(num_items, size=size))
        histories.append((items % num_items).tolist())
    return histories


def in_turn(histories: list[list[str]], call: Callable[[list[list[str]]], object]) -> Any:
    """A run that answers for the next user each time it is called."""
    state = {"next": 0}

    def run() -> None:
        call([histories[state["next"] % len(histories)]])
        state["next"] += 1

    return run


def recall(exact: Any, found: Any, k: int) -> float:
    """Share of the exact top k that the candidates hold; the scores found must be the model's."""
    want = exact["item"].to_numpy().reshape(-1, k)
    got = found["item"].to_numpy().reshape(-1, k)
    same = np.array([np.isin(w, g).mean() for w, g in zip(want, got, strict=True)])
    complete = np.repeat(same == 1, k)
    difference = exact["score"].to_numpy()[complete] - found["score"].to_numpy()[complete]
    assert np.abs(difference).max(initial=0) < 1e-3, "scores of candidates differ from the model's"
    return float(same.mean())


@dataclass
class Catalog:
    """One model over one catalog, ready to be asked."""

    model: SequentialRecommender
    ids: NDArray[np.object_]
    histories: list[list[str]]
    exact: Retriever
    ann: Retriever
    index: FaissIndex
    build_s: dict[str, float]
    index_peak: int | None


def build(name: str, num_items: int, args: argparse.Namespace) -> Catalog:
    """Makes the model and times what is made of it before the first user comes."""
    torch.manual_seed(0)
    model = make_model(name, num_items, args)
    ids = np.array([f"item {i}" for i in range(num_items)], dtype=object)
    count = max(args.calls, args.batch)
    histories = [ids[h].tolist() for h in make_histories(num_items, count, args.length)]
    start = time.perf_counter()
    exact = Retriever(model, ids)
    seconds = {"Retriever": time.perf_counter() - start}
    vectors = model.item_table(exact.items)
    index = FaissIndex(args.candidates, factory=args.factory, search=args.search)
    start = time.perf_counter()
    peak = peak_memory(lambda: index.build(vectors))
    seconds["Retriever, FAISS"] = time.perf_counter() - start
    ann = Retriever(model, ids, index=index)
    return Catalog(model, ids, histories, exact, ann, index, seconds, peak)


def check(catalog: Catalog, args: argparse.Namespace) -> float:
    """The retriever answers as recommend() does; recall of the candidates."""
    users, request = catalog.histories[: args.batch], request_of(args, catalog)
    answer = catalog.exact.recommend(users, **request)
    few = recommend(catalog.model, users[:3], item_ids=catalog.ids, **request)
    # Equal scores may change places: users of one batch and of another differ in rounding.
    difference = few["score"].to_numpy() - answer["score"].to_numpy()[: 3 * args.k]
    assert np.abs(difference).max() < 1e-3, "the retriever differs from recommend()"
    return recall(answer, catalog.ann.recommend(users, **request), args.k)


def request_of(args: argparse.Namespace, catalog: Catalog) -> dict[str, Any]:
    """What is asked: as many users at a time as 256 MB of scores allow."""
    at_once = max(1, min(args.batch, 2**26 // len(catalog.ids)))
    return {"k": args.k, "exclude_seen": True, "batch_size": at_once}


def one_user(catalog: Catalog, args: argparse.Namespace) -> Seconds:
    """Seconds of calls for one user after the other, each way."""
    histories, request = catalog.histories, request_of(args, catalog)
    vectors = catalog.model.item_table(catalog.exact.items)
    user = torch.randn(vectors.size(1))
    fast = {
        "product + topk": lambda: (vectors @ user).topk(args.k),
        "Retriever": in_turn(histories, lambda part: catalog.exact.recommend(part, **request)),
        "Retriever, FAISS": in_turn(histories, lambda part: catalog.ann.recommend(part, **request)),
    }
    seconds = interleave(fast, args.calls, warmup=min(10, args.calls))

    def whole(part: list[list[str]]) -> object:
        return recommend(catalog.model, part, item_ids=catalog.ids, **request)

    return seconds | interleave({"recommend()": in_turn(histories, whole)}, args.slow_calls)


def many_users(catalog: Catalog, args: argparse.Namespace) -> dict[str, float]:
    """Users a second of calls for many."""
    users, request = catalog.histories[: args.batch], request_of(args, catalog)
    runs = {
        "Retriever": lambda: catalog.exact.recommend(users, **request),
        "Retriever, FAISS": lambda: catalog.ann.recommend(users, **request),
    }
    seconds = interleave(runs, args.repeats)
    return {name: len(users) / float(np.median(times)) for name, times in seconds.items()}


def measure(name: str, num_items: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    """All ways over one catalog, with the same histories."""
    catalog = build(name, num_items, args)
    found = check(catalog, args)
    seconds, rate = one_user(catalog, args), many_users(catalog, args)
    rows = []
    for way, times in seconds.items():
        row: dict[str, Any] = {"model": name, "items": num_items, "way": way, "calls": len(times)}
        row["p50_ms"] = digits(np.percentile(times, 50) * 1e3)
        if len(times) >= 100:  # a percentile that no call stands for would be a guess
            row["p99_ms"] = digits(np.percentile(times, 99) * 1e3)
        if way in rate:
            row["users_per_s"] = digits(rate[way])
            row["users_at_once"] = request_of(args, catalog)["batch_size"]
            row["build_s"] = digits(catalog.build_s[way])
        if "FAISS" in way:
            row["recall"] = round(found, 4)
            row["index_mb"] = megabytes(catalog.index.nbytes)
            row["build_peak_mb"] = megabytes(catalog.index_peak)
        rows.append(row)
    return rows


def main() -> None:
    """Prints the settings, a table, and one line of JSON."""
    use_huge_pages()
    args = parse()
    torch.set_num_threads(args.threads)
    outside = ("sizes", "models", "short", "threads", "out")
    settings = {name: value for name, value in vars(args).items() if name not in outside}
    print("settings:", ", ".join(f"{name}={value}" for name, value in settings.items()))
    hardware = about(args.threads)
    path = args.out or result_path("recommend", hardware["date"], "cpu", args.threads)
    result = {"benchmark": "recommend", **hardware, "settings": settings, "results": []}
    for size in tqdm(args.sizes, desc="sizes"):
        for name in tqdm(args.models, desc="models", leave=False):
            result["results"] += measure(name, size, args)
            write(result, path)  # a run that is stopped keeps what it has
            gc.collect()
    print(table(result["results"], [*COLUMNS, "index_mb", "build_peak_mb"]))
    save(result, path)


if __name__ == "__main__":
    sys.exit(run_script(main))
