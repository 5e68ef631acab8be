"""Line searches and acceleration: on quadratics by hand, against their theorems, and over replicas."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

from atml_exp.models.huber_worst_case import huber_worst_case
from atml_exp.models.nesterov_worst_case import nesterov_worst_case
from atml_exp.models.quadratic import quadratic
from atml_exp.models.rosenbrock import rosenbrock
from atml_exp.optimisers.accelerated import Accelerated
from atml_exp.optimisers.backtracking import Backtracking
from atml_exp.optimisers.exact_line_search import ExactLineSearch
from atml_exp.optimisers.gd import GD


class Of:
    """The gradient of an objective for w (D,) or (R, D), as the training loop gives it."""

    def __init__(self, model):
        self.model, self.calls = model, 0

    def __call__(self, w):
        self.calls += 1
        rows = w.reshape(-1, w.shape[-1]).detach().requires_grad_()
        losses = torch.stack([self.model._value(row) for row in rows])
        (g,) = torch.autograd.grad(losses.sum(), rows)
        self.loss = losses.detach().reshape(w.shape[:-1])
        return g.reshape(w.shape)


def path(optimiser, model, steps, w=None):
    w = model.weights.detach() if w is None else w
    state, found = optimiser.init(w), [w]
    for t in range(steps):
        w, state = optimiser.update(w, state, Of(model), step=t, learning_rate=optimiser.learning_rate)
        found.append(w)
    return found


def gap(model, w):
    return (model._value(w) - model.known.minimum).item()


@pytest.fixture
def valley():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return quadratic((1,), 1, dimension=5, spectrum=[1.0, 0.5, 0.3, 0.1, 0.02])


def test_the_exact_step_on_a_quadratic_is_its_closed_form(valley):
    w = valley.weights.detach()
    lam = torch.tensor([1.0, 0.5, 0.3, 0.1, 0.02], dtype=torch.float64)
    g = lam * w
    for first in (1e-3, 1.0, 300.0):
        expected = w - (g @ g) / (g @ (lam * g)) * g
        torch.testing.assert_close(path(ExactLineSearch(first), valley, 1)[1], expected, rtol=1e-9, atol=1e-12)


def test_steepest_descent_shrinks_as_kantorovich_says_and_reaches_it_from_the_worst_start():
    model = quadratic((1,), 1, dimension=2, spectrum=[9.0, 1.0])
    worst = torch.tensor([1.0, 9.0], dtype=torch.float64)
    gaps = [gap(model, w) for w in path(ExactLineSearch(), model, 10, worst)]
    shrunk = [b / a for a, b in pairwise(gaps)]
    assert shrunk == pytest.approx([(8 / 10) ** 2] * 10, rel=1e-7)
    other = [gap(model, w) for w in path(ExactLineSearch(), model, 10, worst * torch.tensor([1.0, 0.5]))]
    assert all(b / a < (8 / 10) ** 2 for a, b in pairwise(other))


def test_the_exact_step_off_a_quadratic_ends_where_the_slope_is_zero():
    model = rosenbrock((1,), 1)
    before, after = path(ExactLineSearch(1e-4), model, 1)
    f = Of(model)
    assert abs(f(before) @ f(after)) <= 1e-9 * (f(before) @ f(before))
    assert gap(model, after) < gap(model, before)


def test_backtracking_takes_the_first_half_that_falls_enough(valley):
    before, after = path(Backtracking(64.0), valley, 1)
    g = Of(valley)(before)

    def is_enough(rate):
        return gap(valley, before - rate * g) <= gap(valley, before) - 0.5 * rate * float(g @ g)

    rate = ((before - after) @ g / (g @ g)).item()
    assert torch.log2(torch.tensor(64.0 / rate)).item() == pytest.approx(
        round(6 - torch.log2(torch.tensor(rate)).item())
    )
    assert is_enough(rate)
    assert not is_enough(2 * rate)


def test_backtracking_needs_no_step_size_and_falls_at_each_step():
    model = rosenbrock((1,), 1)
    gaps = [gap(model, w) for w in path(Backtracking(1.0, 0.1), model, 300)]
    assert all(b < a for a, b in pairwise(gaps))
    assert gaps[-1] < 0.1


def test_backtracking_stays_at_a_minimum():
    model = quadratic((1,), 1, dimension=3)
    zero = torch.zeros(3, dtype=torch.float64)
    assert torch.equal(path(Backtracking(), model, 2, zero)[-1], zero)
    assert torch.equal(path(ExactLineSearch(), model, 2, zero)[-1], zero)


@pytest.mark.parametrize(
    "optimiser", [Accelerated(0.5), Backtracking(16.0), ExactLineSearch()], ids=lambda o: type(o).__name__
)
def test_replicas_equal_each_alone(optimiser, valley):
    starts = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    together = path(optimiser, valley, 8, starts)[-1]
    for row, start in zip(together, starts, strict=True):
        torch.testing.assert_close(row, path(optimiser, valley, 8, start)[-1], rtol=1e-12, atol=1e-14)


def test_a_replica_searches_no_longer_than_alone():
    model = rosenbrock((1,), 1)
    starts = torch.tensor([[-1.2, 1.0], [0.9, 0.5], [2.0, -1.0]], dtype=torch.float64)
    together = path(ExactLineSearch(1e-3), model, 3, starts)[-1]
    alone = [path(ExactLineSearch(1e-3), model, 3, start)[-1] for start in starts]
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-13, atol=0)


@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-10), (torch.float32, 1e-6)])
def test_at_a_kink_the_exact_step_ends_just_before_it(dtype, close):
    kinked = SimpleNamespace(_value=lambda w: (3 * w).abs().sum())
    starts = torch.rand(50, 1, generator=torch.Generator().manual_seed(0), dtype=dtype) + 0.5
    after = path(ExactLineSearch(1e-3), kinked, 1, starts)[-1]
    assert (after >= 0).all()
    assert (after <= close * starts).all()
    assert (after > 0).sum() > 40  # before the kink, not at it


def test_acceleration_keeps_its_bound_and_gradient_descent_has_not_that_rate():
    model = nesterov_worst_case((1,), 1, dimension=401)
    radius = model.known.minimiser.square().sum().item()
    fast, slow = (path(o, model, 200) for o in (Accelerated(1.0), GD(1.0)))
    for n in (1, 2, 5, 20, 100, 200):
        assert gap(model, fast[n]) <= 2 * radius / (n + 1) ** 2
        assert gap(model, slow[n]) <= radius / (4 * n + 2)
    assert gap(model, slow[200]) > 2 * radius / 201**2
    assert gap(model, fast[200]) >= 3 * radius / (32 * 201**2)  # the dimension is 2·200 + 1


@pytest.mark.parametrize("steps", [1, 7, 50])
def test_gradient_descent_reaches_its_bound_on_hubers_function(steps):
    model = huber_worst_case((1,), 1, steps=steps)
    assert gap(model, path(GD(1.0), model, steps)[-1]) == pytest.approx(1 / (4 * steps + 2), rel=1e-12)


def test_acceleration_is_the_recursion_written_by_hand(valley):
    lam, x, y, t = torch.tensor([1.0, 0.5, 0.3, 0.1, 0.02], dtype=torch.float64), valley.weights.detach(), None, 1.0
    y = x
    for _ in range(10):
        following = y - 0.7 * lam * y
        t_next = (1 + (1 + 4 * t * t) ** 0.5) / 2
        y, x, t = following + (t - 1) / t_next * (following - x), following, t_next
    torch.testing.assert_close(path(Accelerated(0.7), valley, 10)[-1], x, rtol=1e-12, atol=1e-14)
