"""Small models of every kind that is trained, and what a step of theirs does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mdsrec_pyg import GRU4Rec, Interactions, SASRec, build_mdsrec
from mdsrec_pyg.data import ModalFeature, SequenceBatch, SequenceLoader
from mdsrec_pyg.nn import SequentialRecommender

NUM_ITEMS, MAX_LENGTH = 40, 12
SMALL: dict[str, Any] = {"channels": 8, "max_length": MAX_LENGTH}

#: Operations whose result decides what comes next: a GPU has to be waited for.
WAITS = {"_local_scalar_dense", "nonzero", "equal", "bincount", "_unique2", "unique_dim", "item"}
WAITS |= {"masked_select", "repeat_interleave", "unique_consecutive", "is_nonzero"}


def train_part(seed: int = 0) -> Interactions:
    """60 users with 3 to 15 of 40 items, some of them twice."""
    rng = np.random.default_rng(seed)
    length = rng.integers(3, 16, 60)
    item = rng.integers(0, NUM_ITEMS - 1, length.sum())
    item[2::5] = item[:-2:5][: len(item[2::5])]
    return Interactions.from_arrays(np.repeat(np.arange(60), length), item, num_items=NUM_ITEMS)


def features() -> dict[str, ModalFeature]:
    """Two modalities, one of which some items lack."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(NUM_ITEMS, 6, generator=generator)
    return {
        "image": ModalFeature(image, torch.arange(NUM_ITEMS) % 7 != 3),
        "text": ModalFeature(torch.randn(NUM_ITEMS, 5, generator=generator)),
    }


def mdsrec(preset: str = "best", **options: Any) -> Callable[[], SequentialRecommender]:
    return lambda: build_mdsrec(
        features(), train_part(), preset, num_centers=3, **{**SMALL, **options}
    )


MODELS: dict[str, Callable[[], SequentialRecommender]] = {
    "SASRec": lambda: SASRec(NUM_ITEMS, **SMALL),
    "SASRec, sampled": lambda: SASRec(NUM_ITEMS, num_negatives=9, **SMALL),
    "SASRec, in blocks": lambda: SASRec(NUM_ITEMS, max_scores=900, **SMALL),
    "GRU4Rec": lambda: GRU4Rec(NUM_ITEMS, **SMALL),
    "MDSRec": mdsrec(),
    "MDSRec, paper": mdsrec("paper"),
    "MDSRec, plain votes": mdsrec(vote_hidden=0, vote_positions=1, history_bias=False),
}


def make(name: str) -> SequentialRecommender:
    """One of ``MODELS`` in training mode, with the same first weights each time."""
    torch.manual_seed(0)
    return MODELS[name]().train()


def batches(model: SequentialRecommender, fixed_shapes: bool = False) -> list[SequenceBatch]:
    """What a trainer of 16 sequences a batch collates for the model; the last holds fewer."""
    loader = SequenceLoader(
        train_part(),
        MAX_LENGTH,
        16,
        fixed_shapes=fixed_shapes,
    )
    return list(loader)


def bare(batch: SequenceBatch) -> SequenceBatch:
    """Without what was collated for the loss: it has to look for it."""
    return replace(batch, positions=None)


def gradients(loss: Tensor, model: SequentialRecommender) -> list[Tensor]:
    """Loss and gradients, those of parameters that it does not reach left out."""
    found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    return [loss.detach(), *(grad for grad in found if grad is not None)]


class Operations(TorchDispatchMode):
    """Counts what is dispatched; ``waits`` is what a GPU would have to be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.split("::")[1]
        if name in WAITS:
            self.waits[name] += 1
        if name.startswith(("index", "_index")) and len(args) > 1 and isinstance(args[1], list):
            masks = [i for i in args[1] if i is not None and i.dtype in (torch.bool, torch.uint8)]
            self.waits["index by a mask"] += len(masks)
        return func(*args, **(kwargs or {}))


class ToyWaits(SASRec):
    """Looks at a number on the way."""

    def __init__(self) -> None:
        super().__init__(NUM_ITEMS, **SMALL)

    def loss(self, batch: SequenceBatch) -> Tensor:
        loss = super().loss(batch)
        return loss if loss.item() > 0 else -loss
