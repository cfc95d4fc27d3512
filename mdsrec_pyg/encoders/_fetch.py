"""One image from one URL."""

from __future__ import annotations

import asyncio
import io
import random
import time
from concurrent.futures import Executor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import anyio
import httpx

from mdsrec_pyg.encoders._extra import require
from mdsrec_pyg.encoders._transport import PrivateAddressError, UnknownHostError
from mdsrec_pyg.encoders.images import FORMATS, open_image

# Answers that another try may change: time-outs, too many requests, a server in trouble.
RETRY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Content types that are never an image: their bodies are not read.
NO_IMAGE = ("text/", "application/json", "application/xml", "application/xhtml", "video/", "audio/")
# Longest wait between two tries that is not the server's wish.
MAX_BACKOFF = 60.0


@dataclass(frozen=True)
class Limits:
    """Limits of one image; see :func:`~mdsrec_pyg.encoders.download_images`."""

    timeout: float
    max_bytes: int
    max_pixels: int
    min_side: int
    retries: int
    backoff: float
    max_redirects: int


class FailedError(Exception):
    """This URL gives no image, and another try would not change that."""


class TryAgainError(Exception):
    """Another try may give an image, after ``wait`` seconds if the server says so."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


async def fetch(
    client: httpx.AsyncClient, url: str, limits: Limits, checker: Executor
) -> tuple[bytes, str]:
    """The image's bytes, checked, and the suffix of its format.

    Raises:
        FailedError: No image, with the reason.
    """
    deadline = time.monotonic() + limits.timeout
    last = "no answer"
    tries = 0
    try:
        # Over everything: a server that sends a byte a second meets every other limit.
        with anyio.fail_after(limits.timeout):
            for tries in range(1, limits.retries + 2):
                try:
                    body = await _once(client, url, limits)
                    loop = asyncio.get_running_loop()
                    suffix = await loop.run_in_executor(checker, check_image, body, limits)
                except TryAgainError as error:
                    last = str(error)
                    if tries <= limits.retries:
                        await asyncio.sleep(_wait(error.wait, tries, limits.backoff, deadline))
                else:
                    return body, suffix
    except TimeoutError:
        late = f"more than {limits.timeout:g} s"
        last = f"{last}; {late} in all" if tries > 1 else late
    raise FailedError(f"{last} ({tries} tries)" if tries > 1 else last)


def _wait(asked: float | None, tries: int, backoff: float, deadline: float) -> float:
    """Seconds to the next try: the server's wish, else twice as long each time, with jitter."""
    left = deadline - time.monotonic()
    if asked is not None:
        if asked > left:
            raise FailedError(f"the server asks to wait {asked:,.0f} s, more than is left")
        return asked
    # Jitter keeps many clients that failed together from coming back together.
    return min(backoff * 2.0 ** (tries - 1), MAX_BACKOFF) * random.uniform(0.5, 1.0)


async def _once(client: httpx.AsyncClient, url: str, limits: Limits) -> bytes:
    """One try, redirects followed."""
    for _ in range(limits.max_redirects + 1):
        try:
            parsed = httpx.URL(url)
            host, port = parsed.host, parsed.port
        except (httpx.InvalidURL, TypeError, UnicodeError) as error:
            raise FailedError(f"no URL: {error}") from error
        if parsed.scheme not in ("http", "https") or not host:
            raise FailedError(f"not http or https: {url[:80]}")
        if port is not None and not 0 < port < 65536:
            raise FailedError(f"no URL: port {port}")
        answer = await _request(client, parsed, limits)
        if isinstance(answer, bytes):
            return answer
        try:
            url = str(parsed.join(answer))
        except (httpx.InvalidURL, UnicodeError) as error:
            raise FailedError(f"redirected to no URL: {error}") from error
    raise FailedError(f"more than {limits.max_redirects} redirects")


async def _request(client: httpx.AsyncClient, url: httpx.URL, limits: Limits) -> bytes | str:
    """The body, or where a redirect leads to."""
    try:
        async with client.stream("GET", url) as response:
            if response.status_code in REDIRECTS:
                target = response.headers.get("location")
                if not target:
                    raise FailedError(f"status {response.status_code} without a location")
                return target
            _check_header(response, limits)
            body = bytearray()
            # Raw: unpacking would let a small answer become a large one.
            async for part in response.aiter_raw():
                body += part
                if len(body) > limits.max_bytes:
                    raise FailedError(f"more than {limits.max_bytes:,} bytes")
            return bytes(body)
    except (PrivateAddressError, UnknownHostError, httpx.UnsupportedProtocol) as error:
        raise FailedError(str(error)) from error
    except (httpx.InvalidURL, UnicodeError) as error:  # httpx reads the location, too
        raise FailedError(f"redirected to no URL: {error}") from error
    except httpx.TransportError as error:
        reason = " ".join(str(error).split()) or "no answer"
        raise TryAgainError(f"{type(error).__name__}: {reason}") from error
    except httpx.HTTPError as error:
        raise FailedError(f"{type(error).__name__}: {error}") from error


def _check_header(response: httpx.Response, limits: Limits) -> None:
    status = response.status_code
    if status in RETRY_STATUS:
        raise TryAgainError(f"status {status}", _retry_after(response.headers.get("retry-after")))
    if status != 200:
        raise FailedError(f"status {status}")
    kind = response.headers.get("content-type", "").lower()
    if kind.startswith(NO_IMAGE):
        raise FailedError(f"not an image: content type {kind[:60]}")
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise FailedError("compressed, though that was not asked for")
    length = response.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > limits.max_bytes:
        raise FailedError(f"more than {limits.max_bytes:,} bytes ({int(length):,} announced)")


def _retry_after(value: str | None) -> float | None:
    """Seconds of a ``Retry-After`` header, which holds seconds or a date."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():  # '²' is a digit, and no number
        return float(value)
    try:
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return None


def check_image(body: bytes, limits: Limits) -> str:
    """The suffix of the image's format.

    Decodes all of it: headers are right in files that were cut, too.
    """
    try:
        image = open_image(io.BytesIO(body), limits.max_pixels)
    except ValueError as error:
        raise FailedError(str(error)) from error
    if min(image.size) < limits.min_side:
        raise FailedError(
            f"only {image.width} x {image.height} pixels: a placeholder, by 'min_side' "
            f"{limits.min_side}"
        )
    # Known to open, so this reads the header only.
    with require("PIL.Image").open(io.BytesIO(body), formats=list(FORMATS)) as header:
        return FORMATS[header.format]
