"""Draws a made-up shop to look at: a data set with pictures, on which the page is shown.

    python docs/draw_shop.py shop
    mdsrec train --data shop --directory runs/shop --num-centers 10
    mdsrec serve runs/shop --data shop

It is a :class:`~mdsrec_pyg.datasets.SyntheticDataset` whose groups can be seen: those of the image
are patterns, those of the text are things. So what the image puts together, the text tears apart.
Needs Pillow (extra ``encode``).
"""

from __future__ import annotations

import argparse
import colorsys
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mdsrec_pyg import SyntheticDataset
from mdsrec_pyg.datasets import RecommendationDataset

SIZE = 360
SCALE = 2  # drawn larger, for smooth edges

THINGS = (
    "Mug",
    "Cushion",
    "Tote bag",
    "Notebook",
    "Vase",
    "Plate",
    "Lamp shade",
    "Scarf",
    "T-shirt",
    "Plant pot",
)
DETAILS = (
    ("stoneware, 300 ml", "porcelain, 250 ml", "enamel, 400 ml"),
    ("linen, 45 x 45 cm", "cotton, 50 x 50 cm", "velvet, 40 x 40 cm"),
    ("canvas, long handles", "recycled cotton", "with inner pocket"),
    ("A5, lined, 160 pages", "A6, plain, 96 pages", "A5, dotted, 192 pages"),
    ("hand-thrown, 24 cm", "glass, 30 cm", "stoneware, 18 cm"),
    ("porcelain, 27 cm", "stoneware, 21 cm", "dinner size, glazed"),
    ("paper, 30 cm", "cotton, 40 cm", "for table lamps, E14"),
    ("merino, 180 x 30 cm", "silk, 90 x 90 cm", "wool, fringed"),
    ("organic cotton, regular fit", "heavy jersey, loose fit", "slub cotton"),
    ("terracotta, 14 cm", "glazed, with saucer", "concrete, 18 cm"),
)
PATTERNS = (
    "striped",
    "dotted",
    "checked",
    "wavy",
    "zigzag",
    "plain",
    "ringed",
    "leafy",
    "tiled",
    "speckled",
)
# Hue of each pattern, so that a group of the image is seen at a glance.
HUES = (0.61, 0.02, 0.38, 0.53, 0.11, 0.94, 0.72, 0.30, 0.07, 0.83)

Pixels = Any  # ImageDraw.ImageDraw
Rng = np.random.Generator


def color(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    """A color as Pillow takes it."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def pattern(kind: int, rng: Rng) -> Image.Image:
    """A sheet with a pattern; color and measure differ a little from item to item."""
    side = SIZE * SCALE
    hue = HUES[kind] + rng.normal(0, 0.012)
    ground, ink = color(hue, 0.20, 0.97), color(hue, 0.72, 0.72)
    sheet = Image.new("RGB", (side, side), ground)
    pen = ImageDraw.Draw(sheet)
    step = int(side / 13 * rng.uniform(0.85, 1.15))
    DRAWN[kind](pen, side, step, ink, rng)
    return sheet.rotate(float(rng.uniform(-6, 6)), resample=Image.Resampling.BICUBIC)


def striped(pen: Pixels, side: int, step: int, ink: Any, rng: Rng) -> None:
    """Upright stripes."""
    for x in range(0, side, step):
        pen.rectangle((x, 0, x + step * 0.45, side), fill=ink)


def dotted(pen: Pixels, side: int, step: int, ink: Any, rng: Rng) -> None:
    """Dots in offset rows."""
    for row, y in enumerate(range(0, side, step)):
        for x in range(-step // 2 * (row % 2), side + step, step):
            pen.circle((x, y), step * 0.27, fill=ink)


def checked(pen: Pixels, side: int, step: int, ink: Any, rng: Rng) -> None:
    """A checkerboard."""
    for row, y in enumerate(range(0, side, step)):
        for x in range(step * (row % 2), side, 2 * step):
            pen.rectangle((x, y, x + step - 1, y + step - 1), fill=ink)


def curve(pen: Pixels, side: int, step: int, ink: Any, height: Callable[[float], float]) -> None:
    """Rows of one line."""
    for y in range(-step, side + step, step):
        line = [(x, y + 0.42 * step * height(x / step)) for x in range(0, side + 4, 4)]
        pen.line(line, fill=ink, width=max(step // 4, 2), joint="curve")


def wavy(pen: Pixels, side: int, step: int, ink: Any, rng: Rng) -> None:
    """Waves."""
    curve(pen, side, step, ink, lambda x: math.sin(math.pi * x))


def zigzag(pen: Pixels, side: int, step: int, ink: Any, rng: Rng) -> None:
    """Zigzag lines."""
    curve(pen, side, step, ink, lambda x: 4 * abs(x / 2 % 1 - 0.5) - 1)


def plain(pen: Pixels, side: int, step: int, ink: Any, rng: Rng) -> None:
    """One color and a broad band."""
    pen.rectangle((0, 0, side, side), fill=ink)
    pen.rectangle((0, side * 0.62, side, side * 0.74), fill=color(0.12, 0.15, 0.98))


def ringed(pen: Pixels, side: int, step: int, ink: Any, rng: Rng) -> None:
    """Rings."""
    for y in range(0, side + step, 2 * step):
        for x in range(0, side + step, 2 * step):
            pen.circle((x, y), step * 0.78, outline=ink, width=max(step // 4, 2))


def leafy(pen: Pixels, side: int, step: int, ink: Any, rng: Rng) -> None:
    """Leaves."""
    for row, y in enumerate(range(0, side + step, step)):
        for x in range(step // 2 * (row % 2), side + step, step):
            tip = step * (0.42 if (row + x // step) % 2 else -0.42)
            pen.polygon([(x - tip, y), (x, y - step * 0.2), (x + tip, y), (x, y + step * 0.2)], ink)


def tiled(pen: Pixels, side: int, step: int, ink: Any, rng: Rng) -> None:
    """Triangles."""
    for y in range(0, side, step):
        for x in range(0, side, step):
            pen.polygon([(x, y), (x + step, y), (x, y + step)], fill=ink)


def speckled(pen: Pixels, side: int, step: int, ink: Any, rng: Rng) -> None:
    """Specks of all sizes."""
    for x, y, radius in rng.uniform(0, 1, (420, 3)):
        pen.circle((x * side, y * side), step * (0.05 + 0.2 * radius**3), fill=ink)


DRAWN = (striped, dotted, checked, wavy, zigzag, plain, ringed, leafy, tiled, speckled)


#: Each thing is made of parts, in hundredths of its picture: boxes and rings by their corners,
#: shapes by their points.
FORMS: tuple[list[tuple[str, tuple[float, ...]]], ...] = (
    [("ring", (56, 34, 86, 68, 6)), ("box", (20, 24, 68, 78, 7))],
    [("box", (17, 17, 83, 83, 14))],
    [("ring", (34, 10, 66, 62, 4)), ("box", (20, 36, 80, 88, 4))],
    [("box", (26, 14, 76, 86, 4))],
    [("shape", (41, 12, 59, 12, 56, 34, 72, 58, 62, 88, 38, 88, 28, 58, 44, 34))],
    [("box", (14, 14, 86, 86, 36))],
    [
        ("shape", (36, 20, 64, 20, 86, 66, 14, 66)),
        ("box", (47, 66, 53, 84, 0)),
        ("box", (34, 82, 66, 88, 3)),
    ],
    [("box", (24, 14, 50, 88, 2)), ("box", (44, 14, 74, 66, 2))],
    [
        ("shape", (34, 18, 66, 18, 90, 34, 80, 52, 71, 45, 71, 86, 29, 86, 29, 45)),
        ("shape", (34, 18, 29, 45, 20, 52, 10, 34)),
    ],
    [("shape", (22, 34, 78, 34, 68, 86, 32, 86)), ("box", (17, 26, 83, 40, 3))],
)


def outline(thing: int) -> Image.Image:
    """The form of a thing: white on black."""
    form = Image.new("L", (800, 800))
    pen = ImageDraw.Draw(form)
    for part, numbers in FORMS[thing]:
        points = [8 * number for number in numbers]
        if part == "box":
            pen.rounded_rectangle(points[:4], points[4], fill=255)
        elif part == "ring":
            pen.ellipse(points[:4], outline=255, width=int(points[4]))
        else:
            pen.polygon(points, fill=255)
    return form.resize((SIZE * SCALE, SIZE * SCALE), Image.Resampling.LANCZOS)


def draw(thing: int, kind: int, rng: Rng) -> Image.Image:
    """The picture of an item: a thing with a pattern, on a light ground."""
    form = outline(thing)
    ground = Image.new("RGB", form.size, color(HUES[kind] + 0.5, 0.03, 0.955))
    shade = Image.new("RGB", form.size, color(HUES[kind], 0.25, 0.55))
    soft = form.filter(ImageFilter.GaussianBlur(SIZE * SCALE / 40)).point(lambda v: v * 0.45)
    moved = Image.new("L", form.size)
    moved.paste(soft, (0, SIZE * SCALE // 45))
    ground.paste(shade, (0, 0), moved)
    ground.paste(pattern(kind, rng), (0, 0), form)
    return ground.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def make_shop(folder: Path, num_users: int = 400, num_items: int = 300, seed: int = 0) -> None:
    """Writes the data set, and its pictures to ``images``."""
    made = SyntheticDataset(
        num_users, num_items, num_interests=len(THINGS), mean_length=8.0, seed=seed
    )
    patterns, things = made.item_interest.tolist()
    rng = np.random.default_rng(seed)
    texts = []
    for kind, thing in zip(patterns, things, strict=True):
        detail = DETAILS[thing][rng.integers(3)]
        texts.append(f"{THINGS[thing]}, {PATTERNS[kind]}, {detail}")
    item_ids = [f"S{1000 + i}" for i in range(num_items)]
    RecommendationDataset(
        name="shop",
        interactions=made.interactions,
        features=made.features,
        user_ids=[f"customer-{i + 1}" for i in range(num_users)],
        item_ids=item_ids,
        item_text=texts,
    ).save(folder)
    images = folder / "images"
    images.mkdir()
    for name, kind, thing in zip(item_ids, patterns, things, strict=True):
        draw(thing, kind, rng).save(images / f"{name}.webp", quality=82)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Draw a made-up shop.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    make_shop(args.folder, seed=args.seed)


if __name__ == "__main__":
    main()
