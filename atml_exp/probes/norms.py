"""Norms of the weights: how large a net is, layer by layer, along its paths, and seen from where it started."""

import copy

import torch
from torch import Tensor, nn

from atml_exp.data import Split
from atml_exp.layout import Layout
from atml_exp.linalg import as_float64
from atml_exp.probe import Value, of_model_and_points

__all__ = ["distance", "layer_matrices", "norms", "path_norm", "spectral_norms"]


@of_model_and_points
def norms(model: nn.Module, data: Split, points: Tensor | None = None) -> dict[str, Value]:
    """Norms of a net's weights, in float64; of `data` the shape of the inputs is used only.

    With W_l the matrices of `layer_matrices`, biases left out:
    `frobenius` √Σ‖W_l‖²_F; `frobenius_product` Π‖W_l‖_F; `spectral_sum` Σ‖W_l‖²₂; `spectral_product` Π‖W_l‖₂;
    `spectral` (L,), ‖W_l‖₂ of each layer; `path`, see `path_norm`; and over all trainable parameters, biases as
    well, `weights` ‖w‖₂ and `distance` ‖w − w₀‖₂, w₀ the first of the recorded points (T, P), the initial weights;
    without points it is left out.

    Larger norms allow for more functions; whether they go with a larger generalisation gap is measured by
    `atml_exp.ranking` (Jiang et al. 2020, Fantastic generalization measures and where to find them, appendix C).
    Raises ValueError as `layer_matrices`, `path_norm` and `distance` do.
    """
    matrices = layer_matrices(model)
    frobenius = torch.stack([m.norm() for m in matrices.values()])
    spectral = spectral_norms(matrices)
    w = as_float64(Layout.of(model).vector(dict(model.named_parameters())))
    values: dict[str, Value] = {
        "frobenius": frobenius.norm().item(),
        "frobenius_product": frobenius.prod().item(),
        "spectral_sum": spectral.square().sum().item(),
        "spectral_product": spectral.prod().item(),
        "spectral": spectral,
        "path": path_norm(model, tuple(data.x.shape[1:])),
        "weights": w.norm().item(),
    }
    return values if points is None else values | {"distance": distance(model, points)}


def layer_matrices(model: nn.Module) -> dict[str, Tensor]:
    """The linear map of each layer by the module's name, float64: {name: (outputs, inputs)}.

    A linear layer's weight; a convolution's kernel as a matrix (channels out, channels in × places), whose spectral
    norm is within a factor √places of the convolution's own (Yoshida & Miyato 2017); of a batch norm in eval mode
    the diagonal matrix γ/√(variance + ε), so that the product of spectral norms bounds the slope of a chain of
    linear layers and ReLUs with batch norms in it as well.
    Raises ValueError for a model without such a layer, and for any other module with parameters.
    """
    found = {name: _matrix(module) for name, module in _layers(model)}
    if not found:
        raise ValueError(f"{type(model).__name__} holds no linear layer or convolution: it has no such norm")
    return found


def spectral_norms(matrices: dict[str, Tensor]) -> Tensor:
    """The largest singular value of each matrix, (L,).

    >>> spectral_norms({"a": torch.diag(torch.tensor([3.0, -4.0])), "b": torch.ones(1, 9)}).round(decimals=5)
    tensor([4., 3.])
    """
    return torch.stack([torch.linalg.matrix_norm(matrix, 2) for matrix in matrices.values()])


def distance(model: nn.Module, points: Tensor) -> float:
    """‖w − w₀‖₂ over the trainable parameters, w₀ the first of the points (T, P), in float64.

    ValueError where the points aren't weights of this model.
    """
    w = as_float64(Layout.of(model).vector(dict(model.named_parameters())))
    if points.dim() != 2 or points.shape[1] != len(w) or not len(points):
        raise ValueError(
            f"points have the shape {tuple(points.shape)}: they must be (T, {len(w)}), recorded weights"
        )
    return (w - as_float64(points[0]).to(w.device)).norm().item()


def path_norm(model: nn.Module, input_shape: tuple[int, ...]) -> float:
    """√ Σ over paths from an input, or a bias, to an output of the product of the squared weights along it.

    One forward pass of ones through the net with squared parameters (Neyshabur, Tomioka & Srebro 2015, Norm-based
    capacity control in neural networks). Activation functions are passed by, as ReLU passes what isn't negative;
    batch norm, in eval mode, is the affine map that it is; skips count as paths of weight 1, averages as they are,
    and of a maximum over places the largest. Unchanged when a ReLU unit's incoming weights and bias are multiplied
    and its outgoing ones divided by a number. Float64.

    Raises ValueError for modules as `layer_matrices` does, and for a net that isn't linear along its paths though
    its activations are passed by (an activation that is called as a function, layer norm).

    >>> net = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    >>> _ = net[0].weight.data.copy_(torch.tensor([[1.0], [2.0]])), net[2].weight.data.fill_(3.0)
    >>> round(path_norm(net, (1,)) ** 2, 9)  # 1²·3² + 2²·3²
    45.0
    """
    squared = _passed_by(copy.deepcopy(model).to("cpu").double().eval())
    ones = torch.ones(1, *input_shape, dtype=torch.float64)
    with torch.no_grad():
        for _, module in _layers(squared):
            _square(module)
        total = squared(ones).sum()
        _check_linear(squared, ones)
    return total.sqrt().item()


def _layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Names and modules that have parameters of their own, or the statistics of a batch norm."""
    found: list[tuple[str, nn.Module]] = []
    for name, module in model.named_modules():
        batch_norm = isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_var is not None
        if batch_norm or isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            found.append((name, module))
        elif any(True for _ in module.parameters(recurse=False)) or _is_norm(module):
            raise ValueError(
                f"{name or 'the model'} is a {type(module).__name__}: such norms are known of linear layers, "
                "convolutions and batch norm with running statistics"
            )
    return found


def _is_norm(module: nn.Module) -> bool:
    """Whether it normalises by each input's own statistics, even without parameters."""
    return isinstance(module, nn.LayerNorm | nn.GroupNorm | nn.modules.batchnorm._NormBase)


def _matrix(module: nn.Module) -> Tensor:
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return torch.diag(_scale(module))
    return as_float64(module.weight).flatten(1)  # type: ignore[arg-type]


def _scale(norm: nn.modules.batchnorm._BatchNorm) -> Tensor:
    assert norm.running_var is not None
    scale = as_float64(norm.running_var + norm.eps).rsqrt()
    return scale if norm.weight is None else scale * as_float64(norm.weight)


def _square(module: nn.Module) -> None:
    """Squares a layer's parameters in place; a batch norm becomes the affine map with squared coefficients."""
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        assert module.running_mean is not None
        assert module.running_var is not None
        scale = _scale(module)
        shift = -scale * module.running_mean + (0 if module.bias is None else module.bias)
        module.weight, module.bias = nn.Parameter(scale.square()), nn.Parameter(shift.square())
        module.running_mean.zero_()
        module.running_var.fill_(1 - module.eps)
    else:
        for parameter in module.parameters(recurse=False):
            parameter.square_()


def _passed_by(model: nn.Module) -> nn.Module:
    """The model with its elementwise activation modules replaced by the identity, in place."""
    if _is_activation(model):
        return nn.Identity()
    for module in list(model.modules()):
        for name, child in module.named_children():
            if _is_activation(child):
                setattr(module, name, nn.Identity())
    return model


def _is_activation(module: nn.Module) -> bool:
    over_several = (
        nn.Softmax | nn.Softmax2d | nn.LogSoftmax | nn.Softmin | nn.GLU | nn.MultiheadAttention | nn.PReLU
    )
    return type(module).__module__ == "torch.nn.modules.activation" and not isinstance(module, over_several)


def _check_linear(squared: nn.Module, ones: Tensor) -> None:
    """Without biases twice the input must give twice the output. Clears the biases."""
    for _, module in _layers(squared):
        if isinstance(module.bias, Tensor):
            module.bias.zero_()
    once, twice = squared(ones), squared(2 * ones)
    if not torch.allclose(twice, 2 * once, rtol=1e-9, atol=0):
        raise ValueError(
            f"{type(squared).__name__} isn't linear along its paths: its activations must be modules of torch.nn "
            "for its path norm"
        )
