"""Image files, opened in one way."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mdsrec_pyg.encoders._extra import require

__all__ = ["FORMATS", "count_pixels", "open_image", "quiet_pillow"]

#: Pillow's names of the formats that are read, and the suffix that each gets. No others: Pillow
#: also knows formats that start other programs.
FORMATS = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "GIF": ".gif",
    "BMP": ".bmp",
    "TIFF": ".tif",
    "AVIF": ".avif",
}


#: Pixels of the largest image that is decoded: Pillow takes 200 MB for it, and as much again for a
#: moment.
MAX_PIXELS = 50_000_000


#: Longer over shorter side of an image that is decoded. Models scale the shorter side to a few
#: hundred pixels and crop then: 8 x 100,000 pixels, a file of 2 kB, would become gigabytes.
MAX_RATIO = 100


# Pixels converted at a time.
STRIP = 100_000


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Hides Pillow's warnings of sizes and of broken EXIF data.

    Around the threads that open images, never in them: the filters are the whole process's, and
    two threads that set and restore them in turn would leave them changed.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def open_image(source: Any, max_pixels: int = MAX_PIXELS) -> Any:
    """Opens an image the one way that all images are opened here.

    It is decoded whole, turned as its EXIF data say, put on white where it is transparent, and
    converted to RGB; of an animation the first frame is taken.

    Args:
        source: A path or a binary file of one of :data:`FORMATS`.
        max_pixels: Larger images are refused before they are decoded.

    Raises:
        ValueError: It is not such an image, cut, broken, too large, or longer than 100 to 1. The
            message says which.
    """
    image_module, operations = require("PIL.Image"), require("PIL.ImageOps")
    try:
        with image_module.open(source, formats=list(FORMATS)) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise _TooLargeError(
                    f"too large: {width} x {height} pixels, at most {max_pixels:,} are read"
                )
            if max(width, height) > MAX_RATIO * min(width, height):
                raise _TooLargeError(
                    f"too long: {width} x {height} pixels, at most {MAX_RATIO} to 1 are read"
                )
            image.load()
            operations.exif_transpose(image, in_place=True)
            return _to_rgb(image_module, image)
    except FileNotFoundError:
        raise ValueError("no such file") from None
    except _TooLargeError:
        raise
    except image_module.UnidentifiedImageError:
        raise ValueError("not an image, or of no format that is read") from None
    # Pillow's decoders raise nearly anything on broken files: OSError, SyntaxError, struct.error...
    except Exception as error:
        raise ValueError(f"unreadable: {error or type(error).__name__}") from error


def count_pixels(source: Any) -> int:
    """Pixels that an image has by its header; 0 where :func:`open_image` will refuse it."""
    image_module = require("PIL.Image")
    try:
        with image_module.open(source, formats=list(FORMATS)) as image:
            return int(image.width * image.height)
    except Exception:  # whatever it is: open_image says it
        return 0


class _TooLargeError(ValueError):
    pass


def _to_rgb(image_module: Any, image: Any) -> Any:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.convert("RGB")  # a copy that does not hang on the file
    width, height = image.size
    rgb = image_module.new("RGB", image.size)
    # In strips: the steps of a transparent image would be five images at once.
    step = max(1, STRIP // width)
    for top in range(0, height, step):
        strip = image.crop((0, top, width, min(top + step, height)))
        rgb.paste(_strip_to_rgb(image_module, strip), (0, top))
    return rgb


def _strip_to_rgb(image_module: Any, image: Any) -> Any:
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        white = image_module.new("RGBA", image.size, "white")
        return image_module.alpha_composite(white, image).convert("RGB")
    if image.mode.startswith("I;16"):  # Pillow would cut 16-bit gray at 255 instead of scaling it
        return image.point(lambda value: value / 256).convert("L").convert("RGB")
    return image.convert("RGB")
