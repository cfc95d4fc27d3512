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

from mdsrec_pyg import FolderDataset, leave_last_out
from mdsrec_pyg.evaluation import Evaluation
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


def test_from_ids_alone_to_recommendations(call: Any, tmp_path: Path) -> None:
    """RecBole's interactions, and nothing else: votes and one graph of behavior."""
    folder = tmp_path / "atomic"
    folder.mkdir()
    rows = [f"u{u}\ti{(u + i) % 8}\t{10 * u + i}" for u in range(12) for i in range(5)]
    head = "user_id:token\titem_id:token\ttimestamp:float"
    (folder / "atomic.inter").write_text("\n".join([head, *rows, ""]), encoding="utf-8")
    done = call("prepare", "recbole", folder, "--out", "ids")
    assert done.code == 0, done.err
    assert "mdsrec train --data ids" in done.out
    done = call("inspect", "ids")
    assert "mdsrec train --data ids" in done.out, done.err
    done = call("train", "--data", "ids", "--directory", "run", *SMALL[2:])
    assert done.code == 0, done.err
    assert "have no effect" not in done.err
    trained = json.loads((tmp_path / "run" / "result.json").read_text())
    done = call("evaluate", "run", "--json")
    assert json.loads(done.out)["seen_kept"] == pytest.approx(trained["test"]["seen_kept"])
    done = call("recommend", "run", "--history", "i1,i2", "--explain", "-k", 3)
    assert done.code == 0, done.err
    assert "by behavior" in done.out
    assert "None" not in done.out
    done = call("train", "--data", "ids", "--preset", "paper", "--directory", "paper", *SMALL[2:])
    assert done.code == 0, done.err
    done = call("recommend", "paper", "--history", "i1,i2", "--explain", "-k", 3)
    assert "None" not in done.out, done.err


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
    words = ("--modalities", "text", "--split", "temporal", "--out", "seen", "--format", "svg")
    done = call("inspect", shop, *words)
    assert done.code == 0
    assert f"Next:\n  mdsrec train --data {shop} --modalities text --split temporal\n" in done.out
    assert "shop: all interactions" in done.out
    content = json.loads((tmp_path / "seen" / "inspection.json").read_text())
    assert list(content["features"]) == ["text"]
    assert content["split"]["method"].startswith("temporal")
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


def test_devices_arrive(
    call: Any, trained: Path, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that holds no numbers: whoever computes there cannot go on."""
    monkeypatch.setenv("MDSREC_DEBUG", "1")
    for words in (
        ("train", "--data", shop, *SMALL),
        ("evaluate", trained),
        ("recommend", trained, "--history", "003"),
        ("bench", "--num-nodes", 60, "--num-users", 60, "--num-items", 62, "--repeats", 1),
    ):
        try:
            code = call(*words, "--device", "meta").code
        except (RuntimeError, NotImplementedError):
            continue
        assert code == 1, words


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


def test_evaluate_by_popularity_follows_the_rule_for_seen_items(
    call: Any, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "mdsrec_pyg.cli.evaluate.evaluate",
        lambda model, split, k, **options: Evaluation(
            "test",
            split.user_id,
            split.target,
            ranks=np.full(len(split), 5.0),
            ranks_masked=np.full(len(split), 0.0),
            tied=0.0,
            num_items=124,
            k=tuple(k),
        ),
    )
    for rule, value in (("kept", 1 / 6), ("masked", 1.0)):
        done = call("evaluate", trained, "--seen", rule, "--json")
        rows = [row for row in json.loads(done.out)["by_popularity"] if row["queries"]]
        assert rows
        assert all(row["mrr"] == pytest.approx(value) for row in rows)


def test_evaluate_needs_the_same_queries(call: Any, trained: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    pd.read_parquet(other / "ranks.parquet").iloc[1:].to_parquet(other / "ranks.parquet")
    done = call("evaluate", trained, "--against", other)
    assert done.code == 1
    assert "119 of 120, 119 in common" in done.err
