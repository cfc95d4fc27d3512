"""Histories from files and data sets: ids stay the text that stands there."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pandas as pd
import pytest

from mdsrec_pyg import SyntheticDataset
from mdsrec_pyg.retrieval import (
    explain_row,
    read_history_file,
    user_histories,
    write_recommendations,
)


@pytest.mark.parametrize(("suffix", "separator"), [("tsv", "\t"), ("csv", ","), ("txt", "\t")])
def test_text_stays_as_written(tmp_path: Path, suffix: str, separator: str) -> None:
    rows = [("user", "item", "timestamp"), ("007", "NA", "3"), ("1e3", "0012", "2.5")]
    path = tmp_path / f"h.{suffix}"
    path.write_text("".join(separator.join(row) + "\n" for row in rows))
    table = read_history_file(path)
    assert table["user"].tolist() == ["007", "1e3"]
    assert table["item"].tolist() == ["NA", "0012"]
    assert table["timestamp"].tolist() == [3.0, 2.5]


def test_no_id_is_taken_for_something_else(tmp_path: Path) -> None:
    ids = ["NA", "TRUE", "1e5", "007", "0x10", "nan", "", " ", "0108775018", "None", "1_000", "7"]
    path = tmp_path / "h.tsv"
    kept = [raw for raw in ids if raw]
    path.write_text("user\titem\n" + "".join(f"{raw}\t{raw}\n" for raw in kept))
    table = read_history_file(path)
    assert table["user"].tolist() == table["item"].tolist() == kept
    path.write_text('user\titem\n"a\tb"\t"say ""x"",\ny"\n')
    assert read_history_file(path).to_numpy().tolist() == [["a\tb", 'say "x",\ny']]


def test_times_of_histories_are_read_as_those_of_data_sets(tmp_path: Path) -> None:
    path = tmp_path / "h.csv"
    rows = ["a,x,2026-01-10", "a,y,2026-01-09T23:30:00-02:00", "a,z,2026-01-09"]
    path.write_text("user,item,timestamp\n" + "\n".join(rows))
    day = 1_767_916_800
    assert read_history_file(path)["timestamp"].tolist() == [day + 86_400, day + 91_800, day]
    path.write_text("user,item,when\na,x,3\n")
    with pytest.warns(UserWarning, match=r"h\.csv: not read: when"):
        assert list(read_history_file(path)) == ["user", "item"]


def test_compressed_histories(tmp_path: Path) -> None:
    path = tmp_path / "h.csv.gz"
    path.write_bytes(gzip.compress(b"user,item\na,007\n"))
    assert read_history_file(path)["item"].tolist() == ["007"]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"h\.csv\.gz: expected the rest of a gzip file"):
        read_history_file(path)


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "h.parquet"
    pd.DataFrame({"user": [7, 7], "item": ["a", "b"]}).to_parquet(path)
    assert read_history_file(path)["user"].tolist() == ["7", "7"]
    pd.DataFrame({"user": [7, None], "item": ["a", "b"]}).to_parquet(path)
    with pytest.raises(ValueError, match=r"row 2, column 'user': expected an id, got nothing"):
        read_history_file(path)
    pd.DataFrame({"user": [7.0, 8.0], "item": ["a", "b"]}).to_parquet(path)
    with pytest.raises(ValueError, match="text or integers as ids, not double"):
        read_history_file(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "must be a file of histories"),
        ("", "line 1: expected column names, got an empty line or file"),
        ("user\tthing\na\tb\n", "line 1: expected a column 'item', got 'user', 'thing'"),
        ("user\titem\ttimestamp\na\tb\tnoon\n", "line 2, column 'timestamp': .* got 'noon'"),
        ("user\titem\ttimestamp\na\tb\t9\na\tb\t9.1.2026\n", "line 3, .* got '9.1.2026'"),
        ("user\titem\ttimestamp\na\tb\t9\na\tb\t\n", "line 3, .* a time in every row or in none"),
        ("user\titem\n\tb\n", "line 2, column 'user': expected an id, got nothing"),
        ("user\titem\na\tb\na\t\n", "line 3, column 'item': expected an id, got nothing"),
        ('user\titem\na\t"b\na\tc\n', "line 3: unexpected end of data"),
        ("user\titem\na\tb\tc\n", "line 2: Expected 2 columns, got 3"),
    ],
)
def test_what_is_wrong(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "h.tsv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=said):
        read_history_file(path)


def test_users_of_a_data_set() -> None:
    dataset = SyntheticDataset(40, 62, seed=0)
    found = user_histories(dataset, ["user-5", "user-2"])
    assert list(found) == ["user-5", "user-2"]
    rows = dataset.interactions
    assert found["user-2"] == [f"item-{item}" for item in rows.item_id[rows.user_id == 2]]
    with pytest.raises(ValueError, match=r"users of synthetic, such as 'user-0' \(got 'nobody'\)"):
        user_histories(dataset, ["user-2", "nobody"])


def test_reasons() -> None:
    row = {"voter_items": [], "modality": "text", "center": 3}
    assert explain_row(row) == "text, interest 3"
    assert explain_row(row | {"center": None}) == "text"
    votes = {
        "voter_items": ["a", "b"],
        "voter_modalities": ["text", "image"],
        "voter_shares": [0.75, 0.25],
    }
    assert explain_row(row | votes) == "a by text 75%, b by image 25%"


def test_files_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    table = pd.DataFrame({"user": ["u"], "item": ["007"], "voter_items": [["a", "b"]]})
    for suffix in ("parquet", "tsv", "csv", "jsonl"):
        write_recommendations(table, tmp_path / f"best.{suffix}")
    assert json.loads((tmp_path / "best.jsonl").read_text())["voter_items"] == ["a", "b"]
    assert (tmp_path / "best.tsv").read_text().splitlines()[1] == 'u\t007\t"[""a"", ""b""]"'
    bad = table.assign(voter_items=pd.Series([object()]))
    with pytest.raises(TypeError):
        write_recommendations(bad, tmp_path / "bad.jsonl")
    with pytest.raises(ValueError, match=r"must end in \.parquet"):
        write_recommendations(table, tmp_path / "best.xlsx")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"best.{suffix}" for suffix in ("parquet", "tsv", "csv", "jsonl")}
