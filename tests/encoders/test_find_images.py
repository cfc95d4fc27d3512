"""Images found by id and opened in one way."""

from __future__ import annotations

import io
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mdsrec_pyg.datasets.reading.image_files import file_name
from mdsrec_pyg.encoders import find_images, open_image
from mdsrec_pyg.encoders.images import quiet_pillow

Image = pytest.importorskip("PIL.Image", reason="needs Pillow: the extra encode")


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "010/0101.jpg", "011/0112.PNG", "a.b.webp", "plain", ".hidden.jpg", ".x/y.jpg")
    found = find_images(tmp_path)
    assert {key: str(path.relative_to(tmp_path)) for key, path in found.items()} == {
        "0101": "010/0101.jpg",
        "0112": "011/0112.PNG",
        "a.b": "a.b.webp",
        "plain": "plain",
    }


def test_a_table(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('\ufeffid,file\n"a,b",x/1.jpg\n7,2.png\n8,\n', encoding="utf-8")
    found = find_images(tmp_path / "t.csv", id_column="id", path_column="file")
    assert found == {"a,b": tmp_path / "x/1.jpg", "7": tmp_path / "2.png"}
    (tmp_path / "t.tsv").write_text("raw_id\tpath\na,b\t1.jpg\n")
    assert find_images(tmp_path / "t.tsv") == {"a,b": tmp_path / "1.jpg"}


def test_mistakes(tmp_path: Path) -> None:
    touch(tmp_path, "d/a.jpg", "d/a.png")
    with pytest.raises(ValueError, match=r"one image for each id, got .*a.jpg and .*a.png for 'a'"):
        find_images(tmp_path / "d")
    with pytest.raises(ValueError, match=r"'images' must be a folder or a .csv or .tsv file"):
        find_images(tmp_path / "d/a.jpg")
    (tmp_path / "t.csv").write_text("raw_id,file\n")
    with pytest.raises(ValueError, match=r"t.csv, line 1: expected a column 'path', got 'raw_id'"):
        find_images(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("raw_id,path\na,1\n,2\n")
    with pytest.raises(ValueError, match=r"t.csv, line 3: expected an id and a path, got ''"):
        find_images(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("raw_id,path\na,1\na,2\n")
    with pytest.raises(ValueError, match=r"one image for each id"):
        find_images(tmp_path / "t.csv")


def test_file_names() -> None:
    assert file_name("B07X_y-1.2~") == "B07X_y-1.2~"
    assert file_name("a/b") == "a%2Fb"
    assert file_name("..") == "%2E."
    assert file_name("ä\t") == "%C3%A4%09"
    assert file_name(7) == "7"
    with pytest.raises(ValueError, match=r"'raw_id' must be at most 200 characters"):
        file_name("ä" * 40)


def encoded(image: object, kind: str, **options: object) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, kind, **options)  # type: ignore[attr-defined]
    file.seek(0)
    return file


def test_transparency_is_white() -> None:
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    opened = open_image(encoded(image, "PNG"))
    assert opened.mode == "RGB"
    assert [opened.getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 0), (255, 255, 255)]


def test_modes_and_frames() -> None:
    assert open_image(encoded(Image.new("L", (1, 1), 7), "PNG")).getpixel((0, 0)) == (7, 7, 7)
    deep = Image.fromarray(np.full((1, 1), 0x8000, np.uint16))
    assert open_image(encoded(deep, "PNG")).getpixel((0, 0)) == (128, 128, 128)
    frames = [Image.new("P", (1, 1), color) for color in (0, 1)]
    for frame in frames:
        frame.putpalette([255, 0, 0, 0, 0, 255])
    file = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert open_image(file).getpixel((0, 0)) == (255, 0, 0)


def test_exif_orientation() -> None:
    image = Image.new("RGB", (4, 2))
    exif = image.getexif()
    exif[0x0112] = 6  # turned by a quarter
    assert open_image(encoded(image, "JPEG", exif=exif)).size == (2, 4)


def test_what_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^no such file$"):
        open_image(tmp_path / "gone.jpg")
    with pytest.raises(ValueError, match=r"^not an image"):
        open_image(io.BytesIO(b""))
    # A format that makes Pillow start another program.
    with pytest.raises(ValueError, match=r"^not an image"):
        open_image(encoded(Image.new("RGB", (4, 4)), "EPS"))
    with pytest.raises(ValueError, match=r"^too large: 30 x 40 pixels, at most 1,199 are read"):
        open_image(encoded(Image.new("RGB", (30, 40)), "PNG"), max_pixels=1199)
    pattern = np.tile(np.arange(40, dtype=np.uint8), (60, 2))
    whole = encoded(Image.fromarray(pattern), "PNG", compress_level=9).getvalue()
    broken = whole[:60] + b"\xff" * 20 + whole[80:]
    with pytest.raises(ValueError, match=r"^unreadable: "):
        open_image(io.BytesIO(broken))
    with pytest.raises(ValueError, match=r"^too long: 1 x 101 pixels, at most 100 to 1 are read"):
        open_image(encoded(Image.new("RGB", (1, 101)), "PNG"))
    assert open_image(encoded(Image.new("RGB", (1, 100)), "PNG")).size == (1, 100)


def test_threads_leave_the_filters_of_warnings_alone() -> None:
    class Waiting(io.BytesIO):
        def __init__(self) -> None:
            super().__init__(encoded(Image.new("RGB", (4, 4)), "PNG").getvalue())
            self.reached, self.go = threading.Event(), threading.Event()

        def read(self, size: int | None = -1) -> bytes:
            self.reached.set()
            self.go.wait(10)
            return super().read(size)

    before = list(warnings.filters)
    files = [Waiting(), Waiting()]
    with ThreadPoolExecutor(2) as pool:
        opened = []
        for file in files:
            opened.append(pool.submit(open_image, file))
            assert file.reached.wait(10)
        for file, image in zip(files, opened, strict=True):  # the first one in is the first out
            file.go.set()
            assert image.result().size == (4, 4)
    assert warnings.filters == before


def test_quiet_pillow() -> None:
    with warnings.catch_warnings(record=True) as caught, quiet_pillow():
        warnings.warn_explicit("Corrupt EXIF data", UserWarning, "x.py", 1, module="PIL.Image")
        warnings.warn_explicit("of others", UserWarning, "x.py", 1, module="shop")
    assert [str(warning.message) for warning in caught] == ["of others"]
