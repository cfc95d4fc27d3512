"""``mdsrec encode``: texts and images of a data set folder -> feature files."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mdsrec_pyg.cli.device import check_device
from mdsrec_pyg.cli.parser import Namespace, Parser
from mdsrec_pyg.encoders import download_images, encode_images, encode_texts

EXAMPLES = """\
  mdsrec encode shop --text sentence-transformers/all-MiniLM-L6-v2
  mdsrec encode shop --download
  mdsrec encode shop --images shop/images --image-model openai/clip-vit-base-patch32

The steps are independent, may stand in one command, and continue where they were interrupted.
Models are names on the Hugging Face hub or local folders. The libraries are an extra:
pip install 'mdsrec_pyg[encode]'"""


def _usual(function: Callable[..., Any], name: str) -> Any:
    """The default of an argument: it stands in the function."""
    return inspect.signature(function).parameters[name].default


def make_parser() -> Parser:
    """The options."""
    parser = Parser(
        "encode",
        "Encode the texts and images of a data set folder.",
        EXAMPLES,
        usage="mdsrec encode FOLDER [OPTIONS]",
    )
    parser.add_argument("folder", metavar="FOLDER", help="the data set, with its items file")
    text = parser.add_argument_group("text")
    text.add_argument("--text", metavar="MODEL", help="encode the texts with this model")
    text.add_argument(
        "--text-column",
        metavar="NAME",
        default=_usual(encode_texts, "column"),
        help="column of the items file",
    )
    text.add_argument(
        "--text-modality",
        metavar="NAME",
        default=_usual(encode_texts, "modality"),
        help="name of the files that are written",
    )
    text.add_argument(
        "--max-length", type=int, metavar="INT", help="tokens; default: what the model says"
    )
    text.add_argument(
        "--prompt", metavar="TEXT", default="", help="put before each text ('passage: ' for E5)"
    )
    _add_images(parser)
    _add_download(parser)
    both = parser.add_argument_group("both")
    both.add_argument(
        "--batch-size",
        type=int,
        metavar="INT",
        default=_usual(encode_texts, "batch_size"),
        help="inputs that a model sees at a time",
    )
    both.add_argument("--device", metavar="DEVICE", help="default: the GPU if there is one")
    both.add_argument(
        "--dtype",
        choices=("float32", "float16", "bfloat16"),
        help="default: float16 on a GPU, else float32",
    )
    return parser


def _add_images(parser: Parser) -> None:
    image = parser.add_argument_group("images")
    image.add_argument("--image-model", metavar="MODEL", help="encode the images with this model")
    image.add_argument(
        "--images", metavar="FOLDER", help="folder or CSV file; default: FOLDER/images"
    )
    image.add_argument(
        "--image-name",
        metavar="NAME",
        default=_usual(encode_images, "name"),
        help="what images are called after: raw_id, item, or a column of paths",
    )
    image.add_argument(
        "--image-modality",
        metavar="NAME",
        default=_usual(encode_images, "modality"),
        help="name of the files that are written",
    )
    image.add_argument(
        "--library", choices=("transformers", "timm"), help="default: by the model's name"
    )
    image.add_argument(
        "--workers",
        type=int,
        metavar="INT",
        default=_usual(encode_images, "num_workers"),
        help="threads that read images",
    )


def _add_download(parser: Parser) -> None:
    fetch = parser.add_argument_group("download")
    fetch.add_argument("--download", action="store_true", help="download the images first")
    fetch.add_argument(
        "--url-column",
        metavar="NAME",
        default=_usual(download_images, "column"),
        help="column of the items file",
    )
    fetch.add_argument(
        "--concurrency",
        type=int,
        metavar="INT",
        default=_usual(download_images, "concurrency"),
        help="images at a time",
    )
    fetch.add_argument(
        "--timeout",
        type=float,
        metavar="SECONDS",
        default=_usual(download_images, "timeout"),
        help="for an image, in all",
    )
    fetch.add_argument(
        "--retries",
        type=int,
        metavar="INT",
        default=_usual(download_images, "retries"),
        help="further tries",
    )
    fetch.add_argument("--allow-private", action="store_true", help="local addresses, too")
    fetch.add_argument(
        "--user-agent",
        metavar="TEXT",
        default=_usual(download_images, "user_agent"),
        help="how to call yourself; say how to reach you",
    )


def parse(argv: Sequence[str]) -> Namespace:
    """Reads the options."""
    parser = make_parser()
    args = parser.read(argv)
    if not (args.text or args.image_model or args.download):
        parser.error("nothing to do: give --text, --image-model or --download")
    return args


def run(args: Namespace) -> int:
    """Downloads, encodes, says what comes next."""
    check_device(args.device)
    images = args.images or Path(args.folder) / "images"
    common = {name: getattr(args, name) for name in ("batch_size", "device", "dtype")}
    if args.download:
        names = ("concurrency", "timeout", "retries", "allow_private", "user_agent")
        options = {name: getattr(args, name) for name in names}
        download_images(args.folder, images, column=args.url_column, **options)
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
    if args.download and not args.image_model:
        print(f"Next: mdsrec encode {args.folder} --images {images} --image-model MODEL")
    else:
        print(f"Next: mdsrec train --data {args.folder}")
    return 0
