"""Times: one form for a column, every form that is said, and no other."""

from __future__ import annotations

import pandas as pd
import pytest

from mdsrec_pyg.datasets import FolderDataset, from_csv, from_dataframe
from mdsrec_pyg.retrieval import read_history_file

DAY = 1_767_916_800  # 2026-01-09

RIGHT = {
    "2026-01-09": DAY,
    "2026/01/09": DAY,
    "2026-01-09 06:00": DAY + 21_600,
    "2026-01-09T06:00:00": DAY + 21_600,
    "2026-01-09T06:00:00Z": DAY + 21_600,
    "2026-01-09T06:00:00.25+00:00": DAY + 21_600.25,
    "2026-01-09T06:00:00+05:30": DAY + 1_800,
    "2026-01-08T19:00:00-0500": DAY,
    "20260109T060000": DAY + 21_600,
}
WRONG = (
    "9.1.2026", "09.01.2026", "1/9/2026", "9/1/2026", "9 Jan 2026", "now", "today", "NaT", "nan",
    "2026-13-01", "2026-02-30", "2026-01-09 25:00", "2026-01-09T06:00 Europe/Berlin", "0x10",
    "1_000", "inf", "yesterday", "2026-W02", "noon", " ",
    "2026-01-09 06:00:00 UTC",
)  # fmt: skip


def entrances(tmp_path, times):
    """The same column through every entrance."""
    lines = "".join(f"u,{n},{time}\n" for n, time in enumerate(times))
    text = "user,item,timestamp\n" + lines
    (tmp_path / "x.csv").write_text(text)
    (tmp_path / "x").mkdir(exist_ok=True)
    (tmp_path / "x" / "interactions.tsv").write_text(text.replace(",", "\t"))
    (tmp_path / "x" / "items.jsonl").write_text(
        "".join(f'{{"item": {n}, "raw_id": "{n}"}}\n' for n in range(len(times)))
    )
    table = pd.DataFrame({"user": "u", "item": range(len(times)), "timestamp": times})
    return {
        "csv": lambda: from_csv(tmp_path / "x.csv").interactions.timestamp,
        "folder": lambda: FolderDataset(tmp_path / "x", min_interactions=1).interactions.timestamp,
        "frame": lambda: from_dataframe(table).interactions.timestamp,
        "histories": lambda: read_history_file(tmp_path / "x.csv")["timestamp"].sort_values(),
    }


@pytest.mark.parametrize("text", RIGHT)
def test_forms_that_are_read(tmp_path, text):
    for name, read in entrances(tmp_path, [text, "2026-01-01"]).items():
        assert read().tolist() == [DAY - 8 * 86_400, RIGHT[text]], name


@pytest.mark.parametrize("text", WRONG)
@pytest.mark.parametrize("before", ["2026-01-08", "1767916800", None])
def test_a_row_of_another_form_is_refused_with_its_place(tmp_path, text, before):
    times = [text, text] if before is None else [before, before, text]
    row = 0 if before is None else 2
    for name, read in entrances(tmp_path, times).items():
        place = f"row {row}" if name == "frame" else f"line {row + 2}"
        with pytest.raises(ValueError, match=rf"{place}, column 'timestamp': expected a .*, got"):
            read()


def test_dates_without_hyphens_are_no_seconds(tmp_path):
    for name, read in entrances(tmp_path, ["20260109", "20260110"]).items():
        with pytest.raises(ValueError, match="no date without hyphens"):
            read()
        assert name
    for read in entrances(tmp_path, ["20260109", "20269999"]).values():
        assert read().tolist() == [20260109, 20269999]
