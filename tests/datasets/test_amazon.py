import gzip
import json

import numpy as np
import pytest

from mdsrec_pyg.datasets import AmazonReviewsDataset, FolderDataset

from .amazon_files import (
    DAY,
    ITEMS,
    NAMES,
    PAIRS,
    START,
    USERS,
    feature_bytes,
    features,
    item,
    item_lines,
    pack,
    review_lines,
    write_category,
)

GENERATIONS = ("2014", "2018", "2023")
TEXT = "Tea & Cup {}. Nord. Home, Tea. Blue. A fine cup's tea."
TEXTS = {
    "2014": "Tea & Cup {}. Nord. Home, Tea, Cups. A fine cup's tea.",
    "2018": TEXT,
    "2023": TEXT,
}
URLS = {
    "2014": ["http://ecx/0.jpg", "http://ecx/1.jpg", "http://ecx/2.jpg"],
    "2018": ["https://large/0.jpg", "https://small/1.jpg", "https://large/2.jpg"],
    "2023": ["https://hi/0.jpg", "https://large/1.jpg", "https://hi/2.jpg"],
}


def table(dataset):
    """(user, item, day) of each row."""
    x = dataset.interactions
    users, items = dataset.user_ids[x.user_id].tolist(), dataset.item_ids[x.item_id].tolist()
    days = ((x.timestamp - START) / DAY).tolist()
    return [
        (USERS.index(user), ITEMS.index(name), int(day))
        for user, name, day in zip(users, items, days, strict=True)
    ]


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_category(tmp_path, generation):
    root = write_category(tmp_path, generation)
    dataset = AmazonReviewsDataset(root, "Home", generation, k_core=None, repeats="keep")
    assert table(dataset) == [
        (0, 0, 1), (0, 1, 2), (0, 0, 9), (1, 0, 3), (1, 1, 4), (2, 1, 5), (2, 0, 5), (3, 2, 6),
    ]  # fmt: skip
    assert dataset.user_ids.tolist() == USERS
    assert dataset.item_ids.tolist() == ITEMS
    assert dataset.item_text == [TEXTS[generation].format(i) for i in range(3)]
    assert dataset.image_urls == URLS[generation]
    assert dataset.features == {}
    assert dataset.name == "Home"
    assert dataset.raw_file_names[:2] == list(NAMES[generation])
    assert f"3 items in {NAMES[generation][1]}" in dataset.report
    assert dataset.meta["options"]["generation"] == generation


def test_milliseconds_keep_their_fraction(tmp_path):
    dataset = AmazonReviewsDataset(write_category(tmp_path, "2023"), "Home", "2023", k_core=None)
    assert np.asarray(dataset.interactions.timestamp)[0] == START + DAY + 0.25


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_default_drops_repetitions_and_takes_the_5_core(tmp_path, generation):
    pairs = [(u, i, u + i) for u in range(4) for i in range(3)]
    root = write_category(tmp_path, generation)
    with pytest.raises(ValueError, match="after the step '5-core', got none of the 7 interactions"):
        AmazonReviewsDataset(root, "Home", generation)
    pack(root / NAMES[generation][0], review_lines(generation, pairs + pairs))
    dataset = AmazonReviewsDataset(root, "Home", generation, k_core=3)
    assert len(dataset.interactions) == 12
    assert [step["done"] for step in dataset.meta["steps"]] == [
        "read", "only the first of repeated pairs", "3-core",
    ]  # fmt: skip


@pytest.mark.parametrize(("repeats", "days"), [("first", [1]), ("last", [9]), ("keep", [1, 9])])
def test_repeats(tmp_path, repeats, days):
    root = write_category(tmp_path, "2018")
    dataset = AmazonReviewsDataset(root, "Home", "2018", k_core=2, repeats=repeats)
    rows = table(dataset)
    assert [day for user, name, day in rows if (user, name) == (0, 0)] == days
    assert dataset.num_users == 3  # the fourth has one interaction
    assert dataset.num_items == 2


@pytest.mark.parametrize("generation", GENERATIONS)
def test_plain_files_in_a_folder_raw(tmp_path, generation):
    write_category(tmp_path / "raw", generation)
    for name in NAMES[generation]:
        path = tmp_path / "raw" / name
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    dataset = AmazonReviewsDataset(tmp_path, "Home", generation, k_core=None)
    assert len(dataset.interactions) == len(PAIRS) - 1
    assert dataset.item_text is not None


def test_the_5_core_file_is_preferred(tmp_path):
    root = write_category(tmp_path, "2018")
    pack(root / "Home.json.gz", review_lines("2018", PAIRS[:3]))
    assert len(AmazonReviewsDataset(root, "Home", "2018", k_core=None).user_ids) == 4
    (root / "Home_5.json.gz").unlink()
    assert len(AmazonReviewsDataset(root, "Home", "2018", k_core=None).user_ids) == 1


def test_paths(tmp_path):
    write_category(tmp_path, "2018")
    reviews, metadata = (tmp_path / name for name in NAMES["2018"])
    bare = AmazonReviewsDataset(generation=2018, reviews=reviews, k_core=None)
    assert bare.item_text is None
    assert bare.name == "Home_5"
    assert bare.raw_file_names == []
    both = AmazonReviewsDataset(
        generation="2018", reviews=str(reviews), metadata=metadata, k_core=None, name="toy"
    )
    assert both.item_text == [TEXT.format(i) for i in range(3)]
    assert both.name == "toy"
    other = pack(tmp_path / "other.json", review_lines("2018", PAIRS[:2]))
    mixed = AmazonReviewsDataset(tmp_path, "Home", "2018", reviews=other, k_core=None)
    assert table(mixed) == [(0, 1, 2), (0, 0, 9)]
    assert mixed.item_text is not None


def test_image_features(tmp_path):
    root = write_category(tmp_path, "2014")
    data = feature_bytes([1]) + b"B999999999" + features(9).tobytes() + feature_bytes([0])
    (root / "image_features_Home.b").write_bytes(data)
    dataset = AmazonReviewsDataset(root, "Home", "2014", k_core=None)
    image = dataset.features["image"]
    assert image.mask.tolist() == [True, True, False]
    assert image.x[:2].numpy().tolist() == [features(0).tolist(), features(1).tolist()]
    assert "2 of 3 items have image; 1 row of other items ignored" in dataset.report
    some = AmazonReviewsDataset(root, "Home", "2014", k_core=None, require=["image"])
    assert some.item_ids.tolist() == ITEMS[:2]
    elsewhere = tmp_path / "elsewhere.b"
    elsewhere.write_bytes(feature_bytes([0, 1, 2]))
    other = AmazonReviewsDataset(root, "Home", "2014", k_core=None, image_features=elsewhere)
    assert other.features["image"].mask.all()
    alone = AmazonReviewsDataset(
        generation="2014",
        reviews=root / "reviews_Home_5.json.gz",
        image_features=elsewhere,
        k_core=None,
    )
    assert alone.item_text is None
    assert alone.features["image"].mask.all()
    assert dataset.raw_file_names[2] == "image_features_Home.b"


def test_require_and_text_length(tmp_path):
    root = write_category(tmp_path, "2018")
    lines = [json.dumps({**item("2018", i), "imageURL": []}) for i in range(3)]
    pack(root / "meta_Home.json.gz", lines)
    dataset = AmazonReviewsDataset(root, "Home", "2018", k_core=None, require=["image_url"])
    assert dataset.item_ids.tolist() == [ITEMS[0], ITEMS[2]]
    short = AmazonReviewsDataset(root, "Home", "2018", k_core=None, max_text_length=13)
    assert short.item_text == ["Tea & Cup 0.", "Tea & Cup 1.", "Tea & Cup 2."]
    assert short.meta["options"]["max_text_length"] == 13


def test_an_item_twice_and_items_that_nobody_took(tmp_path):
    root = write_category(tmp_path, "2018")
    second = {**item("2018", 0), "title": "Another"}
    more = [json.dumps(second), json.dumps({"asin": "B000000077"})]
    pack(root / "meta_Home.json.gz", item_lines("2018", [0, 1]) + more)
    dataset = AmazonReviewsDataset(root, "Home", "2018", k_core=None)
    assert dataset.item_text == [TEXT.format(0), TEXT.format(1), ""]
    assert "4 items in meta_Home.json.gz" in dataset.report
    said = "1 further lines of items that stand there before ignored"
    assert said in dataset.report
    assert any(note.startswith("2 of 3 items with interactions are in") for note in dataset.report)


@pytest.mark.parametrize(
    ("category", "generation", "stem"),
    [
        ("Baby", "2014", "Baby"),
        ("Baby", "2023", "Baby_Products"),
        ("Scientific", "2018", "Industrial_and_Scientific"),
        ("Pantry", "2018", "Prime_Pantry"),
        ("Sports", "2014", "Sports_and_Outdoors"),
        ("Clothing", "2018", "Clothing_Shoes_and_Jewelry"),
    ],
)
def test_the_papers_categories_by_name(tmp_path, category, generation, stem):
    for name in NAMES[generation]:
        path = write_category(tmp_path, generation) / name
        path.rename(tmp_path / name.replace("Home", stem))
    dataset = AmazonReviewsDataset(tmp_path, category, generation, k_core=None)
    assert dataset.category == dataset.name == stem


def test_saved_it_reads_back(tmp_path):
    root = write_category(tmp_path, "2014")
    (root / "image_features_Home.b").write_bytes(feature_bytes([0, 1]))
    dataset = AmazonReviewsDataset(root, "Home", "2014", k_core=None)
    dataset.save(tmp_path / "saved")
    again = FolderDataset(tmp_path / "saved", min_interactions=1)
    assert table(again) == table(dataset)
    assert again.item_text == dataset.item_text
    assert again.image_urls == dataset.image_urls
    assert again.meta == dataset.meta
    assert np.array_equal(again.features["image"].x, dataset.features["image"].x)
