"""Files of text: plain and compressed, quoted and not, damaged in every way."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from mdsrec_pyg.datasets import FolderDataset, SyntheticDataset, _save, from_csv, read_atomic
from mdsrec_pyg.datasets.reading import table as tables
from mdsrec_pyg.datasets.reading.compressed import form_of, open_bytes, plain_suffix
from mdsrec_pyg.datasets.reading.delimited import Delimited, line_of
from mdsrec_pyg.datasets.reading.lines import Problems, read_blocks
from mdsrec_pyg.datasets.reading.table import read_table

CSV = Delimited(",", quotes=True)
ROWS = b'user,item,timestamp\n007,"a,\n1",3\nann,b,2\n' + b"bob,c,9\n" * 5_000


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("orders.csv", data)
    return file.getvalue()


FORMS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": (".gz", gzip.compress),
    "bzip2": (".bz2", bz2.compress),
    "xz": (".xz", lzma.compress),
    "zstd": (".zst", zstd),
    "zip": (".zip", zipped),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("renamed", [False, True])
def test_compressed_files_are_read_whatever_their_name(
    tmp_path: Path, form: str, renamed: bool
) -> None:
    suffix, compress = FORMS[form]
    path = tmp_path / ("x.csv" if renamed else f"x.csv{suffix}")
    path.write_bytes(compress(ROWS))
    assert form_of(path) == form
    assert plain_suffix(path) == ".csv"
    dataset = from_csv(path)
    assert len(dataset.interactions) == 5_002
    assert dataset.user_ids.tolist()[:2] == ["007", "ann"]
    assert dataset.item_ids.tolist()[0] == "a,\n1"
    assert b"".join(block.data for block in read_blocks(path, Problems("raise"), 999)) == ROWS


@pytest.mark.parametrize("form", FORMS)
def test_a_cut_or_damaged_file_is_said_by_name(tmp_path: Path, form: str) -> None:
    path = tmp_path / "x.csv"
    whole = FORMS[form][1](ROWS)
    for data in (whole[: len(whole) // 2], whole[:12], whole[:20] + b"\xff" * 30 + whole[50:]):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"x\.csv(: |, line \d+: )expected"):
            from_csv(path)


def test_archives_of_several_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "")
        archive.writestr("xl/workbook.xml", "")
    said = r"x\.xlsx: expected a zip archive of one file, got 2 \('\[Content_Types\]\.xml', 'xl/wor"
    with pytest.raises(ValueError, match=said):
        from_csv(path)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "line 1: expected column names, got an empty line or file"),
        (b"\n1,2\n", "line 1: expected column names, got an empty line or file"),
        (b"\x00\x01\x02\n", "line 1: expected column names, got '\\\\x00"),
        (b"user,item\xff\n1,2\n", "line 1: expected column names in UTF-8"),
        ("user,item\n1,2\n".encode("utf-16"), "line 1: expected column names in UTF-8"),
        (b'user,"item\n1,2\n', "line 1: expected column names .unexpected end of data"),
        (b"user,item,item\n1,2,3\n", "line 1: column 'item' stands there more than once"),
        (b"user,item\na,b\n\xff,c\n", "line 3: expected UTF-8 text"),
        (b'user,item\na,"b\n"\n\xff,"c"\n', "line 4: expected UTF-8 text"),
        (b"user,item\na,b\na\n", "line 3: Expected 2 columns, got 1"),
        (b'user,item\na,"b\n\n"\na\n', "line 5: Expected 2 columns, got 1"),
        (b'user,item\na,b\nc,"d\ne,f\n', "line 4: unexpected end of data"),
        (b'user,item\na,"b\nc,"d\ne,f\n', "line 3: ',' expected after '\"'"),
        (b'user,item\na,"b\n"\na,\n', "line 4, column 'item': expected an id, got nothing"),
    ],
)
def test_what_is_wrong_has_file_and_line(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "x.csv"
    for content in (data, gzip.compress(data)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"x\.csv, {said}"):
            from_csv(path, timestamp=None)


def test_a_mark_at_the_beginning_is_no_part_of_a_name(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    for data in (b"\xef\xbb\xbfuser,item\na,b\n", gzip.compress(b"\xef\xbb\xbfuser,item\na,b\n")):
        path.write_bytes(data)
        assert from_csv(path, timestamp=None).user_ids.tolist() == ["a"]


def test_lines_of_rows_with_line_breaks(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('user,item\na,"1\n2"\nb,3\n"c\n\nd",4\n')
    assert [line_of(path, CSV, row) for row in range(4)] == [3, 4, 7, 5]
    assert line_of(path, Delimited(), 1) == 3


def test_atomic_files_may_be_compressed(tmp_path: Path) -> None:
    path = tmp_path / "x.inter.gz"
    path.write_bytes(gzip.compress(b"user_id:token\titem_id:token\tr:float\n007\t7\t1\n"))
    dataset = read_atomic(path, min_interactions=1)
    assert dataset.user_ids.tolist() == ["007"]
    assert "x.inter.gz: not read: r:float" in dataset.report
    path.write_bytes(gzip.compress(b"user_id:token\titem_id:token\ttimestam\xf0:float\n1\t2\t3\n"))
    with pytest.raises(ValueError, match=r"x\.inter\.gz, line 1: expected column names in UTF-8"):
        read_atomic(path)


def test_text_beyond_the_offsets_of_32_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = SyntheticDataset(40, 62)
    dataset.item_ids = dataset.item_ids.astype(str).astype(object)
    dataset.user_ids = dataset.user_ids.astype(str).astype(object)
    dataset.item_text = [f"ü{n}" * 9 for n in range(dataset.num_items)]
    dataset.image_urls = [""] * dataset.num_items
    dataset.save(tmp_path / "x")
    before = FolderDataset(tmp_path / "x")
    monkeypatch.setattr(tables, "LARGEST_STRINGS", 100)
    monkeypatch.setattr(_save, "LARGEST_STRINGS", 100)
    before.save(tmp_path / "y")
    schema = pa.parquet.read_schema(tmp_path / "y" / "interactions.parquet")
    assert schema.field("user").type == pa.large_string()
    assert FolderDataset(tmp_path / "y").user_ids.tolist() == before.user_ids.tolist()
    table = read_table(tmp_path / "x" / "items.parquet", ["raw_id"], ["text"])
    assert table.columns["text"].type == pa.large_string()
    again = FolderDataset(tmp_path / "x")
    assert again.item_text == before.item_text == dataset.item_text
    assert again.image_urls == dataset.image_urls
    assert again.item_ids.tolist() == dataset.item_ids.tolist()
    assert again.user_ids.tolist() == dataset.user_ids.tolist()


def test_opened_bytes_know_lines(tmp_path: Path) -> None:
    for suffix, compress in FORMS.values():
        path = tmp_path / f"x{suffix}"
        path.write_bytes(compress(b"a\nb\n"))
        with open_bytes(path) as stream:
            assert list(stream) == [b"a\n", b"b\n"]
