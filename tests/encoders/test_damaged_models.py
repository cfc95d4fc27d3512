"""Folders of models whose files are damaged: what their readers raise names the model."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from mdsrec_pyg.encoders import ImageEncoder, TextEncoder

transformers = pytest.importorskip("transformers", reason="needs transformers: the extra encode")
pytest.importorskip("PIL.Image", reason="needs Pillow: the extra encode")
SIZES: dict[str, Any] = {
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A language and a vision model of a few hundred weights."""
    folder = tmp_path_factory.mktemp("models")
    bert, vit = folder / "bert", folder / "vit"
    bert.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "oak"]
    (bert / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizerFast(str(bert / "vocab.txt")).save_pretrained(bert)
    config = transformers.BertConfig(vocab_size=6, max_position_embeddings=16, **SIZES)
    transformers.BertModel(config).save_pretrained(bert)
    config = transformers.ViTConfig(image_size=16, patch_size=8, **SIZES)
    transformers.ViTModel(config).save_pretrained(vit)
    size = {"height": 16, "width": 16}
    transformers.ViTImageProcessor(size=size).save_pretrained(vit)
    return {"bert": bert, "vit": vit}


@pytest.mark.parametrize(
    ("name", "file"),
    [
        *(("bert", "config.json"), ("bert", "model.safetensors"), ("bert", "tokenizer.json")),
        *(("bert", "tokenizer_config.json"), ("vit", "config.json"), ("vit", "model.safetensors")),
        ("vit", "preprocessor_config.json"),
    ],
)
@pytest.mark.parametrize("damage", ["cut", "bytes", "list"])
def test_a_damaged_model_is_named(
    models: dict[str, Path], tmp_path: Path, name: str, file: str, damage: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(models[name], folder)
    whole = (folder / file).read_bytes()
    content = {"cut": whole[: len(whole) // 2], "bytes": b"\0\xff", "list": b"[]"}[damage]
    (folder / file).write_bytes(content)
    kind: Any = TextEncoder if name == "bert" else ImageEncoder
    with pytest.raises((ValueError, OSError), match=str(folder)):
        kind(folder, library="transformers", device="cpu")


def test_models_that_are_whole_load(models: dict[str, Path]) -> None:
    assert TextEncoder(models["bert"], device="cpu")(["oak"]).shape == (1, 8)
    assert "vit" in repr(ImageEncoder(models["vit"], device="cpu"))
