"""What ``mdsrec train`` is told, and what it takes where nothing is said."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from mdsrec_pyg.cli import train
from mdsrec_pyg.nn import PRESETS, CrossFittedVotes, LeaveOneUserOut, MDSRec, Recommender
from mdsrec_pyg.training import RunConfig, TrainerConfig, preset_options, synthetic_settings


@pytest.mark.parametrize("preset", PRESETS)
def test_synthetic_data_have_settings_of_their_own(preset: str) -> None:
    form, usual = synthetic_settings(preset)
    config, trainer = train.configurations(train.parse(["--preset", preset]))
    assert config == RunConfig(preset=preset, options=preset_options(preset, form))
    assert trainer == usual != TrainerConfig()
    assert config.options["num_centers"] == 64
    if preset == "best":
        assert config.options["relations"] == {"l2": 300.0, "feature_weight": 30.0}
    else:
        assert "relations" not in config.options
    own, plain = train.configurations(train.parse(["--preset", preset, "--data", "d"]))
    assert (own.options, plain) == ({}, TrainerConfig())
    # What is given counts, over them.
    config, trainer = train.configurations(
        train.parse(["--preset", preset, "--num-centers", "8", "--trainer.lr", "0.5"])
    )
    assert (config.options["num_centers"], trainer.lr) == (8, 0.5)
    assert trainer.patience == usual.patience


def test_settings_of_the_data_that_a_file_names(call: Any, tmp_path: Path) -> None:
    shown = call("train", "--print-config")
    content = yaml.safe_load(shown.out)
    assert content["relations"]["l2"] == 300.0
    (tmp_path / "run.yaml").write_text(shown.out)
    (tmp_path / "shop.yaml").write_text("data: shop\n")
    usual = train.configurations(train.parse([]))
    assert train.configurations(train.parse(["--config", str(tmp_path / "run.yaml")])) == usual
    config, trainer = train.configurations(train.parse(["--config", str(tmp_path / "shop.yaml")]))
    assert (config, trainer) == (RunConfig(data="shop"), TrainerConfig())
    again = call("train", "--config", tmp_path / "shop.yaml", "--print-config")
    assert yaml.safe_load(again.out)["relations"]["l2"] == "auto"
    assert "default: auto" in call("train", "--help").out  # those of data of one's own


def test_the_settings_are_printed_and_not_in_the_name() -> None:
    config, trainer = train.configurations(train.parse([]))
    said = train._settings(config, trainer)
    for part in (
        "of the synthetic data",
        "relations.l2 300.0",
        "num_centers 64",
        "trainer.patience 5",
    ):
        assert part in said
    assert config.name(trainer) == "synthetic-best-seed0"
    other, _ = train.configurations(train.parse(["--relations.l2", "50"]))
    names = {config.name(trainer), other.name(trainer), RunConfig().name(TrainerConfig())}
    assert len(names) == 3
    assert train._settings(RunConfig(data="d"), TrainerConfig()).endswith("options: the preset's")


def built(shop: Path, *words: str) -> MDSRec:
    small = ("--model.channels", "4", "--num-centers", "2", "--data", str(shop))
    config, _ = train.configurations(train.parse([*small, *words]))
    dataset = config.read_data()
    from mdsrec_pyg.datasets import SPLITS

    return config.build(dataset, SPLITS[config.split](dataset))


def test_feature_weight_and_memory_of_the_ridge_do_something(shop: Path) -> None:
    usual = built(shop)
    other = built(shop, "--relations.feature_weight", "1")
    with pytest.warns(UserWarning, match="memory_limit"):
        local = built(shop, "--relations.memory_limit", "1000")
    tables = [dict(model.named_buffers()) for model in (usual, other, local)]
    (name,) = [name for name in tables[0] if name == "votes.tables.0.weight"]
    assert not torch.equal(tables[0][name], tables[1][name])
    kinds = [type(model.votes.training_votes) for model in (usual, local)]  # type: ignore[union-attr]
    assert kinds == [LeaveOneUserOut, CrossFittedVotes]


def test_the_training_part_chooses_the_ridge_and_the_run_says_what(
    call: Any, shop: Path, tmp_path: Path
) -> None:
    (tmp_path / "run.yaml").write_text(
        "relations: {l2: {image: 50, text: 90}, feature_weight: auto}\n"
    )
    data = ("--config", tmp_path / "run.yaml", "--data", shop, "--directory", "run")
    votes = ("--model.vectors", "false", "--num-centers", 0, "--trainer.epochs", 1)
    done = call("train", *data, *votes)
    assert done.code == 0, done.err
    said = re.findall(r"^ridge of (\w+) +l2 (\d+), feature weight (\d+)$", done.out, re.MULTILINE)
    assert [(name, l2) for name, l2, _ in said] == [("image", "50"), ("text", "90")]
    assert re.search(
        r"^chosen +by votes within .*: NDCG@10 0\.\d+, with feature_weight 20 ", done.out, re.M
    )
    model = Recommender.load(tmp_path / "run" / "model")
    assert isinstance(model, MDSRec)
    assert model.ridge_weights is not None
    weights = {name: float(weight) for name, _, weight in said}
    assert model.ridge_weights.feature_weight == weights
    assert model.ridge_weights.chosen == ("feature_weight",)


@pytest.mark.parametrize("option", ["l2", "feature_weight"])
def test_numbers_by_name_are_written_as_yaml(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", "d", f"--relations.{option}"]
    for given, value in (("7", 7), ("{image: 3, text: 4.5}", {"image": 3, "text": 4.5})):
        config, _ = train.configurations(train.parse([*words, given]))
        assert config.options == {"relations": {option: value}}
    assert train.configurations(train.parse([*words, "auto"]))[0].options == {}  # the default
    for wrong in ("aut", "{image: auto}", "[3]"):
        with pytest.raises(SystemExit):
            train.parse([*words, wrong])
        said = f"error: --relations.{option}: expected a number or numbers by name or one of 'auto'"
        assert capsys.readouterr().err.startswith(said)


def test_threads_are_taken_and_given_back(
    call: Any, monkeypatch: pytest.MonkeyPatch, shop: Path
) -> None:
    seen = []

    def stop(*args: Any, **options: Any) -> None:
        seen.append(torch.get_num_threads())
        raise ValueError("far enough")

    monkeypatch.setattr(train, "train_run", stop)
    before = torch.get_num_threads()
    done = call("train", "--data", shop, "--threads", before + 2)
    assert done.err == "error: far enough\n"
    assert seen == [before + 2]
    assert torch.get_num_threads() == before
    assert "--threads must be at least 1 (got 0)" in call("train", "--threads", 0).err


def test_help_has_no_control_characters_and_no_references(call: Any) -> None:
    shown = call("train", "--help").out
    assert re.search(r"--print-config +print all options", shown)
    assert "\\x08" not in shown
    assert "\b" not in shown
    assert "See " not in shown


def test_what_comes_next(capsys: pytest.CaptureFixture[str]) -> None:
    for config, said in ((RunConfig(), ["mdsrec train --data FOLDER"]), (RunConfig(data="d"), [])):
        train._say_what_next(Path("runs/x y"), 7, config)
        lines = capsys.readouterr().out.splitlines()
        assert "  mdsrec recommend 'runs/x y' --user 7 --explain" in lines
        assert [line.strip() for line in lines if line.startswith("  mdsrec train")] == said
