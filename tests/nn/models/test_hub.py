"""Models by huggingface_hub's names, over a local folder, and their card."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from mdsrec_pyg.nn import ModelCard, Recommender, SASRec

huggingface_hub = pytest.importorskip("huggingface_hub")

CARD = ModelCard(
    data='shop "small"',
    split="leave_last_out",
    metrics={"ndcg@10": 0.09534},
    seed=3,
    exclude_seen=True,
    command="python examples/train_mdsrec.py --data shop",
    license="mit",
)


@pytest.fixture
def model() -> SASRec:
    return SASRec(24, channels=4, max_length=9).eval()


def test_a_local_folder(model: SASRec, world, tmp_path: Path) -> None:
    ids = [f"i{i}" for i in range(24)]
    model.save_pretrained(tmp_path / "model", item_ids=ids, card=CARD)
    loaded = SASRec.from_pretrained(tmp_path / "model", device="cpu")
    assert type(loaded) is SASRec
    assert torch.equal(loaded(world.batch), model(world.batch))
    assert loaded.item_ids is not None
    assert list(loaded.item_ids) == ids
    assert type(Recommender.from_pretrained(str(tmp_path / "model"))) is SASRec
    assert "0.0953" in (tmp_path / "model" / "README.md").read_text()


def test_a_repository_is_downloaded(model: SASRec, tmp_path: Path, monkeypatch) -> None:
    model.save(tmp_path / "model")
    asked: dict[str, Any] = {}

    def download(repo_id: str, **options: Any) -> str:
        asked.update(repo_id=repo_id, **options)
        return str(tmp_path / "model")

    def config(**_: Any) -> str:
        return str(tmp_path / "model" / "config.json")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(huggingface_hub.hub_mixin, "hf_hub_download", config)
    loaded = SASRec.from_pretrained("someone/model", revision="v1")
    assert loaded.num_items == 24
    assert asked["repo_id"] == "someone/model"
    assert asked["revision"] == "v1"
    assert "model.safetensors" in asked["allow_patterns"]


def test_what_is_pushed_can_be_loaded(model: SASRec, world, tmp_path: Path, monkeypatch) -> None:
    class Repository:
        repo_id = "someone/model"

    class Api:
        def __init__(self, **_: Any) -> None:
            pass

        def create_repo(self, **options: Any) -> Repository:
            assert options["repo_id"] == "someone/model"
            assert options["private"] is True
            return Repository()

        def upload_folder(self, *, folder_path: Path, **_: Any) -> str:
            pushed = Recommender.load(folder_path)
            assert torch.equal(pushed(world.batch), model(world.batch))
            assert pushed.item_ids is not None
            assert list(pushed.item_ids) == list(range(24))
            assert "shop" in (Path(folder_path) / "README.md").read_text()
            return "url"

    monkeypatch.setattr(huggingface_hub.hub_mixin, "HfApi", Api)
    got = model.push_to_hub("someone/model", item_ids=range(24), card=CARD, private=True)
    assert got == "url"


def test_the_card_says_everything(model: SASRec, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    empty = (tmp_path / "model" / "README.md").read_text()
    assert "not stated" in empty
    CARD.write(tmp_path / "model")
    text = (tmp_path / "model" / "README.md").read_text()
    for part in ("leave_last_out", "| ndcg@10 | 0.0953 |", "seed: 3", "masked", "mean rank"):
        assert part in text
    assert "python examples/train_mdsrec.py --data shop" in text
    assert "not stated" not in text
    read = huggingface_hub.ModelCard.load(tmp_path / "model" / "README.md")
    assert read.data.library_name == "mdsrec_pyg"
    assert read.data.license == "mit"
    assert read.data.datasets == ['shop "small"']
    SASRec.load(tmp_path / "model")  # the card may be edited


@pytest.mark.parametrize("name", ["data", "split", "seed", "exclude_seen", "command"])
def test_metrics_need_their_rules(name: str) -> None:
    rules: dict[str, Any] = {
        **{"data": "a", "split": "b", "seed": 0, "exclude_seen": False, "command": "c"},
        name: None,
    }
    with pytest.raises(ValueError, match=f"'{name}' must be stated beside 'metrics'"):
        ModelCard(metrics={"mrr": 0.1}, **rules)
    ModelCard(**rules)


def test_the_library_is_imported_without_the_extra() -> None:
    code = "import sys; sys.modules['huggingface_hub'] = None; import mdsrec_pyg"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_the_extra_the_error_names_it(model: SASRec, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"mdsrec_pyg\[hub\]"):
        model.save_pretrained(tmp_path / "model")


def test_names_in_a_card_are_text() -> None:
    options: dict[str, Any] = {"split": "temporal", "seed": 0, "exclude_seen": False}
    card = ModelCard(
        data="<b>x|y\n# h", metrics={"a|b": 0.5}, command="run x\n```\n# more", **options
    )
    lines = card.text("MDSRec", 3).splitlines()
    assert r"&lt;b&gt;x\|y\\n\# h, split: temporal" in lines
    assert r"| a\|b | 0.5000 |" in lines
    assert r"run x\n```\n# more" in lines
