import pytest
import torch
from scipy.stats import norm

from atml_exp.checks import check_dataset
from atml_exp.datasets.binormal_groups import binormal_groups
from atml_exp.errors import ConfigError
from atml_exp.roc import binormal_area

P, D = [0.2, 0.5, 0.7], [1.0, 2.0, 0.5]


def data_of(**options):
    return binormal_groups(**{"base_rates": P, "separations": D, "num_train": 60_000, "num_test": 5, **options})


def test_base_rates_and_signals_are_the_stated_ones():
    data = data_of()
    check_dataset(data)
    assert data.group_names == ("A", "B", "C")
    assert data.train.group.bincount().tolist() == [20_000] * 3
    for g in range(3):
        y, x = (t[data.train.group == g] for t in (data.train.y.double(), data.train.x))
        assert abs(float(y.mean()) - P[g]) < 4 * (P[g] * (1 - P[g]) / len(y)) ** 0.5
        for k in (0, 1):
            signal = x[y == k, 0]
            assert abs(float(signal.mean()) - (k - 0.5) * D[g]) < 4 / len(signal) ** 0.5
            assert float(signal.std()) == pytest.approx(1, abs=4 / (2 * len(signal)) ** 0.5)
        assert x[0, 1:].tolist() == [float(g == 1), float(g == 2)]


def test_the_posterior_errs_as_often_as_it_says_and_the_area_is_the_binormal_one():
    data = data_of(base_rates=[0.3, 0.6], separations=[2.0, 1.0])
    for g, (p, d) in enumerate([(0.3, 2.0), (0.6, 1.0)]):
        of = data.train.group == g
        signal, y = data.train.x[of, 0], data.train.y[of]
        score = (d * signal + torch.tensor(p / (1 - p)).log()).sigmoid()
        error, expected = (score > 0.5) != (y == 1), torch.minimum(score, 1 - score).mean()
        assert float(error.double().mean()) == pytest.approx(float(expected), abs=0.01)
        threshold = -torch.tensor(p / (1 - p)).log().item() / d
        tpr = float((score[y == 1] > 0.5).double().mean())
        assert tpr == pytest.approx(norm.sf(threshold - d / 2), abs=0.02)
        positive, negative = signal[y == 1][:4000], signal[y == 0][:4000]
        assert float((positive[:, None] > negative).double().mean()) == pytest.approx(binormal_area(d), abs=0.015)


def test_the_seed_and_the_streams():
    a, b = data_of(num_train=9), data_of(num_train=30)
    assert torch.equal(a.test.x, b.test.x)
    assert not torch.equal(a.test.x, data_of(num_train=9, seed=1).test.x)


def test_as_many_separations_as_base_rates():
    with pytest.raises(ConfigError, match=r"base_rates has 3 entries and dataset\.separations 2"):
        data_of(separations=[1.0, 2.0])


def test_sizes_are_as_the_shares_and_the_rates_stay():
    data = data_of(shares=[3, 2, 1], num_train=60_000, num_test=7)
    assert data.train.group.bincount().tolist() == [30_000, 20_000, 10_000]
    assert data.test.group.bincount().sum() == 7
    assert data.train.group[:1000].unique().tolist() == [0, 1, 2]  # in random order
    for g in range(3):
        y = data.train.y[data.train.group == g].double()
        assert abs(float(y.mean()) - P[g]) < 4 * (P[g] * (1 - P[g]) / len(y)) ** 0.5


def test_the_group_may_stay_hidden_from_the_model():
    hidden, shown = data_of(group_as_input=False, num_train=9), data_of(num_train=9)
    assert hidden.input_shape == (1,)
    assert torch.equal(hidden.train.x, shown.train.x[:, :1])
    assert torch.equal(hidden.train.group, shown.train.group)


def test_shares_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match=r"base_rates has 3 entries and dataset\.shares 2"):
        data_of(shares=[1.0, 2.0])
    with pytest.raises(ConfigError, match=r"of 5 examples \(test\) leaves group 0 empty"):
        data_of(shares=[10.0, 1.0, 100.0])
