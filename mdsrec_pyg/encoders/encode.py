"""From texts and images of a data set folder to its feature files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mdsrec_pyg.datasets.reading.image_files import find_images, images_of, of_item
from mdsrec_pyg.encoders._blocks import Encoding, Source, encode_source
from mdsrec_pyg.encoders._extra import files_version
from mdsrec_pyg.encoders._items import Items, read_items
from mdsrec_pyg.encoders._readers import ImageReader, TextReader
from mdsrec_pyg.encoders.image import ImageEncoder
from mdsrec_pyg.encoders.images import MAX_PIXELS, quiet_pillow
from mdsrec_pyg.encoders.text import TextEncoder
from mdsrec_pyg.showing import counted

__all__ = ["encode_images", "encode_texts"]

Encoder = Callable[[Any], Any]


def encode_texts(
    folder: str | os.PathLike[str],
    model: str | os.PathLike[str] | Encoder,
    modality: str = "text",
    *,
    column: str = "text",
    batch_size: int = 64,
    block_size: int = 2048,
    progress: bool = True,
    log: Callable[[str], None] | None = print,
    **options: Any,
) -> Encoding:
    """Encodes the texts of a data set folder as a modality of it.

    Reads ``items.jsonl`` or ``items.parquet`` and writes ``<modality>.npy``, float16 ``[N, F]``
    (float32 where half precision would lose too much: where the largest number of an item is below
    2^-14 or above 65,504), ``<modality>_mask.npy``, bool ``[N]``, false where there are none, and
    ``<modality>_missing.tsv``, the items without features and why: a text on which the model fails,
    or for which it returns no finite numbers, costs that item only. Nothing changes in the folder
    until all is encoded. Until then every finished block of items is a file in
    ``.<modality>-shards``: the same call after an interruption continues from there. Another model,
    option or text begins anew.

    Args:
        folder: The data set folder.
        model: A name on the Hugging Face hub or a local folder, for :class:`TextEncoder`; or any
            callable from a list of *B* texts to features ``[B, F]``. A callable with an attribute
            ``key``, a text that changes with it, continues after an interruption; one without
            begins anew.
        modality: Name of the files.
        column: Column of the items file that is encoded.
        batch_size: Texts that the model sees at a time; of a block, those of like length together.
        block_size: Items of a block.
        progress: Shows a progress bar on a terminal.
        log: Takes the settings, stated first, and the outcome. ``None``: nobody.
        **options: For :class:`TextEncoder`: ``device``, ``dtype``, ``max_length``, ...

    Returns:
        What was encoded, what is missing and why.

    Raises:
        ImportError: The extra ``encode`` is not installed.
        ValueError: An argument or a file is not as it should be, or no item has a text.
    """
    items = read_items(folder, column)
    encoder = _encoder(TextEncoder, model, options)
    texts = [text if text and text.strip() else None for text in items.values]
    digest = hashlib.sha256()
    for text in texts:
        digest.update(b"\0" if text is None else b"\1" + text.encode() + b"\0")
    source = Source(
        folder=Path(folder),
        modality=modality,
        raw_ids=items.raw_ids,
        reasons={row: "empty text" for row, text in enumerate(texts) if text is None},
        read=TextReader(texts, batch_size),
        key=digest.hexdigest(),
        what="texts",
        origin=f"{items.path.name}, column '{column}'",
    )
    return encode_source(source, encoder, batch_size, block_size, progress, log)


def encode_images(
    folder: str | os.PathLike[str],
    images: str | os.PathLike[str] | Mapping[str, Path],
    model: str | os.PathLike[str] | Encoder,
    modality: str = "image",
    *,
    name: str = "raw_id",
    batch_size: int = 64,
    block_size: int = 2048,
    num_workers: int = 4,
    max_pixels: int = MAX_PIXELS,
    progress: bool = True,
    log: Callable[[str], None] | None = print,
    **options: Any,
) -> Encoding:
    """Encodes the images of a data set folder's items as a modality of it.

    Writes the same files as :func:`encode_texts` and continues after an interruption alike. Items
    whose image is missing, cut or otherwise unreadable are masked and listed with the reason, and
    so are those whose path or link leads out of ``images`` (out of the folder of a ``.csv`` or
    ``.tsv`` file): such paths come with data of others. An image file counts as changed when its
    size or time of change does.

    Images that are being decoded take up to ``20 * max_pixels`` bytes, of all threads together; a
    callable without ``prepare``, which gets the images themselves, has up to ``8 * max_pixels``
    bytes of them waiting, and smaller batches where they are so large: 1 GB and 400 MB by default.

    Args:
        folder: The data set folder.
        images: A folder of images, a ``.csv`` or ``.tsv`` file with the columns ``raw_id`` and
            ``path``, or the path of each raw id, wherever it leads (:func:`find_images` takes other
            columns).
        model: A model's name or folder, for :class:`ImageEncoder`; or any callable from a list of
            *B* RGB Pillow images to features ``[B, F]``. If it has a method ``prepare``, that is
            called for each image in the threads that read, and the callable gets what it returned.
            About ``key`` see :func:`encode_texts`.
        modality: Name of the files.
        name: What the images of a folder are called after: ``'raw_id'`` (as it is, or as
            :func:`download_images` writes it), ``'item'`` (the number), or a column of the items
            file that holds paths relative to ``images`` and inside it.
        batch_size: Images that the model sees at a time.
        block_size: Items of a block.
        num_workers: Threads that read and prepare images.
        max_pixels: Images with more pixels are not decoded, but masked and listed.
        progress: Shows a progress bar on a terminal.
        log: Takes the settings, stated first, and the outcome. ``None``: nobody.
        **options: For :class:`ImageEncoder`: ``device``, ``dtype``, ``library``, ...

    Returns:
        What was encoded, what is missing and why.

    Raises:
        ImportError: The extra ``encode`` is not installed.
        ValueError: An argument or a file is not as it should be, or no item has an image.
    """
    for option, value in (("num_workers", num_workers), ("max_pixels", max_pixels)):
        if value < 1:
            raise ValueError(f"'{option}' must be at least 1 (got {value})")
    items = read_items(folder, None if name in ("raw_id", "item") else name)
    repeated: dict[str, str] = {}
    paths, unused = _paths(items, images, name, repeated)
    files, reasons = _image_files(paths, _root(images))
    for row, raw_id in enumerate(_ids(items, name) if repeated else ()):
        if (several := of_item(repeated, raw_id)) is not None:
            reasons[row] = f"several images: {several}"
    encoder = _encoder(ImageEncoder, model, options)
    listing = [f"{row}\0{path}" for row, path in files.items()]
    version = files_version(Path(folder), list(files.values()))
    source = Source(
        folder=Path(folder),
        modality=modality,
        raw_ids=items.raw_ids,
        reasons=reasons,
        read=ImageReader(
            files, getattr(encoder, "prepare", None), batch_size, num_workers, max_pixels
        ),
        key=hashlib.sha256("\n".join([version, *listing]).encode()).hexdigest(),
        what="images",
        origin=f"{'given' if isinstance(images, Mapping) else images}, by {name}{unused}",
    )
    with quiet_pillow():
        return encode_source(source, encoder, batch_size, block_size, progress, log)


def _encoder(kind: Any, model: Any, options: dict[str, Any]) -> Encoder:
    if not callable(model):
        return kind(model, **options)
    if options:
        raise ValueError(f"{sorted(options)} are of no use with a callable as 'model'")
    return model


def _root(images: str | os.PathLike[str] | Mapping[str, Path]) -> Path | None:
    """The folder that images must lie in; ``None``: their paths were given one by one."""
    if isinstance(images, Mapping):
        return None
    path = Path(images)
    return path if path.is_dir() else path.parent


def _image_files(
    paths: Sequence[Path | None], root: Path | None
) -> tuple[dict[int, Path], dict[int, str]]:
    """The file of each row that has one, and why the other rows have none.

    Paths in metadata and links in archives are written by others: what leads out of the folder is
    not opened.
    """
    files: dict[int, Path] = {}
    reasons: dict[int, str] = {}
    inside = None if root is None else Path(os.path.realpath(root))
    for row, path in enumerate(paths):
        if path is None:
            reasons[row] = "no image"
            continue
        try:
            real = Path(os.path.realpath(path))
            if inside is not None and not real.is_relative_to(inside):
                reasons[row] = f"leads out of the folder: {path}"
            elif real.is_file():
                files[row] = real
            else:
                reasons[row] = f"no such file: {path}"
        except (OSError, ValueError) as error:  # a name that no file can have
            reasons[row] = f"no such file: {path} ({error})"
    return files, reasons


def _ids(items: Items, name: str) -> list[str]:
    """What the image of each item is called after."""
    return [str(raw_id) for raw_id in (range(len(items)) if name == "item" else items.raw_ids)]


def _paths(
    items: Items,
    images: str | os.PathLike[str] | Mapping[str, Path],
    name: str,
    repeated: dict[str, str],
) -> tuple[Sequence[Path | None], str]:
    """The image file of each item, and how many images belong to none."""
    if name not in ("raw_id", "item"):
        if isinstance(images, Mapping) or not Path(images).is_dir():
            raise ValueError(f"'images' must be a folder with name={name!r} (got {images})")
        return [Path(images, value) if value else None for value in items.values], ""
    found = images if isinstance(images, Mapping) else find_images(images, repeated=repeated)
    ids = _ids(items, name)
    paths = images_of(found, ids)
    if not any(paths):
        given = f"{len(found):,} images, such as {next(iter(found))!r}" if found else "none"
        raise ValueError(
            f"'images' must hold images called by {name}, such as {ids[0]!r} (got {given})"
        )
    unused = len(found) - len({path for path in paths if path is not None})
    return paths, f"; {counted(unused, 'image')} of no item" if unused > 0 else ""
