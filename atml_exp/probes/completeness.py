"""Completeness of integrated gradients against the number of steps, beside what theory says of the quadrature."""

import torch
from torch import Tensor, nn

from atml_exp.attribution.gradient_input import gradient_input
from atml_exp.attribution.integrated_gradients import integrated_gradients
from atml_exp.attribution.occlusion import occlusion
from atml_exp.attribution.output import input_gradient, output_of
from atml_exp.data import Split
from atml_exp.fields import PositiveInt
from atml_exp.probe import Value
from atml_exp.probes.attribution import BaselineName, Question, TargetName, question

__all__ = ["completeness", "slopes_on_the_way"]

_TOGETHER = 8192  # inputs in one forward pass


def completeness(
    model: nn.Module,
    data: Split,
    *,
    steps: tuple[PositiveInt, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256),
    num_examples: PositiveInt = 100,
    target: TargetName = "predicted",
    baseline: BaselineName = "zero",
    resolution: PositiveInt = 2048,
) -> dict[str, Value]:
    """Σ_k |Σ attribution − (F(x) − F(x′))| / Σ_k |F(x) − F(x′)| over K examples of `data`, float64, eval mode.

    Examples, outputs and baselines as in the probe `attribution`. Arrays: `steps` (M,), and of integrated gradients
    with so many `midpoint` (M,) and `gauss_legendre` (M,). Scalars: `gradient_input` and `occlusion` (window 1),
    the controls, and `integrated_gradients`, by the midpoint rule with the most steps.

    With g(α) = (x − x′)·∇F(x′ + α(x − x′)), what the midpoint rule with m steps leaves is, relatively as above:
    `smooth`/m² to leading order for g ∈ C²: |g′(1) − g′(0)|/24; `kinked`/m at most, for any g: its variation V/2;
    and `typical`/m, root mean square, where jumps J_j of g fall anywhere between nodes: (Σ_j J_j²/12)^½. All are
    read off g at `resolution` points (g′ by differences at the ends); the last two are lower bounds then.
    """
    asked = question(model, data, num_examples, target, baseline)
    change = _change(asked)
    size = change.abs().sum().clamp(min=torch.finfo(change.dtype).tiny)
    values: dict[str, Value] = {"steps": torch.tensor(steps)}
    for rule in ("midpoint", "gauss_legendre"):
        gaps = [_gap(integrated_gradients(*_of(asked), m, quadrature=rule), change) for m in steps]
        values[rule] = torch.stack(gaps) / size
    best = int(values["steps"].argmax())  # type: ignore[union-attr]
    values["integrated_gradients"] = float(values["midpoint"][best])  # type: ignore[index]
    for name, way in (("gradient_input", gradient_input), ("occlusion", occlusion)):
        values[name] = float(_gap(way(asked.model, asked.x, asked.target, baseline=asked.baseline), change) / size)
    return values | {name: float(each.sum() / size) for name, each in _constants(asked, resolution).items()}


def _of(asked: Question) -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    return asked.model, asked.x, asked.baseline, asked.target


def _change(asked: Question) -> Tensor:
    with torch.no_grad():
        start = asked.baseline.expand(asked.x.shape)
        return output_of(asked.model, asked.x, asked.target) - output_of(asked.model, start, asked.target)


def _gap(attribution: Tensor, change: Tensor) -> Tensor:
    return (attribution.flatten(1).sum(1) - change).abs().sum()


def _constants(asked: Question, resolution: int) -> dict[str, Tensor]:
    """(K,) each."""
    g = slopes_on_the_way(*_of(asked), torch.linspace(0, 1, resolution + 1, dtype=torch.float64))
    jumps = g.diff(dim=0)
    h = 1e-4
    ends = slopes_on_the_way(*_of(asked), torch.tensor([0.0, h, 1 - h, 1.0], dtype=torch.float64))
    bend = (ends[3] - ends[2] - ends[1] + ends[0]) / h
    return {
        "smooth": bend.abs() / 24,
        "kinked": jumps.abs().sum(0) / 2,
        "typical": (jumps.square().sum(0) / 12).sqrt(),
    }


def slopes_on_the_way(model: nn.Module, x: Tensor, baseline: Tensor, target: Tensor, alphas: Tensor) -> Tensor:
    """g(α) = (x − x′)·∇F(x′ + α(x − x′)), the slope of F on the way from the baseline, (A, K) for alphas (A,).

    >>> x, start, one = torch.ones(1, 2), torch.zeros(2), torch.tensor([1])
    >>> slopes_on_the_way(nn.Identity(), 3 * x, start, one, torch.tensor([0.0, 0.5]))
    tensor([[3.],
            [3.]])
    """
    way, batch = x - baseline, max(1, _TOGETHER // len(x))
    found = []
    for some in alphas.to(x).split(batch):
        points = baseline + some.view(-1, *[1] * x.dim()) * way
        gradients = input_gradient(model, points.flatten(0, 1), target.repeat(len(some))).view(points.shape)
        found.append((way * gradients).flatten(2).sum(2))
    return torch.cat(found)
