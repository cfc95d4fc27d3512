from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from mdsrec_pyg.nn import RelationAttention

N, D, MAX_LENGTH = 12, 4, 5
FEATURES = [5, 3]


def make(perturb: Any = None, **options: Any) -> RelationAttention:
    generator = torch.Generator().manual_seed(1)
    features = [torch.randn(N, size, generator=generator) for size in FEATURES]
    features[0][4] = 0  # lacks the modality
    labels = [torch.arange(N) % 3, torch.arange(N) // 4]
    torch.manual_seed(0)
    options = {"max_length": MAX_LENGTH, "channels": D, "dropout": 0.0, **options}
    attention = RelationAttention(features, labels, **options)
    if perturb is not None:
        perturb(attention)
    return attention


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    item_id = torch.tensor([[0, 0, 4, 7, 4, 11], [3, 5, 8, 1, 9, 2]])
    mask = torch.tensor([[False, False, True, True, True, True], [True] * 6])
    return item_id, mask


def test_training_starts_from_plain_votes_of_weight_one(batch: tuple[Tensor, Tensor]) -> None:
    item_id, mask = batch
    weights = make()(item_id, mask)
    visible = torch.ones(6, 6).tril()[None, None] * mask[:, None, None]
    assert torch.equal(weights, visible.expand(2, 2, 6, 6))


def test_weights_equal_the_formula(batch: tuple[Tensor, Tensor], perturb: Any) -> None:
    attention = make(perturb)
    item_id, mask = batch
    weights = attention(item_id, mask)
    assert weights.shape == (2, 2, 6, 6)
    keys = attention.item_keys()
    for b in range(2):
        for t in range(6):
            history = [i for i in range(t + 1) if mask[b, i]]
            for m in range(2):
                for i in range(6):
                    if i not in history:
                        assert weights[b, m, t, i] == 0
                        continue
                    means = [keys[n][item_id[b, history]].mean(0) for n in range(2)]
                    newest, own = keys[m][item_id[b, t]], keys[m][item_id[b, i]]
                    query = attention.query_newest[m](newest) + attention.query_mean[m](means[m])
                    logit = query @ attention.key[m](own) / math.sqrt(D)
                    logit = logit + attention.key_bias[m](own)[0]
                    logit = logit + attention.gate(torch.cat(means))[m]
                    alpha = attention.alpha[m, min(t - i, MAX_LENGTH - 1)]
                    want = alpha * torch.exp(2 * torch.tanh(logit / 2))
                    torch.testing.assert_close(weights[b, m, t, i], want)


def test_keys_are_projected_features_plus_centers(perturb: Any) -> None:
    attention = make(perturb)
    keys = attention.item_keys()
    for m in range(2):
        label = getattr(attention, f"label_{m}")
        center = attention.center[m](label)
        x = getattr(attention, f"x_{m}")
        want = attention.project[m](x) + center
        torch.testing.assert_close(keys[m], want)
        assert not torch.allclose(keys[m], center)
    # Without the modality the center is all there is.
    torch.testing.assert_close(keys[0][4], attention.center[0](torch.tensor(1)))


def test_the_length_of_a_feature_row_does_not_matter() -> None:
    x, label = torch.randn(N, 5), torch.zeros(N).long()
    keys = []
    for rows in (x, x * torch.rand(N, 1) * 9):
        torch.manual_seed(0)
        keys += RelationAttention([rows], [label], max_length=2).item_keys()
    torch.testing.assert_close(*keys)


def test_keys_of_some_items_are_rows_of_all(batch: tuple[Tensor, Tensor], perturb: Any) -> None:
    attention, (item_id, mask) = make(perturb), batch
    for some, every in zip(attention.item_keys(item_id), attention.item_keys(), strict=True):
        torch.testing.assert_close(some, every[item_id])
    torch.testing.assert_close(
        attention(item_id, mask), attention(item_id, mask, attention.item_keys())
    )


def test_newest_only_is_the_last_row(batch: tuple[Tensor, Tensor], perturb: Any) -> None:
    attention = make(perturb)
    whole, last = attention(*batch), attention(*batch, newest_only=True)
    assert last.shape == (2, 2, 1, 6)
    torch.testing.assert_close(last, whole[:, :, -1:])


@pytest.mark.parametrize("interests", [True, False])
def test_causality_and_padding(batch: tuple[Tensor, Tensor], perturb: Any, interests: bool) -> None:
    attention, (item_id, mask) = make(perturb, interests=interests), batch
    weights = attention(item_id, mask)
    later = item_id.clone()
    later[:, 4] = 6
    changed = attention(later, mask)
    assert torch.equal(changed[:, :, :4], weights[:, :, :4])
    assert torch.equal(changed[:, :, 4:], weights[:, :, 4:]) is not interests
    padding = torch.where(mask, item_id, 9)
    torch.testing.assert_close(
        attention(padding, mask)[:, :, 2:], weights[:, :, 2:], rtol=0, atol=1e-6
    )


def test_plain_votes_have_no_other_parameters(batch: tuple[Tensor, Tensor], perturb: Any) -> None:
    attention = make(perturb, interests=False)
    assert [name for name, _ in attention.named_parameters()] == ["weight"]
    assert attention.item_keys() == []
    weights = attention(*batch)
    for t in range(6):
        for i in range(t + 1):
            want = attention.weight[:, min(t - i, MAX_LENGTH - 1)].exp()
            torch.testing.assert_close(weights[1, :, t, i], want)


def test_votes_are_bounded(batch: tuple[Tensor, Tensor], perturb: Any) -> None:
    attention = make()
    perturb(attention, scale=30.0)
    attention.weight.data.zero_()
    weights = attention(*batch)
    assert weights.isfinite().all()
    assert weights.max() <= math.exp(2) + 1e-4
    assert weights[weights > 0].min() >= math.exp(-2) - 1e-4


def test_dropout_is_for_training_only(batch: tuple[Tensor, Tensor], perturb: Any) -> None:
    attention = make(perturb, dropout=0.5)
    draws = [attention(*batch) for _ in range(2)]
    assert not torch.equal(*draws)
    attention.eval()
    assert torch.equal(attention(*batch), attention(*batch))
    torch.testing.assert_close(attention(*batch), make(perturb)(*batch))


def test_channels_count() -> None:
    sizes = {name: tuple(value.shape) for name, value in make(channels=8).state_dict().items()}
    assert sizes["project.0.weight"] == (8, 5)
    assert sizes["key.1.weight"] == (8, 8)


def test_one_tensor_a_modality() -> None:
    with pytest.raises(ValueError, match=r"one tensor a modality \(got 1 and 2\)"):
        RelationAttention([torch.ones(3, 2)], [torch.zeros(3).long()] * 2, max_length=2)
    with pytest.raises(ValueError, match=r"\(got 0 and 0\)"):
        RelationAttention([], [], max_length=2)
