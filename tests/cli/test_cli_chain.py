"""From raw files to recommendations, as a user goes, and what each command prints for programs."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mdsrec_pyg import FolderDataset, SyntheticDataset, leave_last_out
from mdsrec_pyg.evaluation.metrics import per_user_metric, ranking_metrics
from mdsrec_pyg.evaluation.significance import compare_paired

SMALL = ("--num-centers", 4, "--model.channels", 8, "--trainer.epochs", 1)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Reviews of gift cards: 12 users who each take five of eight."""
    rows = [(u, (u + i) % 8, 10 * u + i) for u in range(12) for i in range(5)]
    reviews = [
        {"reviewerID": f"U{u}", "asin": f"B{i:09}", "unixReviewTime": 1_400_000_000 + time}
        for u, i, time in rows
    ]
    items = [{"asin": f"B{i:09}", "title": f"Card {i}", "brand": "Nord"} for i in range(8)]
    folder = tmp_path / "downloads"
    folder.mkdir()
    for name, records in (("Gift_Cards_5.json", reviews), ("meta_Gift_Cards.json", items)):
        text = "".join(json.dumps(record) + "\n" for record in records)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_from_raw_files_to_recommendations(call: Any, raw: Path, tmp_path: Path) -> None:
    source = ("amazon", "--root", raw, "--category", "Gift_Cards", "--generation", 2018)
    done = call("prepare", *source, "--out", "cards", "--k-core", 0)
    assert done.code == 0, done.err
    assert "mdsrec inspect cards" in done.out
    assert "mdsrec encode cards --text" in done.out
    assert FolderDataset(tmp_path / "cards").num_users == 12

    # In the place of a pretrained model.
    np.save(tmp_path / "cards" / "text.npy", np.random.default_rng(0).standard_normal((8, 4)))
    done = call("inspect", "cards", "--json", "--max-queries", 50, "--neighbors", 3, "--centers", 2)
    figures = json.loads(done.out)
    assert figures["interactions"]["num_users"] == 12
    assert figures["warnings"]
    assert not (tmp_path / "runs").exists()

    done = call("train", "--data", "cards", "--num-centers", 2, *SMALL[2:])
    assert done.code == 0, done.err
    (directory,) = (tmp_path / "runs").iterdir()
    assert directory.name == "cards-best-seed0-epochs-1-channels-8-num-centers-2"
    assert f"mdsrec recommend runs/{directory.name} --user U0" in done.out

    done = call("evaluate", directory, "--json")
    trained = json.loads((directory / "result.json").read_text())
    evaluated = json.loads(done.out)
    assert evaluated["seen_kept"] == pytest.approx(trained["test"]["seen_kept"])
    assert sum(row["queries"] for row in evaluated["by_popularity"]) == 12

    done = call("recommend", directory, "--history", "B000000001,B000000002", "-k", 3)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == "new user"
    assert len(lines) == 2 + 3
    assert all("Card" in line for line in lines[2:])


def test_prepare_writes_json_and_every_option_arrives(call: Any, raw: Path) -> None:
    source = ("amazon", "--root", raw, "--category", "Gift_Cards", "--generation", 2018)
    options = ("--repeats", "last", "--require", "text", "--max-text-length", 3, "--name", "gift")
    done = call("prepare", *source, *options, "--out", "gift", "--json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert (result["users"], result["interactions"], result["modalities"]) == (12, 60, [])
    assert result["meta"]["options"]["max_text_length"] == 3
    assert FolderDataset("gift").item_text == ["Car"] * 8


def test_inspect_writes_what_it_says(call: Any, shop: Path, tmp_path: Path) -> None:
    done = call("inspect", shop, "--modalities", "text", "--out", "seen", "--format", "svg")
    assert done.code == 0
    assert "shop: all interactions" in done.out
    content = json.loads((tmp_path / "seen" / "inspection.json").read_text())
    assert list(content["features"]) == ["text"]
    for path in (tmp_path / "seen").iterdir():
        assert f"wrote seen/{path.name}" in done.out
    options = ("--cutoff", 5, "--neighbors", 3, "--centers", 4, "--examples", 1, "--seed", 7)
    done = call("inspect", shop, *options, "--max-queries", 60, "--json", "--out", "seen")
    figures = json.loads(done.out)
    assert "wrote seen/inspection.json" in done.err
    assert (figures["seed"], figures["alignment"]["image"]["k"]) == (7, 5)
    assert figures["alignment"]["image"]["num_queries"] == 60
    (pair,) = figures["differences"]
    assert (pair["num_neighbors"], pair["num_centers"], len(pair["examples"])) == (3, 4, 2)


def test_train_leaves_what_the_example_reads(trained: Path, shop: Path) -> None:
    settings = json.loads((trained / "settings.json").read_text())
    assert settings == {
        "data": str(shop.resolve()),
        "modalities": None,
        "duplicates": "keep",
        "split": "leave_last_out",
        "preset": "best",
        "seed": 0,
        "options": {"channels": 8, "num_centers": 4},
    }
    result = json.loads((trained / "result.json").read_text())
    ranks = pd.read_parquet(trained / "ranks.parquet")
    assert result["test"]["seen_kept"] == pytest.approx(ranking_metrics(ranks["rank"]))
    assert result["epochs"] == 1
    split = leave_last_out(FolderDataset(shop).interactions)
    assert ranks["target"].tolist() == [f"{item:03d}" for item in split.test.target]


def test_train_goes_on_and_refuses_other_settings(
    call: Any, trained: Path, shop: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "run"
    shutil.copytree(trained, directory)
    words = ("train", "--data", shop, "--directory", directory, *SMALL[:4])
    done = call(*words, "--trainer.epochs", 2, "--resume", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["epochs"] == 2
    assert "resumed      after epoch 1" in done.err
    done = call(*words, "--preset", "paper", "--trainer.epochs", 2)
    assert done.code == 1
    assert "holds a run with other settings" in done.err
    done = call(*words, "--trainer.epochs", 2, "--trainer.lr", 0.5)
    assert done.code == 1
    assert "'lr' must be as before" in done.err


def test_train_writes_to_loggers(call: Any, shop: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    words = ("--data", shop, "--directory", "run", *SMALL, "--logger", "tensorboard")
    assert call("train", *words).code == 0
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))


def test_a_logger_without_its_library(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    done = call("train", "--logger", "wandb")
    assert (done.code, "wandb" in done.err, list(tmp_path.iterdir())) == (1, True, [])


def test_evaluate_tables_and_another_run(
    call: Any, trained: Path, shop: Path, tmp_path: Path
) -> None:
    other = tmp_path / "paper"
    words = ("--preset", "paper", "--directory", other, *SMALL)
    assert call("train", "--data", shop, *words).code == 0
    options = ("--against", other, "--metric", "mrr", "--seen", "masked", "--seed", 3)
    done = call("evaluate", trained, *options, "--json")
    found = json.loads(done.out)["against"]
    values = [
        per_user_metric(pd.read_parquet(path / "ranks.parquet")["rank_masked"], "mrr")
        for path in (trained, other)
    ]
    expected = compare_paired(*values, seed=3)
    assert found["difference"] == pytest.approx(expected.difference)
    assert found["p_permutation"] == pytest.approx(expected.p_permutation)
    done = call("evaluate", trained, *options, "--split", "val", "--k", 3)
    assert done.out.startswith("val: 120 queries over 124 items")
    assert "recall@3" in done.out
    assert f"\n  {other}: " in done.out
    assert "95 % interval" in done.out
    assert call("evaluate", trained, "--metric", "hit@3").code == 1


def test_evaluate_needs_the_same_queries(call: Any, trained: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    pd.read_parquet(other / "ranks.parquet").iloc[1:].to_parquet(other / "ranks.parquet")
    done = call("evaluate", trained, "--against", other)
    assert done.code == 1
    assert "119 of 120, 119 in common" in done.err


def test_recommend_agrees_with_the_ranks(call: Any, trained: Path, shop: Path) -> None:
    split = leave_last_out(FolderDataset(shop).interactions)
    rows = [
        (f"u{user}", f"{item:03d}")
        for query, user in enumerate(split.test.user_id)
        for item in split.test.history(query)
    ]
    pd.DataFrame(rows, columns=["user", "item"]).to_csv("h.tsv", sep="\t", index=False)
    options = ("--histories", "h.tsv", "-k", 10, "--keep-seen")
    done = call("recommend", trained, *options, "--output", "best.parquet")
    assert (done.code, done.out) == (0, "")
    table = pd.read_parquet("best.parquet")
    place = {
        (u, i): r - 1 for u, i, r in zip(table["user"], table["item"], table["rank"], strict=True)
    }
    ranks = pd.read_parquet(trained / "ranks.parquet")
    near = [
        (place.get((f"u{str(user).removeprefix('user-')}", target)), rank)
        for user, target, rank in zip(ranks["user"], ranks["target"], ranks["rank"], strict=True)
        if rank % 1 == 0 and rank < 10
    ]
    assert len(near) > 10
    assert [found for found, _ in near] == [rank for _, rank in near]


def test_recommend_prints_users_and_reasons(call: Any, trained: Path, shop: Path) -> None:
    done = call("recommend", trained, "--user", "user-3", "user-4", "-k", 4, "--explain", "--json")
    users = json.loads(done.out)
    assert [user["user"] for user in users] == ["user-3", "user-4"]
    first = users[0]["items"][0]
    assert first["rank"] == 1
    assert first["text"].startswith("image interest")
    assert abs(sum(first["voter_shares"]) - 1) < 0.5
    dataset = FolderDataset(shop)
    rows = dataset.interactions
    history = [f"{item:03d}" for item in rows.item_id[rows.user_id == 3]]
    assert not {item["item"] for item in users[0]["items"]} & set(history)
    done = call("recommend", trained, "--history", ",".join(history), "-k", 4, "--explain")
    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == [item["item"] for item in users[0]["items"]]
    assert all("%" in line for line in lines[2:])
    assert "%" not in call("recommend", trained, "--history", history[0]).out
    done = call("recommend", trained, "--user", "nobody")
    assert done.code == 1
    assert "users of shop, such as 'user-0' (got 'nobody')" in done.err
    done = call("recommend", trained, "--history", "003,nothing")
    assert done.code == 1
    assert "'nothing'" in done.err


@pytest.mark.parametrize("suffix", ["tsv", "csv", "jsonl"])
def test_recommend_writes_files(call: Any, trained: Path, tmp_path: Path, suffix: str) -> None:
    options = ("--user", "user-3", "-k", 2, "--explain", "--output", f"best.{suffix}")
    assert call("recommend", trained, *options).code == 0
    path = tmp_path / f"best.{suffix}"
    if suffix == "jsonl":
        items = [json.loads(line)["item"] for line in path.read_text().splitlines()]
    else:
        separator = "," if suffix == "csv" else "\t"
        items = pd.read_csv(path, sep=separator, dtype=str)["item"].tolist()
    found = json.loads(call("recommend", trained, "--user", "user-3", "-k", 2, "--json").out)
    assert items == [item["item"] for item in found[0]["items"]]
    done = call("recommend", trained, "--user", "user-3", "--output", "best.xlsx")
    assert done.code == 1
    assert "must end in .parquet, .tsv, .csv, .jsonl" in done.err


def test_data_that_moved(call: Any, trained: Path, shop: Path, tmp_path: Path) -> None:
    moved, run = tmp_path / "elsewhere", tmp_path / "run"
    shutil.copytree(shop, moved)
    shutil.copytree(trained, run)
    settings = json.loads((run / "settings.json").read_text())
    (run / "settings.json").write_text(json.dumps(settings | {"data": "/nowhere"}))
    assert call("evaluate", run).code == 1
    assert call("evaluate", run, "--data", moved).code == 0
    assert call("recommend", run, "--user", "user-3").code == 1
    assert call("recommend", run, "--data", moved, "--user", "user-3").code == 0


def test_recommendations_need_no_data(
    call: Any, trained: Path, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = call("recommend", trained, "--history", "003,004", "--explain")
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    settings = json.loads((run / "settings.json").read_text())
    (run / "settings.json").write_text(json.dumps(settings | {"data": "/nowhere"}))
    assert call("recommend", run, "--history", "003,004", "--explain") == before
    shutil.rmtree(run / "model")
    done = call("recommend", run, "--history", "003")
    assert done.code == 1
    assert "holds no run that has ended" in done.err


def test_the_card_of_the_model_has_the_command(trained: Path, shop: Path) -> None:
    card = (trained / "model" / "README.md").read_text()
    assert f"mdsrec train --data {shop} --directory {trained} --json --num-centers 4" in card
    test = json.loads((trained / "result.json").read_text())["test"]["seen_kept"]
    assert f"| ndcg@10 | {test['ndcg@10']:.4f} |" in card


def test_a_data_set_of_other_items(call: Any, trained: Path, tmp_path: Path) -> None:
    SyntheticDataset(120, 124, seed=0).save(tmp_path / "other")
    done = call("evaluate", trained, "--data", "other")
    assert done.code == 1
    assert "must have the items of the model" in done.err


def test_settings_that_are_none(call: Any, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text("[1")
    done = call("evaluate", tmp_path)
    assert done.code == 1
    assert "must hold the settings of a run" in done.err
