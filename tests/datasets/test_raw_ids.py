"""Raw ids stay what they are from any entrance through a folder and back, or are refused."""

from __future__ import annotations

import csv
import datetime
import json
import re
import tempfile
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdsrec_pyg.data import Interactions
from mdsrec_pyg.datasets import FolderDataset, RecommendationDataset, from_csv, from_dataframe
from mdsrec_pyg.retrieval import read_history_file

NASTY = (
    "", " ", "NA", "nan", "None", "null", "TRUE", "1e5", "007", "7", "0x10", "-0", "1_000", "+1",
    '"', '""', "'", "a,b", "a\tb", "a\nb", "a\r\nb", "\\N", "#", "ß", "e\u0301", "\u2028", "\x00",
    "\ufeff", "🛒", "\ud800", "9" * 19, "=1+1", "../x", "x" * 3_000,
)  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(NASTY), st.text(max_size=6), st.integers(-(10**20), 10**20).map(str)
)
IDS = st.one_of(
    st.lists(TEXTS, min_size=2, max_size=5, unique=True),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=5, unique=True),
    st.lists(
        st.one_of(
            TEXTS, st.integers(-(2**70), 2**70), st.booleans(), st.floats(), st.none(),
            st.binary(max_size=3), st.uuids(), st.tuples(st.integers()), st.dates(),
        ),
        min_size=2, max_size=4, unique=True,
    ),
)  # fmt: skip


def of(users: list[Any], items: list[Any]) -> pd.DataFrame:
    """Every user with every item, in columns that hold what they are given."""
    rows = [(user, item) for user in users for item in items]
    table = pd.DataFrame({"user": pd.Series([None] * len(rows), dtype=object), "item": None})
    table["user"] = pd.Series([user for user, _ in rows], dtype=object)
    table["item"] = pd.Series([item for _, item in rows], dtype=object)
    return table


def pairs(dataset: RecommendationDataset) -> set[tuple[Any, ...]]:
    x = dataset.interactions
    users, items = dataset.user_ids[x.user_id].tolist(), dataset.item_ids[x.item_id].tolist()
    return {(type(u), u, type(i), i) for u, i in zip(users, items, strict=True)}


def told(error: ValueError) -> None:
    assert "row " in str(error) or "line " in str(error) or "column" in str(error), error


@settings(max_examples=60, deadline=None)
@given(users=IDS, items=IDS)
def test_a_data_frame_comes_back_from_its_folder_or_is_refused(
    users: list[Any], items: list[Any]
) -> None:
    table = of(users, items)
    try:
        dataset = from_dataframe(table, timestamp=None)
    except ValueError as error:
        told(error)
        good = (str, int)
        plain = all(type(value) in good for value in [*users, *items])
        kinds = len(set(map(type, users))) == 1 and len(set(map(type, items))) == 1
        fits = all(
            (len(v.encode(errors="ignore")) > 0 and v.encode(errors="replace").decode() == v)
            if isinstance(v, str)
            else not isinstance(v, int) or -(2**63) <= v < 2**63
            for v in [*users, *items]
        )
        assert not (plain and kinds and fits), "refused what can be kept"
        return
    with tempfile.TemporaryDirectory() as folder:
        dataset.save(folder)
        again = FolderDataset(folder, min_interactions=1)
    assert pairs(again) == pairs(dataset)
    assert pairs(dataset) == {(type(u), u, type(i), i) for u in users for i in items}
    assert again.user_ids.tolist() == dataset.user_ids.tolist()
    assert again.item_ids.tolist() == dataset.item_ids.tolist()


@settings(max_examples=80, deadline=None)
@given(users=st.lists(TEXTS, min_size=1, max_size=4, unique=True), item=TEXTS)
def test_csv_files_and_histories_keep_the_text_that_stands_there(
    users: list[str], item: str
) -> None:
    rows = [(user, item) for user in users]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "x.csv"
        with path.open("w", encoding="utf-8", errors="surrogatepass", newline="") as stream:
            csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([("user", "item"), *rows])
        try:
            table = read_history_file(path)
            dataset = from_csv(path, timestamp=None)
        except ValueError as error:
            told(error)
            # Python 3.10 knows no zero bytes in CSV files.
            bad = [
                text for text in [*users, item] if not text or re.search("[\ud800-\udfff\0]", text)
            ]
            assert bad, "refused what can be read"
            return
    assert table.to_numpy().tolist() == [list(row) for row in rows]
    x = dataset.interactions
    found = dataset.user_ids[x.user_id].tolist(), dataset.item_ids[x.item_id].tolist()
    # Integers that are printed as they stand there are the same ids.
    assert {tuple(map(str, pair)) for pair in zip(*found, strict=True)} == set(rows)


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (
            [uuid.UUID(int=1), uuid.UUID(int=2)],
            r"row 0.*expected text or an integer .*a UUID \(str",
        ),
        ([("a", 1), ("b", 2)], r"row 0.*expected text or an integer of 64 bits, got .*a tuple"),
        ([7, "7"], r"row \d.*expected ids of one type, got text '7' where the first is an integer"),
        (["a", "\ud800"], r"row \d.*expected text that UTF-8 can hold"),
        ([True, False], r"row 0.*expected text or an integer .* a bool"),
        ([b"a", b"b"], r"row 0.*expected text or an integer of 64 bits"),
        ([1, 2**64], r"row \d.*expected text or an integer of 64 bits, got '18446744073709551616'"),
        (["a", ""], r"row \d.*expected an id, got nothing"),
    ],
)
def test_what_is_no_id_is_refused_at_every_entrance(ids: list[Any], said: str) -> None:
    for table in (of(ids, ["x"]), of(["x"], ids)):
        with pytest.raises(ValueError, match=said):
            from_dataframe(table, timestamp=None)
    rows = Interactions.from_arrays([0, 1], [0, 1])
    given_ids = np.empty(2, object)
    given_ids[:] = ids
    for name in ("user_ids", "item_ids"):
        options: dict[str, Any] = {name: given_ids}
        with pytest.raises(ValueError, match=f"'{name}', {said}".replace("row 0.*", "row 0: .*")):
            RecommendationDataset("x", rows, **options)


def test_ids_that_were_exchanged_are_checked_when_they_are_saved(tmp_path: Path) -> None:
    dataset = RecommendationDataset("x", Interactions.from_arrays([0, 1], [0, 1]))
    dataset.item_ids = np.array([uuid.UUID(int=1), uuid.UUID(int=2)], object)
    with pytest.raises(ValueError, match="'item_ids', row 0: expected text or an integer"):
        dataset.save(tmp_path / "x")
    dataset = RecommendationDataset(
        "x", Interactions.from_arrays([0, 1], [0, 1]), item_text=["a", "b\ud800"]
    )
    with pytest.raises(ValueError, match=r"'item_text' must be text that UTF-8 can hold .* item 1"):
        dataset.save(tmp_path / "x")
    late = Interactions.from_arrays([0, 1], [0, 1], [1, 1_700_000_000_000])
    with pytest.raises(ValueError, match=r"'timestamp' must be seconds .*\(got 1700000000000;"):
        RecommendationDataset("x", late).save(tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_integers_and_text_in_two_tables_become_text() -> None:
    rows = pd.DataFrame({"user": ["u", "v"], "item": [7, 8]})
    items = pd.DataFrame({"item": ["8", "7", "007"], "text": ["eight", "seven", "bond"]})
    dataset = from_dataframe(rows, items, timestamp=None, keep_cold=True)
    assert dataset.item_ids.tolist() == ["7", "8", "007"]
    assert dataset.item_text == ["seven", "eight", "bond"]
    mixed = from_dataframe(
        rows.assign(item=["7", "x"]), items.iloc[:2].assign(item=[8, 7]), {"image": np.eye(2)},
        timestamp=None,
    )  # fmt: skip
    assert mixed.item_ids.tolist() == ["7", "x"]
    assert mixed.item_text == ["seven", ""]
    assert mixed.features["image"].x.tolist() == [[0, 1], [0, 0]]
    with pytest.raises(ValueError, match="expected at least 0% of the 2 items"):
        from_dataframe(rows, items.iloc[2:], timestamp=None)  # 007 is not 7


def test_one_type_of_ids_in_both_files(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("user,item\nu,7\nu,8\n")
    (tmp_path / "i.csv").write_text("item,text\n8,eight\n007,bond\n7,seven\n")
    dataset = from_csv(tmp_path / "o.csv", tmp_path / "i.csv", timestamp=None, keep_cold=True)
    assert dataset.item_ids.tolist() == ["7", "8", "007"]
    assert dataset.item_text == ["seven", "eight", "bond"]


@pytest.mark.parametrize("column", ["user", "raw_id"])
@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([[1], [2]], "list"),
        ([1.5, 2.5], "double"),
        ([True, False], "bool"),
        ([{"a": 1}] * 2, "str"),
    ],
)
def test_a_folder_with_ids_of_another_type_is_refused(
    tmp_path: Path, column: str, values: list[Any], kind: str
) -> None:
    rows = pd.DataFrame({"user": ["u", "v"], "item": [0, 1]})
    items = pd.DataFrame({"item": [0, 1], "raw_id": ["a", "b"]})
    table, name = (rows, "interactions") if column == "user" else (items, "items")
    table[column] = values
    rows.to_parquet(tmp_path / "interactions.parquet")
    items.to_parquet(tmp_path / "items.parquet")
    said = (
        rf"{name}\.parquet, row 1, column '{column}': expected text or integers as ids, not {kind}"
    )
    with pytest.raises(ValueError, match=said):
        FolderDataset(tmp_path, min_interactions=1)


def test_dates_as_ids_of_folders_before_are_read_as_their_text(tmp_path: Path) -> None:
    days = [datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)]
    pd.DataFrame({"user": days, "item": [0, 1]}).to_parquet(tmp_path / "interactions.parquet")
    times = pd.to_datetime(pd.Series(days))
    pd.DataFrame({"item": [0, 1], "raw_id": times}).to_parquet(tmp_path / "items.parquet")
    again = FolderDataset(tmp_path, min_interactions=1)
    assert again.user_ids.tolist() == ["2020-01-01", "2020-01-02"]
    assert again.item_ids.tolist() == ["2020-01-01T00:00:00", "2020-01-02T00:00:00"]


@pytest.mark.parametrize("day", [datetime.date(2020, 1, 1), pd.Timestamp(2020, 1, 1)])
def test_a_date_as_an_id_is_refused_where_it_comes_in(day: Any) -> None:
    with pytest.raises(ValueError, match=r"row 0, column 'item': .*str makes text of it"):
        from_dataframe(pd.DataFrame({"user": ["a"], "item": [day]}), timestamp=None)
    with pytest.raises(ValueError, match=r"'user_ids', row 0: .*str makes text of it"):
        RecommendationDataset("x", Interactions.from_arrays([0], [0]), user_ids=[day])


def test_a_split_keeps_the_users_that_it_needs(tmp_path: Path) -> None:
    rows = Interactions.from_arrays([0, 0, 1, 1, 1], [0, 1, 0, 1, 0])
    labels = ["train", "test", "train", "val", "test"]
    RecommendationDataset("x", rows, labels=labels).save(tmp_path / "given")
    assert FolderDataset(tmp_path / "given").num_users == 2
    with pytest.warns(UserWarning, match="1 user"):
        assert FolderDataset(tmp_path / "given", min_interactions=3).num_users == 1
    RecommendationDataset("x", rows).save(tmp_path / "plain")
    with pytest.warns(UserWarning, match="1 user"):
        assert FolderDataset(tmp_path / "plain").num_users == 1


def test_columns_that_are_not_read_stand_in_the_report(tmp_path: Path) -> None:
    (tmp_path / "interactions.tsv").write_text("user\titem\ttimestmp\tprice\n1\t0\t5\t2\n")
    items = [{"item": 0, "raw_id": "a", "title": "A"}]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(i) + "\n" for i in items))
    report = FolderDataset(tmp_path, min_interactions=1).report
    assert "interactions.tsv: not read: timestmp, price" in report
    assert "items.jsonl: not read: title" in report
