"""Influence functions of a net beside retraining it without an example, where no theory says that they agree."""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.func import functional_call

from atml_exp.data import Dataset, Split
from atml_exp.fields import Duration, NonNegative, NonNegativeInt, PositiveInt
from atml_exp.linalg import LossFn
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.optimisers.gd import GD
from atml_exp.optimisers.optimiser import Optimiser
from atml_exp.probe import Value
from atml_exp.probes.influence import Curved, drawn_points, in_float64
from atml_exp.probes.influence_check import fit_of
from atml_exp.seeds import generator
from atml_exp.siblings import trained_together

__all__ = ["influence_retraining"]


def influence_retraining(
    model: nn.Module,
    data: Dataset,
    *,
    loss: LossFn = cross_entropy,
    optimiser: Optimiser | None = None,
    steps: Duration = 2000,
    l2: NonNegative = 0.0,
    damping: NonNegative = 0.0,
    examples: PositiveInt = 24,
    points: PositiveInt = 5,
    seed: NonNegativeInt = 0,
) -> dict[str, Value]:
    """Predicted and actual changes of test losses when training goes on without one of a few examples.

    From the net's weights, 1 + M copies make `steps` more steps of full-batch training: one with all examples, each
    other with one of weight 0, so that the mean is still over N. The actual change is the difference of their test
    losses from the first's. Half of the M `examples` are those of the largest predicted influence (rms over the
    points), where Koh & Liang 2017 look, the others are drawn by `seed`, as are the test points. Basu, Pope & Feizi
    (2021), Influence functions in deep learning are fragile, retrain likewise and find that depth and little weight
    decay spoil the predictions.

    l2: the optimiser's weight decay. damping: added to the Hessian, and twice the size of its smallest eigenvalue
    on top where that is negative; what was added is `added`. Scalars: `correlation`, `slope`, `error` (see `Fit`);
    `curvature`, the smallest eigenvalue before; `gradient`, ‖∇F‖ of the net to the rms of ‖∇ℓ_i‖/N, 0 at a minimum
    and above 1 where leaving an example out changes less; `drift`, the change of the control's losses to the rms
    of the actual changes. Arrays (T, M): `predicted`, `actual`; `left_out` (M,). In float64.
    """
    net = in_float64(model)
    home = next(net.parameters()).device
    train, test = (s.to(home, torch.float64) for s in (data.train, data.test))
    chosen = test[drawn_points(data.test, points, seed).to(home)]
    curved = Curved(net, loss, train, l2, damping)
    low = curved.eigenvalues()[0]
    added = damping + 2 * max(0.0, -low)
    curved.shift = l2 + added
    influences = torch.stack([curved.influence(_one(chosen, t), 1e-8, 5000) for t in range(len(chosen))])
    left_out = _examples(influences, examples, seed)
    before, after = _test_losses(net, loss, train, chosen, left_out, optimiser or GD(), steps)
    predicted, actual = influences[:, left_out], after[:, 1:] - after[:, :1]
    scale = float(actual.square().mean().sqrt().clamp(min=1e-300))
    return {
        **fit_of(predicted, actual)._asdict(),
        "curvature": low - damping,
        "added": added,
        "gradient": _relative_gradient(curved, net, l2),
        "drift": float((after[:, 0] - before).abs().mean()) / scale,
        "predicted": predicted,
        "actual": actual,
        "left_out": left_out,
    }


def _one(split: Split, i: int) -> Split:
    return split[torch.tensor([i], device=split.x.device)]


def _examples(influences: Tensor, number: int, seed: int) -> Tensor:
    """Indices, without repetition: the largest and then drawn ones."""
    n = influences.shape[1]
    largest = influences.square().mean(0).argsort(descending=True)[: number // 2].cpu()
    others = torch.randperm(n, generator=generator(seed, "influence", "examples")).tolist()
    rest = [i for i in others if i not in set(largest.tolist())][: number - len(largest)]
    return torch.cat([largest, torch.tensor(rest, dtype=torch.long)]).to(influences.device)


def _test_losses(
    net: nn.Module,
    loss: LossFn,
    train: Split,
    test: Split,
    left_out: Tensor,
    optimiser: Optimiser,
    steps: int | str,
) -> tuple[Tensor, Tensor]:
    """Of each point (T,) before, and (T, 1 + M) after, the control first."""
    ones = torch.ones(len(train), dtype=torch.float64, device=train.x.device)
    weights = [ones, *(ones.index_fill(0, i[None], 0.0) for i in left_out)]
    splits = [replace(train, weight=w) for w in weights]
    end = trained_together(
        net, splits, [0] * len(splits), loss=loss, optimiser=optimiser, steps=steps, batch_size=None
    )

    def losses(state: dict[str, Tensor]) -> Tensor:
        with torch.no_grad():
            outputs = functional_call(net, state, (test.x,))
        return torch.stack([loss(outputs[t : t + 1], test.y[t : t + 1]) for t in range(len(test))])

    start = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    return losses(start), torch.stack([losses(dict(end.replica(r))) for r in range(len(splits))], 1)


def _relative_gradient(curved: Curved, net: nn.Module, l2: float) -> float:
    """‖∇F‖ to rms ‖∇ℓ_i‖/N, by how much one example pulls: what isn't far below 1 outweighs leaving one out."""
    w = torch.cat([p.detach().flatten() for p in net.parameters() if p.requires_grad])
    whole = (curved.hessian.gradient() + l2 * w).norm()
    n = len(curved.train)
    each = [curved.gradient_of(_one(curved.train, i)).square().sum() for i in range(n)]
    return float(whole * n / torch.stack(each).mean().sqrt().clamp(min=1e-300))
