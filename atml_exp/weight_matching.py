"""Hidden units in another order: the same function, other weights; and the order that fits another net best."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from atml_exp.linalg import as_float64
from atml_exp.probes.features import predict

__all__ = ["Matching", "permuted", "random_permutations", "weight_matching"]

_Linear = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
_Norm = nn.modules.batchnorm._BatchNorm | nn.LayerNorm | nn.GroupNorm


class Matching(NamedTuple):
    """model: the matched net. permutations: of each hidden layer; its unit i was unit permutations[l][i] before.

    similarity: Σ_l ⟨W_l, W′_l⟩ over all weights and biases, after and `before` matching. sweeps: over the layers.
    """

    model: nn.Module
    permutations: list[Tensor]
    similarity: float
    before: float
    sweeps: int


def weight_matching(
    first: nn.Module, second: nn.Module, x: Tensor, *, seed: int = 0, max_sweeps: int = 100
) -> Matching:
    """A copy of `second` with its hidden units in the order in which its weights are most like those of `first`.

    Ainsworth, Hayase & Srinivasa 2023 (Git Re-Basin), Algorithm 1: layer after layer, in random order, the units'
    order that maximises Σ_l ⟨W_l, P_l W′_l P_{l−1}ᵀ⟩ with all others fixed, a linear assignment, until nothing is
    gained. Biases and the parameters of normalisation layers count as weights. The maximum found is a local one; of
    two starts, the order as it is and the order that a pass from the input to the output finds (ours: it undoes a
    permutation exactly), the better end is taken.

    For plain chains of linear and convolutional layers, with batch, layer or (one) group normalisation in them.
    x: some inputs, with which is checked that permuting units leaves the function as it is.
    Raises ValueError where it doesn't (skip connections), or where the two nets have different layers.
    """
    chain, other = _Chain.of(first, x), _Chain.of(second, x)
    if [t.shape for t in chain.tensors] != [t.shape for t in other.tensors]:
        raise ValueError("first and second must have the same layers and shapes")
    assignment = _Assignment(chain, other)
    identity = [torch.arange(n) for n in chain.widths]
    ends = [assignment.ascend(start, seed, max_sweeps) for start in (identity, assignment.forward())]
    best, sweeps = max(ends, key=lambda end: assignment.similarity(end[0]))
    return Matching(
        permuted(second, best, x), best, assignment.similarity(best), assignment.similarity(identity), sweeps
    )


def permuted(model: nn.Module, permutations: Sequence[Tensor], x: Tensor) -> nn.Module:
    """A copy that computes the same, whose unit i of hidden layer l is unit permutations[l][i] of the model.

    Raises ValueError where the permutations don't fit the layers, and as `weight_matching` does.

    >>> model = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1))
    >>> swapped = permuted(model, [torch.tensor([1, 0])], torch.ones(1, 1))
    >>> torch.equal(swapped[0].weight, model[0].weight.flip(0))
    True
    """
    widths = _Chain.of(model, x).widths
    given = [sorted(p.tolist()) for p in permutations]
    if given != [list(range(n)) for n in widths]:
        raise ValueError(f"permutations must be of {', '.join(map(str, widths))} units, one for each hidden layer")
    return _reordered(model, permutations)


def random_permutations(model: nn.Module, x: Tensor, *, seed: int = 0) -> list[Tensor]:
    """One for each hidden layer, for `permuted`."""
    draw = torch.Generator().manual_seed(seed)
    return [torch.randperm(n, generator=draw) for n in _Chain.of(model, x).widths]


@dataclass(frozen=True)
class _Link:
    """A parameter or buffer of layer `layer`, whose first axis is its units; the second, if any, those before."""

    name: str
    layer: int
    has_inputs: bool


@dataclass(frozen=True)
class _Chain:
    """The layers of a net in order, as tensors (outputs, inputs, rest) in float64; hidden layers have `widths`."""

    links: list[_Link]
    tensors: list[Tensor]
    widths: list[int]

    @classmethod
    def of(cls, model: nn.Module, x: Tensor) -> "_Chain":
        links, widths = _links(model)
        _check_is_chain(model, widths, x)
        trained = dict(model.named_parameters())
        links = [link for link in links if link.name in trained]
        return cls(links, [_as_rows(trained[k.name], k, widths) for k in links], widths[:-1])


def _links(model: nn.Module) -> tuple[list[_Link], list[int]]:
    """What hangs on each layer, and the layers' widths; ValueError for a module that isn't understood."""
    links: list[_Link] = []
    widths: list[int] = []
    for path, module in model.named_modules():
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        if not own:
            continue
        if isinstance(module, _Linear):
            widths.append(module.weight.shape[0])
        elif not isinstance(module, _Norm) or not widths:
            raise ValueError(
                f"{path or 'the model'} is a {type(module).__name__}: units are matched in chains of linear and "
                "convolutional layers with normalisation after them"
            )
        prefix = f"{path}." if path else ""
        links += [_Link(prefix + n, len(widths) - 1, t.dim() > 1) for n, t in own if t.dim() > 0]
    if not widths:
        raise ValueError(f"{type(model).__name__} has no linear or convolutional layer")
    return links, widths


def _as_rows(tensor: Tensor, link: _Link, widths: Sequence[int]) -> Tensor:
    """(outputs, inputs, rest): each input unit's weights together, several after a flattened convolution."""
    rows = as_float64(tensor)
    if not link.has_inputs:
        return rows.view(-1, 1, 1)
    if link.layer == 0:
        return rows.reshape(len(rows), 1, -1)
    return rows.reshape(len(rows), widths[link.layer - 1], -1)


def _check_is_chain(model: nn.Module, widths: Sequence[int], x: Tensor) -> None:
    """Whether the units of every hidden layer can change places without changing the function."""
    draw = torch.Generator().manual_seed(0)
    trial = [torch.randperm(n, generator=draw) for n in widths[:-1]]
    try:
        expected, found = predict(model, x), predict(_reordered(model, trial), x)
    except RuntimeError as error:
        raise ValueError(f"the layers of {type(model).__name__} are no plain chain: {error}") from error
    scale = expected.abs().max().clamp_min(torch.finfo(expected.dtype).tiny)
    if not bool((found - expected).abs().max() <= 1e4 * torch.finfo(expected.dtype).eps * scale):
        raise ValueError(
            f"the layers of {type(model).__name__} are no plain chain (skip connections?): permuting hidden units "
            "changes what it computes"
        )


@torch.no_grad()
def _reordered(model: nn.Module, permutations: Sequence[Tensor]) -> nn.Module:
    links, widths = _links(model)
    new = copy.deepcopy(model)
    tensors = {**dict(new.named_parameters()), **dict(new.named_buffers())}
    for link in links:
        tensor = tensors[link.name]
        if link.layer < len(permutations):
            tensor.copy_(tensor[permutations[link.layer].to(tensor.device)])
        if link.has_inputs and link.layer > 0:
            tensor.copy_(_inputs_reordered(tensor, permutations[link.layer - 1], widths[link.layer - 1]))
    return new


def _inputs_reordered(tensor: Tensor, permutation: Tensor, units: int) -> Tensor:
    if tensor.shape[1] % units:
        raise RuntimeError(f"a weight of shape {tuple(tensor.shape)} follows {units} units")
    grouped = tensor.reshape(len(tensor), units, -1)
    return grouped[:, permutation.to(tensor.device)].reshape(tensor.shape)


class _Assignment:
    """Σ_l ⟨W_l, P_l W′_l P_{l−1}ᵀ⟩ as a function of the orders, and its coordinate ascent."""

    def __init__(self, first: _Chain, second: _Chain) -> None:
        self._first, self._second = first, second
        self._widths = first.widths

    def similarity(self, orders: Sequence[Tensor]) -> float:
        pairs = zip(self._first.links, self._first.tensors, self._second.tensors, strict=True)
        return sum((a * self._placed(b, link, orders)).sum().item() for link, a, b in pairs)

    def forward(self) -> list[Tensor]:
        """From the input on, by the incoming weights alone, which the orders before have settled."""
        orders: list[Tensor] = []
        for layer in range(len(self._widths)):
            orders.append(_best(self._gain(layer, orders, outgoing=False)))
        return orders

    def ascend(self, start: Sequence[Tensor], seed: int, max_sweeps: int) -> tuple[list[Tensor], int]:
        orders, draw = list(start), torch.Generator().manual_seed(seed)
        for sweep in range(1, max_sweeps + 1):
            visited = torch.randperm(len(orders), generator=draw).tolist()
            improved = [self._improve(layer, orders) for layer in visited]
            if not any(improved):
                return orders, sweep
        return orders, max_sweeps

    def _improve(self, layer: int, orders: list[Tensor]) -> bool:
        """Puts a layer into its best order; whether that is better than rounding."""
        gain = self._gain(layer, orders)
        best, rows = _best(gain), torch.arange(len(gain))
        gained = (gain[rows, best] - gain[rows, orders[layer]]).sum()
        if not bool(gained > 1e-12 * gain.abs().sum(1).max()):
            return False
        orders[layer] = best
        return True

    def _gain(self, layer: int, orders: Sequence[Tensor], outgoing: bool = True) -> Tensor:
        """(n, n): what unit j of the second adds to the similarity in the place of unit i of the first."""
        gain = torch.zeros(self._widths[layer], self._widths[layer], dtype=torch.float64)
        for link, a, b in zip(self._first.links, self._first.tensors, self._second.tensors, strict=True):
            if link.layer == layer:
                b = b[:, orders[layer - 1]] if link.has_inputs and layer > 0 else b
                gain += (a.flatten(1) @ b.flatten(1).T).cpu()
            elif outgoing and link.layer == layer + 1 and link.has_inputs:
                b = b[orders[layer + 1]] if layer + 1 < len(orders) else b
                gain += torch.einsum("oir,ojr->ij", a, b).cpu()
        return gain

    def _placed(self, tensor: Tensor, link: _Link, orders: Sequence[Tensor]) -> Tensor:
        tensor = tensor[orders[link.layer]] if link.layer < len(orders) else tensor
        return tensor[:, orders[link.layer - 1]] if link.has_inputs and link.layer > 0 else tensor


def _best(gain: Tensor) -> Tensor:
    """For each unit of the first the unit of the second, so that the sum is the largest."""
    return torch.from_numpy(linear_sum_assignment(gain.numpy(), maximize=True)[1])
