"""Encodes the texts and images of a data set folder with pretrained models.

    python examples/encode_features.py FOLDER --text sentence-transformers/all-MiniLM-L6-v2
    python examples/encode_features.py FOLDER --download
    python examples/encode_features.py FOLDER --images FOLDER/images \
        --image-model openai/clip-vit-base-patch32

FOLDER holds ``items.jsonl`` or ``items.parquet``: see "Your own data" in the README. The steps are
independent, may stand in one command, and continue where they were interrupted: ``--download``
fetches the URLs of the column ``image_url`` into ``FOLDER/images``, ``--text`` writes ``text.npy``,
``--image-model`` writes ``image.npy``. Models are names on the Hugging Face hub or local folders.

Install the libraries first: ``pip install -e '.[encode]'``. What to expect: MiniLM encodes 1,585
product texts, most of them longer than its 256 tokens, in about a minute on one CPU core.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from mdsrec_pyg.cli.ending import run_script
from mdsrec_pyg.encoders import download_images, encode_images, encode_texts


def make_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(description="Encode texts and images of a data set folder.")
    parser.add_argument("folder", type=Path, help="folder of the data set")
    text = parser.add_argument_group("text")
    text.add_argument("--text", metavar="MODEL", help="encode the texts with this model")
    text.add_argument("--text-column", default="text", help="column of the items file")
    text.add_argument("--text-modality", default="text", help="name of the files that are written")
    text.add_argument("--max-length", type=int, help="tokens; default: what the model says")
    text.add_argument("--prompt", default="", help="put before each text ('passage: ' for E5)")
    image = parser.add_argument_group("images")
    image.add_argument("--image-model", metavar="MODEL", help="encode the images with this model")
    image.add_argument("--images", type=Path, help="folder or CSV file; default: FOLDER/images")
    image.add_argument("--image-name", default="raw_id", help="raw_id, item, or column of paths")
    image.add_argument("--image-modality", default="image", help="name of the files")
    image.add_argument("--library", choices=("transformers", "timm"), help="of the image model")
    image.add_argument("--workers", type=int, default=4, help="threads that read images")
    fetch = parser.add_argument_group("download")
    fetch.add_argument("--download", action="store_true", help="download the images first")
    fetch.add_argument("--url-column", default="image_url", help="column of the items file")
    fetch.add_argument("--concurrency", type=int, default=8, help="images at a time")
    fetch.add_argument("--timeout", type=float, default=120.0, help="seconds an image, in all")
    fetch.add_argument("--retries", type=int, default=4, help="further tries")
    fetch.add_argument("--allow-private", action="store_true", help="local addresses, too")
    fetch.add_argument("--user-agent", help="how to call yourself; say how to reach you")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--device", help="default: the GPU if there is one")
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"))
    return parser


def main(argv: list[str] | None = None) -> None:
    """Downloads, encodes, says what comes next."""
    parser = make_parser()
    args = parser.parse_args(argv)
    if not (args.text or args.image_model or args.download):
        parser.error("nothing to do: give --text, --image-model or --download")
    images = args.images or args.folder / "images"
    common: dict[str, Any] = {
        "batch_size": args.batch_size,
        "device": args.device,
        "dtype": args.dtype,
    }
    if args.download:
        options = {} if args.user_agent is None else {"user_agent": args.user_agent}
        download_images(
            args.folder,
            images,
            column=args.url_column,
            concurrency=args.concurrency,
            timeout=args.timeout,
            retries=args.retries,
            allow_private=args.allow_private,
            **options,
        )
        print()
    if args.text:
        encode_texts(
            args.folder,
            args.text,
            args.text_modality,
            column=args.text_column,
            max_length=args.max_length,
            prompt=args.prompt,
            **common,
        )
        print()
    if args.image_model:
        encode_images(
            args.folder,
            images,
            args.image_model,
            args.image_modality,
            name=args.image_name,
            num_workers=args.workers,
            library=args.library,
            **common,
        )
        print()
    if not args.image_model and args.download:
        print(f"Next: {parser.prog} {args.folder} --images {images} --image-model MODEL")
    else:
        print(f"Next: examples/train_mdsrec.py --data {args.folder}")


if __name__ == "__main__":
    sys.exit(run_script(main))  # a mistake in the options or the data ends in one line
