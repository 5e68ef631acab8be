"""Sanity checks: an explanation of a model must change when what the model has learnt is destroyed."""

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from atml_exp.attribution.agreement import Agreement, agreement
from atml_exp.seeds import derive, seeded_globally

__all__ = [
    "PASSING",
    "Explain",
    "layers_from_output",
    "passes",
    "random_labels_check",
    "randomisation_check",
    "randomised",
    "within",
]

Explain = Callable[[nn.Module, Tensor], Tensor]
"""explain(model, x) → an attribution of x's shape (N, *shape)."""

PASSING = 0.5
"""Of `passes`: chosen by us. Adebayo et al. draw curves and name no threshold."""


def randomisation_check(
    explain: Explain, model: nn.Module, x: Tensor, *, cascading: bool = True, seed: int = 0
) -> dict[str, Agreement]:
    """How alike explain(model, x) stays when layers are drawn anew: {layer: Agreement(signed, absolute)}.

    Spearman's correlation with the attribution of the model as it is, mean over the N examples. Layers are named as
    in `named_modules`, in order from the output down. cascading: a layer's entry is of a model in which it and all
    layers nearer to the output are random; otherwise it alone is. A layer is drawn anew by its own
    `reset_parameters`, as torch initialises it, seeded by `seed` and its name (the same draw in both modes). Where
    nothing that matters to `explain` is random, the correlations are 1.

    Adebayo, Gilmer, Muelly, Goodfellow, Hardt & Kim (2018), Sanity checks for saliency maps, section 3. What
    explains the model must fall; what is a function of x alone, an edge detector, stays at 1 and fails: `passes`.

    The model itself is left untouched. Raises ValueError for a model without such a layer, and where explain gives
    another shape than x's.

    >>> model, x = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), torch.randn(5, 4)
    >>> randomisation_check(lambda model, x: x, model, x)["0"]
    Agreement(signed=1.0, absolute=1.0)
    """
    names = layers_from_output(model, x)
    before = _explained(explain, model, x)
    found = {}
    for i, name in enumerate(names):
        changed = randomised(model, names[: i + 1] if cascading else [name], seed)
        found[name] = agreement(before, _explained(explain, changed, x))
    return found


def passes(check: Mapping[str, Agreement], *, threshold: float = PASSING) -> bool:
    """Whether, the whole net being random (the last entry), neither correlation is above `threshold`.

    >>> passes({"output": Agreement(0.1, 0.7)})
    False
    """
    last = list(check.values())[-1]
    return last.signed <= threshold and last.absolute <= threshold


def layers_from_output(model: nn.Module, x: Tensor) -> list[str]:
    """The names of layers that can be drawn anew, those called last first.

    These have parameters of their own and `reset_parameters`; a layer that x doesn't reach isn't among them. Of one
    that is called several times the last call counts. ValueError where there is none.
    """
    names = {id(m): n for n, m in model.named_modules() if _can_be_reset(m)}
    called: dict[str, None] = {}

    def note(module: nn.Module, inputs: object, output: object) -> None:
        called.pop(names[id(module)], None)
        called[names[id(module)]] = None

    hooks = [m.register_forward_hook(note) for m in model.modules() if id(m) in names]
    modes = [(m, m.training) for m in model.modules()]
    try:
        with torch.no_grad():
            model.eval()(x[:1])
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes:
            module.training = mode
    if not called:
        raise ValueError(f"{type(model).__name__} has no layer with parameters and reset_parameters to draw anew")
    return list(called)[::-1]


def _can_be_reset(module: nn.Module) -> bool:
    own = any(True for _ in module.parameters(recurse=False))
    return own and callable(getattr(module, "reset_parameters", None))


def randomised(model: nn.Module, names: Sequence[str], seed: int) -> nn.Module:
    """A copy in which these layers are as torch initialises them; ValueError for a name that it can't draw anew."""
    copied = copy.deepcopy(model)
    modules = dict(copied.named_modules())
    for name in names:
        if name not in modules or not _can_be_reset(modules[name]):
            allowed = ", ".join(n for n, m in modules.items() if _can_be_reset(m))
            raise ValueError(f"layer {name!r} can't be drawn anew; allowed: {allowed or 'none'}")
        with seeded_globally(derive(seed, "randomisation"), name):
            modules[name].reset_parameters()
    return copied


def random_labels_check(explain: Explain, fitted: nn.Module, memorised: nn.Module, x: Tensor) -> Agreement:
    """How alike a net of true labels and one that was trained on random labels explain the same inputs x.

    Adebayo et al. 2018, section 4, of equal architectures, both trained until they fit. What explains the relation
    of inputs and labels must differ, since the second net knows none; a function of x alone gives 1, and fails.
    """
    return within([_explained(explain, net, x) for net in (fitted, memorised)])


def within(explanations: Sequence[Tensor]) -> Agreement:
    """The mean agreement over all pairs of explanations (N, …) of the same examples; ValueError for fewer than two.

    >>> maps = [torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[3.0, 2.0, 1.0]])]
    >>> [round(value, 3) for value in within(maps)]
    [-0.333, -0.333]
    """
    if len(explanations) < 2:
        raise ValueError(f"{len(explanations)} explanation: agreement needs at least 2")
    pairs = [agreement(a, b) for i, a in enumerate(explanations) for b in explanations[:i]]
    return Agreement(*(sum(values) / len(pairs) for values in zip(*pairs, strict=True)))


def _explained(explain: Explain, model: nn.Module, x: Tensor) -> Tensor:
    found = explain(model, x)
    if found.shape != x.shape:
        raise ValueError(f"explain gave the shape {tuple(found.shape)}: it must be x's, {tuple(x.shape)}")
    return found.detach()
