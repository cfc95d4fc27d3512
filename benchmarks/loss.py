"""Times full cross-entropy over large catalogs: ours in blocks, the plain form, and libraries.

python -m benchmarks.loss --num-items 10000 100000 1000000 --num-positions 8192
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from tqdm import tqdm

from benchmarks.about import about
from benchmarks.harness import (
    add_common_arguments,
    device,
    interleave,
    megabytes,
    peak_memory,
    positive,
    result_path,
    save,
    spread,
    table,
)
from mdsrec_pyg import Interactions
from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.data import SequenceBatch, SequenceLoader
from mdsrec_pyg.memory import use_huge_pages
from mdsrec_pyg.nn import SASRec
from mdsrec_pyg.nn.losses.linear import block_rows, linear_cross_entropy, most_scores

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]  # users [P, D], items [N, D], targets [P]

OURS, PLAIN = "ours", "plain"
TO_PLAIN = 1e-5  # largest difference from the plain form in a gradient of the mean loss
ERROR = 1e-4  # largest difference from float64, as a share of the largest gradient
SAMPLE = 64  # positions whose gradients are compared with float64
BATCHES = 3  # of an epoch that are timed
SIZES = ("num_items", "num_positions", "method")
COLUMNS = (*SIZES, "median_ms", "min_ms", "max_ms", "peak_mb", "ratio_to_ours", "to_plain", "error")
STEP_COLUMNS = ("num_items", "method", "median_ms", "min_ms", "max_ms", "ratio_to_ours")


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_common_arguments(parser)
    sizes = partial(parser.add_argument, type=positive, nargs="+")
    sizes("--num-items", default=[10_000, 100_000, 1_000_000])
    sizes("--num-positions", default=[8192])
    sizes("--step-items", default=[1000, 4000, 10_000, 25_000])
    parser.add_argument("--channels", type=positive, default=64)
    parser.add_argument("--max-scores", type=positive, help="that blocks hold; default: by device")
    parser.add_argument("--memory-limit", type=float, default=8, help="GB for the plain form")
    parser.add_argument("--methods", nargs="+", help="only these, beside ours (default: all)")
    parser.add_argument("--device", type=device, default="cpu")
    args = parser.parse_args()
    if args.repeats is None:
        args.repeats = 1 if args.short else 3
    if args.short:
        args.num_items, args.num_positions, args.step_items = [300, 2000], [256], [300]
        args.memory_limit = 3 * 256 * 300 * 4 / 1e9  # plain fits once and once not
    args.max_scores = args.max_scores or most_scores(args.device)
    return args


def plain(users: Tensor, items: Tensor, target: Tensor) -> Tensor:
    """All scores at once."""
    return F.cross_entropy(users @ items.t(), target)


def checkpointed(users: Tensor, items: Tensor, target: Tensor, max_scores: int) -> Tensor:
    """Blocks of positions whose scores are computed again in the backward pass."""

    def block_sum(users: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(users @ items.t(), target, reduction="sum")

    rows = block_rows(len(users), len(items), max_scores, users.device.type)
    blocks = zip(users.split(rows), target.split(rows), strict=True)
    sums = [checkpoint(block_sum, *block, use_reentrant=False) for block in blocks]
    return torch.stack(sums).sum() / len(users)


def ours(users: Tensor, items: Tensor, target: Tensor, max_scores: int) -> Tensor:
    """What the models use."""
    return linear_cross_entropy(users, items, target, max_scores=max_scores) / len(users)


def libraries(device: torch.device, rows: int) -> dict[str, Loss]:
    """Fused losses of other libraries, as far as they are installed and run on the device.

    Args:
        device: Where they are to run.
        rows: Positions in a block of ours; torch has a choice of its own, which may be smaller.
    """
    found: dict[str, Loss] = {}
    options = getattr(torch.nn, "LinearCrossEntropyOptions", None)  # since torch 2.13
    if options is not None:
        found["torch-chunked"] = partial(F.linear_cross_entropy, options=options())
        same = options(batch_chunk_size=rows)
        found["torch-our-blocks"] = partial(F.linear_cross_entropy, options=same)
    if device.type == "cuda":
        try:
            liger = import_module("liger_kernel.transformers").LigerFusedLinearCrossEntropyLoss()
            found["liger-kernel"] = lambda users, items, target: liger(items, users, target)
        except ImportError:
            pass
        try:
            cut = import_module("cut_cross_entropy").linear_cross_entropy
            # In the only precision it has a backward pass for; "exact" skips no small gradient.
            found["cut-cross-entropy"] = lambda users, items, target: cut(
                users.bfloat16(), items.bfloat16(), target, impl="cce_exact"
            )
        except ImportError:
            pass
    return found


def methods(args: argparse.Namespace, num_items: int, num_positions: int) -> dict[str, Loss]:
    """Ours first, and all others that run at this size."""
    found: dict[str, Loss] = {OURS: partial(ours, max_scores=args.max_scores)}
    if 3 * num_positions * num_items * 4 <= args.memory_limit * 1e9:
        found[PLAIN] = plain
    found["checkpoint"] = partial(checkpointed, max_scores=args.max_scores)
    device = torch.device(args.device)
    rows = block_rows(num_positions, num_items, args.max_scores, device.type)
    found |= libraries(device, rows)
    wanted = {OURS, *(args.methods or found)}
    return {name: loss for name, loss in found.items() if name in wanted}


def gradients(loss: Loss, users: Tensor, items: Tensor, target: Tensor) -> tuple[Tensor, ...]:
    """Forward and backward pass: gradients of the users and the items."""
    users, items = users.detach().requires_grad_(), items.detach().requires_grad_()
    return torch.autograd.grad(loss(users, items, target), (users, items))


def difference(first: tuple[Tensor, ...], second: tuple[Tensor, ...], relative: bool) -> float:
    """Largest difference of two pairs of gradients, or as a share of the largest gradient."""
    found = []
    for a, b in zip(first, second, strict=True):
        found.append(float((a - b).abs().max() / (b.abs().max() if relative else 1)))
    return float(f"{max(found):.2g}")


def draw(num_positions: int, num_items: int, channels: int, device: str) -> tuple[Tensor, ...]:
    """Users like normalized outputs, items like trained embeddings, targets at random."""
    generator = torch.Generator().manual_seed(0)
    users = torch.randn(num_positions, channels, generator=generator)
    items = torch.randn(num_items, channels, generator=generator) * 0.3
    target = torch.randint(num_items, (num_positions,), generator=generator)
    return users.to(device), items.to(device), target.to(device)


def check(losses: dict[str, Loss], given: tuple[Tensor, ...]) -> dict[str, dict[str, Any]]:
    """Compares the gradients of each method with the plain form, if it fits, and with float64."""
    users, items, target = given
    sample = users[:SAMPLE], items, target[:SAMPLE]
    wide = gradients(plain, sample[0].double(), items.double(), sample[2])
    exact = gradients(plain, *given) if PLAIN in losses else None
    found: dict[str, dict[str, Any]] = {}
    for name, loss in losses.items():
        error = difference(gradients(loss, *sample), wide, relative=True)
        row: dict[str, Any] = {"error": error, "to_plain": None}
        if exact is not None:
            row["to_plain"] = difference(gradients(loss, *given), exact, relative=False)
        float32 = name != "cut-cross-entropy"
        if float32 and (error > ERROR or (row["to_plain"] or 0) > TO_PLAIN):
            raise SystemExit(f"{name} gives other gradients at {len(items):,} items: {row}")
        found[name] = row
    return found


def catalog_rows(
    args: argparse.Namespace, num_items: int, num_positions: int
) -> list[dict[str, Any]]:
    """Gradients, peak memory and time of each method at one size."""
    given = draw(num_positions, num_items, args.channels, args.device)
    losses = methods(args, num_items, num_positions)
    checked = check(losses, given)
    runs = {name: partial(gradients, loss, *given) for name, loss in losses.items()}
    sizes = {"num_items": num_items, "num_positions": num_positions}
    rows = [
        # The run that measures memory is the warm-up, too.
        {**sizes, "method": name, "peak_mb": megabytes(peak_memory(run, args.device))}
        | checked[name]
        for name, run in runs.items()
    ]
    return timed(rows, interleave(runs, args.repeats, warmup=0, device=args.device))


def timed(rows: list[dict[str, Any]], seconds: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Adds times and the ratio to ours."""
    reference = statistics.median(seconds[OURS])
    for row in rows:
        own = seconds[row["method"]]
        row |= spread(own)
        row["ratio_to_ours"] = float(f"{statistics.median(own) / reference:.3g}")
    return rows


class AllScores(SASRec):
    """SASRec with the plain loss: padded positions are scored, too, and all scores are kept."""

    def loss_sum(self, batch: SequenceBatch, items: Any) -> Tensor:
        """Its being here makes the model take this form (see ``loss_form``)."""
        return super().loss_sum(batch, items)


def histories(num_items: int, num_users: int) -> Interactions:
    """Random items; lengths of 2 and up, geometric as in shops, 20 on average."""
    rng = np.random.default_rng(0)
    length = 1 + rng.geometric(1 / 19, num_users)
    item = rng.integers(0, num_items, length.sum())
    return Interactions.from_arrays(
        np.repeat(np.arange(num_users), length), item, num_items=num_items
    )


def step(model: SASRec, batches: list[SequenceBatch]) -> None:
    """Forward and backward pass of each batch."""
    for batch in batches:
        model.zero_grad()
        model.loss(batch).backward()


def step_rows(args: argparse.Namespace, num_items: int) -> list[dict[str, Any]]:
    """Training steps of SASRec with history bias, ours beside the plain loss."""
    loader = SequenceLoader(histories(num_items, 500 if args.short else 8000), 50, 128)
    drawn = list(loader)
    padded = 1 - loader.num_positions / sum(batch.mask.numel() for batch in drawn)
    batches = [batch.to(args.device) for batch in drawn[:BATCHES]]
    runs, losses, rows = {}, [], []
    for name, kind, max_scores in ((OURS, SASRec, None), (PLAIN, AllScores, 2**62)):
        torch.manual_seed(0)
        model = kind(num_items, channels=args.channels, dropout=0.0, max_scores=max_scores)
        model.to(args.device)
        losses.append(float(model.loss(batches[0]).detach()))
        runs[name] = partial(step, model, batches)
        row = {"num_items": num_items, "method": name, "form": model.loss_form}
        rows.append(row | {"padded_share": round(padded, 3)})
    if abs(losses[0] - losses[1]) > 1e-5 * losses[1]:
        raise SystemExit(f"the losses differ: {losses}")
    seconds = interleave(runs, args.repeats, device=args.device)
    return timed(rows, {name: [s / BATCHES for s in own] for name, own in seconds.items()})


def main() -> None:
    """Prints the settings, two tables, and one line of JSON."""
    use_huge_pages()
    args = parse()
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    print(
        f"float32, D={args.channels}, {args.device}, {args.threads} thread(s), "
        f"{args.repeats} repeat(s), blocks of at most {args.max_scores:,} scores; plain up to "
        f"{args.memory_limit:.3g} GB; other libraries: {', '.join(libraries(device, 1)) or 'none'}"
    )
    sizes = list(itertools.product(args.num_items, args.num_positions))
    results = [
        row for size in tqdm(sizes, "catalogs", disable=None) for row in catalog_rows(args, *size)
    ]
    print("\nforward and backward pass of the loss alone")
    print(table(results, COLUMNS))
    steps = [
        row
        for num_items in tqdm(args.step_items, "training steps", disable=None)
        for row in step_rows(args, num_items)
    ]
    padded = steps[0]["padded_share"]
    print(f"\ntraining step of SASRec, 128 sequences; {padded:.0%} of the positions are padding,")
    print("which ours leaves out")
    print(table(steps, STEP_COLUMNS))
    result = {
        "benchmark": "loss",
        **about(args.threads, args.device),
        "device": args.device,
        "channels": args.channels,
        "max_scores": args.max_scores,
        "memory_limit_gb": args.memory_limit,
        "results": results,
        "training_steps": steps,
    }
    save(result, args.out or result_path("loss", result["date"], device, args.threads))


if __name__ == "__main__":
    sys.exit(run_script(main))
