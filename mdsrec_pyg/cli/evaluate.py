"""``mdsrec evaluate``: the metrics of a run again, by popularity, and against another run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from mdsrec_pyg.cli.device import check_device
from mdsrec_pyg.cli.parser import Namespace, Parser
from mdsrec_pyg.evaluation import (
    Evaluation,
    PairedComparison,
    compare_paired,
    evaluate,
    metrics_by_popularity,
    per_user_metric,
)
from mdsrec_pyg.showing import json_text
from mdsrec_pyg.training import Run

EXAMPLES = """\
  mdsrec evaluate runs/shop
  mdsrec evaluate runs/shop --split val --seen masked --k 5 50
  mdsrec evaluate runs/shop --against runs/other --metric ndcg@10 --json"""


def make_parser() -> Parser:
    """The options."""
    parser = Parser(
        "evaluate",
        "Evaluate a run again: the whole catalog is ranked, ties take the mean rank.",
        EXAMPLES,
        usage="mdsrec evaluate RUN [OPTIONS]",
    )
    parser.add_argument("run", metavar="RUN", help="folder of the run")
    parser.add_argument("--split", choices=("val", "test"), default="test", help="the queries")
    parser.add_argument(
        "--data", metavar="FOLDER", help="of the data set; default: where the run found it"
    )
    parser.add_argument(
        "--k", type=int, nargs="+", default=[10, 20], metavar="INT", help="cutoffs of the metrics"
    )
    parser.add_argument(
        "--seen",
        choices=("kept", "masked"),
        default="kept",
        help="seen items, in the table by popularity and in the test of --against",
    )
    parser.add_argument(
        "--against",
        metavar="RUN",
        help="paired test with another run: its ranks.parquet, or with --split val itself",
    )
    parser.add_argument(
        "--metric", default="ndcg@10", metavar="NAME", help="of the test: ndcg@k, recall@k or mrr"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="INT", help="of the test")
    parser.add_argument("--device", metavar="DEVICE", help="default: the CPU")
    parser.add_argument("--json", action="store_true", help="print JSON only")
    return parser


def parse(argv: Sequence[str]) -> Namespace:
    """Reads the options."""
    return make_parser().read(argv)


def run(args: Namespace) -> int:
    """Evaluates and prints."""
    check_device(args.device)
    trained = Run(args.run, args.data)
    per_user_metric([0.0], args.metric)  # a wrong name is an error before the work
    found = _evaluate(trained, args)
    masked = args.seen == "masked"
    ranks = found.ranks_masked if masked else found.ranks
    counts = trained.split.train.item_counts()
    table = metrics_by_popularity(ranks, found.target, counts, k=args.k)
    test = None
    if args.against is not None:
        test = _compare(trained, found, args)
    if args.json:
        print(json_text(_as_json(args, found, table, test), 2))
        return 0
    print(f"{found}\n\nby training interactions of the target, seen items {args.seen}:")
    print(table.to_string(float_format="{:.4f}".format, na_rep="-"))
    if test is not None:
        print(f"\n{_sentence(test, args)}")
    return 0


def _evaluate(trained: Run, args: Namespace) -> Evaluation:
    trained.check_items()
    split = trained.split.val if args.split == "val" else trained.split.test
    return evaluate(trained.model, split, args.k, device=args.device, progress=True)


def _compare(trained: Run, found: Evaluation, args: Namespace) -> PairedComparison:
    """The paired test over the queries of both runs, which must be the same."""
    own = _named(trained, found)
    path = Path(args.against) / "ranks.parquet"
    if args.split == "test" and path.is_file():
        other = _read_ranks(path).astype({"user": str, "target": str})
    else:
        second = Run(args.against, args.data)
        other = _named(second, _evaluate(second, args))
    pairs = own.merge(other, on=["user", "target"], suffixes=("_a", "_b"), validate="1:1")
    if len(pairs) < len(own) or len(pairs) < len(other):
        raise ValueError(
            f"{args.against} must be a run with the same queries as {args.run} (got {len(other):,} "
            f"of {len(own):,}, {len(pairs):,} in common)"
        )
    column = "rank_masked" if args.seen == "masked" else "rank"
    first, second_values = (
        per_user_metric(pairs[f"{column}_{side}"], args.metric) for side in "ab"
    )
    return compare_paired(first, second_values, seed=args.seed)


def _read_ranks(path: Path) -> pd.DataFrame:
    """The ranks that a run has left, verified by the checksums of their pages."""
    try:
        table = pd.read_parquet(path, page_checksum_verification=True)
    except (OSError, ValueError) as error:  # of pyarrow, which names no file
        raise ValueError(
            f"{path} must be the ranks of a run ({error}): remove it, and they are computed again"
        ) from error
    missing = {"user", "target", "rank", "rank_masked"} - set(table)
    if missing:
        raise ValueError(f"{path} must be the ranks of a run (there is no {min(missing)!r})")
    return table


def _named(trained: Run, found: Evaluation) -> pd.DataFrame:
    """Ranks by raw ids as text: two runs may number users differently."""
    return pd.DataFrame(
        {
            "user": trained.dataset.user_ids[found.user_id],
            "target": trained.dataset.item_ids[found.target],
            "rank": found.ranks,
            "rank_masked": found.ranks_masked,
        }
    ).astype({"user": str, "target": str})


def _as_json(
    args: Namespace, found: Evaluation, table: pd.DataFrame, test: PairedComparison | None
) -> dict[str, Any]:
    result: dict[str, Any] = {"run": args.run, **found.to_dict()}
    # JSON knows no NaN, which a bucket without queries has.
    buckets = table.reset_index().astype({"training count": str})
    result["by_popularity"] = json.loads(buckets.to_json(orient="records", double_precision=15))
    if test is not None:
        result["against"] = {
            "run": args.against,
            "metric": args.metric,
            "seen": args.seen,
            **asdict(test),
        }
    return result


def _sentence(test: PairedComparison, args: Namespace) -> str:
    return (
        f"{args.metric}, seen items {args.seen}, {test.num_queries:,} queries\n"
        f"  {args.run}: {test.mean_a:.4f}\n"
        f"  {args.against}: {test.mean_b:.4f}\n"
        f"  difference {test.difference:+.4f}, 95 % interval {test.low:+.4f} to {test.high:+.4f}, "
        f"p = {test.p_permutation:.4f} (permutations of signs)"
    )
