import gzip

import pytest

from mdsrec_pyg.datasets.reading import lines
from mdsrec_pyg.datasets.reading.lines import Problems, parse_object, read_blocks

LINES = [f"line {i}:".encode() + b"x" * (7 * i % 50) for i in range(200)]


@pytest.mark.parametrize("size", [1, 13, 1000, 10**6])
@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("compress", [False, True])
def test_blocks_are_whole_lines_with_their_numbers(tmp_path, size, end, compress):
    path = tmp_path / "file"  # the name says nothing about gzip
    data = b"\n".join(LINES) + end
    path.write_bytes(gzip.compress(data) if compress else data)
    blocks = list(read_blocks(path, Problems("raise"), size))
    assert b"".join(block.data for block in blocks) == data
    numbered = [pair for block in blocks for pair in block.lines()]
    assert numbered == list(enumerate(LINES, 1))
    assert all(block.data.endswith(b"\n") for block in blocks[:-1])
    if size == 1000:
        assert max(len(block.data) for block in blocks) < 1100


def test_blank_lines_count_but_are_left_out(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"\xef\xbb\xbf\n\na\r\n  \nb\x0cc\n\n")
    [block] = read_blocks(path, Problems("raise"))
    assert list(block.lines()) == [(3, b"a"), (5, b"b\x0cc")]


def test_a_line_without_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "LONGEST_LINE", 100)
    path = tmp_path / "file"
    path.write_bytes(b"a\n" + b"x" * 200)
    with pytest.raises(ValueError, match="line 2: expected lines of at most 100 bytes, got one"):
        list(read_blocks(path, Problems("skip"), 50))


def test_the_disks_errors_are_not_the_files(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(b"a\n"))

    def fail(*args):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(gzip.GzipFile, "read1", fail)
    with pytest.raises(OSError, match="Input/output error"):
        list(read_blocks(path, Problems("skip")))


def test_problems():
    problems = Problems("skip")
    assert problems.notes(lines.Path("a/b.json")) == ()
    for i in range(5):
        problems.add(f"line {i}")
    note = "b.json: 5 records skipped, such as: line 0; line 1; line 2"
    assert problems.notes(lines.Path("a/b.json")) == (note,)
    with pytest.raises(ValueError, match=r"line 7 \(on_error='skip' goes on without it\)"):
        Problems("raise").add("line 7")


def test_what_is_shown_of_a_line():
    with pytest.raises(ValueError, match=r"not JSON \(.*\): 'xxx.* \.\.\.'$") as caught:
        parse_object(b"x" * 10_000)
    assert len(str(caught.value)) < 200
    assert parse_object(b'{"a": 1}') == {"a": 1}
