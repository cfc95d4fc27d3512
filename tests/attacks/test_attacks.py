"""The attacks in short form: no try ends as none may. ``make attacks`` runs them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

pytest.importorskip("httpx", reason="needs httpx: the extra encode")
pytest.importorskip("PIL.Image", reason="needs Pillow: the extra encode")

from tests.attacks.__main__ import SHORT
from tests.attacks.attacks import ATTACKS


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Children are forked: those of a process whose threads are at work would wait for them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.attack
@pytest.mark.parametrize("name", ATTACKS)
def test_every_try_ends_well(name: str) -> None:
    faults = [
        f"{count.attack}: {example['end']}: {example['case']}: {example['detail']}"
        for count in ATTACKS[name](SHORT, 0)
        for example in count.examples
    ]
    assert not faults, "\n".join(faults)
