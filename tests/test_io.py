import json
import os

import numpy as np
import pytest

from mdsrec_pyg.io import atomic_write, write_json


def test_the_file_appears_only_when_the_block_ends(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == tmp_path
        assert not path.exists()
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_old_file_is_replaced_not_overwritten(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with path.open() as reader:
        with atomic_write(path) as temporary:
            temporary.write_text("new")
        assert reader.read() == "old"
    assert path.read_text() == "new"


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def stop_halfway():
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stop_halfway()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_suffix_stays_for_writers_that_append_it(tmp_path):
    with atomic_write(tmp_path / "x.npy") as temporary:
        np.save(temporary, np.arange(3))
    assert np.load(tmp_path / "x.npy").tolist() == [0, 1, 2]
    assert os.listdir(tmp_path) == ["x.npy"]


def test_permissions_are_those_of_an_ordinary_file(tmp_path):
    (tmp_path / "plain").write_text("")
    with atomic_write(tmp_path / "new"):
        pass
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode
    (tmp_path / "plain").chmod(0o600)
    with atomic_write(tmp_path / "plain"):
        pass
    assert (tmp_path / "plain").stat().st_mode & 0o777 == 0o600


def test_bad_paths(tmp_path):
    with pytest.raises(ValueError, match="existing folder"), atomic_write(tmp_path / "no" / "a"):
        pass
    with pytest.raises(ValueError, match="must name a file"), atomic_write(tmp_path):
        pass


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"name": "Bücher", "k": [1, None]})
    text = path.read_text(encoding="utf-8")
    assert json.loads(text) == {"name": "Bücher", "k": [1, None]}
    assert text.endswith("]\n}\n")
    with pytest.raises(TypeError):
        write_json(path, {"k": object()})
    assert path.read_text(encoding="utf-8") == text
    assert os.listdir(tmp_path) == ["a.json"]
