"""Downloads the images that the items' URLs point to."""

from __future__ import annotations

import asyncio
import errno
import math
import os
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mdsrec_pyg.datasets.reading.image_files import file_name, find_images
from mdsrec_pyg.encoders._downloads import Download, Downloads, write_table
from mdsrec_pyg.encoders._extra import require
from mdsrec_pyg.encoders._items import read_items
from mdsrec_pyg.encoders.images import MAX_PIXELS, quiet_pillow
from mdsrec_pyg.io import atomic_write, claim
from mdsrec_pyg.showing import counted

__all__ = ["Download", "Downloads", "download_images"]

USER_AGENT = "mdsrec_pyg image downloader"

# What no other image would fare better with: disk full, quota, read-only, forbidden, broken, too
# many open files.
FOR_ALL = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO),
    *(errno.EMFILE, errno.ENFILE),
}


def download_images(
    folder: str | os.PathLike[str],
    images: str | os.PathLike[str] | None = None,
    *,
    column: str = "image_url",
    concurrency: int = 8,
    timeout: float = 120.0,
    retries: int = 4,
    backoff: float = 1.0,
    max_redirects: int = 5,
    max_bytes: int = 20_000_000,
    max_pixels: int = MAX_PIXELS,
    min_side: int = 8,
    allow_private: bool = False,
    user_agent: str = USER_AGENT,
    progress: bool = True,
    log: Callable[[str], None] | None = print,
) -> Downloads:
    """Downloads the images of a data set folder's items.

    Each becomes a file ``<raw id>.<suffix of its format>`` of ``images``, the raw id
    percent-encoded where needed, whole or not at all; it was decoded before, whatever the server
    called it. Files that are there are not fetched again, so the same call continues after an
    interruption. What became of each item is written to ``<column>_download.tsv`` in ``folder``:
    ``raw_id``, ``status``, ``bytes``, ``reason``.

    Only ``http`` and ``https`` are followed, and each connection, redirects included, is made to an
    address that was found to lie outside the local network: URLs in metadata are written by others,
    and must not make this machine ask its neighbors. Proxies, which would look names up themselves,
    are not used. Whatever one item's URL, answer or file name does is that item's failure, with its
    reason; a full disk or a folder that cannot be written to ends the call. Answers take at most
    ``2 * concurrency * max_bytes`` of memory, and the two images that are decoded at a time up to
    15 bytes a pixel.

    Args:
        folder: The data set folder.
        images: Where the images go; made if needed. (default: ``<folder>/images``)
        column: Column of the items file that holds the URLs.
        concurrency: Images fetched at a time.
        timeout: Seconds that an image may take in all, further tries and waits included.
        retries: Further tries after a broken connection, a time-out or an answer of a server in
            trouble (status 408, 425, 429, 500, 502, 503, 504).
        backoff: Seconds before the second try, half to all of it; twice as long each time. Where
            the server says how long (``Retry-After``), that counts.
        max_redirects: Redirects that are followed.
        max_bytes: Larger files are given up.
        max_pixels: Larger images are given up.
        min_side: Images with a shorter side are taken for placeholders and given up. (Amazon
            answers 1 x 1 pixels for products without an image.)
        allow_private: Whether to connect to addresses inside the local network.
        user_agent: How the program calls itself; add how to reach you.
        progress: Shows a progress bar on a terminal.
        log: Takes the settings, stated first, and the outcome. ``None``: nobody.

    Raises:
        ImportError: The extra ``encode`` is not installed.
        ValueError: An argument is not as it should be, there is no such column, or another process
            downloads into ``images``.
        OSError: The images cannot be written.
    """
    _check(concurrency=concurrency, max_bytes=max_bytes, max_pixels=max_pixels)
    _check(
        least=0, retries=retries, backoff=backoff, max_redirects=max_redirects, min_side=min_side
    )
    if not 0 < timeout < math.inf:
        raise ValueError(f"'timeout' must be positive and finite (got {timeout})")
    for library in ("httpx", "PIL.Image"):
        require(library)
    from mdsrec_pyg.encoders._fetch import Limits

    limits = Limits(timeout, max_bytes, max_pixels, min_side, retries, backoff, max_redirects)
    root = Path(folder)
    items = read_items(root, column)
    target = root / "images" if images is None else Path(images)
    target.mkdir(parents=True, exist_ok=True)
    table = root / f"{column}_download.tsv"
    with claim(target, f"a download into {target} is being done"):
        repeated: dict[str, str] = {}
        present = find_images(target, repeated=repeated)
        rows = _before(items.raw_ids.tolist(), items.values, present, repeated)
        todo = {
            row: str(items.values[row]) for row, d in enumerate(rows) if d.status == "not_tried"
        }
        if log is not None:
            log(
                f"images       {counted(len(items), 'item')}, {len(todo):,} to fetch, into {target}"
            )
            log(f"limits       {limits.timeout:g} s, {limits.max_bytes:,} bytes an image")
            log(f"connections  {concurrency} at a time, {retries} further tries, as {user_agent!r}")
        job = _Job(rows, todo, target, limits, concurrency, allow_private, user_agent, progress)
        try:
            with quiet_pillow():
                _run(job.run())
        finally:  # interrupted, too
            write_table(table, rows)
    downloads = Downloads(tuple(rows), target, table)
    if log is not None:
        log(str(downloads))
    return downloads


def _check(least: int = 1, **values: float) -> None:
    for name, value in values.items():
        if not least <= value < math.inf:
            raise ValueError(f"'{name}' must be at least {least} (got {value})")


def _before(
    raw_ids: list[Any],
    urls: list[str | None],
    present: dict[str, Path],
    repeated: dict[str, str],
) -> list[Download]:
    """What is known of each item before anything is fetched."""
    rows = []
    for raw_id, url in zip(raw_ids, urls, strict=True):
        try:
            name = file_name(raw_id)
        except ValueError as error:  # no name for a file
            rows.append(Download(raw_id, "failed", reason=str(error)))
            continue
        path = present.get(name)
        if name in repeated:
            rows.append(Download(raw_id, "failed", reason=f"several images: {repeated[name]}"))
        elif path is not None:
            rows.append(Download(raw_id, "present", path.stat().st_size))
        elif not url or not url.strip():
            rows.append(Download(raw_id, "no_url"))
        else:
            rows.append(Download(raw_id, "not_tried"))
    return rows


@dataclass
class _Job:
    """The downloads of one call; ``rows`` is filled in."""

    rows: list[Download]
    todo: dict[int, str]
    target: Path
    limits: Any
    concurrency: int
    allow_private: bool
    user_agent: str
    progress: bool

    async def run(self) -> None:
        import httpx

        from mdsrec_pyg.encoders._transport import CheckedTransport

        headers = {
            "User-Agent": self.user_agent,
            "Accept": "image/*",
            "Accept-Encoding": "identity",
        }
        # A connection that says nothing for so long is tried anew within the time of the image.
        timeout = httpx.Timeout(min(20.0, self.limits.timeout), pool=None)
        transport = CheckedTransport(self.allow_private, self.concurrency)
        queue = iter(self.todo.items())
        with (
            tqdm(
                total=len(self.todo), desc="images", disable=None if self.progress else True
            ) as bar,
            # Decoding is the only work here that takes a processor.
            ThreadPoolExecutor(2) as checker,
        ):
            async with httpx.AsyncClient(
                transport=transport, headers=headers, timeout=timeout
            ) as client:
                workers = [self._work(client, queue, checker, bar) for _ in range(self.concurrency)]
                await asyncio.gather(*workers)

    async def _work(self, client: Any, queue: Any, checker: ThreadPoolExecutor, bar: Any) -> None:
        from mdsrec_pyg.encoders._fetch import FailedError, fetch

        for row, url in queue:  # shared by all workers
            done = self.rows[row]
            try:
                body, suffix = await fetch(client, url.strip(), self.limits, checker)
                self._save(file_name(done.raw_id) + suffix, body)
                self.rows[row] = replace(done, status="ok", bytes=len(body))
            except FailedError as error:
                self.rows[row] = replace(done, status="failed", reason=str(error))
            # The libraries below raise what they do not announce, and one URL of a million that
            # finds it must not cost the others.
            except Exception as error:
                if isinstance(error, OSError) and error.errno in FOR_ALL:
                    raise
                reason = f"{type(error).__name__}: {error}"
                self.rows[row] = replace(done, status="failed", reason=reason)
            bar.update()

    def _save(self, name: str, body: bytes) -> None:
        path = self.target / name
        try:
            with atomic_write(path) as temporary:
                temporary.write_bytes(body)
        except OSError as error:
            raise OSError(
                error.errno, f"{error.strerror} (the same call continues)", str(path)
            ) from error


def _run(job: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(job)
    else:  # inside a notebook, whose loop cannot wait for us: a loop of our own in a thread
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, job).result()
