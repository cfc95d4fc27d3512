"""Whatever happens to a file: a data set that is whole, or an error that names the file."""

import gzip
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdsrec_pyg.datasets import AmazonReviewsDataset, FolderDataset

from .amazon_files import NAMES, feature_bytes, write_category

# Where in the file, what is done there, and the bytes it is done with. The bytes that mean
# something in JSON, in literals and in UTF-8 come up more often than others.
POSITION = st.floats(0, 1, exclude_max=True)
PIECES = (
    b"\" ' \\ { } [ ] , : - 0 1e999 null NaN \\ud800 \x00 \xff \xe2\x80\xa8 \xef\xbb\xbf".split(
        b" "
    )
)
SPECIAL = st.sampled_from([*PIECES, b"\n", b"\r", b"\t", b"{}\n"])
BYTES = st.one_of(SPECIAL, st.binary(min_size=1, max_size=4))
MUTATION = st.tuples(st.sampled_from(["flip", "cut", "remove", "insert"]), POSITION, BYTES)
MUTATIONS = st.lists(MUTATION, min_size=1, max_size=3)


def mutate(data, mutations):
    for kind, position, given_bytes in mutations:
        at = int(position * len(data))
        if kind == "flip" and data:
            data = data[:at] + bytes([data[at] ^ given_bytes[0]]) + data[at + 1 :]
        elif kind == "cut":
            data = data[:at]
        elif kind == "remove":
            data = data[:at] + data[at + len(given_bytes) :]
        else:
            data = data[:at] + given_bytes + data[at:]
    return data


def check(root, generation, on_error):
    """The data set is whole and reads back, or the error names a file; nothing lies around."""
    before = sorted(root.iterdir())
    try:
        dataset = AmazonReviewsDataset(
            root, "Home", generation, k_core=None, on_error=on_error, min_coverage=0.0
        )
    except ValueError as error:
        message = str(error)
        if not any(str(path) in message for path in before):
            raise
        assert sorted(root.iterdir()) == before
        return
    dataset.save(root / "saved")
    again = FolderDataset(root / "saved", min_interactions=1)
    assert again.user_ids[again.interactions.user_id].tolist() == (
        dataset.user_ids[dataset.interactions.user_id].tolist()
    )
    assert again.item_text == dataset.item_text
    assert again.image_urls == dataset.image_urls
    assert again.meta == dataset.meta
    names = {"interactions.parquet", "items.parquet", "meta.json", "image.npy", "image_mask.npy"}
    assert {path.name for path in (root / "saved").iterdir()} <= names


# Derandomized: the same examples each time, so that a failure is a failure of the change.
@pytest.mark.parametrize("generation", ["2014", "2018", "2023"])
@pytest.mark.parametrize("kind", [0, 1])
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(mutations=MUTATIONS, compressed=st.booleans(), on_error=st.sampled_from(["raise", "skip"]))
def test_mutated_lines(generation, kind, mutations, compressed, on_error):
    with tempfile.TemporaryDirectory() as folder:
        root = write_category(Path(folder), generation)
        path = root / NAMES[generation][kind]
        data = path.read_bytes()
        if compressed:
            path.write_bytes(mutate(data, mutations))
        else:
            path.write_bytes(gzip.compress(mutate(gzip.decompress(data), mutations), 1))
        check(root, generation, on_error)


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(mutations=MUTATIONS, on_error=st.sampled_from(["raise", "skip"]))
def test_mutated_image_features(mutations, on_error):
    with tempfile.TemporaryDirectory() as folder:
        root = write_category(Path(folder), "2014")
        (root / "image_features_Home.b").write_bytes(mutate(feature_bytes([0, 1]), mutations))
        check(root, "2014", on_error)
