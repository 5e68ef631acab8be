from dataclasses import replace

import pytest
import torch

from atml_exp.checks import check_dataset
from atml_exp.data import Split
from atml_exp.datasets.breast_cancer import breast_cancer
from atml_exp.datasets.diabetes import diabetes
from atml_exp.datasets.wine import wine
from atml_exp.datasets.wrappers.group_column import group_column
from atml_exp.errors import ConfigError


@pytest.mark.parametrize("table", [breast_cancer, wine, diabetes])
def test_works_on_the_stored_tables(table):
    data = table()
    out = group_column(data, 0, column=2, groups=3)
    check_dataset(out)
    counts = out.train.group.bincount()
    assert len(counts) == 3
    assert int(counts.max() - counts.min()) <= 0.2 * len(data.train)  # values are repeated
    for split, before in ((out.train, data.train), (out.test, data.test)):
        assert split.group.dtype == torch.int64
        assert torch.equal(split.x, before.x)
        order = before.x[:, 2].argsort()
        assert bool((split.group[order].diff() >= 0).all())
    assert len(out.group_names) == 3


def test_a_threshold_is_one_cut():
    data = breast_cancer()
    out = group_column(data, 0, column=0, threshold=0.0)
    assert torch.equal(out.train.group, (data.train.x[:, 0] > 0).long())
    assert torch.equal(out.test.group, (data.test.x[:, 0] > 0).long())
    assert out.group_names == ("x0 ≤ 0", "x0 > 0")


def test_what_is_dropped_is_no_input():
    data = breast_cancer()
    out = group_column(data, 0, column=4, drop=True)
    assert out.input_shape == (29,)
    assert torch.equal(out.train.x, torch.cat([data.train.x[:, :4], data.train.x[:, 5:]], 1))
    assert torch.equal(out.train.group, group_column(data, 0, column=4).train.group)


def test_quantiles_of_the_training_split_make_equal_groups():
    x = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
    data = replace(breast_cancer(), train=Split(x, torch.arange(400) % 2), test=Split(x[:7], torch.arange(7) % 2))
    assert group_column(data, 0, groups=4).train.group.bincount().tolist() == [100] * 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"column": 30}, r"column=30, and the inputs of breast_cancer have the shape \(30,\)"),
        ({"threshold": 1e6}, r"cuts at \[1000000.0\] of column 0 give groups of \[455, 0\]"),
    ],
)
def test_what_can_not_be_is_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        group_column(breast_cancer(), 0, **options)


def test_images_and_the_last_input_are_refused(tiny, regression):
    with pytest.raises(ConfigError, match=r"the inputs of tiny have the shape \(2, 3, 3\)"):
        group_column(tiny, 0)
    with pytest.raises(ConfigError, match="leaves line without an input"):
        group_column(regression, 0, drop=True)
