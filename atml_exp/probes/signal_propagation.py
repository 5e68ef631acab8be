"""How signals go forward and gradients backward through the layers, at the current weights."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from atml_exp.data import Split
from atml_exp.fields import NonNegativeInt, PositiveInt
from atml_exp.linalg import LossFn, as_float64
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.probe import Value
from atml_exp.probes.features import linear_layers

__all__ = ["Ends", "jacobian_singular_values", "signal_propagation"]

Ends = Literal["outputs", "hidden"]


def signal_propagation(
    model: nn.Module,
    data: Split,
    *,
    loss: LossFn = cross_entropy,
    num_examples: PositiveInt = 100,
    jacobian_examples: NonNegativeInt = 1,
    jacobian: Ends = "outputs",
    chunk_size: PositiveInt | None = None,
) -> dict[str, Value]:
    """Signals and gradients by layer on the first `num_examples` of `data`, in float64, eval mode; arrays (L,).

    A layer is a linear or convolutional one, in the order in which they are called (of several calls the last
    counts); its preactivations h_l are its outputs, the last of them usually the model's.

    variance: q_l, the mean of h_l² over units and examples, not centred. correlation: c_l, the mean cosine of
        h_l(x) and h_l(x′) over pairs x ≠ x′; NaN where an example's h_l are all 0. `input_variance` and
        `input_correlation`: the same of the inputs.
    preactivation_gradient: mean of (∂ℓ/∂h_l)² over units and examples, ℓ each example's own loss.
    weight_gradient: mean of (∂L/∂W_l)² over a layer's weights, biases left out; L the mean loss.
    singular_values (jacobian_examples, k), descending, of the Jacobian at single examples, k the smaller of its
        dimensions: `outputs`, of the outputs by the inputs; `hidden`, of the last but one layer's preactivations by
        the first's. Over examples and the k values: `jacobian_mean_square` the mean of s², which mean-field theory
        has at Π χ; `jacobian_variance` the mean over examples of var(s²)/mean(s²)², 0 under dynamical isometry;
        `jacobian_largest`, `jacobian_smallest` the means of the extremes. Left out for jacobian_examples = 0;
        `jacobian_variance` also where a Jacobian is 0.

    Poole et al. 2016; Schoenholz et al. 2017, Deep information propagation; Pennington, Schoenholz & Ganguli 2017,
    Resurrecting the sigmoid in deep learning through dynamical isometry. What theory expects of random weights is
    in `atml_exp.mean_field_limit`. Raises ValueError for fewer than two examples, a loss that isn't a mean over
    examples, a model without such a layer, and `hidden` for one with fewer than three.
    """
    split = _first(data, num_examples)
    net, inputs = _double(model, split.x), _Sums()
    sums: dict[str, _Sums] = {}
    gradients: dict[str, Tensor] = {}
    for part in _chunks(split, chunk_size):
        inputs.add(part.x)
        _add(net, loss, part, len(part) / len(split), sums, gradients)
    values: dict[str, Value] = {
        "input_variance": inputs.variance,
        "input_correlation": inputs.correlation,
        "variance": _stacked([s.variance for s in sums.values()]),
        "correlation": _stacked([s.correlation for s in sums.values()]),
        "preactivation_gradient": _stacked([s.gradient for s in sums.values()]),
        "weight_gradient": torch.stack([gradients[name].square().mean() for name in sums]),
    }
    if jacobian_examples == 0:
        return values
    return values | _isometry(jacobian_singular_values(net, split.x[:jacobian_examples], jacobian))


def jacobian_singular_values(model: nn.Module, x: Tensor, ends: Ends = "outputs") -> Tensor:
    """Singular values (B, k), descending, of the Jacobian at each of x (B, …), in float64, eval mode.

    ends: see `signal_propagation`; everything is flattened. Raises ValueError as it does.

    >>> model = nn.Linear(2, 2, bias=False)
    >>> _ = model.weight.data.copy_(torch.tensor([[0.0, 3.0], [-4.0, 0.0]]))
    >>> jacobian_singular_values(model, torch.ones(1, 2)).round(decimals=9).tolist()
    [[4.0, 3.0]]
    """
    x = as_float64(x).requires_grad_()
    net = _double(model, x)
    with torch.enable_grad(), _heard(net) as heard:
        output = net(x)
        start, end = (x, output) if ends == "outputs" else _ends(list(heard.values()))
        end = end.flatten(1)
        rows = (
            torch.eye(end.shape[1]).to(end)[:, None].expand(-1, *end.shape)
        )  # each example has a Jacobian of its own
        (jacobian,) = torch.autograd.grad(end, start, rows, is_grads_batched=True, materialize_grads=True)
    return torch.linalg.svdvals(jacobian.flatten(2).transpose(0, 1))


def _ends(preactivations: list[Tensor]) -> tuple[Tensor, Tensor]:
    if len(preactivations) < 3:
        raise ValueError(
            f"jacobian = 'hidden' goes from the first layer to the last but one: {len(preactivations)} layers are "
            "fewer than 3"
        )
    return preactivations[0], preactivations[-2]


def _isometry(s: Tensor) -> dict[str, Value]:
    squares = s.square()
    mean = squares.mean(1)
    values: dict[str, Value] = {
        "singular_values": s,
        "jacobian_mean_square": float(mean.mean()),
        "jacobian_largest": float(s[:, 0].mean()),
        "jacobian_smallest": float(s[:, -1].mean()),
    }
    if bool((mean > 0).all()):
        relative = squares / mean[:, None]
        values["jacobian_variance"] = float((relative - 1).square().mean())
    return values


@dataclass
class _Sums:
    """Over the examples so far: of h², of h/‖h‖, and of squared gradients of each example's loss."""

    squares: float = 0.0
    gradients: float = 0.0
    numbers: int = 0
    examples: int = 0
    directions: Tensor = field(default_factory=lambda: torch.zeros(()))

    def add(self, h: Tensor, gradient: Tensor | None = None) -> None:
        h = h.flatten(1)
        self.squares += float(h.square().sum())
        self.numbers += h.numel()
        self.examples += len(h)
        self.directions = self.directions.to(h) + (h / h.norm(dim=1, keepdim=True)).sum(0)  # 0/0 is NaN
        if gradient is not None:
            self.gradients += float((len(h) * gradient).square().sum())

    @property
    def variance(self) -> float:
        return self.squares / self.numbers

    @property
    def gradient(self) -> float:
        return self.gradients / self.numbers

    @property
    def correlation(self) -> float:
        """‖Σ u‖² holds each pair of unit vectors twice, and each with itself."""
        n = self.examples
        return (float(self.directions.square().sum()) - n) / (n * (n - 1))


def _add(
    net: nn.Module, loss: LossFn, part: Split, share: float, sums: dict[str, _Sums], gradients: dict[str, Tensor]
) -> None:
    """One forward and backward pass over some examples, `share` of all; what it adds is written into the sums."""
    with torch.enable_grad(), _heard(net) as heard:
        outputs = net(part.x)
        value = loss(outputs, part.y)
    _check_mean(loss, outputs.detach(), part.y)
    layers = linear_layers(net)
    weights = [layers[name].weight for name in heard]
    found = torch.autograd.grad(value, [*heard.values(), *weights], allow_unused=True, materialize_grads=True)
    for (name, h), of_h, of_weight in zip(heard.items(), found, found[len(heard) :], strict=False):
        sums.setdefault(name, _Sums()).add(h.detach(), of_h)
        gradients[name] = gradients.get(name, 0) + share * of_weight


@contextmanager
def _heard(net: nn.Module) -> Iterator[dict[str, Tensor]]:
    """A dictionary that fills with the outputs of linear layers, in the order in which they are called."""
    heard: dict[str, Tensor] = {}

    def remember(name: str, output: Tensor) -> Tensor:
        heard.pop(name, None)
        heard[name] = output
        return output.clone()  # so that an activation in place leaves what was heard

    handles = [
        layer.register_forward_hook(lambda _, inputs, output, name=name: remember(name, output))
        for name, layer in linear_layers(net).items()
    ]
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()


def _double(model: nn.Module, x: Tensor) -> nn.Module:
    """A copy in float64 and eval mode, beside x, of which every parameter has gradients."""
    return copy.deepcopy(model).to(x.device, torch.float64).eval().requires_grad_()


def _first(data: Split, number: int) -> Split:
    x, y = as_float64(data.x[:number]), data.y[:number].to(as_float64(data.x[:0]).device)
    if len(x) < 2:
        raise ValueError(f"correlations are of pairs: there are {len(x)} examples, and 2 are needed")
    return Split(x, as_float64(y) if y.is_floating_point() else y)


def _chunks(split: Split, size: int | None) -> Iterator[Split]:
    size = size or len(split)
    for start in range(0, len(split), size):
        yield Split(split.x[start : start + size], split.y[start : start + size])


def _check_mean(loss: LossFn, outputs: Tensor, y: Tensor) -> None:
    once, twice = loss(outputs, y), loss(torch.cat([outputs] * 2), torch.cat([y] * 2))
    if not torch.isclose(once, twice, rtol=1e-6):
        raise ValueError(
            f"loss is {once.item():.6g} on {len(y)} examples and {twice.item():.6g} on the same ones twice: it "
            "must be a mean over examples"
        )


def _stacked(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
