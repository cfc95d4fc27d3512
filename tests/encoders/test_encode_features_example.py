"""examples/encode_features.py, all of it in one command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("httpx", reason="needs the extra encode")

from mdsrec_pyg import encoders
from mdsrec_pyg.encoders import TextEncoder

from .picture_server import PictureServer

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def run(run_script: Callable[..., str]) -> Callable[..., str]:
    return lambda *arguments: run_script(EXAMPLES, "encode_features.py", *arguments)


def test_text(run: Callable[..., str], shop: Path, minilm: Path) -> None:
    options = ("--max-length", 4, "--prompt", "a ", "--text-modality", "title", "--batch-size", 2)
    output = run(shop, "--text", minilm, *options, "--device", "cpu", "--dtype", "bfloat16")
    assert output.startswith("modality     title, of 3 of 5 items\n")
    assert "at most 4 tokens, prompt 'a '), batches of 2" in output
    assert f"Next: examples/train_mdsrec.py --data {shop}" in output
    encoder = TextEncoder(minilm, max_length=4, prompt="a ", device="cpu", dtype="bfloat16")
    x = np.load(shop / "title.npy")
    np.testing.assert_allclose(x[0], encoder(["oak chair"])[0], atol=2e-2)


def test_download(run: Callable[..., str], tmp_path: Path) -> None:
    with PictureServer() as server:
        urls = [f"{server.url}/good", f"{server.url}/busy"]
        pd.DataFrame({"item": [0, 1], "raw_id": ["a", "b"], "photo": urls}).to_parquet(
            tmp_path / "items.parquet"
        )
        options = ("--download", "--url-column", "photo", "--images", tmp_path / "here")
        output = run(tmp_path, *options)
        assert "2 failed" in output
        assert not server.requests
        more = ("--allow-private", "--retries", 0, "--user-agent", "me", "--timeout", 20)
        output = run(tmp_path, *options, *more, "--concurrency", 1)
        assert "1 downloaded, 1 failed" in output
        assert server.headers["User-Agent"] == "me"
    assert "limits       20 s, " in output
    assert "connections  1 at a time, 0 further tries" in output
    assert f"--images {tmp_path / 'here'} --image-model MODEL" in output
    assert (tmp_path / "here/a.jpg").is_file()


def test_images(run: Callable[..., str], shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    monkeypatch.setattr(encoders, "encode_images", lambda *a, **k: called.append((a, k)))
    options = ("--image-name", "item", "--image-modality", "photo", "--library", "timm")
    run(shop, "--image-model", "some/model", *options, "--workers", 2)
    ((positional, named),) = called
    assert positional == (shop, shop / "images", "some/model", "photo")
    assert named == {
        "name": "item",
        "num_workers": 2,
        "library": "timm",
        "batch_size": 64,
        "device": None,
        "dtype": None,
    }


def test_mistakes(run: Callable[..., str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(tmp_path)
    with pytest.raises(SystemExit, match="error: 'folder' must hold one of items"):
        run(tmp_path, "--text", "x")
