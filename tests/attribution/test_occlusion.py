import pytest
import torch
from captum.attr import Occlusion

from atml_exp.attribution.occlusion import occlusion, windows


def test_of_a_linear_model(linear, x, y):
    base = torch.linspace(-1, 1, 5, dtype=torch.float64)
    expected = (x - base) * linear.weight[y].detach()
    torch.testing.assert_close(occlusion(linear, x, y, baseline=base), expected)
    by_two = occlusion(linear, x, y, baseline=base, window=2, stride=2)
    torch.testing.assert_close(by_two[:, 0], expected[:, :2].sum(1))
    torch.testing.assert_close(by_two[:, 4], expected[:, 4])


@pytest.mark.parametrize(("window", "stride"), [(1, 1), (3, 1), (3, 2), (4, 4)])
def test_captum_says_the_same(images, window, stride, untouched):
    x, y = torch.randn(4, 1, 8, 8, dtype=torch.float64), torch.tensor([0, 1, 2, 3])
    found = untouched(lambda m, x, t: occlusion(m, x, t, window=window, stride=stride), images, x, y)
    images.eval()
    theirs = Occlusion(images).attribute(x, (1, window, window), (1, stride, stride), target=y)
    torch.testing.assert_close(found, theirs.double(), atol=1e-6, rtol=0)  # theirs is float32


@pytest.mark.parametrize(("window", "stride"), [(1, 1), (3, 2), (5, 5), (9, 2)])
def test_windows_leave_nothing_out(window, stride):
    assert windows((2, 7, 7), window, stride).sum(0).min() >= 1


@pytest.mark.parametrize(("window", "stride"), [(0, 0), (1, 2), (3, 0)])
def test_windows_that_leave_gaps_are_refused(linear, x, window, stride):
    with pytest.raises(ValueError, match="1 ≤ stride ≤ window"):
        occlusion(linear, x, 0, window=window, stride=stride)
