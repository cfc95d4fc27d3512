"""Each example runs, in short form, and prints or writes what it says."""

from __future__ import annotations

import ast
import json
import re
import runpy
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from mdsrec_pyg import FolderDataset, SyntheticDataset, leave_last_out
from mdsrec_pyg.evaluation.metrics import ranking_metrics
from mdsrec_pyg.graphs import RidgeConfig
from mdsrec_pyg.nn import RelationsConfig
from mdsrec_pyg.training.checkpoint import load_checkpoint

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))

Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, run_script: Callable[..., str], tmp_path: Path) -> Run:
    """Runs an example in an empty folder; what it printed."""
    monkeypatch.chdir(tmp_path)
    return partial(run_script, EXAMPLES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set on disk; the first user took their first item twice."""
    path = tmp_path_factory.mktemp("data") / "shop"
    SyntheticDataset(150, 124, seed=0).save(path)
    table = pd.read_parquet(path / "interactions.parquet")
    again = table.iloc[[0]].assign(timestamp=table["timestamp"].iloc[0] + 1)
    pd.concat([table, again]).to_parquet(path / "interactions.parquet", index=False)
    return path


SMALL = ("--centers", 4, "--channels", 8)


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on the small data set."""
    directory = tmp_path_factory.mktemp("runs") / "shop"
    options = ["--data", folder, "--epochs", 2, *SMALL, "--directory", directory]
    main = runpy.run_path(str(EXAMPLES / "train_mdsrec.py"))["main"]
    main([str(option) for option in options])
    return directory


# ---- all of them --------------------------------------------------------------------------------


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_example_is_short_and_says_what_to_expect(script: Path) -> None:
    source = script.read_text()
    assert len(source.splitlines()) < 200
    text = ast.get_docstring(ast.parse(source)) or ""
    assert f"python examples/{script.name}" in text
    assert "What to expect" in text
    assert "@@" not in text


def test_readme_names_every_example() -> None:
    readme = (EXAMPLES.parent / "README.md").read_text()
    assert [script.name for script in SCRIPTS if script.name not in readme] == []


# ---- flat scripts -------------------------------------------------------------------------------


def table_rows(output: str, names: list[str]) -> dict[str, list[float]]:
    """Numbers of the printed rows that begin with these names."""
    rows = {}
    for name in names:
        found = re.findall(rf"^{re.escape(name)} +([\d. ]+)$", output, flags=re.MULTILINE)
        assert len(found) == 1, f"{name!r} in {output}"
        rows[name] = [float(word) for word in found[0].split()]
    return rows


def test_quickstart(run: Run) -> None:
    output = run("quickstart.py", "--users", 300, "--items", 310, "--epochs", 2)
    names = ["popularity", "SASRec", "SASRecF", "EASE with features", "MDSRec"]
    recall = {name: row[0] for name, row in table_rows(output, names).items()}
    assert recall["MDSRec"] > recall["popularity"]
    assert output.count("adjusted mutual information") == 2
    history, recommended = output.split("History:")[1].split("Recommended:")
    assert recommended.count("because of") == 10
    seen = {line.split(":")[0] for line in history.splitlines() if line.startswith("  item-")}
    assert len(seen) >= 4
    assert not seen & {line.split(":")[0] for line in recommended.splitlines()}


def test_swap_gnn_layer(run: Run) -> None:
    sizes = ("--users", 100, "--items", 93, "--channels", 8, "--centers", 4, "--epochs", 1)
    output = run("swap_gnn_layer.py", *sizes)
    names = ["LightGraphConv (default)", "GCNConv", "GATv2Conv", "ResidualConv (this file)"]
    parameters = [row[0] for row in table_rows(output, names).values()]
    light = parameters[0]
    # One layer for each of the two modalities, 8 channels.
    assert parameters == [
        light,
        light + 2 * (8 * 8 + 8),
        light + 2 * (2 * (8 * 8 + 8) + 8 + 8 + 8),
        light + 2 * 8,
    ]


def test_add_modality(run: Run) -> None:
    sizes = ("--users", 400, "--items", 310, "--channels", 8, "--centers", 4, "--epochs", 2)
    output = run("add_modality.py", *sizes)
    names = ["image, text", "image, text, audio", "image, text, noise"]
    rows = table_rows(output, names)
    audio_users = {name: row[3] for name, row in rows.items()}
    assert audio_users["image, text, audio"] > 1.5 * audio_users["image, text"]
    assert audio_users["image, text, audio"] > 1.5 * audio_users["image, text, noise"]


# ---- train_mdsrec.py ----------------------------------------------------------------------------


def test_train_by_default_and_once_more(run: Run, tmp_path: Path) -> None:
    directory = tmp_path / "runs" / "synthetic-best-seed0-epochs-1"
    first = run("train_mdsrec.py", "--epochs", 1, "--no-baselines")
    assert "2,000 users" in first
    assert "epoch   1" in first
    rows = (directory / "metrics.jsonl").read_text()
    assert len(rows.splitlines()) == 1
    second = run("train_mdsrec.py", "--epochs", 1, "--no-baselines")
    assert "epoch   1" not in second
    assert (directory / "metrics.jsonl").read_text() == rows
    assert first.split("best:")[1] == second.split("best:")[1]


def test_train_writes_what_it_measured(trained: Path, folder: Path) -> None:
    result = json.loads((trained / "result.json").read_text())
    ranks = pd.read_parquet(trained / "ranks.parquet")
    assert result["test"]["seen_kept"] == pytest.approx(ranking_metrics(ranks["rank"]))
    assert result["test"]["seen_masked"] == pytest.approx(ranking_metrics(ranks["rank_masked"]))
    split = leave_last_out(FolderDataset(folder).interactions)
    assert ranks["user"].tolist() == [f"user-{user}" for user in split.test.user_id]
    assert ranks["target"].tolist() == [f"item-{item}" for item in split.test.target]
    lines = (trained / "metrics.jsonl").read_text().splitlines()
    best = max(json.loads(line)["ndcg@10"] for line in lines)
    assert result["val"]["seen_kept"]["ndcg@10"] == best
    assert result["epochs"] == 2


def test_train_takes_its_options(run: Run, folder: Path, tmp_path: Path) -> None:
    options = (
        *("--data", folder, "--modalities", "text", "--duplicates", "drop"),
        *("--split", "temporal", "--preset", "paper", "--channels", 4, "--centers", 3),
        *("--epochs", 1, "--patience", 2, "--batch-size", 16, "--lr", 0.01, "--seed", 5),
        "--shuffle-ties",
    )
    with pytest.warns(UserWarning, match="1 repetition of a user's item dropped"):
        output = run("train_mdsrec.py", *options)
    assert "temporal at" in output
    assert "  text: " in output
    assert "  image: " not in output
    assert "1 repetition of a user's item dropped" in output
    assert "of 16\n" in output
    (directory,) = (tmp_path / "runs").iterdir()
    assert directory.name == (
        "shop-paper-seed5-modalities-text-duplicates-drop-split-temporal-channels-4-centers-3-"
        "epochs-1-patience-2-batch-size-16-lr-0.01-shuffle-ties-True"
    )
    settings = load_checkpoint(directory / "last.pt")["settings"]
    assert (settings["lr"], settings["batch_size"], settings["patience"]) == (0.01, 16, 2)
    assert (settings["seed"], settings["shuffle_ties"]) == (5, True)
    weights = load_checkpoint(directory / "best.pt")["model"]
    assert not [name for name in weights if name.startswith("votes.")]
    assert weights["ids.weight"].shape == (124, 4)
    assert weights["center.0.labels"].max() == 2


def test_train_takes_a_ridge(run: Run, folder: Path, tmp_path: Path) -> None:
    edges = []
    for l2 in (5, 500):
        options = ("--data", folder, *SMALL, "--epochs", 1, "--l2", l2)
        run("train_mdsrec.py", *options)
        (directory,) = (tmp_path / "runs").glob(f"*-l2-{l2}.0*")
        options = json.loads((directory / "settings.json").read_text())["options"]
        assert options["relations"] == {
            **{"l2": l2, "feature_weight": RelationsConfig.feature_weight},
            "memory_limit": RidgeConfig.memory_limit,
        }
        tables = load_checkpoint(directory / "best.pt")["built_from"]["tables"]
        edges.append(tables["votes.tables.0.target"])  # a hash of all
    assert edges[0] != edges[1]


def test_train_continues_with_more_epochs(run: Run, folder: Path, tmp_path: Path) -> None:
    options = ("--data", folder, *SMALL, "--directory", tmp_path / "run")
    run("train_mdsrec.py", *options, "--epochs", 1)
    output = run("train_mdsrec.py", *options, "--epochs", 2, "--resume")
    assert "resumed      after epoch 1" in output
    assert "epoch   1 " not in output
    assert "epoch   2 " in output


def test_train_says_what_is_wrong(run: Run, trained: Path, folder: Path, tmp_path: Path) -> None:
    options = ("--data", folder, "--epochs", 2, *SMALL)
    with pytest.raises(SystemExit, match=r"--resume needs a run in .*nowhere"):
        run("train_mdsrec.py", *options, "--directory", tmp_path / "nowhere", "--resume")
    assert not (tmp_path / "nowhere").exists()
    before = (trained / "settings.json").read_text()
    with pytest.raises(SystemExit, match="holds a run with other settings"):
        run("train_mdsrec.py", *options, "--preset", "paper", "--directory", trained)
    with pytest.raises(SystemExit, match="'lr' must be as before"):
        run("train_mdsrec.py", *options, "--lr", 0.5, "--directory", trained)
    assert (trained / "settings.json").read_text() == before


# ---- recommend.py -------------------------------------------------------------------------------


def test_recommend_agrees_with_the_ranks_of_training(
    run: Run, trained: Path, folder: Path, tmp_path: Path
) -> None:
    split = leave_last_out(FolderDataset(folder).interactions)
    queries = {user: split.test.history(q) for q, user in enumerate(split.test.user_id)}
    histories = pd.DataFrame(
        [(f"user-{user}", f"item-{item}") for user, items in queries.items() for item in items],
        columns=["user", "item"],
    )
    histories.to_csv(tmp_path / "histories.tsv", sep="\t", index=False)
    options = ("--histories", tmp_path / "histories.tsv", "-k", 10)
    assert run("recommend.py", trained, *options, "--output", tmp_path / "table.parquet") == ""
    table = pd.read_parquet(tmp_path / "table.parquet")
    place = {
        (user, item): rank - 1
        for user, item, rank in zip(table["user"], table["item"], table["rank"], strict=True)
    }
    ranks = pd.read_parquet(trained / "ranks.parquet")
    compared = 0
    for user, target, rank in zip(
        ranks["user"], ranks["target"], ranks["rank_masked"], strict=True
    ):
        seen = target in {f"item-{item}" for item in queries[int(user.removeprefix("user-"))]}
        if seen or rank % 1:  # recommendations leave seen items out; others share the score
            continue
        assert place.get((user, target)) == (rank if rank < 10 else None)
        compared += rank < 10
    assert compared > 20


def test_recommend_to_users_and_new_users(run: Run, trained: Path, folder: Path) -> None:
    dataset = FolderDataset(folder)
    rows = dataset.interactions
    history = [f"item-{item}" for item in rows.item_id[rows.user_id == 3]]
    known = run("recommend.py", trained, "--user", "user-3", "user-4", "-k", 7)
    new = run("recommend.py", trained, "--history", ",".join(history), "-k", 7)
    assert known.index("\nuser-3\n") < known.index("\nuser-4\n")
    lines = known.split("\nuser-4\n")[0].splitlines()[2:]
    assert lines == new.splitlines()[2:]
    assert len(lines) == 1 + 7
    assert all("interest" in line and "%" in line for line in lines[1:])
    items = {line.split()[0] for line in lines[1:]}
    assert not items & set(history)
    kept = run("recommend.py", trained, "--user", "user-3", "-k", 124, "--keep-seen")
    assert set(history) < {line.split()[0] for line in kept.splitlines()[3:]}


def test_recommend_says_what_is_wrong(run: Run, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="holds no run"):
        run("recommend.py", tmp_path, "--user", "user-3")
    with pytest.raises(SystemExit, match=r"users of shop, such as 'user-0' \(got 'nobody'\)"):
        run("recommend.py", trained, "--user", "user-3", "nobody")
    with pytest.raises(SystemExit, match="'nothing' as item 1"):
        run("recommend.py", trained, "--history", "item-3,nothing")
    pd.DataFrame({"user": list("ab"), "item": ["item-3", "nothing"]}).to_csv(
        tmp_path / "h.csv", index=False
    )
    with pytest.warns(UserWarning, match="skipped 1 user"):
        output = run("recommend.py", trained, "--histories", tmp_path / "h.csv", "--skip")
    assert output.split()[0] == "a"
