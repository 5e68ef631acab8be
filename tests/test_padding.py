"""A narrow model in the corner of a wide one."""

import pytest
import torch

from atml_exp.layout import Layout
from atml_exp.models.mlp import mlp
from atml_exp.padding import corner, pad


def layout(width, **options):
    return Layout.of(mlp((4,), 3, width=width, **options))


def test_a_narrow_models_function_is_that_of_the_wide_model_with_its_weights_in_the_corner():
    narrow, wide = (mlp((4,), 3, width=w, activation="sigmoid").double() for w in (2, 7))
    padding = pad([narrow], Layout.of(wide))
    row = padding.widened(0, Layout.of(narrow).vector(dict(narrow.named_parameters())))
    x = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    state = Layout.of(wide).named(row)
    torch.testing.assert_close(torch.func.functional_call(wide, state, (x,)), narrow(x), rtol=1e-12, atol=1e-12)


def test_own_and_widened_are_inverse_and_leave_other_shapes_as_they_are():
    narrow, wide = mlp((4,), 3, width=2), mlp((4,), 3, width=3)
    padding = pad([narrow, wide], Layout.of(wide))
    own = torch.arange(1.0, Layout.of(narrow).size + 1)
    row = padding.widened(0, own)
    assert torch.equal(padding.own(0, row), own)
    assert (row[~padding.mask[0]] == 0).all()
    assert padding.mask.sum(1).tolist() == [Layout.of(m).size for m in (narrow, wide)]
    scalar = torch.tensor(3.0)
    assert padding.own(0, scalar) is scalar
    assert padding.widened(0, scalar) is scalar


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        (layout(5), layout(4)),
        (layout(4, depth=1), layout(4, depth=2)),
        (layout(4, bias=False), layout(4)),
        (Layout(("w",), (torch.Size([2]),)), Layout(("w",), (torch.Size([2, 2]),))),
    ],
    ids=["wider", "shallower", "without bias", "other axes"],
)
def test_what_is_no_corner_is_none(narrow, wide):
    assert corner(narrow, wide) is None


def test_models_with_statistics_or_frozen_parameters_are_not_padded():
    norm, frozen = mlp((4,), 3, width=2, normalisation="batch"), mlp((4,), 3, width=2)
    wide = mlp((4,), 3, width=3)
    assert pad([norm], Layout.of(mlp((4,), 3, width=3, normalisation="batch"))) is None
    frozen.output.bias.requires_grad_(False)
    assert pad([frozen], Layout.of(wide)) is None
