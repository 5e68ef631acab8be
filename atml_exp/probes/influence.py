"""Influence functions: how the loss on a test example would change, had a training example been left out.

The model is a minimiser w of F(w) = (1/N) Σ_i ℓ_i(w) + ½·l2·‖w‖², over all P weights that are trained. Without
example i it is a minimiser w_{−i} of F − ℓ_i/N: the penalty is as strong against each of the others, ½·N·l2·‖w‖²
beside their *sum*, as in `atml_exp.probes.leave_one_out`. With H = ∇²F

    L_test(w_{−i}) − L_test(w) ≈ (1/N) ∇L_testᵀ H⁻¹ ∇ℓ_i = influence_i:

positive where the test loss is worse without the example, which helped; negative where it harmed. It has the sign
and the scale of what retraining measures: Koh & Liang (2017), Understanding black-box predictions via influence
functions, eq. 2, write −∇L_testᵀ H⁻¹ ∇ℓ_i for the effect of weighting it *more*; to leave it out is to weight it
−1/N more. ∇ℓ_i is that of the loss alone: w and −i share the penalty.
"""

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import grad, jacrev, vmap

from atml_exp.conjugate_gradient import conjugate_gradient
from atml_exp.data import Dataset, Split
from atml_exp.fields import NonNegative, NonNegativeInt, Positive, PositiveInt
from atml_exp.linalg import Hessian, LossFn, as_float64, top_eigenvalues
from atml_exp.linear_part import LinearPart, linear_part
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.probe import Value
from atml_exp.seeds import generator

__all__ = [
    "Curved",
    "drawn_points",
    "in_float64",
    "influence",
    "left_out_weights",
    "loss_changes",
    "most_influential",
    "newton_influence",
]


def influence(
    model: nn.Module,
    loss_fn: LossFn,
    train: Split,
    test_point: Split | tuple[Tensor, Tensor],
    *,
    l2: float = 0.0,
    damping: float = 0.0,
    tolerance: float = 1e-10,
    max_products: int = 2000,
) -> Tensor:
    """How much the loss on `test_point` would rise, to first order, without each of the N examples: (N,) float64.

    (1/N) ∇L_testᵀ (H + damping·I)⁻¹ ∇ℓ_i, by Hessian–vector products and conjugate gradients; see the module for
    the convention. The model is used in eval mode, in float64, and is left untouched; that it is at a minimum is
    taken for granted.

    loss_fn: (outputs, y) → mean over examples, without the penalty. test_point: a Split, of whose examples the mean
    loss is meant, or (x, y), with or without the axis of examples. l2: of the penalty that the model was trained
    with, the optimisers' weight_decay. damping: added to H where that isn't positive definite, as of a net that is
    not at a minimum; it makes influences smaller, and of what is then predicted see Bae et al. 2022 (If influence
    functions are the answer, then what is the question?).

    Raises ValueError where H + damping·I isn't positive definite, naming its smallest eigenvalue (then there is no
    strict minimum, or no minimum, to leave an example out of); for negative l2 or damping, a loss that isn't a
    mean, an empty training set, and where conjugate gradients don't reach the tolerance.

    >>> x, y = torch.tensor([[1.0], [1.0], [1.0]]), torch.tensor([0.0, 3.0, 6.0])
    >>> model = nn.Linear(1, 1, bias=False)
    >>> _ = model.weight.data.fill_(3.0)  # the mean; without the first example 4.5, by first order 3 + 3/3
    >>> half = lambda o, y: 0.5 * (o[:, 0] - y).square().mean()
    >>> influence(model, half, Split(x, y), (torch.ones(1), torch.tensor(4.0)))
    tensor([-1.,  0.,  1.], dtype=torch.float64)
    """
    curved = Curved(model, loss_fn, train, l2, damping)
    curved.require_definite()
    return curved.influence(as_split(test_point, train), tolerance, max_products)


class Curved:
    """A model and its training loss in float64: the Hessian of F, and directional derivatives of each ℓ_i."""

    def __init__(self, model: nn.Module, loss_fn: LossFn, train: Split, l2: float, damping: float) -> None:
        for name, value in (("l2", l2), ("damping", damping)):
            if not value >= 0:
                raise ValueError(f"{name} is {value}: it must be at least 0")
        self.model, self.loss_fn, self.shift = in_float64(model), loss_fn, l2 + damping
        self.train = _of_float64(train)
        self.hessian = Hessian(self.model, loss_fn, self.train.x, self.train.y)
        self.hessian.check_mean()

    def __call__(self, vector: Tensor) -> Tensor:
        """(H + damping·I) v."""
        return self.hessian(vector) + self.shift * vector

    def eigenvalues(self) -> tuple[float, float]:
        """The smallest and the largest of H + damping·I that Lanczos finds."""
        start = torch.randn(1, self.hessian.size, generator=generator(0, "influence"), dtype=torch.float64)
        start = start.to(self.hessian.home)
        low = top_eigenvalues(lambda v: -self(v), start, tolerance=1e-6)
        high = top_eigenvalues(self, start, tolerance=1e-2)
        return -float(low.values[0]), float(high.values[0])

    def require_definite(self) -> float:
        """The smallest eigenvalue; ValueError unless it is positive beyond rounding."""
        low, high = self.eigenvalues()
        if not low > 1e-12 * abs(high):
            raise ValueError(
                f"the Hessian isn't positive definite: its smallest eigenvalue is {low:.3g} (the largest "
                f"{high:.3g}), so that w is no strict minimum; allowed: l2 > 0 as trained with, or damping larger "
                f"by {max(-low, 0.0) + 1e-6 * abs(high):.2g}"
            )
        return low

    def influence(self, test: Split, tolerance: float, max_products: int) -> Tensor:
        answer = conjugate_gradient(self, self.gradient_of(test), tolerance=tolerance, max_products=max_products)
        return self.slopes(answer) / len(self.train) + 0.0  # no −0

    def gradient_of(self, split: Split) -> Tensor:
        """∇ of the mean loss on other examples, (P,)."""
        return Hessian(self.model, self.loss_fn, split.x, split.y).gradient()

    def slopes(self, vector: Tensor) -> Tensor:
        """⟨∇ℓ_i, v⟩ of each example, (N,): ⟨r_i, J_i v⟩, r_i the slope of ℓ_i in the outputs, J_i theirs in w.

        Jv is the derivative in u of ⟨Jᵀu, v⟩: two backward passes for all examples together.
        """
        trained = [p for p in self.model.parameters() if p.requires_grad]
        with torch.enable_grad():
            outputs = self.model(self.train.x)
            u = torch.zeros_like(outputs, requires_grad=True)
            pulled = torch.autograd.grad(outputs, trained, u, create_graph=True, materialize_grads=True)
            flat = torch.cat([p.flatten() for p in pulled])
            (change,) = torch.autograd.grad(flat, u, vector, materialize_grads=True)
        return (_slopes(self.loss_fn, outputs.detach(), self.train.y) * change).flatten(1).sum(1)


def _slopes(loss_fn: LossFn, outputs: Tensor, y: Tensor) -> Tensor:
    """∂ℓ_i/∂o_i, like outputs (N, K)."""
    return len(y) * grad(lambda o: loss_fn(o, y))(outputs)


def in_float64(model: nn.Module) -> nn.Module:
    """A copy in float64 and eval mode, on a device that has float64."""
    home = as_float64(next(model.parameters())).device
    return copy.deepcopy(model).eval().to(home, torch.float64)


def _of_float64(split: Split) -> Split:
    home = as_float64(split.x[:1]).device
    return split.to(home, torch.float64)


def as_split(point: Split | tuple[Tensor, Tensor], like: Split) -> Split:
    """A test point (x, y), with or without the axis of examples, as a Split in float64."""
    if isinstance(point, Split):
        found = point
    else:
        x, y = torch.as_tensor(point[0]), torch.as_tensor(point[1])
        single = x.dim() == like.x.dim() - 1
        found = (
            Split(x[None], y.reshape(1, *like.y.shape[1:]))
            if single
            else Split(x, y.reshape(len(x), *like.y.shape[1:]))
        )
    if not len(found) or found.x.shape[1:] != like.x.shape[1:]:
        raise ValueError(
            f"test_point has inputs {tuple(found.x.shape)}: it must be (1, *{tuple(like.x.shape[1:])}), as the "
            "training set's"
        )
    return _of_float64(found)


class _Newton(NamedTuple):
    """changes (N, D, K): w_{−i} − w by one Newton step. gradient: ‖∇F‖ over the rms of ‖∇ℓ_i‖."""

    changes: Tensor
    gradient: float


def left_out_weights(model: nn.Module, loss_fn: LossFn, train: Split, *, l2: float = 0.0) -> Tensor:
    """w_{−i} − w (N, D, K) by a Newton step on F − ℓ_i/N, of models that are linear in what is trained.

    δ_i = (1/N) (H − ∇²ℓ_i/N)⁻¹ ∇ℓ_i = (1/N) H⁻¹J_iᵀ (I − S_i G_i/N)⁻¹ r_i (Sherman, Morrison & Woodbury) with the
    outputs' derivatives J_i in w (K, P), G_i = J_i H⁻¹J_iᵀ, and slope r_i and Hessian S_i of ℓ_i in the outputs.
    Exact where ℓ is quadratic: the factor is then 1/(1 − h_ii), h_ii the leverage. Otherwise of the order 1/N².
    Weights as `linear_part` has them: a bias is the last of D, and penalised too. In float64.

    Raises ValueError for other models, where H or a step's matrix isn't positive definite (a leverage of 1), and
    where w isn't the minimiser: ‖∇F‖ above 1e-6 of the rms of ‖∇ℓ_i‖.
    """
    exact = _of_float64(train)
    found = _newton_steps(linear_part(in_float64(model), exact.x), loss_fn, exact.y, l2)
    if not found.gradient <= 1e-6:
        raise ValueError(
            f"the model isn't at the minimum for l2 = {l2:g}: the gradient is {found.gradient:.1e} of the "
            "examples' own, allowed is 1e-6; without an example it would change for that reason too"
        )
    return found.changes


def _newton_steps(part: LinearPart, loss_fn: LossFn, y: Tensor, l2: float) -> _Newton:
    h, w = part.features, part.weights
    (n, d), k = h.shape, w.shape[1]

    def single(output: Tensor, label: Tensor) -> Tensor:
        return loss_fn(output[None], label[None])

    outputs = h @ w
    r, s = vmap(grad(single))(outputs, y), vmap(jacrev(grad(single)))(outputs, y)
    matrix = torch.einsum("nd,nkl,ne->dkel", h, s, h).reshape(d * k, d * k) / n
    matrix = matrix + l2 * torch.eye(d * k, dtype=h.dtype, device=h.device)
    low, high = (float(e) for e in torch.linalg.eigvalsh(matrix)[[0, -1]])
    if not low > 1e-12 * high:
        raise ValueError(
            f"the Hessian isn't positive definite: its smallest eigenvalue is {low:.3g}; allowed: l2 > 0"
        )
    inverse = torch.linalg.inv(matrix).view(d, k, d, k)
    columns = torch.einsum("dkel,ne->ndkl", inverse, h)  # H⁻¹J_iᵀ
    shrunk = torch.eye(k, dtype=h.dtype, device=h.device) - s @ torch.einsum("nd,ndkl->nkl", h, columns) / n
    least = float(torch.linalg.svdvals(shrunk)[:, -1].min())
    if not least > 1e-10:
        raise ValueError("the leverage of an example is 1: without it a weight isn't determined; allowed: l2 > 0")
    changes = torch.einsum("ndkl,nl->ndk", columns, torch.linalg.solve(shrunk, r)) / n
    size = float((h.square().sum(1) * r.square().sum(1)).mean().sqrt())
    return _Newton(changes, float((h.T @ r / n + l2 * w).norm()) / max(size, 1e-300))


def newton_influence(
    model: nn.Module,
    loss_fn: LossFn,
    train: Split,
    test_point: Split | tuple[Tensor, Tensor],
    *,
    l2: float = 0.0,
) -> Tensor:
    """L_test(w + δ_i) − L_test(w), (N,), δ_i of `left_out_weights`: of least squares exactly what retraining gives.

    For models that are linear in what is trained, at the minimum; raises as `left_out_weights` does.

    >>> x, y = torch.ones(3, 1), torch.tensor([0.0, 3.0, 6.0])
    >>> model = nn.Linear(1, 1, bias=False)
    >>> _ = model.weight.data.fill_(3.0)  # without the first example 4.5
    >>> half = lambda o, y: 0.5 * (o[:, 0] - y).square().mean()
    >>> newton_influence(model, half, Split(x, y), (torch.ones(1), torch.tensor(4.0)))
    tensor([-0.3750,  0.0000,  2.6250], dtype=torch.float64)
    """
    changes = left_out_weights(model, loss_fn, train, l2=l2)
    return loss_changes(model, loss_fn, as_split(test_point, train), changes)


def loss_changes(model: nn.Module, loss_fn: LossFn, test: Split, changes: Tensor) -> Tensor:
    """L_test(w + δ) − L_test(w) for each δ (R, D, K) of the last layer's weights, (R,)."""
    part = linear_part(in_float64(model), test.x)
    before = part.features @ part.weights
    after = before + torch.einsum("nd,rdk->rnk", part.features, changes)
    return vmap(lambda o: loss_fn(o, test.y))(after) - loss_fn(before, test.y)


def drawn_points(test: Split, points: int, seed: int) -> Tensor:
    """The first `points` of an order of the test examples that `seed` draws: indices."""
    order = torch.randperm(len(test), generator=generator(seed, "influence", "points"))
    return order[:points].to(test.x.device)


def most_influential(
    model: nn.Module,
    data: Dataset,
    *,
    loss: LossFn = cross_entropy,
    l2: NonNegative = 0.0,
    damping: NonNegative = 0.0,
    points: PositiveInt = 10,
    top: PositiveInt = 10,
    seed: NonNegativeInt = 0,
    tolerance: Positive = 1e-8,
) -> dict[str, Value]:
    """Which training examples helped, and which harmed, the mean loss on a few test examples; see `influence`.

    Arrays: `values` (N,), the influences; `points` (T,), which test examples, drawn by `seed`; `helpful` and
    `harmful` (top,): the training examples of the largest and of the smallest influence, the extreme one first.
    `largest`, `smallest`, `rms` of the influences; `test_loss`, on those points; `curvature`, the smallest
    eigenvalue of H + damping·I, and `gradient`, ‖∇F‖, which should be 0: influences are those of a minimum.
    """
    chosen = drawn_points(data.test, points, seed)
    test = _of_float64(data.test[chosen])
    curved = Curved(model, loss, data.train, l2, damping)
    low = curved.require_definite()
    values = curved.influence(test, tolerance, 2000)
    order = values.argsort(descending=True, stable=True)
    w = torch.cat([p.detach().flatten() for p in curved.model.parameters() if p.requires_grad])
    with torch.no_grad():
        test_loss = float(loss(curved.model(test.x), test.y))
    return {
        "largest": float(values.max()),
        "smallest": float(values.min()),
        "rms": float(values.square().mean().sqrt()),
        "test_loss": test_loss,
        "curvature": low,
        "gradient": float((curved.hessian.gradient() + l2 * w).norm()),
        "values": values,
        "points": chosen,
        "helpful": order[:top],
        "harmful": order.flip(0)[:top],
    }
