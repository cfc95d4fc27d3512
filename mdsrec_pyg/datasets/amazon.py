"""Amazon Reviews of 2014, 2018 and 2023."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mdsrec_pyg.datasets._amazon_items import ITEM_FIELDS, read_image_features, read_metadata
from mdsrec_pyg.datasets._amazon_sources import (
    GENERATIONS,
    check_files,
    file_stem,
    find_files,
    raw_file_names,
)
from mdsrec_pyg.datasets._reviews import read_reviews
from mdsrec_pyg.datasets.dataset import RecommendationDataset
from mdsrec_pyg.datasets.prepare import check_options, prepare
from mdsrec_pyg.datasets.raw import RawItems

__all__ = ["AmazonReviewsDataset"]

PathLike = str | os.PathLike[str]
KINDS = ("reviews", "metadata", "image_features")


class AmazonReviewsDataset(RecommendationDataset):
    r"""One category of the Amazon Reviews collection, from the files as they are published.

    The reviews are the interactions; the metadata give each item a text (:func:`item_text`) and the
    address of its main image; the collection of 2014 also has image features
    (``image_features_<Category>.b``, 4,096 a item), which are read as the modality ``'image'`` if
    the file is there. Files may be gzip or plain. Nothing is downloaded.

    ========== ==================================================================================
    generation source
    ========== ==================================================================================
    2014       McAuley et al., Image-based recommendations on styles and substitutes (SIGIR 2015)
    2018       Ni et al., Justifying recommendations using distantly-labeled reviews (EMNLP 2019)
    2023       Hou et al., Bridging language and items for retrieval and recommendation (2024)
    ========== ==================================================================================

    Example:
        >>> dataset = AmazonReviewsDataset("data/amazon", "Pantry", "2018")
        >>> dataset.save("data/pantry")

    Args:
        root: Folder with the files, or with a folder ``raw`` that has them.
        category: As in the names of the files, such as ``'Gift_Cards'``, or one of the paper's:
            ``'Scientific'``, ``'Pantry'``, ``'Baby'``, ``'Sports'``, ``'Clothing'``, if the
            generation has it.
        generation: ``'2014'``, ``'2018'`` or ``'2023'``.
        reviews: Path of the reviews, instead of ``root`` and ``category``.
        metadata: Path of the metadata; default with ``reviews``: none, no text and no image URLs.
        image_features: Path of the image features of 2014.
        repeats: What becomes of repeated reviews of an item by a user: ``'first'`` or ``'last'``
            in time, or ``'keep'`` all.
        k_core: Users and items with fewer interactions are dropped until none is left to drop;
            ``None``: nobody is.
        require: Items without it are dropped: ``'text'``, ``'image_url'``, ``'image'``.
        max_text_length: Most characters of an item's text; ``None``: all.
        min_coverage: Least share of the items that metadata and image features must know.
        on_error: ``'raise'`` an error at the first record that cannot be used, or ``'skip'`` such
            records; ``report`` counts them.
        name: Name of the data set. Default: the category, or the name of the reviews' file.

    Raises:
        ValueError: A file is missing (the message has its address), a line cannot be used (the
            message has file and line, what was expected and what was there), the metadata are those
            of another category, or nothing is left.
    """

    def __init__(
        self,
        root: PathLike | None = None,
        category: str | None = None,
        generation: str | int = "2023",
        *,
        reviews: PathLike | None = None,
        metadata: PathLike | None = None,
        image_features: PathLike | None = None,
        repeats: str = "first",
        k_core: int | None = 5,
        require: Sequence[str] = (),
        max_text_length: int | None = 2_000,
        min_coverage: float = 0.5,
        on_error: str = "raise",
        name: str | None = None,
    ) -> None:
        self.generation = str(generation)
        if self.generation not in GENERATIONS:
            raise ValueError(
                f"'generation' must be one of {', '.join(GENERATIONS)} (got {generation!r})"
            )
        check_options(repeats, k_core, require, min_coverage)
        if max_text_length is not None and max_text_length < 1:
            raise ValueError(
                f"'max_text_length' must be at least 1 or None (got {max_text_length})"
            )
        self.category = None if category is None else file_stem(category, self.generation)
        given = dict(zip(KINDS, (reviews, metadata, image_features), strict=True))
        self.raw_paths = self._find(root, given)
        read = _ItemReader(self.generation, self.raw_paths, max_text_length, on_error)
        raw = read_reviews(self.raw_paths["reviews"], GENERATIONS[self.generation].fields, on_error)
        made = prepare(
            raw,
            read if len(self.raw_paths) > 1 else None,
            name=name or self.category or self.raw_paths["reviews"].name.split(".")[0],
            repeats=repeats,
            k_core=k_core,
            require=require,
            min_coverage=min_coverage,
            options={
                "generation": self.generation,
                "category": self.category,
                "max_text_length": max_text_length,
                "on_error": on_error,
            },
        )
        super().__init__(**made.parts())

    @property
    def raw_file_names(self) -> list[str]:
        """Names of the files as they are published; empty without a category."""
        if self.category is None:
            return []
        return [names[0] for names in raw_file_names(self.category, self.generation).values()]

    def _find(self, root: PathLike | None, given: dict[str, PathLike | None]) -> dict[str, Path]:
        """The files by kind: what is given, and else what is found."""
        explicit = {kind: Path(path) for kind, path in given.items() if path is not None}
        for kind, path in explicit.items():
            if not path.is_file():
                raise ValueError(f"'{kind}' must be a file (got {path})")
        if root is None or self.category is None:
            if "reviews" not in explicit:
                raise ValueError(
                    "either 'root' and 'category' or 'reviews' must be given (got "
                    f"root={root!r}, category={self.category!r}, reviews=None)"
                )
            return explicit
        root = Path(root)
        if not root.is_dir():
            raise ValueError(f"'root' must be a folder (got {root})")
        found = {**find_files(root, self.category, self.generation), **explicit}
        check_files(found, root, self.category, self.generation)
        return found


@dataclass(frozen=True)
class _ItemReader:
    """Reads what the files say of given items."""

    generation: str
    paths: dict[str, Path]
    max_length: int | None
    on_error: str

    def __call__(self, wanted: NDArray[Any]) -> RawItems:
        if "metadata" in self.paths:
            items = read_metadata(
                self.paths["metadata"],
                ITEM_FIELDS[self.generation],
                wanted,
                max_length=self.max_length,
                on_error=self.on_error,
            )
        else:
            items = RawItems(wanted, source=str(self.paths["reviews"]))
        if "image_features" not in self.paths:
            return items
        feature, notes = read_image_features(self.paths["image_features"], self.on_error)
        return replace(items, features={"image": feature}, notes=(*items.notes, *notes))
