"""Images to features."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mdsrec_pyg.encoders._extra import choose_device, choose_dtype, loading, local_folder
from mdsrec_pyg.encoders._image_models import TimmModel, TransformersModel
from mdsrec_pyg.encoders.images import open_image

__all__ = ["ImageEncoder"]

LIBRARIES = {"transformers": TransformersModel, "timm": TimmModel}
# How timm's own names begin.
TIMM_PREFIXES = ("timm/", "hf-hub:", "hf_hub:", "local-dir:")


class ImageEncoder:
    """Encodes images with a pretrained model.

    Of a model of transformers (extra ``encode``) the image projection is taken where there is one
    (`CLIP <https://arxiv.org/abs/2103.00020>`_, `SigLIP <https://arxiv.org/abs/2303.15343>`_), else
    the pooled output, else the mean of the last hidden states. Of a model of
    `timm <https://github.com/huggingface/pytorch-image-models>`_ (extra ``timm``) the pooled
    features before the classifier are taken. Images are scaled, cropped and normalized as the model
    asks for, by Pillow: torchvision is not used.

    Shapes:
        - **input:** *B* images: paths, Pillow images, or what :meth:`prepare` returned
        - **output:** features :math:`(B, F)`, float32, on the CPU

    Example:
        >>> encode = ImageEncoder("openai/clip-vit-base-patch32")
        >>> encode(["chair.jpg", "lamp.png"]).shape
        torch.Size([2, 512])

    Args:
        model: A name on the Hugging Face hub, a name of timm (``'efficientnet_lite0'``), or a local
            folder.
        library: ``'transformers'`` or ``'timm'``. Default: timm for a name without a slash or with
            the prefix ``timm/``, and for a local folder that timm saved; transformers otherwise.
        device: Where it runs. Default: the GPU if there is one.
        dtype: ``'float32'``, ``'float16'`` or ``'bfloat16'``. Default: float16 on a GPU, else
            float32.
        checkpoint: Weights file for a model of timm. Default: the weights of its name.
        revision: Branch, tag or commit on the hub, for transformers.

    Raises:
        ImportError: The library is not installed, or torchvision does not fit torch.
        ValueError: An option has an unknown value, or ``model`` is a path without a folder.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        library: str | None = None,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        revision: str | None = None,
    ) -> None:
        if library is not None and library not in LIBRARIES:
            raise ValueError(f"'library' must be one of {', '.join(LIBRARIES)} (got {library!r})")
        self.model_name = str(model)
        self.device = choose_device(device)
        self.dtype = choose_dtype(dtype, self.device)
        with loading(model):
            self.library = library or _library(model)
        self.checkpoint = None if checkpoint is None else os.fspath(checkpoint)
        self.revision = revision
        self.model: TransformersModel | TimmModel
        if self.library == "timm":
            if revision is not None:
                raise ValueError(f"'revision' is of no use with timm (got {revision!r})")
            with loading(model if checkpoint is None else checkpoint):
                self.model = TimmModel(model, self.checkpoint)
        else:
            if checkpoint is not None:
                raise ValueError(f"'checkpoint' is of use with timm only (got {checkpoint})")
            with loading(model):
                self.model = TransformersModel(model, revision)
        self.model.module.to(self.device, self.dtype).eval()

    def __repr__(self) -> str:
        """Model and settings."""
        dtype = str(self.dtype).removeprefix("torch.")
        return f"ImageEncoder({self.model_name}, {self.library}, {self.device}, {dtype})"

    @property
    def key(self) -> str:
        """Text that changes with everything that changes the features."""
        return json.dumps(
            {
                "model": self.model_name,
                "library": self.library,
                "dtype": str(self.dtype),
                "checkpoint": self.checkpoint,
                "revision": self.revision,
                **self.model.settings,
            },
            default=str,
        )

    def prepare(self, image: Any) -> Tensor:
        """The pixels ``[3, H, W]`` that the model sees of a Pillow image; safe in threads."""
        return self.model.prepare(image)

    @torch.inference_mode()
    def __call__(self, images: Sequence[Any]) -> Tensor:
        """Features ``[B, F]`` of one batch of images."""
        pixels = [image if isinstance(image, Tensor) else self._pixels(image) for image in images]
        batch = torch.stack(pixels).to(self.device, self.dtype)  # [B, 3, H, W]
        return self.model.features(batch).float().cpu()

    def _pixels(self, image: Any) -> Tensor:
        return self.prepare(open_image(image) if isinstance(image, str | os.PathLike) else image)


def _library(model: str | os.PathLike[str]) -> str:
    folder = local_folder(model)
    if folder is None:
        name = str(model)
        return "timm" if name.startswith(TIMM_PREFIXES) or "/" not in name else "transformers"
    config = folder / "config.json"
    if not config.is_file():
        raise ValueError(f"'model' must be a folder with a config.json (got {folder})")
    # transformers writes "model_type", timm the name of the architecture.
    return "transformers" if "model_type" in json.loads(config.read_text()) else "timm"
