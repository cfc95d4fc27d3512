import gzip

import pytest

from mdsrec_pyg.datasets import FolderDataset, LastFM1KDataset, LastFM2KDataset

# ---- 1K: who listened to what, newest first ------------------------------------------------------

FILE = "userid-timestamp-artid-artname-traid-traname.tsv"
LISTENS = [
    "user_000001\t2009-05-04T23:08:57Z\tf1b1\tDeep \"Dish\t\tFuck Me 'Im' Famous",
    "user_000001\t2009-05-04T13:54:10Z\ta7f7\t坂本龍一\t\tComposition 0919",
    'user_000001\t2009-05-04T13:54:10Z\t\tDeep "Dish\td1\tFlashdance',
    "user_000002\t2006-01-01T00:00:01Z\t\t坂本龍一\tc1\tComposition 0919",
    "user_000002\t2006-01-01T00:00:00Z\t\tBjörk\t\t",
]
DISH, SAKAMOTO = 'Deep "Dish', "坂本龍一"


def write_1k(folder, lines=LISTENS):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes("".join(f"{line}\n" for line in lines).encode())
    return folder


def read_1k(root, item="artist", **kwargs):
    return LastFM1KDataset(root, item, **{"k_core": None, **kwargs})


def pairs(dataset):
    x = dataset.interactions
    users, items = dataset.user_ids[x.user_id].tolist(), dataset.item_ids[x.item_id].tolist()
    return list(zip(users, items, strict=True))


ARTISTS = [
    ("user_000001", DISH), ("user_000001", SAKAMOTO), ("user_000001", DISH),
    ("user_000002", "Björk"), ("user_000002", SAKAMOTO),
]  # fmt: skip


@pytest.mark.parametrize("place", [".", "raw", "lastfm-dataset-1K"])
def test_artists(tmp_path, place):
    write_1k(tmp_path / place)
    dataset = read_1k(tmp_path)
    # 13:54:10 twice: the file has the newest first, so its later line comes first.
    assert sorted(pairs(dataset)) == sorted(ARTISTS)
    assert [item for user, item in pairs(dataset) if user == "user_000001"] == [
        DISH, SAKAMOTO, DISH,
    ]  # fmt: skip
    assert dataset.interactions.timestamp.max() == 1_241_478_537  # 2009-05-04 23:08:57
    assert sorted(dataset.item_text) == sorted([DISH, SAKAMOTO, "Björk"])
    assert dataset.name == "lastfm-1k-artist"
    assert dataset.raw_file_names == [FILE]
    dataset.save(tmp_path / "saved")
    assert pairs(FolderDataset(tmp_path / "saved", min_interactions=1)) == pairs(dataset)


def test_tracks(tmp_path):
    dataset = read_1k(write_1k(tmp_path), "track")
    ids = {f"{DISH}\tFuck Me 'Im' Famous", f"{SAKAMOTO}\tComposition 0919", f"{DISH}\tFlashdance"}
    assert set(dataset.item_ids.tolist()) == ids
    assert 'Flashdance. Deep "Dish' in dataset.item_text
    assert "1 record skipped" in dataset.report[0]  # a track without a name
    assert dataset.name == "lastfm-1k-track"
    with pytest.raises(ValueError, match=rf"{FILE}, line 5, column 'track-name': expected an id"):
        read_1k(tmp_path, "track", on_error="raise")
    dataset.save(tmp_path / "saved")
    assert set(FolderDataset(tmp_path / "saved", min_interactions=1).item_ids.tolist()) == ids


def test_options_1k(tmp_path):
    write_1k(tmp_path)
    assert len(read_1k(tmp_path, repeats="first").interactions) == 4
    assert read_1k(tmp_path, k_core=2).item_ids.tolist() == [DISH]
    with pytest.raises(ValueError, match="after the step '5-core'"):
        LastFM1KDataset(tmp_path)
    assert read_1k(tmp_path, name="listens").name == "listens"
    with pytest.raises(ValueError, match="'item' must be 'artist' or 'track'"):
        read_1k(tmp_path, "album")
    with pytest.raises(ValueError, match=rf"must hold {FILE}.*ocelma\.net"):
        read_1k(tmp_path.parent)
    (tmp_path / FILE).write_bytes(gzip.compress((tmp_path / FILE).read_bytes()))
    assert len(read_1k(tmp_path).interactions) == 5


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("user_000001\t2009-05-04T23:08:57Z\t\tA\tB\t\tC", ": expected 6 values .*got 7"),
        ("user_000001\t2009-05-04T23:08:57Z\t\tHalf", ": expected 6 values .*got 4"),
        ("user_000001\t2013-09-29T18:32:04Z\t\tA\t\tB", ", column 'timestamp': .*before 2010-01"),
        ("user_000001\t1970-01-01T00:00:00Z\t\tA\t\tB", ", column 'timestamp': .*from 2002-01-01"),
        ("user_000001\t2009-05-04\t\tA\t\tB", ", column 'timestamp': .*2009-05-04T23:08:57Z"),
        ("\t2009-05-04T23:08:57Z\t\tA\t\tB", ", column 'userid': expected an id, got nothing"),
        ("user_000001\t2009-05-04T23:08:57Z\t\t\t\tB", ", column 'artist-name': expected an id"),
    ],
)
def test_lines_that_the_published_file_has(tmp_path, line, message):
    write_1k(tmp_path, [*LISTENS[:2], line, *LISTENS[2:]])
    dataset = read_1k(tmp_path)
    assert sorted(pairs(dataset)) == sorted(ARTISTS)
    assert f"{FILE}: 1 record skipped, such as: {tmp_path / FILE}, line 3" in dataset.report[0]
    with pytest.raises(ValueError, match=rf"{FILE}, line 3{message}"):
        read_1k(tmp_path, on_error="raise")


# ---- 2K: who tagged which artist -----------------------------------------------------------------

MAY = 1_243_807_200_000  # milliseconds
DAY = 86_400_000
# (user, artist, tag, day): user 2 gave artist 52 two tags at once, and one more a day later.
TAGGED = [(2, 52, 13, 0), (2, 52, 15, 0), (2, 63, 13, 1), (2, 52, 18, 1), (4, 63, 15, 0),
          (4, 52, 15, 2), (4, 70, 13, 0)]  # fmt: skip
ARTIST_LINES = [
    "id\tname\turl\tpictureURL",
    '52\tMorcheeba "live"\thttp://www.last.fm/music/Morcheeba\thttp://userserve/52.jpg',
    "63\tEnya & co\thttp://www.last.fm/music/Enya\t",
    "70\tSigur Rós\thttp://www.last.fm/music/Sigur\thttp://userserve/70.jpg",
    "71\tNobody\thttp://www.last.fm/music/Nobody\thttp://userserve/71.jpg",
]
TAG_LINES = ["tagID\ttagValue", "13\tchillout", "15\tdowntempo", "18\telectrónica"]
LISTENED = ["userID\tartistID\tweight", "2\t52\t11690", "2\t63\t5", "4\t52\t1"]


def write_2k(folder, tagged=TAGGED, encoding="utf-8", extra=()):
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f"{u}\t{a}\t{t}\t{MAY + d * DAY}" for u, a, t, d in tagged]
    files = {
        "user_taggedartists-timestamps.dat": ["userID\tartistID\ttagID\ttimestamp", *rows, *extra],
        "artists.dat": ARTIST_LINES,
        "tags.dat": TAG_LINES,
        "user_artists.dat": LISTENED,
    }
    for name, lines in files.items():
        (folder / name).write_bytes("".join(f"{line}\r\n" for line in lines).encode(encoding))
    return folder


def read_2k(root, **kwargs):
    return LastFM2KDataset(root, **{"k_core": None, **kwargs})


TAGGINGS = [(2, 52), (2, 63), (2, 52), (4, 63), (4, 70), (4, 52)]


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("place", [".", "raw/hetrec2011-lastfm-2k"])
def test_tags_at_one_moment_are_one_interaction(tmp_path, place, encoding):
    write_2k(tmp_path / place, encoding=encoding)
    dataset = read_2k(tmp_path)
    assert pairs(dataset) == TAGGINGS
    days = (dataset.interactions.timestamp - MAY // 1000) / 86_400
    assert days.tolist() == [0, 1, 1, 0, 0, 2]
    assert dataset.item_ids.tolist() == [52, 63, 70]
    assert dataset.item_text == ['Morcheeba "live"', "Enya & co", "Sigur Rós"]
    assert dataset.image_urls == ["http://userserve/52.jpg", "", "http://userserve/70.jpg"]
    assert dataset.meta["steps"][1]["done"] == "tags of an artist at one moment counted once"
    assert dataset.name == "lastfm-2k"
    dataset.save(tmp_path / "saved")
    assert pairs(FolderDataset(tmp_path / "saved", min_interactions=1)) == TAGGINGS


def test_options_2k(tmp_path):
    write_2k(tmp_path)
    assert pairs(read_2k(tmp_path, listened_only=True)) == [(2, 52), (2, 63), (2, 52), (4, 52)]
    # 52 has 15 twice, 13 and 18 once; 63 has 13 and 15 once.
    assert read_2k(tmp_path, num_tags=2).item_text == [
        'Morcheeba "live". downtempo, chillout',
        "Enya & co. chillout, downtempo",
        "Sigur Rós. chillout",
    ]
    assert read_2k(tmp_path, num_tags=3).item_text[0].endswith("chillout, electrónica")
    assert pairs(read_2k(tmp_path, repeats="first")) == [
        (2, 52), (2, 63), (4, 63), (4, 70), (4, 52),
    ]  # fmt: skip
    assert read_2k(tmp_path, k_core=2).item_ids.tolist() == [52, 63]
    with pytest.raises(ValueError, match="after the step '5-core'"):
        LastFM2KDataset(tmp_path)
    assert read_2k(tmp_path, name="tags").name == "tags"
    with pytest.raises(ValueError, match="'num_tags' must be at least 0"):
        read_2k(tmp_path, num_tags=-1)


def test_files_that_are_needed(tmp_path):
    write_2k(tmp_path)
    (tmp_path / "tags.dat").unlink()
    (tmp_path / "user_artists.dat").unlink()
    assert pairs(read_2k(tmp_path)) == TAGGINGS
    with pytest.raises(ValueError, match=r"must hold tags\.dat.*grouplens\.org/datasets/hetrec"):
        read_2k(tmp_path, num_tags=1)
    with pytest.raises(ValueError, match=r"must hold user_artists\.dat"):
        read_2k(tmp_path, listened_only=True)
    (tmp_path / "artists.dat").write_text(f"{ARTIST_LINES[0]}\n{ARTIST_LINES[1]}\n")
    with pytest.raises(ValueError, match=r"artists\.dat: expected at least 50% of the 3 items"):
        read_2k(tmp_path)
    assert read_2k(tmp_path, min_coverage=0.3).item_text == ['Morcheeba "live"', "", ""]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2\t52\t13\t-428720400000", r", column 'timestamp': .*got -428720400000 \(1956-05-31 23"),
        (f"2\t52\t13\t{2 * MAY}", ", column 'timestamp': .*before 2012-01-01"),
        ("2\t52\t13", ": expected 4 values separated by .*got 3"),
        ("2,52,13,1243807200000", ": expected 4 values separated by .*got 1"),
        ("2\tx\t13\t1243807200000", ", column 'artistID': expected an integer, got 'x'"),
    ],
)
def test_rows_that_cannot_be_used(tmp_path, line, message):
    name = "user_taggedartists-timestamps.dat"
    write_2k(tmp_path, extra=[line])
    dataset = read_2k(tmp_path)
    assert pairs(dataset) == TAGGINGS
    assert "1 record skipped" in dataset.report[0]
    with pytest.raises(ValueError, match=rf"{name}, line 9{message}"):
        read_2k(tmp_path, on_error="raise")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("artists.dat", "52\tA\n", r"artists\.dat, line 1: expected column names, got '52"),
        ("artists.dat", "id\tname\n52\tA\n52\tB\n", r"line 3: .*no other line has, got 52 again"),
        ("artists.dat", "id\tname\n52\n", "line 2: expected a number, a tab and a name"),
        ("tags.dat", "tagID\ttagValue\nx\tA\n", r"tags\.dat, line 2: expected an integer"),
        ("user_artists.dat", "userID\tartistID\n2\t52\n", "line 1: expected one column 'weight'"),
    ],
)
def test_other_files(tmp_path, name, text, message):
    (write_2k(tmp_path) / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_2k(tmp_path, num_tags=1, listened_only=True, on_error="raise")


def test_what_is_skipped_in_other_files_is_said(tmp_path):
    write_2k(tmp_path)
    for name, lines in (("tags.dat", TAG_LINES), ("user_artists.dat", LISTENED)):
        (tmp_path / name).write_text("\n".join([*lines, "bad"]), encoding="utf-8")
    assert not any("records skipped" in line for line in read_2k(tmp_path).report)
    said = "\n".join(read_2k(tmp_path, num_tags=1, listened_only=True).report)
    assert "tags.dat: 1 record skipped" in said
    assert "user_artists.dat: 1 record skipped" in said
