"""Help, exit codes, errors, completion, start-up."""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from mdsrec_pyg.cli import train
from mdsrec_pyg.cli.main import COMMANDS, load_command, main
from mdsrec_pyg.cli.parser import option_texts, plain
from mdsrec_pyg.graphs import ProductConfig
from mdsrec_pyg.nn import PRESETS, MDSRecConfig, RelationsConfig
from mdsrec_pyg.training import RunConfig, TrainerConfig, preset_options

COMMAND = [sys.executable, "-m", "mdsrec_pyg"]
CONFIGS: dict[str, type[Any]] = {
    "graph": ProductConfig,
    "relations": RelationsConfig,
    "model": MDSRecConfig,
    "trainer": TrainerConfig,
}


def parsers() -> dict[str, argparse.ArgumentParser]:
    found: dict[str, argparse.ArgumentParser] = {}
    for name in COMMANDS:
        module = load_command(name)
        found[name] = module.make_parser()
        for source in getattr(module, "SOURCES", {}):
            found[f"{name} {source}"] = module.make_parser(source)
    return found


# ---- help ---------------------------------------------------------------------------------------


def test_help_of_all(call: Any) -> None:
    done = call("--help")
    assert done.code == 0
    for name, text in COMMANDS.items():
        assert f"  {name:<10} {text}" in done.out
    assert (call().code, call("--version").code) == (2, 0)


@pytest.mark.parametrize("name", sorted(parsers()))
def test_help_names_every_option_and_its_default(
    call: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    done = call(*name.split(), "--help")
    assert (done.code, done.err) == (0, "")
    entries = [" ".join(entry.split()) for entry in re.split(r"\n(?=  -)|\n\n", done.out)]
    for action in parsers()[name]._actions:
        if not action.option_strings:
            continue
        start = ", ".join(action.option_strings)
        (entry,) = [e for e in entries if re.match(rf"{re.escape(start)}( |$)", e)]
        assert len(entry.split()) > len(action.option_strings) + 1, "it says what it does"
        if action.nargs != 0 and not action.required and "print" not in start:
            assert re.search(r"\bdefault: ", entry, re.IGNORECASE)


def test_help_has_no_markup() -> None:
    for config in CONFIGS.values():
        texts = option_texts(config)
        assert set(texts) == set(config.names())
        for text in texts.values():
            assert text
            assert not re.search(r"``|:\w+:`|\\|\bNone\b", text), text
    assert plain("See :class:`~a.b.C`, :math:`\\mathbf{E}_m`, ``None``, *H*") == (
        "See C, E_m, null, H"
    )
    assert "64 MB" in option_texts(ProductConfig)["block_size"]  # its own text only refers


def test_defaults_are_those_of_the_preset() -> None:
    for preset, base in PRESETS.items():
        args = train.parse(["--data", "d", "--preset", preset])
        assert ProductConfig(**vars(args.graph)) == base.graph
        assert MDSRecConfig(**vars(args.model)) == base.model
        assert args.votes == (base.relations is not None)
        config, trainer = train.configurations(args)
        assert config == RunConfig(data="d", preset=preset)
        assert trainer == TrainerConfig()


# ---- options ------------------------------------------------------------------------------------

OTHER = {bool: lambda v: not v, int: lambda v: v + 2, float: lambda v: v / 2 + 0.1}
TEXTS = {
    "behavior": "count",
    "fill": None,
    "normalization": "row",
    "search": "cells",
    "device": "cuda",
    "block": "ligr",
    "center_form": "soft",
    "center_mode": "only",
    "fusion": "mean",
    "monitor": "mrr",
    "precision": "bfloat16",
    "grad_clip": 2.5,
    "exclude_seen": True,
    "l2": "auto" if RelationsConfig().l2 != "auto" else 7.0,
    "feature_weight": "auto" if RelationsConfig().feature_weight != "auto" else 7.0,
}


def other_value(name: str, value: Any) -> Any:
    if name in TEXTS:
        return TEXTS[name]
    return 7 if value is None else OTHER[type(value)](value)


@pytest.mark.parametrize("group", CONFIGS)
def test_every_option_of_a_configuration_arrives(group: str) -> None:
    for field in fields(CONFIGS[group]):
        if (group, field.name) == ("trainer", "seed"):
            continue
        value = other_value(field.name, field.default)
        written = json.dumps(value) if not isinstance(value, str) else value
        words = ["--data", "d", f"--{group}.{field.name}", written]
        if field.name == "eval_every":  # must divide the epochs
            words += ["--trainer.epochs", "6"]
        config, trainer = train.configurations(train.parse(words))
        if group == "trainer":
            assert getattr(trainer, field.name) == value
        elif group == "model":
            assert config.options == {field.name: value}
        else:
            assert config.options == {group: {field.name: value}}


def test_other_options_of_train_arrive() -> None:
    words = "--data d --modalities a b --duplicates drop --split temporal --seed 3"
    config, trainer = train.configurations(train.parse([*words.split(), "--num-centers", "5"]))
    assert config == RunConfig(
        data="d",
        modalities=["a", "b"],
        duplicates="drop",
        split="temporal",
        seed=3,
        options={"num_centers": 5},
    )
    assert trainer.seed == 3
    config, _ = train.configurations(train.parse(["--data", "d", "--votes", "false"]))
    assert config.options == {"relations": False}
    config, _ = train.configurations(
        train.parse(["--data", "d", "--preset", "paper", "--votes", "true"])
    )
    assert config.options == {"relations": True}
    paper = PRESETS["paper"].replace(relations=RelationsConfig(l2=7.0))
    assert preset_options("paper", paper) == {"relations": {"l2": 7.0}}


def test_run_names_hold_every_option() -> None:
    config = RunConfig(data="a/shop", modalities=["x", "y"], options={"graph": {"fill": None}})
    name = config.name(TrainerConfig(epochs=20, seed=5, eval_batch_size=9))
    assert name == "shop-best-seed0-modalities-x-y-epochs-20-graph.fill-None"
    long = {"graph": {f"option{i}": i for i in range(40)}}
    names = {RunConfig(options=long | {"seed2": i}).name() for i in range(2)}
    assert len(names) == 2
    assert max(map(len, names)) < 160
    odd = RunConfig(data="shop", modalities=["../x\n\x1b[2J", "\u6771" * 99]).name()
    assert re.fullmatch(r"shop-best-seed0[\w.=-]+", odd)
    assert len(odd.encode()) < 255


def test_a_yaml_file_gives_options(call: Any, tmp_path: Path) -> None:
    shown = call("train", "--data", "d", "--print-config", "--preset", "paper")
    assert shown.code == 0
    content = yaml.safe_load(shown.out)
    assert content["model"]["center_mode"] == "only"
    content["relations"]["l2"], content["votes"], content["seed"] = 7.0, True, 4
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(content))
    config, _ = train.configurations(
        train.parse(["--config", str(tmp_path / "run.yaml"), "--model.channels", "16"])
    )
    assert config.preset == "paper"
    assert config.seed == 4
    assert config.options == {"relations": {"l2": 7.0}, "channels": 16}
    # A file that only names the preset gets the preset's defaults.
    (tmp_path / "short.yaml").write_text("preset: paper\ndata: d\n")
    config, _ = train.configurations(train.parse(["--config", str(tmp_path / "short.yaml")]))
    assert config == RunConfig(data="d", preset="paper")
    (tmp_path / "wrong.yaml").write_text("graph:\n  behaviour: log\n")
    done = call("train", "--config", tmp_path / "wrong.yaml")
    assert done.code == 2
    assert "behaviour" in done.err


# ---- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["trian"], 2, "did you mean 'train'?"),
        (["train", "--relations.l3", "4"], 2, "did you mean --relations.l2?"),
        (["train", "--l2", "4"], 2, "did you mean --relations.l2?"),
        (["train", "--preset", "bst"], 2, "mdsrec train --help"),
        (["train", "--preset"], 2, "mdsrec train --help"),
        (["train", "--seed", "99999999999"], 1, "'seed' must be less than"),
        (["train", "--trainer.stride", "0"], 1, "'stride' must be at least 1"),
        (["train", "--graph.behavior", "lgo"], 2, "expected one of 'binary', 'count', 'log'"),
        (["train", "--trainer.epochs", "x"], 2, "expected a whole number (got x)"),
        (["train", "--trainer.stride", "x"], 2, "expected a whole number or null (got x)"),
        (["train", "--trainer.exclude_seen", "7"], 2, "expected true or false or null (got 7)"),
        (["train", "--graph.self_loops", "x"], 2, "expected a number or one of 'count' (got x)"),
        (["train", "--trainer.epochs", "0"], 1, "'epochs' must be at least 1 (got 0)"),
        (["train", "--relations.l2", "-1"], 1, "'l2' must be positive"),
        (["train", "--votes", "false", "--relations.l2", "3"], 1, "no effect without --votes"),
        (["train", "--resume"], 1, "needs a run in runs/synthetic-best-seed0"),
        (
            ["train", "--data", "nowhere"],
            1,
            "be the folder of a data set (got nowhere)",
        ),
        (["inspect", "--modalities", "a"], 1, "need a FOLDER"),
        (["prepare", "amazn"], 2, "amazn"),
        (["prepare", "movielens", "nowhere", "--out", "x"], 1, "nowhere"),
        (["prepare", "movielens", "nowhere"], 2, "out"),
        (["encode", "x"], 2, "nothing to do"),
        (["evaluate", "nowhere"], 1, "nowhere holds no run"),
        (
            ["recommend", "nowhere"],
            2,
            "give one of --history, --item, --histories and --user (got none)",
        ),
        (["recommend", "x", "--history", "a", "--user", "b"], 2, "--history and --user"),
        (["recommend", "x", "--history", "a", "--data", "b"], 2, "--data has no effect without"),
        (["bench", "--repeats", "0"], 1, "--repeats must be at least 1 (got 0)"),
        (["bench", "--num-items", "0"], 1, "--num-items must be at least 1 (got 0)"),
        (["train", "--device", "gpu"], 1, "--device must be one that torch has here"),
        (["bench", "--device", "cuda:99"], 1, "--device must be one that torch has here"),
        (["recommend", "x", "--history", "a", "--device", "gpu"], 1, "--device must be"),
        (["evaluate", "x", "--device", "gpu"], 1, "--device must be"),
        (["encode", "x", "--text", "m", "--device", "gpu"], 1, "--device must be"),
        (["--print-completion", "fish"], 2, "bash, zsh, tcsh"),
    ],
)
def test_mistakes(call: Any, tmp_path: Path, words: list[str], code: int, said: str) -> None:
    done = call(*words)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("error: ")
    assert said in done.err
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []  # nothing was begun


def test_a_value_where_a_file_must_have_options(call: Any, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("trainer: 5\n")
    done = call("train", "--config", tmp_path / "run.yaml")
    assert (done.code, done.out) == (2, "")
    assert "--trainer must be options by name, not a value (got 5)" in done.err


def test_dashes_and_underscores_are_the_same() -> None:
    args = train.parse(["--model.max-length", "9", "--num_centers=3"])
    assert (args.model.max_length, args.num_centers) == (9, 3)


def test_debug_shows_where(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Traceback" in call("evaluate", "nowhere", "--debug").err
    monkeypatch.setenv("MDSREC_DEBUG", "1")
    done = call("evaluate", "nowhere")
    assert "Traceback" in done.err
    assert done.code == 1


def test_an_error_of_the_library_itself_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mdsrec_pyg.cli.doctor.run", lambda args: [][1])
    with pytest.raises(IndexError):
        main(["doctor"])


def test_interrupted(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("mdsrec_pyg.cli.doctor.run", stop)
    done = call("doctor")
    assert (done.code, done.err) == (130, "interrupted\n")
