"""``mdsrec bench``: propagation, training step and ranking on this machine, side by side."""

from __future__ import annotations

import importlib.util
import random
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch_geometric
from torch import Tensor
from torch_geometric.nn import LGConv
from torch_geometric.typing import SparseTensor

from mdsrec_pyg.cli.checks import processor, version_of
from mdsrec_pyg.cli.device import check_device
from mdsrec_pyg.cli.parser import Namespace, Parser
from mdsrec_pyg.data.sequences import SequenceLoader
from mdsrec_pyg.data.splits import Split, leave_last_out
from mdsrec_pyg.datasets import SyntheticDataset
from mdsrec_pyg.evaluation import evaluate
from mdsrec_pyg.nn.conv import LightGraphConv
from mdsrec_pyg.nn.conv._propagate import KERNELS
from mdsrec_pyg.nn.mode import model_device
from mdsrec_pyg.nn.models.mdsrec import MDSRec
from mdsrec_pyg.nn.models.presets import build_mdsrec
from mdsrec_pyg.retrieval import Retriever, recommend
from mdsrec_pyg.showing import counted, json_text
from mdsrec_pyg.training import TrainerConfig
from mdsrec_pyg.training.optimizer import make_optimizer

EXAMPLES = """\
  mdsrec bench
  mdsrec bench --num-nodes 200000 --json
  mdsrec bench --threads 1

Synthetic data; the runs of a group take turns, in another order each time. The full benchmarks,
against other libraries and on real data, are in the repository under benchmarks/."""

SIZES = ("num_nodes", "num_neighbors", "channels", "num_users", "num_items", "repeats")
Runs = dict[str, Callable[[], Any]]
Row = dict[str, Any]


def make_parser() -> Parser:
    """The options."""
    parser = Parser("bench", "Measure this machine in less than a minute.", EXAMPLES)
    sizes = {
        "num-nodes": (20_000, "items that are propagated over"),
        "num-neighbors": (10, "edges an item"),
        "channels": (64, "width D"),
        "num-users": (1_000, "users of the data set that is trained and ranked"),
        "num-items": (1_000, "items of that data set"),
        "repeats": (7, "timed runs of each"),
        "seed": (0, "of the data"),
    }
    for name, (default, text) in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default, metavar="INT", help=text)
    parser.add_argument(
        "--threads", type=int, metavar="INT", help="of the CPU; default: what torch takes"
    )
    parser.add_argument("--device", metavar="DEVICE", help="default: the GPU if there is one")
    parser.add_argument("--json", action="store_true", help="print JSON only")
    return parser


def parse(argv: Sequence[str]) -> Namespace:
    """Reads the options."""
    return make_parser().read(argv)


def run(args: Namespace) -> int:
    """Measures and prints."""
    for name in (*SIZES, "threads"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1 (got {value})")
    if args.seed < 0:
        raise ValueError(f"--seed must not be negative (got {args.seed})")
    check_device(args.device)
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    rows: list[Row] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as that of torch about its sparse matrices
        for title, runs in groups(args, device):
            print(f"{title} ...", file=sys.stderr)
            rows += measure(title, runs, args.repeats, device)
    result = {"about": about(args, device), "rows": rows}
    print(json_text(result, 2) if args.json else table(result))
    return 0


def groups(args: Namespace, device: str) -> list[tuple[str, Runs]]:
    """What is measured; the first run of a group is what the others are compared with."""
    dataset = SyntheticDataset(args.num_users, args.num_items, seed=args.seed)
    split = leave_last_out(dataset.interactions)
    models = {
        name: build_mdsrec(dataset.features, split.train, channels=args.channels, conv=conv)
        for name, conv in (("LightGraphConv", None), ("PyG LGConv", plain_conv))
    }
    for model in models.values():
        model.to(device)
    batch = TrainerConfig().batch_size
    return [
        ("propagation, forward and backward", propagation(args, device)),
        (
            f"training step, batch of {batch}",
            {name: training_step(m, split, batch, device) for name, m in models.items()},
        ),
        ("top 10 for 512 users", serving(models["LightGraphConv"], split)),
        ("ranks of all test targets", evaluation(models["LightGraphConv"], split)),
    ]


def plain_conv() -> LGConv:
    """The layer of PyG that LightGraphConv equals, over a graph that is normalized already."""
    return LGConv(normalize=False)


def propagation(args: Namespace, device: str) -> Runs:
    """One layer over a random graph, by every implementation there is here."""
    generator = torch.Generator().manual_seed(args.seed)
    row = torch.arange(args.num_nodes).repeat_interleave(args.num_neighbors)
    col = torch.randint(args.num_nodes, row.shape, generator=generator)
    edge_index = torch.stack([col, row]).to(device)
    weight = torch.rand(row.shape, generator=generator).to(device)
    x = torch.randn(args.num_nodes, args.channels, generator=generator).to(device).requires_grad_()
    chosen = LightGraphConv().path(x, edge_index, weight)
    kind = torch.device(device).type
    kernels = [name for name, devices in KERNELS.items() if kind in devices]
    if importlib.util.find_spec("triton") is None:
        kernels = [name for name in kernels if name != "triton"]
    kernels.sort(key=lambda name: name != chosen)

    def both_ways(conv: torch.nn.Module, *graph: Any) -> Callable[[], object]:
        def call() -> Tensor | None:
            x.grad = None
            out: Tensor = conv(x, *graph)
            out.backward(torch.ones_like(out))
            return x.grad

        return call

    runs: Runs = {
        f"LightGraphConv {name}{' (chosen)' * (name == chosen)}": both_ways(
            LightGraphConv(name), edge_index, weight
        )
        for name in kernels
    }
    runs["PyG LGConv edge_index"] = both_ways(plain_conv(), edge_index, weight)
    sparse = torch_geometric.typing.WITH_TORCH_SPARSE
    if sparse and (kind == "cpu" or torch.ops.torch_sparse.cuda_version() >= 0):
        size = (args.num_nodes, args.num_nodes)
        adj_t = SparseTensor(row=edge_index[1], col=edge_index[0], value=weight, sparse_sizes=size)
        runs["PyG LGConv torch-sparse"] = both_ways(plain_conv(), adj_t)
    return runs


def training_step(model: MDSRec, split: Split, size: int, device: str) -> Callable[[], object]:
    """Loss, gradient and optimizer step of one batch."""
    usual = TrainerConfig()
    batch = next(iter(SequenceLoader(split.train, model.max_length, size, seed=0))).to(device)
    optimizer = make_optimizer(model, usual.lr, usual.weight_decay)

    def call() -> None:
        model.train()
        loss = model.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return call


def serving(model: MDSRec, split: Split) -> Runs:
    """Recommendations for some users: item vectors kept, or computed for each call."""
    histories = [split.test.history(query).tolist() for query in range(min(512, len(split.test)))]
    kept = Retriever(model)
    return {
        "Retriever, kept": lambda: kept.recommend(histories, 10, exclude_seen=True),
        "recommend(), anew": lambda: recommend(model, histories, 10, exclude_seen=True),
    }


def evaluation(model: MDSRec, split: Split) -> Runs:
    """Ranks of all targets: counted, or found by sorting the catalog for every user."""
    return {
        "evaluate(), two rules": lambda: evaluate(model, split.test),
        "full sort, one rule": lambda: ranks_by_sorting(model, split),
    }


@torch.no_grad()
def ranks_by_sorting(model: MDSRec, split: Split) -> list[Tensor]:
    """The plain way: sort all scores and look where the target is."""
    model.eval()
    items, ranks = model.encode_items(), []
    for rows, batch in split.test.batches(512, model.max_length):
        scores = model.score(batch.to(model_device(model)), items)
        target = torch.from_numpy(split.test.target[rows]).to(scores.device)
        order = scores.argsort(dim=1, descending=True)
        ranks.append((order == target[:, None]).nonzero()[:, 1].cpu())
    return ranks


def measure(
    title: str, runs: Mapping[str, Callable[[], object]], repeats: int, device: str
) -> list[Row]:
    """Milliseconds of each run, all in turn, so that a noisy machine is noisy for all."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    order, shuffle = list(runs.items()), random.Random(0).shuffle
    cuda = torch.device(device).type == "cuda"
    for turn in range(1 + repeats):  # the first one warms up
        shuffle(order)
        for name, call in order:
            if cuda:
                torch.cuda.synchronize()
            start = time.perf_counter()
            call()
            if cuda:
                torch.cuda.synchronize()
            if turn:
                seconds[name].append(1e3 * (time.perf_counter() - start))
    first = statistics.median(seconds[next(iter(runs))])
    return [
        {
            "group": title,
            "run": name,
            "median_ms": round(statistics.median(values), 4),
            "min_ms": round(min(values), 4),
            "max_ms": round(max(values), 4),
            "times_the_first": round(statistics.median(values) / first, 3),
        }
        for name, values in seconds.items()
    ]


def about(args: Namespace, device: str) -> dict[str, Any]:
    """Hardware, versions and sizes."""
    cuda = torch.device(device).type == "cuda"
    return {
        "hardware": torch.cuda.get_device_name() if cuda else processor(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "device": device,
        "torch": torch.__version__,
        "torch_geometric": torch_geometric.__version__,
        "torch_sparse": version_of("torch-sparse"),
        **{name: getattr(args, name) for name in (*SIZES, "seed")},
    }


def table(result: Mapping[str, Any]) -> str:
    """The figures for people."""
    facts = result["about"]
    threads = f"{counted(facts['threads'], 'thread')}, {facts['vectors']}"
    lines = [
        f"{facts['hardware']}, {facts['device']}, {threads}; "
        f"torch {facts['torch']}, PyG {facts['torch_geometric']}",
        f"{facts['num_nodes']:,} nodes of {facts['num_neighbors']} neighbors, "
        f"{facts['channels']} channels; {facts['num_users']:,} users, {facts['num_items']:,} "
        f"items; median of {facts['repeats']}",
    ]
    width = max(len(row["run"]) for row in result["rows"])
    group = None
    for row in result["rows"]:
        if row["group"] != group:
            group = row["group"]
            lines += ["", f"{group:<{width + 2}}  {'ms':>9}  {'min..max':>19}  {'ratio':>6}"]
        spread = f"{row['min_ms']:.2f}..{row['max_ms']:.2f}"
        lines.append(
            f"  {row['run']:<{width}}  {row['median_ms']:>9.2f}  {spread:>19}  "
            f"{row['times_the_first']:>5.2f}x"
        )
    lines += ["", "Ratios are to the first line of a group; above 1 is slower. The full benchmarks"]
    return "\n".join(
        [*lines, "(real data, other libraries, more sizes) are in the repository: make bench."]
    )
