"""A folder is claimed by one process; what killed processes have left is removed."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from mdsrec_pyg.io import atomic_write, claim, locks

HOLD = """
import sys, time
from mdsrec_pyg.io import atomic_write, claim
with claim(sys.argv[1], make=True), atomic_write(sys.argv[1] + "/table.tsv") as temporary:
    temporary.write_text("half")
    print("held", flush=True)
    time.sleep(60)
"""


def in_thread(folder: Path) -> str:
    """What another thread is told that claims the folder; an empty text if it may."""
    said = []

    def attempt() -> None:
        try:
            with claim(folder):
                said.append("")
        except ValueError as error:
            said.append(str(error))

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return said[0]


def test_the_second_process_is_told_who_holds_the_folder_until_it_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), "a \x1b[31mword"], stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(ValueError, match=rf"process {holder.pid} on .* since 20.*-c .*run a "),
            claim(folder),
        ):
            pass
        with (
            pytest.raises(ValueError, match=r"has locked .*lock'; wait until it has ended") as told,
            claim(folder, wait=0.15),
        ):
            pass
        assert "\x1b" not in str(told.value), "what others have written is not sent to a terminal"
        assert (folder / ".writing-table.tsv").read_text() == "half"
        with atomic_write(folder / "table.tsv") as temporary:  # not by the name that is in use
            temporary.write_text("whole")
        assert (folder / ".writing-table.tsv").exists(), "its writer lives"
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with claim(folder):
        assert sorted(os.listdir(folder)) == [".lock", "table.tsv"]
    assert os.listdir(folder) == ["table.tsv"]


def test_threads_are_others_and_the_same_thread_is_not(tmp_path: Path) -> None:
    with claim(tmp_path):
        assert "is being written by another process: process" in in_thread(tmp_path)
        with claim(tmp_path):
            pass
        assert "has locked" in in_thread(tmp_path), "the inner block has not ended the claim"
    assert in_thread(tmp_path) == ""
    assert os.listdir(tmp_path) == []


def test_it_can_be_waited_for(tmp_path: Path) -> None:
    def wait() -> None:
        with claim(tmp_path, wait=30):
            (tmp_path / "done").touch()

    with claim(tmp_path):
        waiter = threading.Thread(target=wait)
        waiter.start()
        time.sleep(0.15)
        assert waiter.is_alive()
    waiter.join(10)
    assert (tmp_path / "done").exists()


def test_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "new"
    with claim(folder):
        assert os.listdir(tmp_path / "deep") == [".new.lock"]
        assert "has locked" in in_thread(folder)
        folder.mkdir()
        assert "has locked" in in_thread(folder), "claimed before it was there"
    assert in_thread(folder) == ""
    assert os.listdir(tmp_path / "deep") == ["new"]


def test_folders_that_stay_empty_are_removed_again(tmp_path: Path) -> None:
    with claim(tmp_path / "runs" / "one", make=True):
        assert (tmp_path / "runs" / "one").is_dir()
    assert os.listdir(tmp_path) == []
    with claim(tmp_path / "runs" / "one", make=True):
        (tmp_path / "runs" / "one" / "a").touch()
    assert os.listdir(tmp_path / "runs" / "one") == ["a"]


@pytest.mark.parametrize("folder", ["file", "file/run", "dangling", "dangling/run"])
def test_what_can_be_no_folder(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "dangling").symlink_to("nowhere")
    with (
        pytest.raises(ValueError, match=rf"{folder}' must be a folder \('.*(file|dangling)' is a"),
        claim(tmp_path / folder, make=True),
    ):
        pass
    assert (tmp_path / "file").read_text() == "kept"
    assert sorted(os.listdir(tmp_path)) == ["dangling", "file"]


def test_a_lock_never_empties_what_a_link_leads_to(tmp_path: Path) -> None:
    notes, folder = tmp_path / "notes", tmp_path / "unpacked"
    notes.write_text("years of work")
    folder.mkdir()
    (folder / ".lock").symlink_to(notes)
    with (
        pytest.raises(ValueError, match=r"must be a lock file \(it is a link to '.*notes'\)"),
        claim(folder),
    ):
        pass
    (folder / ".lock").unlink()
    (folder / ".lock").hardlink_to(notes)
    with claim(folder):
        assert "does not say who" in in_thread(folder)
    assert notes.read_text() == "years of work"
    notes.write_text("")
    with claim(folder):
        assert notes.read_text() == "", "nothing is written through it either"
    assert (folder / ".lock").samefile(notes)
    (folder / ".lock").unlink()
    (folder / ".lock").write_text("somebody's own")
    with claim(folder):
        pass
    assert (folder / ".lock").read_text() == "somebody's own"
    (folder / ".lock").unlink()
    os.mkfifo(folder / ".lock")
    with pytest.raises(ValueError, match="it is no file"), claim(folder):
        pass


def test_a_lock_that_was_removed_between_opening_and_locking_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one who had it removes it at its end: a lock on that file would keep nobody out."""
    opened = []

    def open_and_lose(path: Path) -> int:
        opened.append(path)
        descriptor = original(path)
        if len(opened) == 1:
            path.unlink()
        return descriptor

    original = locks._open
    monkeypatch.setattr(locks, "_open", open_and_lose)
    with claim(tmp_path):
        assert len(opened) == 2
        with open(opened[0]) as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_link_among_the_leftovers_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "a").touch()
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / ".writing-x").symlink_to(tmp_path / "kept")
    (folder / ".writing-y").mkdir()
    (folder / ".writing-y" / "b").touch()
    with claim(folder):
        pass
    assert os.listdir(folder) == [".writing-x"]
    assert os.listdir(tmp_path / "kept") == ["a"]


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    with claim(tmp_path):
        kept = os.open(tmp_path / ".lock", os.O_RDWR)
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:  # until the child has come to life
            with suppress(BlockingIOError):
                fcntl.flock(kept, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(0.01)
        else:
            pytest.fail("the child holds the lock of its parent")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(kept)


def test_where_there_are_no_locks_a_warning_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(descriptor: int) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(locks, "_lock", none)
    with pytest.warns(UserWarning, match="cannot be locked on its file system"), claim(tmp_path):
        pass
