"""Features from texts and images with pretrained models (extra ``encode``), and image downloads."""

from mdsrec_pyg.datasets.reading.image_files import find_images
from mdsrec_pyg.encoders._blocks import Encoding
from mdsrec_pyg.encoders.download import Download, Downloads, download_images
from mdsrec_pyg.encoders.encode import encode_images, encode_texts
from mdsrec_pyg.encoders.image import ImageEncoder
from mdsrec_pyg.encoders.images import open_image
from mdsrec_pyg.encoders.text import TextEncoder

__all__ = [
    "Download",
    "Downloads",
    "Encoding",
    "ImageEncoder",
    "TextEncoder",
    "download_images",
    "encode_images",
    "encode_texts",
    "find_images",
    "open_image",
]
