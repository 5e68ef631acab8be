"""The attributions that need gradients alone, with signs, and a control, under their names: what checks compare."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from atml_exp.attribution.edge_detector import edge_detector
from atml_exp.attribution.grad_cam import grad_cam
from atml_exp.attribution.gradient_input import gradient_input
from atml_exp.attribution.integrated_gradients import integrated_gradients
from atml_exp.attribution.output import Target
from atml_exp.attribution.saliency import saliency
from atml_exp.attribution.smoothgrad import smoothgrad

__all__ = ["explainers"]


def explainers(
    model: nn.Module, x: Tensor, target: Target, *, baseline: Tensor | None = None, steps: int = 20, seed: int = 0
) -> dict[str, Callable[[nn.Module, Tensor], Tensor]]:
    """{name: explain(model, x)} for models like `model` and inputs like `x`, each explaining the output `target`.

    gradient, gradient_input, smoothgrad (with `steps` samples), integrated_gradients (of `steps` midpoints), all
    signed; grad_cam where x are images and the model has a convolution, without its ReLU, so that it has signs too;
    and edges, which sees x alone: the control that every check must fail.
    """
    images = x.dim() == 4 and any(isinstance(m, nn.Conv2d) for m in model.modules())
    return {
        "gradient": partial(_of, saliency, target, signed=True),
        "smoothgrad": partial(_of, smoothgrad, target, samples=steps, seed=seed, signed=True),
        "gradient_input": partial(_of, gradient_input, target, baseline=baseline),
        "integrated_gradients": lambda model, x: integrated_gradients(model, x, baseline, target, steps),
        **({"grad_cam": partial(_of, grad_cam, target, positive=False)} if images else {}),
        "edges": lambda model, x: edge_detector(x),
    }


def _of(method: Callable[..., Tensor], target: Target, model: nn.Module, x: Tensor, **options: object) -> Tensor:
    return method(model, x, target, **options)
