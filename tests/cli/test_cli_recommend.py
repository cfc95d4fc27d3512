"""``mdsrec recommend``: what it prints and writes, and what it reads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mdsrec_pyg import FolderDataset, SyntheticDataset, leave_last_out
from mdsrec_pyg.retrieval import user_histories


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
    kept = call("recommend", trained, "--user", "user-3", "-k", 124, "--keep-seen", "--json")
    assert set(history) < {item["item"] for item in json.loads(kept.out)[0]["items"]}
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
    gone = call("recommend", run, "--user", "u1")
    assert gone.code == 1
    assert "'data' must be the folder of a data set (got /nowhere)" in gone.err
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
    assert "settings.json: expected the settings of a run" in done.err


@pytest.mark.parametrize("name", ["a,b", " x", "TRUE", "1e5", "null", "0108775018", '"q"'])
def test_an_item_of_any_name_is_looked_up_as_it_is(
    call: Any, shop: Path, tmp_path: Path, name: str
) -> None:
    dataset = FolderDataset(shop)
    dataset.item_ids[3], dataset.item_ids[4] = name, name.lstrip("0") + "."
    dataset.save(tmp_path / "named")
    words = ("--num-centers", 4, "--model.channels", 8, "--trainer.epochs", 1, "--json")
    assert call("train", "--data", "named", "--directory", "run", *words).code == 0
    user = next(
        str(dataset.user_ids[x])
        for x in range(dataset.num_users)
        if 3 in dataset.interactions.item_id[dataset.interactions.user_id == x]
    )
    want = json.loads(call("recommend", "run", "--user", user, "--keep-seen", "--json").out)
    history = user_histories(FolderDataset(tmp_path / "named"), [user])[user]
    assert name in history
    found = json.loads(call("recommend", "run", "--item", *history, "--keep-seen", "--json").out)
    assert found[0]["items"] == want[0]["items"]
    table = pd.DataFrame({"user": "u", "item": history})
    for file in ("h.csv", "h.tsv", "h.parquet"):
        if file == "h.parquet":
            table.to_parquet(file)
        else:
            table.to_csv(file, sep="," if file == "h.csv" else "\t", index=False)
        done = call("recommend", "run", "--histories", file, "--keep-seen", "--json")
        assert json.loads(done.out)[0]["items"] == want[0]["items"]


def test_a_configuration_that_is_no_text(call: Any, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"seed: 1 # \xff\n")
    for words in (("--config", "c.yaml"), ("--config=c.yaml",)):
        done = call("train", *words)
        assert done.code == 2
        assert "error: --config must be a file in UTF-8 (got c.yaml: " in done.err
        assert "Traceback" not in done.err


def test_users_who_cannot_be_answered_are_skipped_and_named(call: Any, trained: Path) -> None:
    rows = [("a", "003"), ("b", "gone"), ("c", "004")]
    pd.DataFrame(rows, columns=["user", "item"]).to_csv("h.tsv", sep="\t", index=False)
    options = ("recommend", trained, "--histories", "h.tsv", "-k", 2)
    done = call(*options)
    assert done.code == 1
    assert "got 'gone' as item 0 of user 'b' (position 1)" in done.err
    assert done.err.startswith("error: h.tsv: 'histories' must hold items among 'item_ids'")
    with pytest.warns(UserWarning, match=r"skipped 1 user: .* of user 'b' \(position 1\)") as said:
        done = call(*options, "--on-error", "skip")
    assert (done.code, len(said)) == (0, 1)
    assert [line for line in done.out.splitlines() if line in "abc" and line] == ["a", "c"]
    many = pd.DataFrame({"user": [f"u{n}" for n in range(7)], "item": ["003"] + ["gone"] * 6})
    many.to_csv("many.tsv", sep="\t", index=False)
    with pytest.warns(UserWarning, match="skipped 6 users: .*; and 1 more"):
        done = call("recommend", trained, "--histories", "many.tsv", "--on-error", "skip")
    assert "skipped: " in done.err
    assert "user 'u6' (position 6)" in done.err
    with pytest.warns(UserWarning, match="skipped 1 user"):
        users = json.loads(call(*options, "--on-error", "skip", "--json").out)
    assert [user["user"] for user in users] == ["a", "c", "b"]
    assert "'gone'" in users[2]["reason"]


def test_no_history_gets_what_is_popular(call: Any, trained: Path, shop: Path) -> None:
    done = call("recommend", trained, "--history", "")
    assert "(user 'new user' (position 0) has none)" in done.err
    options = ("--history", "", "-k", 3, "--empty", "popularity", "--data", shop)
    with pytest.warns(UserWarning, match="1 user without a history got the most popular items"):
        done = call("recommend", trained, *options, "--json")
    items = json.loads(done.out)[0]["items"]
    counts = leave_last_out(FolderDataset(shop).interactions).train.item_counts()
    best = sorted(range(len(counts)), key=lambda i: (-counts[i], i))[:3]
    assert [item["item"] for item in items] == [f"{i:03d}" for i in best]
    assert {item["source"] for item in items} == {"popularity"}
    done = call("recommend", trained, "--history", "003", "--data", shop)
    assert done.code == 2
    assert "--data has no effect without --user or --empty popularity" in done.err


def test_a_comma_that_may_be_part_of_an_id_is_named(call: Any, trained: Path) -> None:
    hint = "an id with a comma in it needs --item"
    assert hint in call("recommend", trained, "--history", "003,nothing").err
    assert hint not in call("recommend", trained, "--history", "nothing").err
