"""H&M Personalized Fashion Recommendations, from Kaggle."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from mdsrec_pyg.datasets.dataset import RecommendationDataset
from mdsrec_pyg.datasets.prepare import prepare
from mdsrec_pyg.datasets.raw import RawInteractions, RawItems
from mdsrec_pyg.datasets.reading.collect import Collector, distinct_moments, to_seconds
from mdsrec_pyg.datasets.reading.fields import DateTime, Identifier
from mdsrec_pyg.datasets.reading.files import PathLike, find_raw_files
from mdsrec_pyg.datasets.reading.images import count_images, image_files, only_with_image
from mdsrec_pyg.datasets.reading.lines import Problems, line_not_utf8
from mdsrec_pyg.datasets.reading.rows import Form, read_rows
from mdsrec_pyg.datasets.text import item_text

__all__ = ["HMDataset"]

PAGE = "https://www.kaggle.com/competitions/h-and-m-personalized-fashion-recommendations/data"
FILES = {"transactions": "transactions_train.csv", "articles": "articles.csv"}
TEXT = (
    "prod_name",
    "product_type_name",
    "colour_group_name",
    "graphical_appearance_name",
    "index_name",
    "garment_group_name",
    "detail_desc",
)
DAY = 86_400
# Sales from 2018-09-20 to 2020-09-22.
WHEN = DateTime("t_dat", earliest=1_514_764_800, latest=1_609_459_200)


@dataclass(frozen=True)
class _Article(Identifier):
    """Ten digits: the first is a zero, which is lost where the file was read as numbers."""

    def valid(self, values: Any) -> bool:
        """All have ten characters."""
        return pc.all(pc.equal(pc.binary_length(values), 10)).as_py() is not False

    def parse(self, text: str) -> str:
        """The id."""
        if len(text) != 10:
            raise ValueError(
                "expected an article's ten digits, with their leading zero, such as 0108775015, "
                f"got {text[:60]!r}"
            )
        return text


class HMDataset(RecommendationDataset):
    """Purchases of clothes, with texts and photographs, from the competition's files.

    ============================= ==================================================================
    ``transactions_train.csv``    ``t_dat`` (a day), ``customer_id``, ``article_id``, ``price``,
                                  ``sales_channel_id``; 31,788,324 rows
    ``articles.csv``              ``article_id`` and 24 columns of names and codes; UTF-8, quotes
    ``images/010/0108775015.jpg`` a photograph of an article, in the folder of its first three
                                  digits; optional, and some articles have none
    ============================= ==================================================================

    Raw ids of articles are text with their leading zero, as the images are called. The time of a
    purchase is its day: what was bought together has no order. Nothing is downloaded.

    Source: https://www.kaggle.com/competitions/h-and-m-personalized-fashion-recommendations/data.
    Terms: the competition's rules, which do not allow passing the data on.

    Example:
        >>> dataset = HMDataset("h-and-m", start="2020-09-16")
        >>> dataset.save("data/hm")
        >>> encode_images("data/hm", dataset.images, "openai/clip-vit-base-patch32")

    Args:
        root: Folder with the files, or with a folder ``raw`` that has them.
        start: First day, ``'2020-09-16'``; ``None``: the first of all. Only rows from ``start`` to
            ``end`` are kept in memory.
        end: Last day, included.
        merge_units: Rows that differ in nothing but price and channel are several units of an
            article bought on a day; they become one.
        text: Columns of ``articles.csv`` that make up the text, in this order.
        max_text_length: Most characters of a text; ``None``: all.
        require_image: Drop articles without an image file, before the k-core.
        repeats: What becomes of articles that a customer bought again: ``'keep'`` all, or only the
            ``'first'`` or the ``'last'`` time.
        k_core: Customers and articles with fewer interactions are dropped until none is left to
            drop; ``None``: nobody is.
        require: ``'text'``: articles without one are dropped.
        min_coverage: Least share of the articles that ``articles.csv`` must know.
        on_error: ``'raise'`` an error at the first line that cannot be used, or ``'skip'`` such
            lines; ``report`` counts them.
        name: Name of the data set.

    Attributes:
        images: The folder of images, for :func:`~mdsrec_pyg.encoders.encode_images`; ``None`` if
            there is none.
        image_paths: The image file of each item, ``None`` where it has none.

    Raises:
        ValueError: A file is missing (the message has the page), a line cannot be used (the message
            has file, line and column), or nothing is left.
    """

    def __init__(
        self,
        root: PathLike,
        *,
        start: str | date | None = None,
        end: str | date | None = None,
        merge_units: bool = True,
        text: Sequence[str] = TEXT,
        max_text_length: int | None = 2_000,
        require_image: bool = False,
        repeats: str = "keep",
        k_core: int | None = 5,
        require: Sequence[str] = (),
        min_coverage: float = 0.5,
        on_error: str = "raise",
        name: str = "hm",
    ) -> None:
        if isinstance(text, str):
            raise ValueError(f"'text' must be a sequence of columns (got the string {text!r})")
        days = _day("start", start), _day("end", end)
        self.raw_paths = find_raw_files(root, FILES, PAGE, own="HMDataset")
        self.images = _image_folder(Path(root))
        found = image_files(self.images)
        if require_image and self.images is None:
            raise ValueError(f"'require_image' needs a folder 'images' (got none in {root})")
        raw = _read_transactions(self.raw_paths["transactions"], *days, on_error)
        raw = distinct_moments(raw, "units of an article on a day merged") if merge_units else raw
        raw = only_with_image(raw, found) if require_image else raw
        reader = _ArticleReader(self.raw_paths["articles"], tuple(text), max_text_length, on_error)
        made = prepare(
            raw,
            reader,
            name=name,
            repeats=repeats,
            k_core=k_core,
            require=require,
            min_coverage=min_coverage,
            options={
                "start": None if start is None else str(start),
                "end": None if end is None else str(end),
                "merge_units": merge_units,
                "text": list(text),
                "max_text_length": max_text_length,
                "require_image": require_image,
                "on_error": on_error,
            },
        )
        super().__init__(**made.parts())
        self.image_paths = [found.get(article) for article in self.item_ids.tolist()]
        if self.images is not None:
            count_images(self, found, self.images)

    @property
    def raw_file_names(self) -> list[str]:
        """Names of the files as they are published."""
        return list(FILES.values())


def _day(name: str, value: str | date | None) -> int | None:
    """The first second of a day."""
    if value is None:
        return None
    try:
        day = date.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"'{name}' must be a day such as 2020-09-16 (got {value!r})") from None
    return int(datetime(day.year, day.month, day.day, tzinfo=timezone.utc).timestamp())


def _image_folder(root: Path) -> Path | None:
    folders = (root / "images", root / "raw" / "images")
    return next((folder for folder in folders if folder.is_dir()), None)


def _read_transactions(
    path: Path, start: int | None, end: int | None, on_error: str
) -> RawInteractions:
    problems, rows = Problems(on_error), Collector()
    fields = [WHEN, Identifier("customer_id"), _Article("article_id")]
    total = kept = 0
    for columns in read_rows(path, Form(",", quotes=True), fields, problems):
        seconds = to_seconds(columns["t_dat"], WHEN)
        mask = np.ones(len(seconds), bool)
        if start is not None:
            mask &= seconds >= start
        if end is not None:
            mask &= seconds < end + DAY
        total, kept = total + len(mask), kept + int(mask.sum())
        if mask.any():
            customer, article = (columns[field.name].filter(mask) for field in fields[1:])
            rows.add(customer, article, seconds[mask])
    if not kept:
        raise ValueError(
            f"{path}: expected rows from 'start' to 'end', got none of {total:,} rows there"
        )
    part = "" if kept == total else f"{kept:,} of {total:,} rows are from start to end"
    return rows.finish(path, problems, integers=False, note=part)


@dataclass(frozen=True)
class _ArticleReader:
    """Reads the texts of given articles."""

    path: Path
    columns: tuple[str, ...]
    max_length: int | None
    on_error: str

    def __call__(self, wanted: NDArray[Any]) -> RawItems:
        problems, asked = Problems(self.on_error), set(wanted.tolist())
        found: dict[str, str] = {}
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as lines:
                self._read(csv.reader(lines, strict=True), asked, found, problems)
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{self.path}, line {line_not_utf8(self.path)}: expected UTF-8 text ({error})"
            ) from error
        ids = np.empty(len(found), object)
        ids[:] = list(found)
        return RawItems(
            ids,
            list(found.values()),
            source=str(self.path),
            notes=(*problems.notes(self.path), *problems.not_read(self.path)),
        )

    def _read(self, rows: Any, asked: set[str], found: dict[str, str], problems: Problems) -> None:
        article_id = _Article("article_id")
        place: list[int] = []
        header: list[str] = []
        while True:
            try:
                row = next(rows)
                if not row:
                    continue
                if not place:
                    header = row
                    wanted = ("article_id", *self.columns)
                    place = [self._place(header, name) for name in wanted]
                    problems.say_unused(header, wanted)
                    continue
                if len(row) != len(header):
                    raise ValueError(f"expected {len(header)} values, got {len(row)}")
                article = article_id.parse(row[place[0]])
                if article in found:
                    raise ValueError(f"expected an article that no other row has, got {article}")
            except StopIteration:
                return
            except (ValueError, csv.Error) as error:
                if isinstance(error, UnicodeDecodeError):
                    raise
                if not place:  # _place has said where
                    at = f"{self.path}, line {rows.line_num}"
                    raise error if header else ValueError(f"{at}: {error}") from error
                problems.add(f"{self.path}, line {rows.line_num}: {error}")
                continue
            if article in asked:
                parts = [row[n] for n in place[1:]]
                found[article] = item_text({"features": parts}, self.max_length)

    def _place(self, header: list[str], name: str) -> int:
        if header.count(name) != 1:
            raise ValueError(
                f"{self.path}, line 1: expected one column '{name}', got "
                f"{', '.join(map(repr, header[:30]))}"
            )
        return header.index(name)
