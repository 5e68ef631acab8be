import pytest
import torch
from sklearn.linear_model import LogisticRegression

from atml_exp.datasets.mnist1d import LENGTH, SMOOTHING, _smooth_noise, mnist1d, templates
from atml_exp.datasets.sampling import stream
from atml_exp.errors import ConfigError

QUIET = {"scale": 0, "shear": 0, "correlated_noise": 0, "white_noise": 0}


def test_templates_start_and_end_at_zero_with_unit_std():
    curves = templates()
    assert curves.shape == (10, 12)
    assert (curves[:, [0, -1]] == 0).all()
    assert torch.allclose(curves.std(1, correction=0), torch.ones(10, dtype=curves.dtype))


def test_unmoved_and_not_resampled_the_template_itself_stands_there():
    """12 + 28 samples are down-sampled to 40: nothing is interpolated."""
    x = mnist1d(padding_min=28, padding_max=28, max_translation=0, **QUIET, num_train=10).train.x
    assert torch.allclose(x[:, :12], templates())
    assert (x[:, 12:] == 0).all()


def test_translation_is_a_circular_shift():
    x = mnist1d(padding_min=28, padding_max=28, max_translation=39, **QUIET, num_train=200).train.x
    padded = torch.cat([templates(), torch.zeros(10, 28, dtype=x.dtype)], 1)
    shifts = set()
    for row, y in zip(x, torch.arange(200) % 10, strict=True):
        gaps = torch.stack([(padded[y].roll(shift) - row).abs().max() for shift in range(40)])
        assert gaps.min() < 1e-10
        shifts.add(int(gaps.argmin()))
    assert len(shifts) > 35


def test_scale_bounds_the_amplitude():
    x = mnist1d(
        padding_min=28, padding_max=28, max_translation=0, **{**QUIET, "scale": 0.3}, num_train=2000
    ).train.x
    amplitude = x.norm(dim=1) / templates().norm(dim=1).repeat(200)
    assert 0.7 <= amplitude.min() < 0.71
    assert 1.29 < amplitude.max() <= 1.3


def test_shear_adds_a_straight_line():
    options = {"padding_min": 40, "padding_max": 50, "num_train": 500}
    line = mnist1d(**options, **{**QUIET, "shear": 2.0}).train.x - mnist1d(**options, **QUIET).train.x
    assert line.diff(n=2, dim=1).abs().max() < 1e-12
    assert torch.allclose(line[:, 0], -line[:, -1])
    assert 1.9 < line[:, 0].abs().max() <= 2


def test_smooth_noise_has_unit_variance_and_the_kernels_autocovariance():
    """White noise through a Gaussian kernel of width s has autocovariance exp(−τ²/(4s²))."""
    x = _smooth_noise(50_000, stream(0, "test"))
    assert x.shape == (50_000, LENGTH)
    for lag in (0, 1, 3, 6):
        covariance = (x * x.roll(lag, 1)).mean()
        assert abs(covariance - torch.tensor(-(lag**2) / (4 * SMOOTHING**2)).exp()) < 0.01


def test_place_is_what_a_linear_classifier_lacks():
    """Logistic regression stays low; correlating with every template at every shift does far better."""
    data = mnist1d(num_train=2000, num_test=500)
    linear = LogisticRegression(max_iter=300).fit(data.train.x, data.train.y).score(data.test.x, data.test.y)
    bank = mnist1d(**QUIET, num_train=6000, seed=9).train
    unit = bank.x / bank.x.norm(dim=1, keepdim=True)
    matched = bank.y[(data.test.x @ unit.T).argmax(1)]
    assert linear < 0.35
    assert (matched == data.test.y).double().mean() > 0.55


def test_shapes_counts_and_seed():
    data = mnist1d(num_train=25, num_test=10, seed=1)
    assert (data.train.x.shape, data.train.x.dtype, data.num_classes) == ((25, 40), torch.float64, 10)
    assert data.train.y.bincount().tolist() == [3] * 5 + [2] * 5
    assert torch.equal(mnist1d(num_train=5, num_test=10, seed=1).test.x, data.test.x)
    assert not torch.equal(mnist1d(num_test=10, seed=2).test.x, data.test.x)


def test_paddings_in_the_wrong_order_are_refused():
    with pytest.raises(ConfigError, match=r"dataset.padding_min=61 is above dataset.padding_max=60"):
        mnist1d(padding_min=61)
