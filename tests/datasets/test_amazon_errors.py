import gzip
import json

import numpy as np
import pytest

from mdsrec_pyg.datasets import AmazonReviewsDataset
from mdsrec_pyg.datasets._amazon_items import ITEM_FIELDS, read_metadata
from mdsrec_pyg.datasets.reading import lines

from .amazon_files import (
    ITEMS,
    NAMES,
    PAIRS,
    feature_bytes,
    item_lines,
    pack,
    review,
    review_lines,
    write_category,
)

GENERATIONS = ("2014", "2018", "2023")


def read(root, generation="2018", **kwargs):
    return AmazonReviewsDataset(root, "Home", generation, **{"k_core": None, **kwargs})


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_missing_file_has_its_address(tmp_path, generation):
    root = write_category(tmp_path, generation)
    for name in reversed(NAMES[generation]):
        (root / name).unlink()
        with pytest.raises(
            ValueError, match=rf"'root' must hold {name}.*get it from https://.*{name}"
        ):
            read(root, generation)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"generation": "2016"}, "'generation' must be one of 2014, 2018, 2023"),
        ({}, "either 'root' and 'category' or 'reviews' must be given"),
        ({"root": "."}, "either 'root' and 'category' or 'reviews' must be given"),
        ({"root": "/nowhere", "category": "Home"}, "'root' must be a folder"),
        ({"reviews": "/nowhere"}, "'reviews' must be a file"),
        ({"root": ".", "category": "Pantry"}, "'Pantry' is not in the collection of 2023, only in"),
        ({"root": ".", "category": "Baby", "generation": "2018"}, "only in that of 2014 and 2023"),
    ],
)
def test_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        AmazonReviewsDataset(**kwargs)


def test_options_of_what_is_read(tmp_path):
    root = write_category(tmp_path, "2018")
    with pytest.raises(ValueError, match="'on_error' must be 'raise' or 'skip'"):
        read(root, on_error="ignore")
    for option in ({"repeats": "drop"}, {"k_core": 0}, {"require": "text"}, {"min_coverage": 2}):
        with pytest.raises(ValueError, match=f"'{next(iter(option))}' must"):
            AmazonReviewsDataset(**option)  # before any file is looked for
    with pytest.raises(ValueError, match="'max_text_length' must be at least 1 or None"):
        read(root, max_text_length=0)


FUTURE = {"2014": 1_420_070_400, "2018": 1_546_300_800, "2023": 1_704_067_200_000}
FIELDS = {
    "2014": ("reviewerID", "asin", "unixReviewTime"),
    "2018": ("reviewerID", "asin", "unixReviewTime"),
    "2023": ("user_id", "parent_asin", "timestamp"),
}


def broken(generation):
    """A review that cannot be used, and the words of the error."""
    user, name, time = FIELDS[generation]
    good = review(generation, 1, 1, 1)
    without = {key: value for key, value in good.items() if key != name}
    unit = "milliseconds" if generation == "2023" else "seconds"
    yield json.dumps(without), f"expected a field '{name}', got"
    yield json.dumps({**good, user: ""}), f"field '{user}': expected an id"
    yield json.dumps({**good, user: None}), f"field '{user}': expected an id"
    yield json.dumps({**good, user: 5}), f"field '{user}': expected an id.* got 5"
    yield json.dumps({**good, user: "\ud800"}), f"field '{user}': expected text"
    for value in (-1, FUTURE[generation], None, "x", True, 10**30, 1e300, good[time] + 0.5):
        expected = f"field '{time}': expected {unit} since 1970, from 1995-01-01 and before"
        yield json.dumps({**good, time: value}), expected
    line = json.dumps(good)
    yield line[: len(line) // 2], "expected a JSON object, got text that is not JSON"
    yield line + line, "expected a JSON object, got text that is not JSON"
    yield "[1, 2]", "expected an object, got"
    yield "[" * 100_000, "expected a JSON object, got text that is not JSON"
    yield line.encode("utf-16"), "expected"
    yield line.replace("Fine", "F\xe9").encode("latin-1"), "expected UTF-8 text"


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_review_that_cannot_be_used(tmp_path, generation):
    root = write_category(tmp_path, generation)
    path = root / NAMES[generation][0]
    lines = [line.encode() for line in review_lines(generation)]
    for line, message in broken(generation):
        data = line if isinstance(line, bytes) else line.encode()
        data = b"\n".join([*lines[:2], data.replace(b"\n", b""), *lines[2:]])
        path.write_bytes(gzip.compress(data))
        with pytest.raises(ValueError, match=rf"{path}, line 3: {message}"):
            read(root, generation)
        dataset = read(root, generation, on_error="skip", repeats="keep")
        assert len(dataset.interactions) == len(PAIRS)
        note = dataset.meta["steps"][0]["note"]
        assert note.startswith(f"{path.name}: 1 record skipped, such as: {path}, line 3: ")
        assert note in dataset.report[0]


def test_blank_lines_and_line_ends_are_nothing_special(tmp_path):
    root = write_category(tmp_path, "2018")
    lines = review_lines("2018")
    text = "\ufeff\r\n" + "\r\n\n  \n".join(lines)
    (root / NAMES["2018"][0]).write_bytes(text.encode())
    assert len(read(root, repeats="keep").interactions) == len(PAIRS)
    (root / NAMES["2018"][0]).write_bytes(b"\n\n")
    with pytest.raises(ValueError, match="expected at least one review, got none"):
        read(root)


def test_the_same_field_twice_in_a_line(tmp_path):
    root = write_category(tmp_path, "2018")
    lines = review_lines("2018")
    lines[0] = lines[0][:-1] + f', "asin": "{ITEMS[1]}"}}'
    pack(root / NAMES["2018"][0], lines)
    x = read(root, repeats="keep")
    assert len(x.interactions) == len(PAIRS)


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("generation", GENERATIONS)
def test_cut_off_and_damaged_gzip(tmp_path, generation, kind):
    root = write_category(tmp_path, generation)
    path = root / NAMES[generation][kind]
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(ValueError, match=rf"{path}, line \d+: .*the file is cut off"):
        read(root, generation)
    path.write_bytes(whole[:-8] + bytes(8))
    with pytest.raises(ValueError, match=rf"{path}, line \d+: expected a gzip file, got damaged"):
        read(root, generation)
    dataset = read(root, generation, on_error="skip", min_coverage=0.3)
    assert len(dataset.interactions) == len(PAIRS) - 1  # only the checksum is wrong
    assert any("1 record skipped" in line for line in dataset.report)


def test_what_stands_before_the_cut_is_read(tmp_path):
    root = write_category(tmp_path, "2018")
    lines = [json.dumps(review("2018", k % 4, k % 3, k % 50)) for k in range(5000)]
    path = pack(root / NAMES["2018"][0], lines)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    dataset = read(root, on_error="skip", repeats="keep")
    assert 1500 < len(dataset.interactions) < 3500
    first = f"line {len(dataset.interactions) + 1}: expected the rest of a gzip file"
    assert first in dataset.report[0]


@pytest.mark.parametrize("generation", GENERATIONS)
def test_metadata_that_cannot_be_used(tmp_path, generation):
    root = write_category(tmp_path, generation)
    path = root / NAMES[generation][1]
    lines = item_lines(generation)
    what = "a Python dict of literals" if generation == "2014" else "a JSON object"
    cases = {
        lines[1][: len(lines[1]) // 2]: f"expected {what}, got",
        lines[0][:-1]: f"expected {what}, got",  # of an item that nobody took
        "{'asin': __import__('os').getcwd()}": f"expected {what}, got",
        "[1]": "expected an object, got",
        "{}": "expected a field",
        "(" * 100_000: f"expected {what}, got",
    }
    for line, message in cases.items():
        pack(path, [lines[0], line, *lines[1:]])
        with pytest.raises(ValueError, match=f"{path}, line 2: {message}"):
            read(root, generation)
        dataset = read(root, generation, on_error="skip")
        assert all(dataset.item_text)
        assert any("1 record skipped" in line for line in dataset.report)
    path.write_bytes(lines[0].encode() + b"\n" + lines[1].encode("utf-16"))
    with pytest.raises(ValueError, match=f"{path}, line 2: expected UTF-8 text"):
        read(root, generation)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_metadata_of_another_category(tmp_path, generation):
    root = write_category(tmp_path, generation)
    reviews, metadata = (root / name for name in NAMES[generation])
    lines = [line.replace("B00000000", "B77000000") for line in item_lines(generation)]
    pack(metadata, lines)
    message = rf"{metadata}: .* 50% of the 3 items of {reviews}.* got 0 of them"
    with pytest.raises(ValueError, match=message):
        read(root, generation)
    pack(metadata, [*lines, item_lines(generation)[0]])
    with pytest.raises(ValueError, match=r"got 1 of them \(33\.3%\)"):
        read(root, generation)
    assert read(root, generation, min_coverage=0.3).num_items == 3


def test_odd_fields_in_metadata_are_no_errors(tmp_path):
    root = write_category(tmp_path, "2018")
    odd = {"asin": ITEMS[0], "title": 7, "brand": None, "category": {"a": 1}, "imageURL": [None]}
    pack(root / NAMES["2018"][1], [json.dumps(odd), *item_lines("2018", [1, 2])])
    dataset = read(root)
    assert dataset.item_text[0] == ""
    assert dataset.image_urls[0] == ""
    odd["imageURL"] = ["javascript:alert(1)"]
    pack(root / NAMES["2018"][1], [json.dumps(odd), *item_lines("2018", [1, 2])])
    assert read(root).image_urls[0] == ""
    for images in ("x", 5, [5], {"hi_res": ["x"]}, [{"hi_res": 5}]):
        write_category(tmp_path / "2023", "2023")
        odd = {"parent_asin": ITEMS[0], "images": images}
        path = tmp_path / "2023" / NAMES["2023"][1]
        pack(path, [json.dumps(odd), *item_lines("2023", [1, 2])])
        assert read(tmp_path / "2023", "2023").image_urls[0] == ""


def test_image_features_that_cannot_be_used(tmp_path):
    root = write_category(tmp_path, "2014")
    path = root / "image_features_Home.b"
    whole = feature_bytes([0, 1, 2])
    path.write_bytes(whole[:-100])
    message = f"{path}, record 3: expected 16,394 bytes .* got 16,294 bytes and the end of the file"
    with pytest.raises(ValueError, match=message):
        read(root, "2014")
    dataset = read(root, "2014", on_error="skip")
    assert dataset.features["image"].mask.tolist() == [True, True, False]
    assert any("image_features_Home.b: 1 record skipped" in line for line in dataset.report)
    path.write_bytes(whole + feature_bytes([1]))
    with pytest.raises(ValueError, match=f"{path}, record 4: item B000000002 stands there before"):
        read(root, "2014")
    assert read(root, "2014", on_error="skip").features["image"].mask.all()
    path.write_bytes(whole[:20_000] + whole[20_001:] + b"x")
    with pytest.raises(ValueError, match=rf"{path}, record 3 \(byte 32,788\): expected 10 capital"):
        read(root, "2014", on_error="skip")
    path.write_bytes(whole.replace(b"B00000000", b"B77000000"))
    with pytest.raises(ValueError, match=rf"{path}: expected at least 50% .* got 0 of them"):
        read(root, "2014")
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="expected at least one record, got none"):
        read(root, "2014")
    path.write_bytes(whole[:10] + b"\xff\xff\xff\x7f" + whole[14:])
    message = r"row 0 \(item 'B000000001'\), column 0: expected a finite float32 number, got nan"
    with pytest.raises(ValueError, match=message):
        read(root, "2014")


@pytest.mark.parametrize("null", ["null", "null {}", "{0}null", "{0} null {0}"])
def test_a_null_that_arrow_would_die_of(tmp_path, null):
    root = write_category(tmp_path, "2018")
    lines = review_lines("2018")
    pack(root / NAMES["2018"][0], [*lines[:2], null.replace("{0}", lines[2]), *lines[2:]])
    with pytest.raises(ValueError, match=r"line 3: expected a"):
        read(root)
    # In a text it is nothing special.
    lines[1] = lines[1].replace("Fine", "{}null {} null")
    pack(root / NAMES["2018"][0], lines)
    assert len(read(root, repeats="keep").interactions) == len(PAIRS)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_line_that_would_become_gigabytes_is_refused(tmp_path, generation, monkeypatch):
    monkeypatch.setattr(lines, "LONGEST_LINE", 500_000)  # of literals it is that anyhow
    root = write_category(tmp_path, generation)
    first, *others = item_lines(generation)
    long = first[:-1] + ", 'x': [".replace("'", '"') + "1," * 250_000 + "1]}"
    path = root / NAMES[generation][1]
    pack(path, [*others, long])
    message = f"{path}, line {len(others) + 1}: expected at most 500,000 bytes, got 50"
    with pytest.raises(ValueError, match=message):
        read(root, generation)
    skipped = read(root, generation, on_error="skip")
    assert any("1 record skipped" in line for line in skipped.report)


def test_image_addresses_that_are_none_are_counted(tmp_path):
    path = tmp_path / "meta.jsonl"
    urls = ["http://a/1.jpg", "ftp://a/2.jpg", "http://a/ü.jpg", "", None, ["x"]]
    records = [{"asin": f"B{n}", "imageURL": [url]} for n, url in enumerate(urls)]
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    found = read_metadata(path, ITEM_FIELDS["2018"], np.array([f"B{n}" for n in range(6)]))
    assert found.image_urls == ["http://a/1.jpg", "", "", "", "", ""]
    assert "3 image addresses that are none ignored" in found.notes
