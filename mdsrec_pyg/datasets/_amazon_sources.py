"""Where the files of each generation of the Amazon Reviews are, and what they are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mdsrec_pyg.datasets._recognize import other_reader
from mdsrec_pyg.datasets._reviews import ReviewFields

SNAP = "https://snap.stanford.edu/data/amazon/productGraph"
MCAULEY = "https://mcauleylab.ucsd.edu/public_datasets/data"
SECONDS_1995 = 788_918_400  # Amazon sold its first book in that year.


@dataclass(frozen=True)
class Generation:
    """Names, addresses and fields of one generation of the collection.

    Args:
        page: Where the collection is described.
        reviews: File names of reviews, the one to be preferred first.
        metadata: File name of metadata.
        image_features: File name of image features, if there are any.
        urls: Address of each kind of file.
        fields: Where user, item and time stand in a review.
        short: File stem of each of the paper's categories that it has.
    """

    page: str
    reviews: tuple[str, ...]
    metadata: str
    image_features: str | None
    urls: dict[str, str]
    fields: ReviewFields
    short: dict[str, str]


GENERATIONS = {
    "2014": Generation(
        page="https://cseweb.ucsd.edu/~jmcauley/datasets/amazon/links.html",
        reviews=("reviews_{}_5.json.gz", "reviews_{}.json.gz"),
        metadata="meta_{}.json.gz",
        image_features="image_features_{}.b",
        urls={
            "reviews": f"{SNAP}/categoryFiles/",
            "metadata": f"{SNAP}/categoryFiles/",
            "image_features": f"{SNAP}/image_features/categoryFiles/",
        },
        # Up to July 2014.
        fields=ReviewFields("reviewerID", "asin", "unixReviewTime", 1, SECONDS_1995, 1_420_070_400),
        short={
            "Baby": "Baby",
            "Sports": "Sports_and_Outdoors",
            "Clothing": "Clothing_Shoes_and_Jewelry",
        },
    ),
    "2018": Generation(
        page="https://cseweb.ucsd.edu/~jmcauley/datasets/amazon_v2/",
        reviews=("{}_5.json.gz", "{}.json.gz"),
        metadata="meta_{}.json.gz",
        image_features=None,
        urls={
            "reviews": f"{MCAULEY}/amazon_v2/categoryFilesSmall/",
            "metadata": f"{MCAULEY}/amazon_v2/metaFiles2/",
        },
        # Up to October 2018.
        fields=ReviewFields("reviewerID", "asin", "unixReviewTime", 1, SECONDS_1995, 1_546_300_800),
        short={
            "Scientific": "Industrial_and_Scientific",
            "Pantry": "Prime_Pantry",
            "Sports": "Sports_and_Outdoors",
            "Clothing": "Clothing_Shoes_and_Jewelry",
        },
    ),
    "2023": Generation(
        page="https://amazon-reviews-2023.github.io/",
        reviews=("{}.jsonl.gz",),
        metadata="meta_{}.jsonl.gz",
        image_features=None,
        urls={
            "reviews": f"{MCAULEY}/amazon_2023/raw/review_categories/",
            "metadata": f"{MCAULEY}/amazon_2023/raw/meta_categories/",
        },
        # Up to September 2023.
        fields=ReviewFields(
            "user_id", "parent_asin", "timestamp", 1_000, SECONDS_1995, 1_704_067_200
        ),
        short={
            "Scientific": "Industrial_and_Scientific",
            "Baby": "Baby_Products",
            "Sports": "Sports_and_Outdoors",
            "Clothing": "Clothing_Shoes_and_Jewelry",
        },
    ),
}


def file_stem(category: str, generation: str) -> str:
    """The category as it stands in file names.

    Raises:
        ValueError: The category is one of the paper's that this generation does not have.
    """
    stem = GENERATIONS[generation].short.get(category)
    if stem is not None:
        return stem
    others = [name for name, other in GENERATIONS.items() if category in other.short]
    if others:
        raise ValueError(
            f"'category' {category!r} is not in the collection of {generation}, only in that of "
            f"{' and '.join(others)}"
        )
    return category


def raw_file_names(stem: str, generation: str) -> dict[str, list[str]]:
    """File names by kind, the one to be preferred first; each may also be plain, without .gz."""
    given = GENERATIONS[generation]
    names = {"reviews": list(given.reviews), "metadata": [given.metadata]}
    if given.image_features is not None:
        names["image_features"] = [given.image_features]
    return {kind: [name.format(stem) for name in some] for kind, some in names.items()}


def find_files(root: Path, stem: str, generation: str) -> dict[str, Path]:
    """The files in ``root`` or ``root/raw``, by kind, as far as they are there."""
    found: dict[str, Path] = {}
    for kind, names in raw_file_names(stem, generation).items():
        plain = [form for name in names for form in (name, name.removesuffix(".gz"))]
        for path in (folder / name for name in plain for folder in (root, root / "raw")):
            if path.is_file():
                found.setdefault(kind, path)
    return found


def check_files(found: Mapping[str, Path], root: Path, stem: str, generation: str) -> None:
    """Raises an error that says where to get the reviews or the metadata if one is missing."""
    given = GENERATIONS[generation]
    names = raw_file_names(stem, generation)
    for kind in ("reviews", "metadata"):
        if kind not in found:
            first, *others = names[kind]
            also = "".join(f" (or {name})" for name in others)
            raise ValueError(
                f"'root' must hold {first}{also}, gzip or plain, itself or in a folder 'raw' (got "
                f"none in {root}); get it from {given.urls[kind]}{first}, see {given.page}"
                f"{other_reader(root, 'AmazonReviewsDataset')}"
            )
