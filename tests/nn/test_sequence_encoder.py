from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mdsrec_pyg.nn import InterestTransformer
from mdsrec_pyg.nn.dropout import Dropout
from mdsrec_pyg.nn.encoder_blocks import InterestBlock, LiGRBlock, attend
from mdsrec_pyg.nn.sequence_encoder import attention_mask, step_position

B, L, D = 3, 6, 8


@pytest.fixture
def x() -> Tensor:
    return torch.randn(B, L, D, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def centers() -> Tensor:
    return torch.randn(B, L, D, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def mask() -> Tensor:
    return torch.arange(L) >= torch.tensor([[0], [2], [5]])


def make(perturb=None, **options) -> InterestTransformer:
    torch.manual_seed(0)
    encoder = InterestTransformer(D, **{"max_length": 9, "num_layers": 2, **options}).eval()
    if perturb is not None:
        perturb(encoder)
    return encoder


def test_masks_by_hand() -> None:
    mask = torch.tensor([[False, False, True, True]])
    assert attention_mask(mask)[0, 0].int().tolist() == [
        [1, 0, 0, 0],  # padding may see itself
        [0, 1, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 1, 1],
    ]
    assert step_position(mask).tolist() == [[0, 0, 0, 1]]


def test_a_block_equals_attention_written_out(x: Tensor, centers: Tensor, mask: Tensor) -> None:
    torch.manual_seed(0)
    block = InterestBlock(D, num_heads=2, dropout=0.5).eval()
    out = block(x, centers, attention_mask(mask))
    guide, value = block.norm_query(centers), block.value(block.norm_value(x))
    query, key = block.query_key(guide)[..., :D], block.query_key(guide)[..., D:]
    mixed = torch.zeros(B, L, D)
    for b in range(B):
        for t in range(L):
            seen = [i for i in range(t + 1) if mask[b, i] or i == t]
            for head in (slice(0, 4), slice(4, 8)):
                logits = key[b, seen][:, head] @ query[b, t, head] / math.sqrt(4)
                mixed[b, t, head] = logits.softmax(0) @ value[b, seen][:, head]
    hidden = x + block.out(mixed)
    first, last = list(cast(nn.Sequential, block.mlp))[::3]
    expected = hidden + last(F.gelu(first(block.norm_mlp(hidden))))
    torch.testing.assert_close(out, expected)


def test_a_ligr_block_equals_its_formula(
    x: Tensor, centers: Tensor, mask: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    block, visible = LiGRBlock(D, num_heads=2, dropout=0.5).eval(), attention_mask(mask)
    plain = InterestBlock(D, num_heads=2, dropout=0.5).eval()
    own = block.state_dict()
    plain.load_state_dict({k: v for k, v in own.items() if "mlp" not in k}, strict=False)
    monkeypatch.setattr(plain, "add_mlp", lambda x, branch: x)
    attention = plain(x, centers, visible) - x
    hidden = x + torch.sigmoid(block.gate_attention(x)) * attention
    normed, mlp = block.norm_mlp(hidden), cast(Any, block.mlp)
    first, second = mlp.up.weight.chunk(2)
    wide = (normed @ first.t()) * torch.sigmoid(normed @ first.t()) * (normed @ second.t())
    want = hidden + torch.sigmoid(block.gate_mlp(hidden)) * (wide @ mlp.down.weight.t())
    assert first.shape == (4 * D, D)
    torch.testing.assert_close(block(x, centers, visible), want)


@pytest.mark.parametrize("block", ["prenorm", "ligr"])
@pytest.mark.parametrize("mode", ["only", "add"])
@pytest.mark.parametrize("with_centers", [True, False])
def test_later_steps_change_no_earlier_output(
    x: Tensor, centers: Tensor, mask: Tensor, perturb, mode: str, with_centers: bool, block: str
) -> None:
    encoder = make(perturb, center_mode=mode, block=block)
    changed_x, changed = x.clone(), centers.clone()
    changed_x[:, 4] *= -1  # a shift would vanish in the layer norm
    changed[:, 4] *= -1
    before = encoder(x, mask, centers if with_centers else None)
    after = encoder(changed_x, mask, changed if with_centers else None)
    torch.testing.assert_close(after[:, :4], before[:, :4])
    assert ((after - before).abs().amax(-1) > 1e-3)[:2, 4:].all()


@pytest.mark.parametrize("mode", ["only", "add"])
def test_more_padding_changes_nothing(
    x: Tensor, centers: Tensor, mask: Tensor, perturb, mode: str
) -> None:
    encoder = make(perturb, center_mode=mode)
    before = encoder(x, mask, centers)
    padded = encoder(
        F.pad(x, (0, 0, 3, 0), value=7.0), F.pad(mask, (3, 0)), F.pad(centers, (0, 0, 3, 0))
    )
    torch.testing.assert_close(padded[:, 3:][mask], before[mask])


def test_what_stands_in_the_padding_does_not_matter(
    x: Tensor, centers: Tensor, mask: Tensor, perturb
) -> None:
    encoder = make(perturb)
    noise = torch.where(mask[..., None], 0.0, torch.randn(B, L, D))
    out = encoder(x + noise, mask, centers + noise)
    torch.testing.assert_close(out[mask], encoder(x, mask, centers)[mask])
    assert out.isfinite().all()


def test_modes_of_the_centers(x: Tensor, centers: Tensor, mask: Tensor, perturb) -> None:
    only, add = (make(perturb, center_mode=mode) for mode in ("only", "add"))
    outs = [only(x, mask, centers), add(x, mask, centers), add(x, mask)]
    assert torch.equal(only(x, mask), outs[2])
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert (outs[i] - outs[j]).abs().max() > 1e-3
    # Centers of zero are no centers when they are added.
    torch.testing.assert_close(add(x, mask, torch.zeros_like(centers)), outs[2])


def test_only_centers_decide_who_attends_to_whom(x: Tensor, centers: Tensor, perturb) -> None:
    """With center_mode='only' the attention weights are the same whatever the items are."""
    block = InterestBlock(D, num_heads=1, dropout=0.0)
    perturb(block)
    visible = attention_mask(torch.ones(B, L, dtype=torch.bool))
    weights = []
    for values in (x, x + torch.randn(B, L, D)):
        query, key = block.query_key(block.norm_query(centers)).chunk(2, -1)
        logits = (query @ key.mT / math.sqrt(D)).masked_fill(~visible[:, 0], -torch.inf)
        mixed = logits.softmax(-1) @ block.value(block.norm_value(values))
        hidden = values + block.out(mixed)
        torch.testing.assert_close(
            block(values, centers, visible), hidden + block.mlp(block.norm_mlp(hidden))
        )
        weights.append(logits)
    assert torch.equal(*weights)


def test_order_matters(x: Tensor, perturb) -> None:
    encoder, mask = make(perturb), torch.ones(B, L, dtype=torch.bool)
    swapped = x[:, [1, 0, 2, 3, 4, 5]]
    assert (encoder(swapped, mask)[:, -1] - encoder(x, mask)[:, -1]).abs().max() > 1e-3


@pytest.mark.parametrize("option", [{"num_layers": 1}, {"num_heads": 4}])
def test_layers_and_heads_count(x: Tensor, mask: Tensor, perturb, option: dict) -> None:
    default, changed = make(perturb), make(perturb, **option)
    changed.load_state_dict(default.state_dict(), strict=False)
    assert (default(x, mask) - changed(x, mask)).abs().max() > 1e-3


@pytest.mark.parametrize("block", ["prenorm", "ligr"])
def test_dropout_is_for_training_only(x: Tensor, mask: Tensor, perturb, block: str) -> None:
    encoder = make(perturb, dropout=0.5, block=block)
    assert torch.equal(encoder(x, mask), make(perturb, dropout=0.0, block=block)(x, mask))
    encoder.train()
    assert not torch.equal(encoder(x, mask), encoder(x, mask))
    quiet = make(perturb, dropout=0.0, block=block).train()
    assert torch.equal(quiet(x, mask), quiet(x, mask))


@pytest.mark.parametrize("block", ["prenorm", "ligr"])
def test_gradient_reaches_every_parameter(
    x: Tensor, centers: Tensor, mask: Tensor, perturb, block: str
) -> None:
    encoder = make(perturb, block=block)
    (encoder(x, mask, centers)[mask] * torch.randn(D)).sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_positions_start_as_small_as_the_items() -> None:
    assert 0.01 < make().position.weight.std() < 0.03


def test_errors(x: Tensor, mask: Tensor) -> None:
    with pytest.raises(ValueError, match=r"'num_heads' must divide 'channels'.*num_heads=3"):
        make(num_heads=3)
    with pytest.raises(ValueError, match="'center_mode' must be one of"):
        make(center_mode="replace")
    with pytest.raises(ValueError, match="'block' must be one of"):
        make(block="postnorm")
    with pytest.raises(ValueError, match=r"at most max_length=5 steps \(got 6\)"):
        make(max_length=5)(x, mask)


def test_attention_in_training_sees_no_later_step_and_drops_weights(mask: Tensor) -> None:
    """With the identity as values the output is the weights themselves."""
    visible, length = attention_mask(mask), mask.size(1)
    query, key = torch.randn(2, len(mask), 2, length, 4)
    value = torch.eye(length).expand(len(mask), 2, length, length)
    drop = Dropout(0.25)
    weights = attend(query, key, value, visible, drop.eval())
    draws = torch.stack([attend(query, key, value, visible, drop.train()) for _ in range(400)])
    seen = visible.expand_as(weights)
    assert not draws[:, ~seen].any()
    kept = draws[:, seen]
    assert (kept == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    expected = (weights[seen] / 0.75).expand_as(kept)[kept != 0]
    torch.testing.assert_close(kept[kept != 0], expected)
