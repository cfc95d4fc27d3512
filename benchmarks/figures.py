"""Whether a change left every figure as it was, bit for bit, on one machine.

    python -m benchmarks.figures --out before.json DATA/scientific_clip
    ... change the code ...
    python -m benchmarks.figures --out after.json DATA/scientific_clip
    python -m benchmarks.figures --compare before.json after.json

Every model is made, trained for three epochs and asked: losses, metrics, ranks, scores, weights,
graphs, recommendations and their reasons. Numbers are kept exactly, arrays by a hash of their
bytes. Edges are sorted and weights of a model are a set, so that another order of storage or
other names are no difference. Finished rows are kept: the command can be stopped and started again.
The rows are in ``figure_rows.py``, what they call in ``figure_models.py``. FAISS is needed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from benchmarks import figure_models as models
from benchmarks.about import about
from benchmarks.figure_models import Edges, World
from benchmarks.figure_rows import GRAPHS, ROWS, Row
from benchmarks.harness import positive, table, write
from mdsrec_pyg.cli.ending import run_script

Figures = dict[str, Any]


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path, help="data sets beside the synthetic one")
    parser.add_argument("--out", type=Path, help="takes the figures; finished rows are kept")
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("BEFORE", "AFTER"))
    parser.add_argument("--only", nargs="+", default=[""], help="rows whose name begins so")
    parser.add_argument("--epochs", type=positive, default=3)
    parser.add_argument("--users", type=positive, default=1000, help="of the synthetic data set")
    args = parser.parse_args()
    if (args.out is None) == (args.compare is None):
        parser.error("one of --out and --compare is needed")
    return args


# ---- figures --------------------------------------------------------------------------------


def exact(value: float) -> str:
    """A number with all its bits."""
    return float(value).hex()


def digest(*arrays: Any) -> Figures:
    """A hash of arrays in this order, with size and sum, which say how far apart others are."""
    found, size, total = hashlib.sha256(), 0, 0.0
    for array in arrays:
        values = np.ascontiguousarray(array)
        found.update(f"{values.dtype} {values.shape}".encode() + values.tobytes())
        size, total = size + values.size, total + float(values.sum(dtype=np.float64))
    return {"sha256": found.hexdigest(), "size": size, "sum": exact(total)}


def digest_set(tensors: list[torch.Tensor]) -> Figures:
    """A hash of tensors in any order."""
    arrays = [tensor.detach().cpu().numpy() for tensor in tensors]
    return digest(*sorted(arrays, key=lambda array: digest(array)["sha256"]))


def digest_words(values: list[Any]) -> Figures:
    """A hash of a column of whatever JSON holds; floats with all their bits."""
    text = json.dumps(values, default=lambda value: value.item())
    return {"sha256": hashlib.sha256(text.encode()).hexdigest(), "size": len(values)}


def edge_figures(name: str, edges: Edges) -> Figures:
    """Edges and weights of a graph, sorted by target and source."""
    (source, target), weight = edges[0].cpu().numpy(), edges[1].cpu().numpy()
    order = np.lexsort((weight, source, target))
    index = np.stack([source[order], target[order]]).astype(np.int64)
    return {f"{name}: edges": digest(index), f"{name}: weights": digest(weight[order])}


def model_figures(row: Row, world: World, epochs: int) -> tuple[Figures, list[str]]:
    """All figures of a row, and the names of the model's parameters."""
    models.seeded()
    model = row.make(world)
    found: Figures = {"first weights": digest_set(list(model.parameters()))}
    for name, edges in models.edges_of(model):
        found |= edge_figures(name, edges)
    for name, tensor in models.fitted_tensors(model):
        found[f"fitted {name}"] = digest(tensor.cpu().numpy())
    history = models.train(model, world, epochs=epochs, **row.trainer)
    for number, epoch in enumerate(history, 1):
        found |= {f"epoch {number} {name}": exact(value) for name, value in epoch.items()}
    found["weights"] = digest_set(list(model.parameters()))
    result = models.test(model, world)
    for rule, metrics, ranks in (
        ("kept", result.metrics, result.ranks),
        ("masked", result.metrics_masked, result.ranks_masked),
    ):
        found |= {f"test {name}, {rule}": exact(value) for name, value in metrics.items()}
        found[f"test ranks, {rule}"] = digest(ranks)
    found["scores"] = digest(models.scores(model, world).numpy())
    for name, part in models.recommendations(model, world):
        for column in part.columns:
            values = part[column]
            is_number = values.dtype.kind == "f"
            figure = digest(values.to_numpy()) if is_number else digest_words(values.tolist())
            found[f"recommended {name}: {column}"] = figure
    return found, [name for name, _ in model.named_parameters()]


def graph_figures(world: World, options: dict[str, Any]) -> Figures:
    """One kind of graph for each modality."""
    found: Figures = {}
    for name in world.data.features:
        found |= edge_figures(name, models.item_graph(world, name, options))
    return found


def figures(name: str, world: World, epochs: int) -> dict[str, Any]:
    """One row of the file."""
    start = time.process_time()
    names: list[str] = []
    if name in ROWS:
        found, names = model_figures(ROWS[name], world, epochs)
    elif name in GRAPHS:
        found = graph_figures(world, GRAPHS[name])
    else:
        found = {key: digest(array) for key, array in models.ARRAYS[name](world).items()}
    seconds = round(time.process_time() - start, 2)
    return {"figures": found, "parameters": names, "cpu_s": seconds}


# ---- one run --------------------------------------------------------------------------------


def code_digest() -> str:
    """A hash of the code that the figures come from."""
    found = hashlib.sha256()
    for path in sorted(models.PACKAGE.rglob("*.py")):
        found.update(path.relative_to(models.PACKAGE).as_posix().encode() + path.read_bytes())
    for name in ("figure_models.py", "figure_rows.py"):
        found.update((Path(__file__).parent / name).read_bytes())
    return found.hexdigest()


def read_figures(path: Path) -> dict[str, Any]:
    """A file of figures.

    Raises:
        ValueError: It is none.
    """
    try:
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if {"about", "made_by", "rows"} <= set(kept):
            return kept
        reason = "about, made_by or rows are missing"
    except (ValueError, TypeError) as error:
        reason = str(error)
    raise ValueError(f"{path} must be a file that benchmarks.figures wrote ({reason})")


def start_result(args: argparse.Namespace) -> dict[str, Any]:
    """What the file holds already, or an empty result; the end where it is of another code."""
    made_by = {"source": code_digest(), "epochs": args.epochs, "users": args.users}
    result = {"about": about(threads=1), "made_by": made_by, "rows": {}}
    if args.out.exists():
        kept = read_figures(args.out)
        if kept["made_by"] != made_by:
            raise SystemExit(
                f"'--out' must be a new file: {args.out.name} holds figures of other code or "
                "options"
            )
        result["rows"] = kept["rows"]
    return result


def run(args: argparse.Namespace) -> None:
    """Adds each row that the file has not yet; exit status 1 where one could not be made."""
    torch.set_num_threads(1)
    result, failed = start_result(args), []
    chosen = [*models.ARRAYS, *GRAPHS, *ROWS]
    chosen = [name for name in chosen if name.startswith(tuple(args.only))]
    idle = [start for start in args.only if not any(name.startswith(start) for name in chosen)]
    if idle:  # such as a folder after --only
        raise SystemExit(f"no row begins with {idle}")
    worlds = [models.synthetic(args.users), *map(models.folder, args.folders)]
    jobs = [(f"{world.data.name}: {name}", name, world) for world in worlds for name in chosen]
    for key, name, world in tqdm(jobs, "rows", disable=None):
        if key in result["rows"]:
            continue
        try:
            result["rows"][key] = figures(name, world, args.epochs)
        except Exception:  # the other rows have something to say
            traceback.print_exc()
            failed.append(key)
        write(result, args.out)
    seconds = sum(row["cpu_s"] for row in result["rows"].values())
    print(f"{len(result['rows'])} rows in {args.out.name}, {seconds:.0f} s of CPU time")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


# ---- two runs -------------------------------------------------------------------------------


def difference(before: Any, after: Any) -> str:
    """How far apart two values of a figure are, in words."""
    if before is None or after is None:
        return "only before" if after is None else "only after"
    if isinstance(before, str) and isinstance(after, str):
        a, b = float.fromhex(before), float.fromhex(after)
        return f"{a:.6g} -> {b:.6g} ({b - a:+.2e})"
    if before.get("size") != after.get("size"):
        return f"other bytes, {before.get('size')} -> {after.get('size')} values"
    if "sum" not in before or "sum" not in after:
        return "other values"
    a, b = float.fromhex(before["sum"]), float.fromhex(after["sum"])
    return f"other bytes, sum {a:.6g} -> {b:.6g} ({b - a:+.2e})"


def differences(before: Figures, after: Figures) -> Iterator[tuple[str, str]]:
    """Each figure that is not the same, and how far apart it is."""
    for name in [*before, *(name for name in after if name not in before)]:
        if before.get(name) != after.get(name):
            yield name, difference(before.get(name), after.get(name))


def compare(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Prints row by row what is the same and what is not; whether all is."""
    for part in ("hardware", "versions"):
        if before["about"][part] != after["about"][part]:
            print(f"other {part}, which may change bits: {before['about'][part]}")
            print(f"  and {after['about'][part]}")
    rows, found = [], []
    for key in [*before["rows"], *(key for key in after["rows"] if key not in before["rows"])]:
        a, b = before["rows"].get(key), after["rows"].get(key)
        if a is None or b is None:
            rows.append({"row": key, "verdict": "only before" if b is None else "only after"})
            continue
        other = list(differences(a["figures"], b["figures"]))
        verdict = f"{len(other)} differ" if other else "identical"
        rows.append({"row": key, "figures": len(a["figures"]), "verdict": verdict})
        found += [{"row": key, "figure": name, "difference": text} for name, text in other]
    print(table(rows, ["row", "figures", "verdict"]))
    if found:
        print("\n" + table(found))
    same = sum(row["verdict"] == "identical" for row in rows)
    print(f"\n{same} of {len(rows)} rows are identical")
    return same == len(rows)


def main() -> None:
    """Makes figures, or compares those of two files."""
    args = parse()
    if args.compare is None:
        with threadpool_limits(1):  # of NumPy, SciPy, scikit-learn: sums depend on how they split
            run(args)
    elif not compare(*map(read_figures, args.compare)):
        raise SystemExit(1)


if __name__ == "__main__":
    sys.exit(run_script(main))
