"""Texts of a folder to its feature files: blocks, restarts, what is missing."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mdsrec_pyg.encoders import encode_texts
from mdsrec_pyg.encoders._shards import Shards

FEATURES = [[9, 2], [0, 0], [10, 1], [0, 0], [24, 2]]  # of conftest's texts, by hand


def test_files_by_hand(shop: Path, letters: Any) -> None:
    lines: list[str] = []
    encoding = encode_texts(shop, letters(), log=lines.append)
    x = np.load(shop / "text.npy")
    assert x.dtype == np.float16
    assert x.tolist() == FEATURES
    assert np.load(shop / "text_mask.npy").tolist() == [True, False, True, False, True]
    missing = (shop / "text_missing.tsv").read_text()
    assert missing == "item\traw_id\treason\n1\tB1\tempty text\n3\tB3\tempty text\n"
    assert sorted(path.name for path in shop.iterdir()) == [
        *("items.jsonl", "text.npy", "text_mask.npy", "text_missing.tsv")
    ]
    assert (encoding.num_items, encoding.num_features, encoding.num_reused) == (5, 2, 0)
    assert encoding.missing == ((1, "B1", "empty text"), (3, "B3", "empty text"))
    assert lines[0] == "modality     text, of 3 of 5 items"
    assert lines[1] == "texts        items.jsonl, column 'text'"
    assert "2 items without: empty text" in lines[-1]


def test_parquet_and_another_column(tmp_path: Path, letters: Any) -> None:
    table = {"item": [1, 0], "raw_id": [70, 80], "text": ["x", "y"], "title": ["aa", "b"]}
    pd.DataFrame(table).to_parquet(tmp_path / "items.parquet")
    encode_texts(tmp_path, letters(), "title", column="title", log=None)
    assert np.load(tmp_path / "title.npy").tolist() == [[1, 0], [2, 2]]


def test_batches_hold_texts_of_like_length(shop: Path, letters: Any) -> None:
    encoder = letters()
    encode_texts(shop, encoder, batch_size=2, log=None)
    assert encoder.batches == [["oak table with four legs", "steel lamp"], ["oak chair"]]
    assert np.load(shop / "text.npy").tolist() == FEATURES


def test_restart_continues(shop: Path, letters: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        encode_texts(shop, letters(fail_after=2), block_size=2, log=None)
    assert not (shop / "text.npy").exists()
    again = letters()
    lines: list[str] = []
    encoding = encode_texts(shop, again, block_size=2, log=lines.append)
    assert again.batches == [["oak table with four legs"]]
    assert encoding.num_reused == 4
    assert "2 of 3 done before" in lines[3]
    assert np.load(shop / "text.npy").tolist() == FEATURES
    assert not (shop / ".text-shards").exists()


@pytest.mark.parametrize("change", ["key", "text", "block_size", "column"])
def test_stale_blocks_are_not_used(shop: Path, letters: Any, change: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        encode_texts(shop, letters(fail_after=2), block_size=2, log=None)
    if change in ("text", "column"):
        rows = [json.loads(line) for line in (shop / "items.jsonl").read_text().splitlines()]
        for row in rows:
            row["other"] = "aa"
        rows[-1]["text"] = "oak chairs"
        (shop / "items.jsonl").write_text("\n".join(map(json.dumps, rows)))
    encoding = encode_texts(
        shop,
        letters("other" if change == "key" else "letters"),
        block_size=3 if change == "block_size" else 2,
        column="other" if change == "column" else "text",
        log=None,
    )
    assert encoding.num_reused == 0
    first = {"text": [10, 2], "column": [2, 2]}.get(change, [9, 2])
    assert np.load(shop / "text.npy")[0].tolist() == first
    assert not (shop / ".text-shards").exists()  # those of the other key included


def test_without_a_key_nothing_is_reused(shop: Path, letters: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        encode_texts(shop, letters(None, fail_after=2), block_size=2, log=None)
    lines: list[str] = []
    encoding = encode_texts(shop, letters(None), block_size=2, log=lines.append)
    assert encoding.num_reused == 0
    assert "no attribute 'key'" in lines[3]


def test_old_files_stay_until_all_is_encoded(shop: Path, letters: Any) -> None:
    encode_texts(shop, letters(), log=None)
    with pytest.raises(KeyboardInterrupt):
        encode_texts(shop, letters("new", fail_after=0), log=None)
    assert np.load(shop / "text.npy").tolist() == FEATURES


def test_two_runs_at_once(shop: Path, letters: Any) -> None:
    (shop / ".text-shards").mkdir()
    with (shop / ".text-shards" / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="text is being encoded by another process"):
            encode_texts(shop, letters(), log=None)
    encode_texts(shop, letters(), log=None)


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (lambda texts: torch.ones(len(texts)), r"shape \(3, F\) for 3 texts"),
        (lambda texts: torch.ones(1, 4), r"shape \(3, F\) for 3 texts"),
        (lambda texts: torch.full((len(texts), 2), torch.nan), "none could be read: .*: nan in co"),
        (lambda texts: np.full((len(texts), 2), 1e300), r"beyond float32: 1e\+300 in column 0"),
        (lambda texts: np.full((len(texts), 2), 1e-300), "beyond float32: 1e-300 in column 0"),
        (lambda texts: 1 / 0, "none could be read: the model failed: ZeroDivisionError"),
    ],
)
def test_an_encoder_that_returns_nonsense(shop: Path, encoder: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode_texts(shop, encoder, log=None)
    assert not (shop / "text.npy").exists()


def test_an_encoder_whose_width_changes(shop: Path) -> None:
    def encoder(texts: list[str]) -> np.ndarray:
        return np.ones((len(texts), len(texts[0])))

    for block_size in (5, 2):  # within a block, between blocks
        with pytest.raises(ValueError, match=r"same number of features|one width"):
            encode_texts(shop, encoder, batch_size=1, block_size=block_size, log=None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modality": "a/b"}, "'modality' must be a name fit for a file"),
        ({"modality": "text_mask"}, "'modality' must be a name fit for a file"),
        ({"batch_size": 0}, "'batch_size' must be at least 1"),
        ({"block_size": 0}, "'block_size' must be at least 1"),
        ({"column": "title"}, "items.jsonl: expected a column 'title' with text"),
        ({"device": "cpu"}, r"\['device'\] are of no use with a callable"),
    ],
)
def test_mistakes(shop: Path, letters: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode_texts(shop, letters(), log=None, **options)


def test_items_that_are_no_items(shop: Path, letters: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'folder' must hold one of items.jsonl"):
        encode_texts(tmp_path, letters(), log=None)
    with pytest.raises(ValueError, match="'folder' must be a folder"):
        encode_texts(tmp_path / "nowhere", letters(), log=None)
    lines = (shop / "items.jsonl").read_text().splitlines()
    (shop / "items.jsonl").write_text("\n".join(lines[:-1]))  # item 0
    with pytest.raises(ValueError, match=r"line 1, column 'item': expected each of 0..3 once"):
        encode_texts(shop, letters(), log=None)
    (shop / "items.jsonl").write_text('{"item": 0, "raw_id": "B0", "text": " "}')
    with pytest.raises(ValueError, match=r"expected texts of some items, got none \(empty text\)"):
        encode_texts(shop, letters(), log=None)


def test_a_damaged_block_is_made_again(shop: Path, letters: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        encode_texts(shop, letters(fail_after=1), batch_size=1, block_size=1, log=None)
    (block,) = shop.rglob("000000.npz")
    whole, rng = block.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        content = bytearray(whole)
        place, some = int(rng.integers(len(whole))), rng.bytes(4)
        if rng.random() < 0.5:
            content[place : place + len(some)] = some
        else:
            del content[place:]
        block.write_bytes(content)
        assert read_block(block) in (None, [FEATURES[0]])
    block.write_bytes(whole[:40])
    assert read_block(block) is None
    encoding = encode_texts(shop, letters(), batch_size=1, block_size=1, log=None)
    assert encoding.num_reused == 1  # of item 1, which has no text
    assert np.load(shop / "text.npy").tolist() == FEATURES


def read_block(path: Path) -> Any:
    """The rows of a block; ``None`` where it is refused by name, else the error's text."""
    try:
        return Shards(path.parent, "", 1, 1).load_from(path, 0).x.tolist()
    except ValueError as error:
        return None if path.name in str(error) else str(error)


def test_no_memory_map_is_written(
    shop: Path, letters: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A write to one on a full disk is a signal that kills, not an error.
    monkeypatch.setattr(np.lib.format, "open_memmap", None)
    encode_texts(shop, letters(), block_size=1, log=None)
    x = np.load(shop / "text.npy")
    assert (x.dtype, x.tolist()) == (np.float16, FEATURES)
