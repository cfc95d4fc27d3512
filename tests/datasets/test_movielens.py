import re

import numpy as np
import pytest

from mdsrec_pyg.datasets import FolderDataset, MovieLensDataset

T = 964_980_000
# (user, movie, rating, seconds after T): user 10 rated movie 3 twice, the newer rating first.
RATINGS = [
    (10, 3, 4, 50), (2, 1, 5, 30), (10, 1, 3, 20), (10, 3, 2, 10), (2, 3, 1, 40), (7, 20, 5, 60),
]  # fmt: skip
TITLES = {1: "Amélie: A Life (2001)", 3: 'The "Old, Old" Men (1995)', 20: "Café::Bar (1990)"}
GENRES = {1: ["Comedy", "Romance"], 3: [], 20: ["Sci-Fi"]}
FLAGS = {1: [5, 14], 3: [0], 20: [15]}
CSV = ("20m", "25m", "32m", "latest-small", "latest")
FOLDERS = {"100k": "ml-100k", "1m": "ml-1m", "10m": "ml-10M100K", **{v: f"ml-{v}" for v in CSV}}


def lines(version):
    """The two files in the official form, without encoding."""
    rows = [(u, i, r, T + t) for u, i, r, t in RATINGS]
    if version == "100k":
        movies = []
        for movie, title in TITLES.items():
            flags = "|".join("01"[n in FLAGS[movie]] for n in range(19))
            movies.append(f"{movie}|{title}|01-Jan-1995||http://us.imdb.com/M/{movie}|{flags}")
        return ["\t".join(map(str, row)) for row in rows], movies
    if version in ("1m", "10m"):
        genres = {movie: "|".join(names) for movie, names in GENRES.items()}
        movies = [f"{movie}::{title}::{genres[movie]}" for movie, title in TITLES.items()]
        return ["::".join(map(str, row)) for row in rows], movies
    ratings = ["userId,movieId,rating,timestamp", *(f"{u},{i},{r}.0,{t}" for u, i, r, t in rows)]
    movies = ["movieId,title,genres"]
    for movie, title in TITLES.items():
        quoted = '"' + title.replace('"', '""') + '"' if movie == 3 else title
        movies.append(f"{movie},{quoted},{'|'.join(GENRES[movie]) or '(no genres listed)'}")
    return ratings, movies


def names(version):
    if version == "100k":
        return "u.data", "u.item"
    suffix = "csv" if version in CSV else "dat"
    return f"ratings.{suffix}", f"movies.{suffix}"


def encoding(version):
    return "latin-1" if version in ("100k", "1m") else "utf-8"


def write(folder, version, ratings=None, movies=None):
    folder.mkdir(parents=True, exist_ok=True)
    given = lines(version)
    for name, some, other in zip(names(version), given, (ratings, movies), strict=True):
        data = "".join(f"{line}\n" for line in some).encode(encoding(version))
        (folder / name).write_bytes(data if other is None else other)
    return folder


def read(root, version="1m", **kwargs):
    return MovieLensDataset(root, version, **{"k_core": None, **kwargs})


def table(dataset):
    x = dataset.interactions
    users, items = dataset.user_ids[x.user_id].tolist(), dataset.item_ids[x.item_id].tolist()
    return list(zip(users, items, (x.timestamp - T).tolist(), strict=True))


@pytest.mark.parametrize("version", FOLDERS)
def test_every_version(tmp_path, version):
    write(tmp_path / FOLDERS[version], version)
    dataset = read(tmp_path, version)
    assert table(dataset) == [
        (2, 1, 30), (2, 3, 40), (7, 20, 60), (10, 3, 10), (10, 1, 20), (10, 3, 50),
    ]  # fmt: skip
    assert dataset.user_ids.dtype == dataset.item_ids.dtype == np.int64
    assert dataset.item_text == [
        f"{TITLES[1]}. Comedy, Romance",
        TITLES[3],
        f"{TITLES[20]}. Sci-Fi",
    ]
    assert dataset.name == FOLDERS[version]
    assert dataset.raw_file_names == list(names(version))
    assert dataset.meta["options"]["version"] == version
    dataset.save(tmp_path / "saved")
    again = FolderDataset(tmp_path / "saved", min_interactions=1)
    assert table(again) == table(dataset)
    assert again.item_text == dataset.item_text


@pytest.mark.parametrize("place", [".", "raw", "ml-1m", "raw/ml-1m"])
def test_places(tmp_path, place):
    write(tmp_path / place, "1m")
    assert read(tmp_path).num_users == 3


def test_options(tmp_path):
    write(tmp_path, "1m")
    good = read(tmp_path, min_rating=4)
    assert table(good) == [(2, 1, 30), (7, 20, 60), (10, 3, 50)]
    assert good.meta["steps"][1] == {
        "done": "rated at least 4", "users": 3, "items": 3, "interactions": 3,
        "note": "3 interactions dropped",
    }  # fmt: skip
    assert table(read(tmp_path, repeats="first"))[3:] == [(10, 3, 10), (10, 1, 20)]
    assert table(read(tmp_path, repeats="last"))[3:] == [(10, 1, 20), (10, 3, 50)]
    assert read(tmp_path, k_core=2).item_ids.tolist() == [1, 3]
    with pytest.raises(ValueError, match="after the step '5-core', got none of the 6"):
        MovieLensDataset(tmp_path, "1m")
    assert read(tmp_path, genres=False).item_text[0] == TITLES[1]
    assert read(tmp_path, name="films").name == "films"
    assert read(tmp_path, "1M").num_users == 3
    with pytest.raises(ValueError, match="'version' must be one of 100k, 1m, 10m, 20m"):
        read(tmp_path, "2m")
    with pytest.raises(ValueError, match="'on_error' must be 'raise' or 'skip'"):
        read(tmp_path, on_error="ignore")


def test_movies_that_the_file_of_movies_lacks(tmp_path):
    movies = "1::Amélie::Comedy\n".encode("latin-1")
    write(tmp_path, "1m", movies=movies)
    with pytest.raises(ValueError, match=r"movies\.dat: expected at least 50% of the 3 items"):
        read(tmp_path)
    assert read(tmp_path, min_coverage=0.3).item_text == ["Amélie. Comedy", "", ""]
    assert read(tmp_path, min_coverage=0, require=["text"]).item_ids.tolist() == [1]


def test_a_converted_file_is_read_as_what_it_is(tmp_path):
    write(tmp_path, "1m", movies="\n".join(lines("1m")[1]).encode())
    assert read(tmp_path).item_text[0] == f"{TITLES[1]}. Comedy, Romance"


def test_a_missing_file_has_its_page(tmp_path):
    write(tmp_path, "1m")
    (tmp_path / "movies.dat").unlink()
    match = r"'root' must hold movies\.dat, .* or 'ml-1m' .*https://grouplens.org/datasets/moviel"
    with pytest.raises(ValueError, match=match):
        read(tmp_path)
    with pytest.raises(ValueError, match=r"'root' must hold ratings\.csv"):
        read(tmp_path, "25m")
    with pytest.raises(ValueError, match="'root' must be a folder"):
        read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2::1::5", r"line 3: expected 4 values separated by '::' .*got 3"),
        ("2\t1\t5\t964980000", "line 3: expected 4 values separated by '::' .*got 1"),
        ("2:x:1::5::964980000", "line 3: expected 4 values"),
        ("2::1::9::964980000", "line 3, column 'Rating': expected a number from 1 to 5, got '9'"),
        ("2::1::nan::964980000", "line 3, column 'Rating': expected a number from 1 to 5"),
        ("2::1::5::-1", "line 3, column 'Timestamp': expected seconds since 1970, from 1995-01-01"),
        ("2::1::5::964980000000", r"line 3, column 'Timestamp': .*got 964980000000 \(32548-"),
        ("2::1::5::9649.5", "line 3, column 'Timestamp': .*got '9649.5'"),
        ("2::1::5::964_980_000", "line 3, column 'Timestamp': .*got '964_980_000'"),
        ("2::::5::964980000", "line 3, column 'MovieID': expected an integer, got ''"),
        ("x::1::5::964980000", "line 3, column 'UserID': expected an integer, got 'x'"),
        ("\xe9::1::5::964980000", "line 3: expected UTF-8 text"),
    ],
)
def test_a_rating_that_cannot_be_used(tmp_path, line, message):
    given = lines("1m")[0]
    data = "\n".join([*given[:2], line, *given[2:]]).encode("latin-1")
    write(tmp_path, "1m", ratings=data)
    with pytest.raises(ValueError, match=r"ratings\.dat, " + message):
        read(tmp_path)
    dataset = read(tmp_path, on_error="skip")
    assert len(dataset.interactions) == 6
    assert "ratings.dat: 1 record skipped, such as: " in dataset.report[0]


@pytest.mark.parametrize(
    ("version", "line", "message"),
    [
        ("1m", "4::Half", "line 2: expected 3 values separated by '::'"),
        ("1m", "x::A::Comedy", "line 2: expected the number of a movie, got 'x'"),
        ("1m", "9" * 19 + "::A::Comedy", "line 2: expected the number of a movie, got '999"),
        ("1m", "1::A::Comedy", "line 2: expected a movie that no other line has, got 1 again"),
        ("100k", "4|A|||", r"line 2: expected 24 values separated by '\|', got 5"),
        ("100k", "4|A|||" + "|2" * 19, "line 2: expected 0 or 1 for each genre"),
        ("25m", "4,Half", "line 3: expected 3 values separated by ','"),
        ("25m", '4,"A,Comedy', "line 3: unexpected end of data"),
        ("25m", "4,\xe9,Comedy", "line 3: expected UTF-8 text .*byte 0xe9"),
    ],
)
def test_a_movie_that_cannot_be_used(tmp_path, version, line, message):
    given = lines(version)[1]
    place = 2 if version == "25m" else 1
    data = [text.encode(encoding(version)) for text in given]
    data.insert(place, line.encode("latin-1"))
    write(tmp_path, version, movies=b"\n".join(data))
    with pytest.raises(ValueError, match=message):
        read(tmp_path, version)
    dataset = read(tmp_path, version, on_error="skip")
    assert dataset.item_text[0] == f"{TITLES[1]}. Comedy, Romance"
    assert any("1 record skipped" in line for line in dataset.report)


def test_blanks_around_a_number_do_not_depend_on_other_lines(tmp_path):
    given = [*lines("25m")[0], " 7 ,1,4, 964980100 "]
    write(tmp_path, "25m", ratings="\n".join(given).encode())
    assert len(read(tmp_path, "25m").interactions) == 7
    write(tmp_path, "25m", ratings="\n".join([*given, "bad"]).encode())
    assert len(read(tmp_path, "25m", on_error="skip").interactions) == 7


def test_wrong_columns(tmp_path):
    data = "\n".join(lines("25m")[0]).replace("movieId", "movie").encode()
    write(tmp_path, "25m", ratings=data)
    with pytest.raises(ValueError, match=r"ratings\.csv, line 1: expected one column 'movieId'"):
        read(tmp_path, "25m")
    write(tmp_path, "25m", movies=b"id,title,genres\n1,A,B\n")
    with pytest.raises(ValueError, match=r"movies\.csv, line 1: expected 'movieId,title,genres'"):
        read(tmp_path, "25m")
    write(tmp_path, "25m", ratings=b"userId,movieId,rating,timestamp\n")
    with pytest.raises(ValueError, match="expected at least one row, got none"):
        read(tmp_path, "25m")


@pytest.mark.parametrize("wrong", ["0x10", "007", "-3", "+3", "1_0", "3.0"])
@pytest.mark.parametrize("column", [0, 1])
def test_no_id_is_read_as_another_number(tmp_path, wrong, column):
    rows, movies = lines("25m")
    row = rows[2].split(",")
    row[column] = wrong
    ratings = "\n".join([*rows[:2], ",".join(row), *rows[3:]]).encode()
    write(tmp_path, "25m", ratings)
    said = rf"ratings\.csv, line 3, column '.*Id': expected an integer, got '{re.escape(wrong)}'"
    with pytest.raises(ValueError, match=said):
        read(tmp_path, "25m")
    assert len(read(tmp_path, "25m", on_error="skip").interactions) == len(RATINGS) - 1
    movies[1] = movies[1].replace("1,", f"{wrong},", 1)
    write(tmp_path, "25m", movies="\n".join(movies).encode())
    with pytest.raises(ValueError, match=r"movies\.csv, line 2: expected the number of a movie"):
        read(tmp_path, "25m")


def test_no_time_is_read_from_hexadecimals(tmp_path):
    rows, _ = lines("25m")
    rows[2] = rows[2].rsplit(",", 1)[0] + f",{hex(T)}"
    write(tmp_path, "25m", "\n".join(rows).encode())
    with pytest.raises(ValueError, match="line 3, column 'timestamp': expected seconds since"):
        read(tmp_path, "25m")


@pytest.mark.parametrize("version", FOLDERS)
@pytest.mark.parametrize("place", ["", "raw/"])
def test_the_version_is_told_by_the_files(tmp_path, version, place):
    write(tmp_path / f"{place}{FOLDERS[version]}", version)
    assert MovieLensDataset(tmp_path, k_core=None).version == version
    folder = tmp_path / f"{place}{FOLDERS[version]}"
    assert MovieLensDataset(folder, k_core=None).version == version  # as it is called


def test_the_version_is_told_by_what_lies_beside(tmp_path):
    for name, beside, version in (("a", "users.dat", "1m"), ("b", "tags.dat", "10m")):
        folder = write(tmp_path / name, version)
        with pytest.raises(ValueError, match=r"'version' must say which .*got 1m or 10m in"):
            MovieLensDataset(folder)
        (folder / beside).touch()
        assert MovieLensDataset(folder, k_core=None).version == version
    assert MovieLensDataset(write(tmp_path / "c", "100k"), k_core=None).version == "100k"
    assert MovieLensDataset(write(tmp_path / "d", "25m"), k_core=None).version == "latest-small"
    write(tmp_path / "d", "100k")
    with pytest.raises(ValueError, match=r"which MovieLens is meant .got 100k and latest-small in"):
        MovieLensDataset(tmp_path / "d")
    (tmp_path / "e").mkdir()
    with pytest.raises(ValueError, match=r"'root' must hold u\.data \(100k\), ratings\.dat"):
        MovieLensDataset(tmp_path / "e")
