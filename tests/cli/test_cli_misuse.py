"""Each command with what it cannot work with: one line, a status, nothing begun."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mdsrec_pyg import SyntheticDataset
from mdsrec_pyg.cli.main import COMMANDS, load_command

#: Beside those of test_cli_main.py: a file for a folder, a folder for a file, an empty folder, and
#: values out of range.
MISUSE = [
    ("train --data file", "folder of a data set (got file)"),
    ("train --data empty", "items.jsonl and items.parquet (got neither in empty)"),
    ("train --data shop --modalities nope", "must be among"),
    ("train --data shop --split given", "'labels' must say"),
    ("train --data shop --num-centers 99999", "82 of 'image' (got 99,999)"),
    ("train --data shop --trainer.monitor best", "(got 'best')"),
    ("train --data ids --num-centers 4", "'num_centers' must be 0 without features (got 4)"),
    ("train --data ids --modalities text", "must be among"),
    ("train --data shop --relations.device gpu", "'device' must be a device that torch has here"),
    ("inspect file", "must be a folder (got file)"),
    ("inspect empty", "got neither in empty"),
    ("inspect shop --seed -1", "'seed' must not be negative (got -1)"),
    ("inspect shop --split given", "'labels' must say"),
    ("inspect shop --cutoff 0", "'k' must be at least 1 (got 0)"),
    ("inspect shop --modalities nope", "must be among"),
    ("evaluate file", "file holds no run"),
    ("evaluate shop", "shop holds no run"),
    ("recommend file --history a", "file holds no run"),
    ("recommend empty --histories file", "empty holds no run"),
    ("export file --out o", "a run that has ended (got file)"),
    ("export empty --out o -k 3", "a run that has ended (got empty)"),
    ("encode file --text m", "must be a folder (got file)"),
    ("encode shop --text m --text-column nope", "'nope'"),
    ("encode shop --download --concurrency 0", "'concurrency' must be at least 1 (got 0)"),
    ("encode shop --image-model m --images nowhere", "(got nowhere)"),
    ("prepare movielens file --out o", "must be a folder (got file)"),
    ("prepare hm empty --out o", "(got none in empty)"),
    ("prepare amazon --out o", "must be given"),
    ("bench --seed -1", "--seed must not be negative (got -1)"),
    ("bench --num-users 1 --num-items 3", "'num_items' must be large enough"),
]


@pytest.fixture
def place(tmp_path: Path, call: Any) -> Path:
    """An empty folder with a data set, one of ids only, a file that is none, an empty folder."""
    dataset = SyntheticDataset(60, 93, seed=0)
    dataset.save(tmp_path / "shop")
    dataset.features.clear()
    dataset.save(tmp_path / "ids")
    (tmp_path / "file").write_bytes(b"\x00\xff\n")
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(("words", "said"), MISUSE)
def test_misuse(call: Any, place: Path, words: str, said: str) -> None:
    before = sorted(place.rglob("*"))
    done = call(*words.split())
    assert done.code == 1
    (line,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert said in line
    assert done.err.endswith(f"{line}\n")
    assert sorted(place.rglob("*")) == before


def test_what_comes_next_without_features(call: Any, place: Path) -> None:
    done = call("inspect", "ids", "--out", "seen")
    assert done.code == 0
    assert done.out.endswith("Next:\n  mdsrec encode ids --text MODEL\n  mdsrec train --data ids\n")


def test_a_configuration_that_is_no_text(call: Any, place: Path) -> None:
    done = call("train", "--config", place / "file")
    assert (done.code, done.out) == (2, "")
    assert "--config must be a file in UTF-8 (got " in done.err
    assert f"{place / 'file'}: " in done.err


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_option_an_interruption_and_a_missing_package(
    call: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    done = call(name, "--no-such-option")
    assert done.code == 2
    assert [line[:5] for line in done.err.splitlines()] == ["error", "help:"]
    module = load_command(name)
    for error, code, said in (
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (ImportError("it needs x: pip install x"), 1, "error: it needs x: pip install x\n"),
        (OSError(28, "No space left on device"), 1, "error: [Errno 28] No space left on device\n"),
        (MemoryError(), 1, "error: out of memory: the machine has no more\n"),
    ):

        def stop(argv: object, error: BaseException = error) -> None:
            raise error

        monkeypatch.setattr(module, "parse", stop)
        done = call(name)
        assert (done.code, done.err, done.out) == (code, said, "")


def test_words_that_are_commands_are_shown(call: Any) -> None:
    for words in (
        ["\x1b[2J"],
        ["evaluate", "\x1b[2J"],
        ["train", "--\x1b[2J"],
        ["inspect", "\x9b"],
    ):
        done = call(*words)
        assert done.code in (1, 2)
        assert not {"\x1b", "\x9b"} & set(done.err + done.out)


@pytest.mark.parametrize(
    "text",
    ["modilities: [image]\n", "trainer:\n  epochs: NaN\n", "seed: {\n", "seed: \b\n", "- a\n"],
)
def test_a_mistake_in_a_configuration_names_the_file(call: Any, tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    for words in (("--config", path), (f"--config={path}",)):
        done = call("train", *words)
        assert done.code == 2
        assert done.err.count(str(path)) == 1, done.err
        assert len(done.err.splitlines()) == 2
    done = call("train", "--sead", 3)
    assert "--config" not in done.err
