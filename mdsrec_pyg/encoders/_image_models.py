"""Pretrained image models of two libraries behind one form: prepare, features, settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mdsrec_pyg.encoders._extra import (
    files_version,
    load_model,
    local_folder,
    model_version,
    pooled,
    require,
)


class TransformersModel:
    """A vision model of transformers."""

    def __init__(self, model: str | os.PathLike[str], revision: str | None) -> None:
        transformers = require("transformers", "AutoImageProcessor")
        # Pillow instead of torchvision, whether or not the latter is there: the same pixels
        # everywhere. Release 5 renamed the option.
        major = int(transformers.__version__.split(".")[0])
        backend = {"backend": "pil"} if major >= 5 else {"use_fast": False}
        processor = transformers.AutoImageProcessor
        self.processor: Any = processor.from_pretrained(model, revision=revision, **backend)
        self.module: Any
        self.module, self.has_pooler = load_model(model, revision)
        self.settings = {
            "version": model_version(model, self.module.config),
            "library_version": transformers.__version__,
        }

    def prepare(self, image: Any) -> Tensor:
        """Pixels ``[3, H, W]``."""
        return self.processor(images=image, return_tensors="pt")["pixel_values"][0]

    def features(self, pixels: Tensor) -> Tensor:
        """Features ``[B, F]`` of pixels ``[B, 3, H, W]``."""
        if hasattr(self.module, "get_image_features"):
            return pooled(self.module.get_image_features(pixel_values=pixels))
        output = self.module(pixel_values=pixels)
        features: Tensor | None = getattr(output, "pooler_output", None)
        if features is None or not self.has_pooler:
            features = output.last_hidden_state.mean(1)  # [B, tokens, F] -> [B, F]
        return features.flatten(1)  # convolutional models keep [B, F, 1, 1]


class TimmModel:
    """A model of timm without its classifier."""

    def __init__(self, model: str | os.PathLike[str], checkpoint: str | None) -> None:
        timm = require("timm", extra="timm")
        folder, name = local_folder(model), str(model)
        if folder is not None:
            name = f"local-dir:{folder}"
        elif name.startswith("timm/"):
            name = f"hf-hub:{name}"
        self.module: Any = timm.create_model(name, pretrained=checkpoint is None, num_classes=0)
        if checkpoint is not None:
            # Not create_model's checkpoint_path: it wants the classifier to be of the same size.
            lacking, _ = self.module.load_state_dict(
                timm.models.load_state_dict(checkpoint), strict=False
            )
            if lacking:
                raise ValueError(
                    f"'checkpoint' must hold the weights of all of {name} (got {checkpoint}, which "
                    f"lacks {len(lacking)}, such as {lacking[0]})"
                )
        config = self.module.pretrained_cfg
        self.size: tuple[int, int] = tuple(config["input_size"][1:])
        self.interpolation: str = config["interpolation"]
        self.crop: float = config["crop_pct"]
        self.crop_mode: str = config.get("crop_mode") or "center"
        if self.crop_mode not in ("center", "squash"):
            raise ValueError(
                f"'model' must be made for center crops or whole images (got {name}, which is made "
                f"for {self.crop_mode!r}): pass a callable of your own"
            )
        self.mean = torch.tensor(config["mean"])[:, None, None]
        self.std = torch.tensor(config["std"])[:, None, None]
        self.settings = {
            "library_version": timm.__version__,
            "version": model_version(folder) if folder else str(config.get("hf_hub_id")),
            "pixels": [self.size, self.interpolation, self.crop, self.crop_mode],
            "scale": [config["mean"], config["std"]],
        }
        if checkpoint is not None:
            path = Path(checkpoint).resolve()
            self.settings["checkpoint_version"] = files_version(path.parent, [path])

    def prepare(self, image: Any) -> Tensor:
        """Pixels ``[3, H, W]``, as timm's own transform for evaluation makes them."""
        height, width = self.size
        scaled = [int(side / self.crop) for side in self.size]
        if self.crop_mode == "squash":
            size = (scaled[1], scaled[0])
        else:  # the shorter side fits, the longer one is cut
            factor = max(scaled[0] / image.height, scaled[1] / image.width)
            whole = int if height == width else round  # timm has a transform for each
            size = (whole(image.width * factor + 1e-6), whole(image.height * factor + 1e-6))
        filters = require("PIL.Image").Resampling
        image = image.resize(size, getattr(filters, self.interpolation.upper()))
        left, top = round((image.width - width) / 2), round((image.height - height) / 2)
        image = image.crop((left, top, left + width, top + height))
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)  # [H, W, 3] -> [3, H, W]
        return (pixels / 255 - self.mean) / self.std

    def features(self, pixels: Tensor) -> Tensor:
        """Features ``[B, F]`` of pixels ``[B, 3, H, W]``."""
        return self.module(pixels)
