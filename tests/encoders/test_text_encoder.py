"""Texts through a real sentence model that a package ships, and through models made here."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mdsrec_pyg.encoders import TextEncoder, encode_texts

CPU: dict[str, Any] = {"device": "cpu"}
SENTENCES = ["a chair made of oak", "a wooden seat", "the stock market fell"]


@pytest.fixture(scope="module")
def plain(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights without what makes them a sentence model."""
    folder = tmp_path_factory.mktemp("plain") / "model"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"):
        shutil.copy(minilm / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def encoder(minilm: Path) -> TextEncoder:
    return TextEncoder(minilm, device="cpu")


def test_a_sentence_model(encoder: TextEncoder) -> None:
    x = encoder(SENTENCES)
    assert (x.shape, x.dtype, x.device.type) == ((3, 384), torch.float32, "cpu")
    assert torch.allclose(x.norm(dim=1), torch.ones(3))  # this model normalizes
    similarity = x @ x.T
    assert similarity[0, 1] > 0.5 > 0.2 > similarity[0, 2]
    assert encoder.library == "sentence_transformers"
    assert "sentence_transformers, cpu, float32, at most 256 tokens" in repr(encoder)


def test_a_plain_model_is_pooled_by_the_mean(encoder: TextEncoder, plain: Path) -> None:
    pooling = TextEncoder(plain, **CPU)
    assert pooling.library == "transformers"
    x = pooling(SENTENCES)  # of different lengths: padding must not count
    assert torch.allclose(x / x.norm(dim=1, keepdim=True), encoder(SENTENCES), atol=1e-5)
    assert (x.norm(dim=1) > 2).all()


def test_library(minilm: Path, encoder: TextEncoder) -> None:
    assert (TextEncoder(minilm, library="transformers", **CPU)(SENTENCES).norm(dim=1) > 2).all()


@pytest.mark.parametrize("library", ["sentence_transformers", "transformers"])
def test_max_length_and_prompt(minilm: Path, library: str) -> None:
    plain = TextEncoder(minilm, library=library, **CPU)
    # With the first and last of the model, four tokens are two words.
    cut = TextEncoder(minilm, library=library, max_length=4, **CPU)
    assert torch.equal(cut(["oak chair with legs"]), cut(["oak chair"]))
    assert torch.allclose(cut(["oak chair with legs"]), plain(["oak chair"]), atol=1e-5)
    asked = TextEncoder(minilm, library=library, prompt="passage: ", **CPU)
    assert torch.allclose(asked(["oak"]), plain(["passage: oak"]), atol=1e-5)
    assert not torch.allclose(asked(["oak"]), plain(["oak"]), atol=1e-2)
    assert len({encoder.key for encoder in (plain, cut, asked)}) == 3


def test_half_precision(minilm: Path, encoder: TextEncoder) -> None:
    half = TextEncoder(minilm, dtype="bfloat16", **CPU)
    assert half.model[0].auto_model.dtype == torch.bfloat16
    difference = (half(SENTENCES) - encoder(SENTENCES)).abs().max()
    assert 1e-6 < difference < 0.02
    assert half.key != encoder.key


def test_the_key_follows_the_weights(plain: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(plain, copy)
    before = TextEncoder(copy, **CPU).key
    assert TextEncoder(copy, **CPU).key == before
    (copy / "config.json").write_text((copy / "config.json").read_text() + "\n")
    assert TextEncoder(copy, **CPU).key != before


def test_of_a_folder(minilm: Path, shop: Path, encoder: TextEncoder) -> None:
    encode_texts(shop, minilm, batch_size=2, device="cpu", max_length=4, log=None)
    x = np.load(shop / "text.npy").astype(np.float32)
    cut = TextEncoder(minilm, max_length=4, **CPU)
    texts = ["oak chair", "steel lamp", "oak table with four legs"]
    np.testing.assert_allclose(x[[0, 2, 4]], cut(texts).numpy(), atol=1e-3)
    assert not x[[1, 3]].any()


def make_clip(folder: Path, kind: str, minilm: Path) -> Any:
    """A tiny CLIP or SigLIP with random weights and MiniLM's tokenizer."""
    transformers = pytest.importorskip("transformers")
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    text = {**small, "num_attention_heads": 2, "max_position_embeddings": 12, "vocab_size": 30522}
    vision = {**small, "num_attention_heads": 2, "image_size": 32, "patch_size": 16}
    torch.manual_seed(0)
    if kind == "CLIP":
        # The projected state is that of the end-of-text token: BERT's [SEP].
        text |= {"eos_token_id": 102}
        config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)
    else:
        config = transformers.SiglipConfig(text_config=text, vision_config=vision)
    model = getattr(transformers, f"{kind}Model")(config).eval()
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(minilm / name, folder / name)
    return model


@pytest.mark.parametrize(("kind", "width"), [("CLIP", 12), ("Siglip", 16)])
def test_text_towers(tmp_path: Path, minilm: Path, kind: str, width: int) -> None:
    model = make_clip(tmp_path, kind, minilm)
    encoder = TextEncoder(tmp_path, **CPU)
    assert encoder.max_length == 12
    x = encoder(SENTENCES)
    assert x.shape == (3, width)
    siglip = kind == "Siglip"  # trained with texts padded to the full length
    tokens = encoder.tokenizer(
        SENTENCES,
        padding="max_length" if siglip else True,
        max_length=12,
        truncation=True,
        return_tensors="pt",
    )
    with torch.no_grad():
        output = model.text_model(tokens["input_ids"], tokens["attention_mask"]).pooler_output
        expected = output if siglip else model.text_projection(output)
    assert torch.allclose(x, expected, atol=1e-5)
    # A text is the same whatever it shares a batch with.
    assert torch.allclose(encoder(SENTENCES[1:2])[0], x[1], atol=1e-5)


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'library' must be one of sentence_transformers, trans"):
        TextEncoder("any", library="keras")
    with pytest.raises(ValueError, match="'dtype' must be one of float32, float16, bfloat16"):
        TextEncoder("any", dtype="int8")
    with pytest.raises(ValueError, match="'max_length' must be at least 1"):
        TextEncoder("any", max_length=0)
    with pytest.raises(ValueError, match="'model' must be an existing folder or a name"):
        TextEncoder(tmp_path / "nowhere", device="cpu")


def test_what_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from mdsrec_pyg.encoders._extra import require

    with pytest.raises(ImportError, match=r"no_such_library is needed here .* -e '.\[encode\]'"):
        require("no_such_library")
    (tmp_path / "broken_library.py").write_text("raise RuntimeError('operator nms is missing')")
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('no nms')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=r"does not import \(operator nms .* fit torch .*no nms"):
        require("broken_library")
    (tmp_path / "lazy_library.py").write_text("")
    with pytest.raises(ImportError, match=r"lazy_library is installed but .* 'AutoModel'.*no nms"):
        require("lazy_library", "AutoModel")
    with pytest.raises(ImportError, match=r"-e '.\[timm\]'"):
        require("no_such_library", extra="timm")
