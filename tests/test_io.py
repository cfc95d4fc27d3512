import errno
import json
import os
import signal

import numpy as np
import pytest

from mdsrec_pyg.io import atomic_folder, atomic_write, read_json, settle, write_json


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


def test_the_umask_of_the_process_is_never_touched(tmp_path, monkeypatch):
    """Not for a moment: another thread's new file would get every permission."""

    def touched(mask):
        raise AssertionError(f"os.umask({mask})")

    monkeypatch.setattr(os, "umask", touched)
    with atomic_write(tmp_path / "file") as temporary:
        temporary.write_text("new")
    write_folder(tmp_path / "x", "new")
    assert sorted(os.listdir(tmp_path)) == ["file", "x"]


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


def test_json_has_no_numbers_that_are_none(tmp_path):
    write_json(tmp_path / "a.json", {"x": float("nan"), "y": [1.5, float("-inf")], "z": (1,)})
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {"x": None, "y": [1.5, None], "z": [1]}


@pytest.mark.parametrize("data", [b"", b" ", b"[]", b"null", b'{"a":', b"\xff\xfe", b"[" * 100_000])
def test_json_that_is_something_else_is_named(tmp_path, data):
    (tmp_path / "settings.json").write_bytes(data)
    with pytest.raises(ValueError, match=r"settings\.json: expected the settings"):
        read_json(tmp_path / "settings.json", dict, "the settings")


def test_content_is_on_the_disk_before_it_replaces_a_file(tmp_path, monkeypatch):
    calls = []

    def note(name, function):
        def noted(*args):
            calls.append(name)
            return function(*args)

        monkeypatch.setattr(os, name, noted)

    note("fsync", os.fsync)
    note("replace", os.replace)
    with atomic_write(tmp_path / "a") as temporary:
        temporary.write_text("x")
    assert calls == ["fsync", "replace", "fsync"]
    calls.clear()
    for _ in range(2):
        with atomic_folder(tmp_path / "folder", key="k") as temporary:
            (temporary / "k").write_text("x")
            (temporary / "l").write_text("y")
    new, again = 4, 5  # files, the folder they are in, the renames, the folder around
    assert calls[:new] == ["fsync", "fsync", "fsync", "replace"]
    assert calls[new + 1 : new + 1 + again] == ["fsync", "fsync", "fsync", "replace", "replace"]


def test_what_a_killed_writer_left_is_removed(tmp_path):
    (tmp_path / ".writing-a.txt").write_text("half")
    with atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert os.listdir(tmp_path) == ["a.txt"]
    with atomic_write(tmp_path / "a.txt") as one, atomic_write(tmp_path / "a.txt") as two:
        one.write_text("one")
        two.write_text("two")
    assert (tmp_path / "a.txt").read_text() == "one"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_link_to_nothing_is_no_place_to_write(tmp_path):
    (tmp_path / "a").symlink_to("nowhere")
    with (
        pytest.raises(ValueError, match=r"a link to nothing \(got .*/a, a link to nowhere"),
        atomic_write(tmp_path / "a"),
    ):
        pass
    with (
        pytest.raises(ValueError, match=r"a' must be a folder .*a link to 'nowhere'"),
        atomic_folder(tmp_path / "a", key="k"),
    ):
        pass
    assert os.listdir(tmp_path) == ["a"]


def test_a_disk_that_fails_is_said_with_the_name(tmp_path, monkeypatch):
    with (
        pytest.raises(OSError, match=r"No space left.*nothing is written: '.*/a\.txt'"),
        atomic_write(tmp_path / "a.txt"),
    ):
        raise OSError(errno.ENOSPC, "whatever")
    with (
        pytest.raises(OSError, match=r"No space left.*nothing is written: '.*/folder'"),
        atomic_folder(tmp_path / "folder", key="k"),
    ):
        raise OSError(errno.ENOSPC, "whatever")
    with (
        pytest.raises(FileNotFoundError, match=r"No such file.*: '.*/other'$"),  # of another file
        atomic_write(tmp_path / "a.txt"),
    ):
        (tmp_path / "other").read_text()

    def read_only(path, flags, *mode):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(os, "open", read_only)
    with (
        pytest.raises(OSError, match=r"Read-only file system; nothing is written: '.*/a\.txt'"),
        atomic_write(tmp_path / "a.txt"),
    ):
        pass
    assert os.listdir(tmp_path) == []


def killed_at(call, work):
    """Does the work in a process that is killed at that call of ``os.replace``."""
    child = os.fork()
    if child == 0:
        replace, calls = os.replace, []

        def kill(*args):
            calls.append(args)
            if len(calls) == call:
                os.kill(os.getpid(), signal.SIGKILL)
            replace(*args)

        setattr(os, "replace", kill)  # noqa: B010 (typed otherwise)
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def write_folder(folder, text):
    with atomic_folder(folder, key="key") as temporary:
        for name in ("a", "b", "key"):
            (temporary / name).write_text(text)


@pytest.mark.parametrize("call", [1, 2, 3, 4, 5])
def test_killed_while_a_folder_is_replaced_it_is_the_old_or_the_new_one(tmp_path, call):
    write_folder(tmp_path, "old")
    (tmp_path / "mine").write_text("kept")
    assert killed_at(call, lambda: write_folder(tmp_path, "new")) == (call < 5)
    settle(tmp_path)
    texts = {(tmp_path / name).read_text() for name in ("a", "b", "key")}
    assert texts == ({"old"} if call == 1 else {"new"})
    write_folder(tmp_path, "next")
    assert {name: (tmp_path / name).read_text() for name in os.listdir(tmp_path)} == {
        **dict.fromkeys(["a", "b", "key"], "next"),
        "mine": "kept",
    }


@pytest.mark.parametrize("call", [2, 3, 4])
def test_the_next_one_that_writes_needs_no_reader_in_between(tmp_path, call):
    write_folder(tmp_path, "old")
    assert killed_at(call, lambda: write_folder(tmp_path, "new"))
    write_folder(tmp_path, "next")
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "key"]
    assert {(tmp_path / name).read_text() for name in ("a", "b", "key")} == {"next"}


def test_killed_while_a_folder_is_made_there_is_none(tmp_path):
    assert killed_at(1, lambda: write_folder(tmp_path / "x", "new"))
    assert not (tmp_path / "x").exists()
    assert len(os.listdir(tmp_path)) == 2  # the folder that was written, and the lock
    write_folder(tmp_path / "x", "next")
    assert os.listdir(tmp_path) == ["x"]
