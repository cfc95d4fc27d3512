"""Image URLs and meta data: carried along, written and read."""

import json

import numpy as np
import pytest

from mdsrec_pyg.data import Interactions
from mdsrec_pyg.datasets import FolderDataset, RecommendationDataset


def make(meta=None):
    user, item = [0, 0, 0, 1, 1, 1, 2], [0, 1, 2, 0, 1, 2, 3]
    return RecommendationDataset(
        "toy",
        Interactions.from_arrays(user, item),
        image_urls=["http://0", "", "http://2", "http://3"],
        meta={"source": "toy.json"} if meta is None else meta,
    )


def test_filter_and_k_core_carry_them_along():
    dataset = make()
    kept = dataset.filter(dataset.interactions.item_id > 0)
    assert kept.image_urls == ["", "http://2", "http://3"]
    step = {"done": "filtered", "users": 3, "items": 3, "interactions": 5, "note": ""}
    assert kept.meta == {"source": "toy.json", "steps": [step]}
    core = kept.k_core(2)
    assert core.image_urls == ["", "http://2"]
    last = {"done": "2-core", "users": 2, "items": 2, "interactions": 4, "note": ""}
    assert core.meta["steps"] == [step, last]
    assert kept.meta["steps"] == [step]
    assert dataset.meta == {"source": "toy.json"}


def test_meta_of_others_is_left_alone():
    dataset = make({"steps": "three"})
    assert dataset.k_core(2).meta == {"steps": "three"}


def test_they_are_written_and_read(tmp_path):
    dataset = make({"source": "ß", "options": {"k_core": None}})
    dataset.save(tmp_path)
    again = FolderDataset(tmp_path, min_interactions=1)
    assert again.image_urls == dataset.image_urls
    assert again.meta == dataset.meta
    assert "ß" in (tmp_path / "meta.json").read_text(encoding="utf-8")


def test_nothing_of_an_older_data_set_is_read(tmp_path):
    make().save(tmp_path)
    x = make().interactions
    RecommendationDataset("bare", x).save(tmp_path)
    again = FolderDataset(tmp_path, min_interactions=1)
    assert again.meta == {}
    assert again.image_urls is None


def test_image_urls_in_json_lines(tmp_path):
    make().save(tmp_path)
    (tmp_path / "items.parquet").unlink()
    (tmp_path / "meta.json").unlink()
    lines = [{"item": i, "raw_id": f"b{i}"} for i in range(4)]
    lines[2]["image_url"] = "http://2"
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    again = FolderDataset(tmp_path, min_interactions=1)
    assert again.image_urls == ["", "", "http://2", ""]
    assert again.meta == {}
    lines[1]["image_url"] = ["http://1"]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(ValueError, match=r"line 2, column 'image_url': expected a string, got \["):
        FolderDataset(tmp_path)


@pytest.mark.parametrize("text", ["[1]", "{", "", '{"a": ', '"a"', b'{"a": "\xff"}'])
def test_a_broken_meta_file_is_said(tmp_path, text):
    make().save(tmp_path)
    (tmp_path / "meta.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=r"meta\.json: expected the meta of a data set"):
        FolderDataset(tmp_path, min_interactions=1)


@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": 1e999}', '{"a": "\\ud800"}'])
def test_meta_that_could_not_be_saved_again_is_refused(tmp_path, text):
    make().save(tmp_path)
    (tmp_path / "meta.json").write_text(text)
    with pytest.raises(ValueError, match=r"meta\.json: expected what can be written again"):
        FolderDataset(tmp_path, min_interactions=1)


@pytest.mark.parametrize("value", [np.arange(3), float("nan"), object(), "\ud800"])
def test_meta_that_cannot_be_written(tmp_path, value):
    with pytest.raises(ValueError, match="'meta' must hold what JSON can"):
        make({"a": value}).save(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_rows():
    with pytest.raises(ValueError, match=r"'image_urls' must have 4 rows \(got 1\)"):
        RecommendationDataset("x", make().interactions, image_urls=["http://0"])


@pytest.mark.parametrize("line", ["null", "null {}", '{"item": 0, "raw_id": "b0"} null'])
def test_a_null_that_arrow_would_die_of(tmp_path, line):
    make().save(tmp_path)
    (tmp_path / "items.parquet").unlink()
    lines = [json.dumps({"item": i, "raw_id": f"b{i}", "text": "{} null"}) for i in range(4)]
    (tmp_path / "items.jsonl").write_text("\n".join(lines))
    assert FolderDataset(tmp_path, min_interactions=1).item_text == ["{} null"] * 4
    (tmp_path / "items.jsonl").write_text("\n".join([*lines, line]))
    with pytest.raises(ValueError, match=r"items\.jsonl, line 5: expected a JSON object, got"):
        FolderDataset(tmp_path)
