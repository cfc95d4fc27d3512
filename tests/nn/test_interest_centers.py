from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mdsrec_pyg.graphs import InterestCenters
from mdsrec_pyg.graphs import centers as interest_centers
from mdsrec_pyg.nn import CenterEncoder
from mdsrec_pyg.nn.items.centers import CENTER_FORMS

N, FEATURES, K, D = 30, 4, 3, 5


def features() -> Tensor:
    """Three groups of ten items, far apart."""
    generator = torch.Generator().manual_seed(0)
    return 5 * torch.eye(3, FEATURES)[torch.arange(N) % 3] + torch.randn(
        N, FEATURES, generator=generator
    )


def mask() -> Tensor:
    return torch.arange(N) % 10 != 7


def fit(num_centers: int = K, **options) -> InterestCenters:
    return InterestCenters(num_centers, n_init=2, **options).fit(features(), mask())


def encode(form: str, perturb=None, **options) -> CenterEncoder:
    torch.manual_seed(0)
    encoder = CenterEncoder(fit(), D, form, **options)
    if perturb is not None:
        perturb(encoder)
    return encoder


@pytest.fixture
def items() -> Tensor:
    return torch.randn(N, D, generator=torch.Generator().manual_seed(1))


class TestFit:
    def test_finds_the_groups_and_the_means(self) -> None:
        centers, x = fit(), features()
        assert centers.centers_.shape == (K, FEATURES)
        for group in range(3):
            rows = (torch.arange(N) % 3 == group) & mask()
            assert centers.labels_[rows].unique().numel() == 1
            own = centers.labels_[rows][0]
            torch.testing.assert_close(centers.centers_[own], x[rows].mean(0))

    def test_missing_items_have_a_center_of_their_own(self) -> None:
        centers = fit()
        assert (centers.labels_[~mask()] == K).all()
        assert (centers.labels_[mask()] < K).all()
        assert not centers.affinity_[~mask()].any()

    def test_what_stands_in_missing_rows_does_not_matter(self) -> None:
        x = features()
        x[~mask()] = 1e3
        centers = InterestCenters(K, n_init=2).fit(x, mask())
        assert torch.equal(centers.centers_, fit().centers_)

    def test_affinity_is_the_cosine_about_the_mean_of_the_centers(self) -> None:
        centers, x = fit(), features()
        middle = centers.centers_.mean(0)
        for i in range(N):
            for k in range(K):
                want = F.cosine_similarity(x[i] - middle, centers.centers_[k] - middle, dim=0)
                want = want * mask()[i]
                torch.testing.assert_close(centers.affinity_[i, k], want)

    def test_is_fitted_on_the_given_items_only(self) -> None:
        x, known = features(), torch.arange(N) < 20
        centers = InterestCenters(K, n_init=2).fit(x, mask(), items=known)
        moved = x.clone()
        moved[~known] += 100
        same = InterestCenters(K, n_init=2).fit(moved, mask(), items=known)
        assert torch.equal(centers.centers_, same.centers_)
        assert not torch.equal(centers.centers_, fit().centers_)
        # The others are labeled all the same: with the nearest center.
        distance = torch.cdist(x, centers.centers_)
        assert torch.equal(centers.labels_[mask()], distance.argmin(1)[mask()])

    def test_repeats_with_its_seed(self) -> None:
        x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
        first, again, other = (InterestCenters(8, seed, n_init=1).fit(x) for seed in (0, 0, 1))
        assert torch.equal(first.centers_, again.centers_)
        assert not torch.equal(first.centers_, other.centers_)
        assert "num_centers=8, random_state=1" in repr(other)

    def test_more_restarts_find_tighter_centers(self) -> None:
        x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))

        def spread(n_init: int) -> Tensor:
            centers = InterestCenters(8, 0, n_init=n_init).fit(x)
            return (x - centers.centers_[centers.labels_]).square().sum()

        assert spread(10) < spread(1)

    def test_many_items_are_labeled_by_the_centers_of_a_sample(self) -> None:
        x = features()[mask()]
        centers = InterestCenters(K, n_init=2, max_items=9).fit(x)
        generator = torch.Generator().manual_seed(0)
        sample = x[torch.randperm(len(x), generator=generator)[:9]]
        assert torch.equal(centers.centers_, InterestCenters(K, n_init=2).fit(sample).centers_)
        assert torch.equal(centers.labels_, torch.cdist(x, centers.centers_).argmin(1))
        whole = InterestCenters(K, n_init=2, max_items=len(x)).fit(x)
        assert torch.equal(whole.centers_, InterestCenters(K, n_init=2).fit(x).centers_)

    def test_blocks_of_items_change_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = fit()
        monkeypatch.setattr(interest_centers, "_BLOCK", 7)
        blocks = fit()
        assert torch.equal(blocks.labels_, whole.labels_)
        torch.testing.assert_close(blocks.affinity_, whole.affinity_)

    @pytest.mark.filterwarnings("ignore:Number of distinct clusters")
    def test_too_few_distinct_rows_warn(self) -> None:
        with pytest.warns(UserWarning, match="only 2 of 3 centers hold items"):
            InterestCenters(3).fit(torch.tensor([[0.0], [1.0]]).repeat(5, 1))

    def test_errors(self) -> None:
        with pytest.raises(ValueError, match=r"'num_centers' must be at least 1 \(got 0\)"):
            InterestCenters(0)
        with pytest.raises(ValueError, match=r"'num_centers' must not exceed .*=99999, items="):
            InterestCenters(99_999).fit(torch.randn(8, 3))
        with pytest.raises(ValueError, match=r"'max_items' must not be below .*3 \(got 2\)"):
            InterestCenters(3, max_items=2)
        with pytest.raises(ValueError, match=r"got num_centers=3, items=2"):
            InterestCenters(3).fit(features(), torch.arange(N) < 2)
        with pytest.raises(ValueError, match=r"got num_centers=3, items=1"):
            InterestCenters(3).fit(features(), torch.arange(N) < 2, items=torch.arange(N) > 0)


class TestForms:
    def test_mean_by_hand(self) -> None:
        centers = InterestCenters(2)
        centers.centers_, centers.affinity_ = torch.eye(2), torch.zeros(5, 2)
        centers.labels_ = torch.tensor([0, 1, 0, 2, 0])
        x = torch.tensor([[1.0, 0.0], [5.0, 7.0], [2.0, 3.0], [9.0, 9.0], [3.0, 0.0]])
        out = CenterEncoder(centers, 2)(x)
        assert out.tolist() == [[2, 1], [5, 7], [2, 1], [9, 9], [2, 1]]

    def test_a_center_without_items_is_zero(self) -> None:
        centers = InterestCenters(3)
        centers.centers_, centers.affinity_ = torch.eye(3), torch.zeros(2, 3)
        centers.labels_ = torch.tensor([0, 2])
        table = CenterEncoder(centers, 2).table(torch.ones(2, 2))
        assert table.tolist() == [[1, 1], [0, 0], [1, 1], [0, 0]]

    def test_mean_follows_training(self, items: Tensor) -> None:
        items.requires_grad_()
        encode("mean")(items)[0].sum().backward()
        own = fit().labels_ == fit().labels_[0]
        assert items.grad is not None
        torch.testing.assert_close(items.grad[:, 0], own / own.sum())

    def test_projected_is_the_projected_center(self, items: Tensor, perturb) -> None:
        encoder, centers = encode("projected", perturb), fit()
        middle = centers.centers_.mean(0)
        out = encoder(items)
        for i in range(N):
            label, x = int(centers.labels_[i]), torch.zeros(FEATURES)
            if label < K:
                x = F.normalize(centers.centers_[label] - middle, dim=0)
            torch.testing.assert_close(out[i], encoder.projection(x))

    @pytest.mark.parametrize("softness", [0.1, 1.0])
    def test_soft_is_the_weighted_projection(self, items: Tensor, perturb, softness: float) -> None:
        encoder, centers = encode("soft", perturb, softness=softness), fit()
        table = encoder.table(items)
        out = encoder(items)
        for i in range(N):
            want = table[K]
            if centers.labels_[i] < K:
                want = torch.softmax(centers.affinity_[i] / softness, 0) @ table[:K]
            torch.testing.assert_close(out[i], want)

    def test_hard_softness_is_the_nearest_direction(self, items: Tensor, perturb) -> None:
        soft = encode("soft", perturb, softness=1e-3)(items)
        hard = encode("soft", perturb).table(items)[fit().affinity_.argmax(1)]
        torch.testing.assert_close(soft[mask()], hard[mask()], rtol=1e-3, atol=1e-3)

    def test_embedding_is_free_and_starts_small(self, items: Tensor, perturb) -> None:
        encoder = encode("embedding")
        assert 0.01 < encoder.weight.std() < 0.03
        perturb(encoder)
        assert torch.equal(encoder(items), encoder.weight[fit().labels_])

    def test_every_form_differs(self, items: Tensor, perturb) -> None:
        outs = [encode(form, perturb)(items) for form in CENTER_FORMS]
        for i, first in enumerate(outs):
            assert first.shape == (N, D)
            for second in outs[:i]:
                assert (first - second).abs().max() > 1e-2

    @pytest.mark.parametrize("form", CENTER_FORMS)
    def test_missing_items_share_one_row(self, items: Tensor, perturb, form: str) -> None:
        out = encode(form, perturb)(items)
        missing = out[~mask()]
        assert (missing == missing[0]).all()
        assert not (out[mask()] == missing[0]).all(1).any()

    @pytest.mark.parametrize("form", CENTER_FORMS)
    def test_only_the_mean_reads_the_items(self, items: Tensor, perturb, form: str) -> None:
        encoder = encode(form, perturb)
        assert torch.equal(encoder(items), encoder(items + 1)) is (form != "mean")

    @pytest.mark.parametrize("form", ["projected", "soft", "embedding"])
    def test_gradient_reaches_every_parameter(self, items: Tensor, perturb, form: str) -> None:
        encoder = encode(form, perturb)
        encoder(items).square().sum().backward()
        for parameter in encoder.parameters():
            assert parameter.grad is not None
            assert parameter.grad.any()

    def test_errors(self) -> None:
        with pytest.raises(ValueError, match="'form' must be one of"):
            encode("hard")
        with pytest.raises(ValueError, match=r"'softness' must be positive and finite \(got 0\)"):
            encode("soft", softness=0)


class TestOnAnotherDevice:
    """By the way that a GPU takes, here on the CPU."""

    def spread(self, x: Tensor, centers: InterestCenters) -> float:
        return float((x - centers.centers_[centers.labels_]).square().sum())

    def test_the_centers_are_as_good_and_label_the_same(self) -> None:
        x = torch.randn(400, 6) + 50  # far from the origin
        one, two = InterestCenters(5).fit(x), InterestCenters(5)
        two._fit_on(torch.device("cpu"), x, x, torch.ones(400, dtype=torch.bool))
        assert self.spread(x, two) == pytest.approx(self.spread(x, one), rel=0.03)
        nearest = (x[:, None] - two.centers_).square().sum(2).argmin(1)
        assert (two.labels_ == nearest).float().mean() > 0.99
        away = F.normalize(x - two.centers_.mean(0), dim=1)
        torch.testing.assert_close(two.affinity_, away @ two.directions().t(), atol=1e-3, rtol=0)

    def test_items_without_the_modality_have_no_center(self) -> None:
        x, present = torch.randn(60, 4), torch.arange(60) % 3 > 0
        centers = InterestCenters(4)
        used = centers._fit_on(torch.device("cpu"), x, x[present], present)
        assert used == 4
        assert (centers.labels_[~present] == 4).all()
        assert (centers.labels_[present] < 4).all()
        assert not centers.affinity_[~present].any()

    def test_rounds_lower_the_spread_until_nothing_moves(self) -> None:
        x = torch.cat([torch.randn(50, 3) + 9 * i for i in range(4)])
        start = x[:4].clone()
        once, spread_once = interest_centers.lloyd(x, start, rounds=1)
        found, spread = interest_centers.lloyd(x, start)
        assert spread < spread_once
        again, _ = interest_centers.lloyd(x, found)
        torch.testing.assert_close(again, found, rtol=1e-3, atol=1e-2)
        assert not torch.equal(once, start)


@pytest.mark.parametrize("exponent", [-120, -100, -30, 30, 100, 120])
def test_centers_do_not_depend_on_the_unit_of_the_features(exponent: int) -> None:
    ordinary = fit()
    # Where squares leave float32, a k-means of the numbers as they are sees one point.
    other = InterestCenters(K, n_init=2).fit(features() * 2.0**exponent, mask())
    assert other.labels_.equal(ordinary.labels_)
    assert other.affinity_.equal(ordinary.affinity_)
    assert other.centers_.equal(ordinary.centers_ * 2.0**exponent)
    for form in ("projected", "soft"):
        assert CenterEncoder(other, D, form).features.equal(
            CenterEncoder(ordinary, D, form).features
        )


def test_features_that_are_all_zeros_are_one_center() -> None:
    with pytest.warns(UserWarning, match="only 1 of 2 centers hold items"):
        InterestCenters(2, n_init=1).fit(torch.zeros(5, 2))


def test_the_callers_features_stay_as_they_are() -> None:
    x = features() * 1e30
    kept = x.clone()
    InterestCenters(K, n_init=1).fit(x)
    assert x.equal(kept)
