import numpy as np
import pytest

from mdsrec_pyg.datasets.reading import delimited
from mdsrec_pyg.datasets.reading.table import identifiers, read_table


@pytest.fixture(params=[32, 2**20])
def block_size(request, monkeypatch):
    monkeypatch.setattr(delimited, "BLOCK_SIZE", request.param)


def read(tmp_path, users, end="\n"):
    path = tmp_path / "rows.tsv"
    path.write_text("user\titem\n" + "\n".join(f"{u}\t{i}" for i, u in enumerate(users)) + end)
    return read_table(path, ["user", "item"], ids=["user"])


@pytest.mark.usefixtures("block_size")
@pytest.mark.parametrize("end", ["\n", "\n\n\n"])
def test_texts_are_numbered_by_their_first_row(tmp_path, end):
    users = [f"ü{u}" for u in np.random.default_rng(0).integers(30, size=200)]
    rows = read(tmp_path, users, end)
    assert len(rows) == 200
    code, raw = identifiers(rows, "user", text_as_integers=True)
    assert raw.tolist() == list(dict.fromkeys(users))
    assert raw[code].tolist() == users


@pytest.mark.usefixtures("block_size")
@pytest.mark.parametrize("end", ["\n", "\n\n"])
def test_integers_are_numbered_in_their_order(tmp_path, end):
    users = np.random.default_rng(0).integers(-20, 1000, size=200)
    code, raw = identifiers(read(tmp_path, users, end), "user", text_as_integers=True)
    assert raw.tolist() == sorted(set(users.tolist()))
    assert raw[code].tolist() == users.tolist()
    text = identifiers(read(tmp_path, users, end), "user", text_as_integers=False)[1]
    assert text[0] == str(users[0])


@pytest.mark.usefixtures("block_size")
def test_007_is_not_7(tmp_path):
    raw = identifiers(read(tmp_path, ["7", "007", "7"]), "user", text_as_integers=True)[1]
    assert raw.tolist() == ["7", "007"]


@pytest.mark.usefixtures("block_size")
def test_a_row_without_an_id_is_named(tmp_path):
    rows = read(tmp_path, [*"abcdefghijklmnop", "", "q", ""])
    with pytest.raises(ValueError, match=r"line 18, column 'user': expected an id, got nothing"):
        identifiers(rows, "user", text_as_integers=True)


def test_each_text_is_held_once(tmp_path):
    assert len(read(tmp_path, ["a", "b"] * 500).columns["user"].dictionary) == 2
