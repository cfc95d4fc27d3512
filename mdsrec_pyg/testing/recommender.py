"""What every model promises, as tests."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from mdsrec_pyg.data import SequenceBatch
from mdsrec_pyg.nn import Recommender
from mdsrec_pyg.nn.mode import scoring_copy
from mdsrec_pyg.seed import drawn_apart
from mdsrec_pyg.testing.data import SmallData, small_data

__all__ = ["RecommenderTests"]


class RecommenderTests:
    """Contract tests of a model: subclass it, name the class ``Test...``, give a factory.

    Attributes:
        tolerance: Between scores that sum in another order.
        own_parts: What the model needs again when it is loaded, such as ``{"conv": ...}``.
        same_after_reset: Whether ``reset_parameters`` draws what a new model draws after the same
            seed; False where modules of your own draw otherwise than in their constructors.
    """

    tolerance: float = 1e-4
    own_parts: dict[str, Any] = {}  # noqa: RUF012
    same_after_reset: bool = True

    def factory(self, data: SmallData) -> Recommender:
        """Your model over the small data."""
        raise NotImplementedError

    @pytest.fixture
    def data(self) -> SmallData:
        """The same for all tests: graphs and centers are made once."""
        return small_data()

    @pytest.fixture
    def model(self, data: SmallData) -> Recommender:
        """In evaluation mode, away from its start, where much is zero."""
        torch.manual_seed(0)
        model = self.factory(data)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        return model.eval()

    @pytest.fixture
    def batch(self, data: SmallData) -> SequenceBatch:
        """All users."""
        return data.batch()

    def scores(self, model: nn.Module, batch: SequenceBatch) -> Tensor:
        """Scores without a gradient."""
        with torch.no_grad():
            scores: Tensor = model(batch)
        return scores

    def close(self, one: Tensor, two: Tensor) -> None:
        """Equal up to the tolerance."""
        torch.testing.assert_close(one, two, rtol=self.tolerance, atol=self.tolerance)

    # ---- scores -------------------------------------------------------------------------------

    def test_scores_are_a_number_for_every_item(self, model: Any, batch: SequenceBatch) -> None:
        """[B, N], finite."""
        scores = self.scores(model, batch)
        assert scores.shape == (len(batch), model.num_items)
        assert scores.isfinite().all()

    def test_forward_is_score(self, model: Any, batch: SequenceBatch) -> None:
        """With and without item vectors that are computed before."""
        scores = self.scores(model, batch)
        with torch.no_grad():
            assert torch.equal(scores, model.score(batch))
            assert torch.equal(scores, model(batch, model.encode_items()))

    def test_scores_repeat(self, model: Any, batch: SequenceBatch) -> None:
        """Evaluation draws nothing, and the batch stays as it was."""
        before = copy.deepcopy(batch)
        torch.manual_seed(1)
        first = self.scores(model, batch)
        torch.manual_seed(2)
        assert torch.equal(first, self.scores(model, batch))
        for name in ("item_id", "mask", "user_id"):
            assert torch.equal(getattr(before, name), getattr(batch, name)), name

    def test_a_history_alone_scores_as_in_a_batch(self, model: Any, batch: SequenceBatch) -> None:
        """Neither its neighbors in the batch nor padding count."""
        scores = self.scores(model, batch)
        for b in range(0, len(batch), 5):
            own = batch.mask[b]
            row = SequenceBatch(
                batch.item_id[b : b + 1, own], own[own][None], batch.user_id[b:][:1]
            )
            self.close(self.scores(model, row)[0], scores[b])

    def test_what_stands_under_padding_does_not_count(
        self, model: Any, batch: SequenceBatch
    ) -> None:
        """Any item may stand where the mask is False."""
        other = batch.item_id.masked_fill(~batch.mask, model.num_items - 1)
        assert not torch.equal(other, batch.item_id)
        masked = SequenceBatch(other, batch.mask, batch.user_id)
        self.close(self.scores(model, masked), self.scores(model, batch))

    def test_the_order_of_the_batch_does_not_count(self, model: Any, batch: SequenceBatch) -> None:
        """Rows go with their histories."""
        back = torch.arange(len(batch) - 1, -1, -1)
        turned = SequenceBatch(batch.item_id[back], batch.mask[back], batch.user_id[back])
        self.close(self.scores(model, turned)[back], self.scores(model, batch))

    # ---- a model in hand ----------------------------------------------------------------------

    def test_repr_says_what_it_is(self, model: Any) -> None:
        """Class and number of items."""
        assert repr(model).startswith(type(model).__name__)
        assert f"num_items={model.num_items}" in repr(model)

    def test_copies_score_the_same(self, model: Any, batch: SequenceBatch) -> None:
        """``copy.deepcopy`` and pickle, bit for bit."""
        scores = self.scores(model, batch)
        assert torch.equal(scores, self.scores(copy.deepcopy(model), batch))
        assert torch.equal(scores, self.scores(pickle.loads(pickle.dumps(model)), batch))

    def test_what_serves_is_a_copy(self, model: Any, batch: SequenceBatch) -> None:
        """In evaluation mode, whatever the model is in, with the weights of its making."""
        scores = self.scores(model, batch)
        model.train()
        serving: Any = scoring_copy(model, own_weights=True)
        assert torch.equal(scores, self.scores(serving, batch))
        assert all(module.training for module in model.modules())
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(2)
        assert torch.equal(scores, self.scores(serving, batch))

    def test_everything_moves(self, model: Any) -> None:
        """No tensor stands outside of parameters and buffers, where ``to`` does not see it."""
        registered = {id(tensor) for tensor in (*model.parameters(), *model.buffers())}
        for path, module in model.named_modules():
            for name, value in vars(module).items():
                if name not in ("_parameters", "_buffers", "_modules"):
                    for tensor in _tensors(value):
                        assert id(tensor) in registered, f"{path}.{name}"
        moved = copy.deepcopy(model).to("meta")
        assert all(tensor.is_meta for tensor in (*moved.parameters(), *moved.buffers()))

    def test_it_compiles_and_keeps_its_names(
        self, model: Any, batch: SequenceBatch, tmp_path: Path
    ) -> None:
        """``torch.compile`` changes neither scores nor what is saved."""
        torch.compiler.reset()
        compiled: Any = torch.compile(model, backend="eager")
        self.close(self.scores(compiled, batch), self.scores(model, batch))
        compiled.save(tmp_path / "compiled")
        with safe_open(tmp_path / "compiled" / "model.safetensors", "pt") as file:
            names = list(file.keys())
        assert names
        assert not any("_orig_mod" in name for name in names)

    def test_a_saved_model_stands_alone(
        self, model: Any, batch: SequenceBatch, tmp_path: Path
    ) -> None:
        """Bit-equal scores, the ids, and saved once more."""
        scores = self.scores(model, batch)
        ids = [f"item {i}" for i in range(model.num_items)]
        model.save(tmp_path / "model", item_ids=ids)
        state = torch.get_rng_state()
        loaded = type(model).load(tmp_path / "model", **self.own_parts)
        assert torch.equal(torch.get_rng_state(), state)
        assert not loaded.training
        assert torch.equal(self.scores(loaded, batch), scores)
        assert list(loaded.item_ids) == ids
        assert loaded.hyperparameters() == model.hyperparameters()
        loaded.save(tmp_path / "again")
        again: Any = Recommender.load(tmp_path / "again", **self.own_parts)
        assert type(again) is type(model)
        assert torch.equal(self.scores(again, batch), scores)
        assert list(again.item_ids) == ids

    def test_parameters_are_drawn_anew(self, model: Any, data: SmallData) -> None:
        """``reset_parameters`` follows the seed, and leaves no parameter as it was."""
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        torch.manual_seed(3)
        model.reset_parameters()
        for name, parameter in model.named_parameters():
            assert not torch.equal(parameter, before[name]), name
        torch.manual_seed(3)
        fresh = self.factory(data)
        if self.same_after_reset:
            for (name, one), two in zip(model.named_parameters(), fresh.parameters(), strict=True):
                assert torch.equal(one, two), name

    # ---- training -----------------------------------------------------------------------------

    @pytest.fixture
    def trained(self, model: Any) -> Any:
        """The model in training mode; skips one that is fitted when it is made."""
        if not model.supports_training:
            pytest.skip("fitted when it is made")
        return model.train()

    def test_the_gradient_reaches_every_parameter(self, trained: Any, batch: SequenceBatch) -> None:
        """Finite, and not all zero."""
        loss = trained.loss(batch)
        assert loss.shape == ()
        loss.backward()
        for name, parameter in trained.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name

    def test_param_groups_hold_every_parameter_once(self, trained: Any) -> None:
        """What is in no group is never trained."""
        groups = trained.param_groups(0.01, 0.1)
        grouped = [id(parameter) for group in groups for parameter in group["params"]]
        assert len(grouped) == len(set(grouped))
        assert set(grouped) == {id(p) for p in trained.parameters() if p.requires_grad}

    def test_a_few_steps_lower_the_loss(self, trained: Any, batch: SequenceBatch) -> None:
        """AdamW over the model's own groups; negatives are drawn alike before and after."""
        with drawn_apart(0):
            before = trained.eval().loss(batch).item()
        optimizer = torch.optim.AdamW(trained.param_groups(3e-3, 0.0))
        for _ in range(5):
            optimizer.zero_grad()
            trained.loss(batch).backward()
            optimizer.step()
        with drawn_apart(0):
            assert trained.loss(batch).item() < before


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)
