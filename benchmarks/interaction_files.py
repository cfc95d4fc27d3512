"""The same synthetic interactions in every format that is read, made once, a block at a time."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tqdm import tqdm

Int64 = NDArray[np.int64]
Block = tuple[Int64, Int64, Int64]

#: Each format's file; RecBole wants a folder of the same name around its own.
FILES = {
    "inter": "inter.inter",
    "inter-integers": "inter-integers.inter",
    "tsv": "interactions.tsv",
    "parquet": "interactions.parquet",
    "json": "reviews.json",
    "json.gz": "reviews.json.gz",
}
SEED = 0
_BLOCK = 2**17
_DAY = 86_400
_FIRST_DAY, _LAST_DAY = 10_957, 17_800  # of the years 2000 to 2018, counted from 1970
_ALPHABET = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", np.uint8)
_TEXTS = 4096  # together far more than the 32 kB in which gzip looks for repetitions
_WORDS = 3000


def interaction_file(folder: Path, form: str, num_rows: int) -> Path:
    """The file of so many rows in a format, made if it is not there.

    Ten rows a user and fifty an item on average, items by Zipf's law, rows in random order, times
    of whole days, so that some rows of a user tie. Every format has the same rows; in
    ``inter-integers`` ids are numbers, elsewhere text as in the Amazon collection.
    """
    place = folder / f"rows_{num_rows}_{SEED}" / form
    if not place.exists():
        part = place.with_name(place.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        _WRITERS[form](part / FILES[form], num_rows)
        part.rename(place)
    return place / FILES[form]


def sizes(num_rows: int) -> tuple[int, int]:
    """Users and items that rows are drawn from; a few are never drawn."""
    return max(20, num_rows // 10), max(10, num_rows // 50)


def blocks(num_rows: int) -> Iterator[Block]:
    """User, item and second of the rows, block by block."""
    rng = np.random.default_rng(SEED)
    num_users, num_items = sizes(num_rows)
    with tqdm(total=num_rows, desc="rows written", leave=False, disable=None) as bar:
        for start in range(0, num_rows, _BLOCK):
            size = min(_BLOCK, num_rows - start)
            # Ranks to the power of -1/3: some users are ten times as active as the median.
            user = (num_users * rng.random(size) ** 1.5).astype(np.int64)
            # The density of (N + 1) ** u is 1 / rank: Zipf's law.
            item = ((num_items + 1) ** rng.random(size)).astype(np.int64) - 1
            day = rng.integers(_FIRST_DAY, _LAST_DAY, size)
            yield user, np.minimum(item, num_items - 1), day * _DAY
            bar.update(size)


def text_ids(prefix: str, size: int, length: int) -> list[str]:
    """So many different ids of a prefix and letters that look random."""
    # A factor that shares none with 36 permutes the residues of its powers.
    number = (np.arange(size, dtype=np.uint64) * np.uint64(1_234_567_891)) % np.uint64(36**6)
    digits = np.empty((size, length), np.uint8)
    for place in range(length):
        digits[:, place] = _ALPHABET[(number % np.uint64(36)).astype(np.int64)]
        number = number // np.uint64(36) + (number % np.uint64(36)) * np.uint64(36**5)
    return [prefix + text for text in digits.view(f"S{length}").ravel().astype(str).tolist()]


def ids(num_rows: int) -> tuple[list[str], list[str]]:
    """Raw ids of the users and of the items."""
    num_users, num_items = sizes(num_rows)
    return text_ids("A", num_users, 13), text_ids("B00", num_items, 7)


def _write_inter(path: Path, num_rows: int) -> None:
    users, items = ids(num_rows)
    with path.open("w") as file:
        file.write("user_id:token\titem_id:token\ttimestamp:float\n")
        for block in blocks(num_rows):
            for user, item, second in zip(*(part.tolist() for part in block), strict=True):
                file.write(f"{users[user]}\t{items[item]}\t{second}\n")


def _write_integers(path: Path, num_rows: int) -> None:
    with path.open("w") as file:
        file.write("user_id:token\titem_id:token\ttimestamp:float\n")
        for block in blocks(num_rows):
            for user, item, second in zip(*(part.tolist() for part in block), strict=True):
                file.write(f"{user}\t{item}\t{second}\n")


def _write_tsv(path: Path, num_rows: int) -> None:
    users, items = ids(num_rows)
    _write_items(path, items)
    with path.open("w") as file:
        file.write("user\titem\ttimestamp\n")
        for block in blocks(num_rows):
            for user, item, second in zip(*(part.tolist() for part in block), strict=True):
                file.write(f"{users[user]}\t{item}\t{second}\n")


def _write_parquet(path: Path, num_rows: int) -> None:
    users, items = ids(num_rows)
    _write_items(path, items)
    names = pa.array(users)
    schema = pa.schema([("user", pa.string()), ("item", pa.int64()), ("timestamp", pa.int64())])
    with pq.ParquetWriter(path, schema) as file:
        for user, item, second in blocks(num_rows):
            columns = [names.take(pa.array(user)), pa.array(item), pa.array(second)]
            file.write_table(pa.table(columns, schema=schema))


def _write_items(path: Path, items: list[str]) -> None:
    table = pa.table({"item": np.arange(len(items)), "raw_id": items})
    pq.write_table(table, path.with_name("items.parquet"))


def _write_json(path: Path, num_rows: int) -> None:
    with path.open("w") as file:
        _write_reviews(file, num_rows)


def _write_json_gz(path: Path, num_rows: int) -> None:
    with gzip.open(path, "wt", compresslevel=6) as file:
        _write_reviews(file, num_rows)


def _write_reviews(file: TextIO, num_rows: int) -> None:
    """Lines like those of the Amazon collection of 2018, fields and all."""
    users, items = ids(num_rows)
    rng = np.random.default_rng(SEED + 1)
    texts, summaries = _texts(rng, 60), _texts(rng, 4)
    days = np.arange(_LAST_DAY).astype("datetime64[D]").astype(object)
    dates = [f"{day:%m} {day.day}, {day:%Y}" for day in days]
    for user, item, second in blocks(num_rows):
        which = rng.integers(_TEXTS, size=(2, len(user))).tolist()
        stars = rng.integers(1, 6, len(user)).tolist()
        for u, i, t, text, summary, star in zip(
            user.tolist(), item.tolist(), second.tolist(), *which, stars, strict=True
        ):
            file.write(
                f'{{"overall": {star}.0, "verified": true, "reviewTime": "{dates[t // _DAY]}", '
                f'"reviewerID": "{users[u]}", "asin": "{items[i]}", '
                f'"style": {{"Format:": " Paperback"}}, "reviewerName": "Reader {u % 1000}", '
                f'"reviewText": {texts[text]}, "summary": {summaries[summary]}, '
                f'"unixReviewTime": {t}}}\n'
            )


def _texts(rng: np.random.Generator, mean: int) -> list[str]:
    """Texts as JSON has them: words by Zipf's law, line breaks, quotes, accents."""
    words = [_word(rng) for _ in range(_WORDS)]
    words[10:13] = ["\n", '"so"', "déjà"]
    length = rng.poisson(mean, _TEXTS) + 1
    drawn = (_WORDS ** rng.random(length.sum())).astype(np.int64) - 1
    parts = np.split(drawn, np.cumsum(length)[:-1])
    return [json.dumps(" ".join(words[word] for word in part)) for part in parts]


def _word(rng: np.random.Generator) -> str:
    return bytes(rng.integers(97, 123, rng.integers(2, 9)).astype(np.uint8)).decode()


_WRITERS: dict[str, Callable[[Path, int], None]] = {
    "inter": _write_inter,
    "inter-integers": _write_integers,
    "tsv": _write_tsv,
    "parquet": _write_parquet,
    "json": _write_json,
    "json.gz": _write_json_gz,
}
