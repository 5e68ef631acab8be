"""Images stored channels last make stacked convolutional nets faster, and change their numbers by rounding only."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap
from torch.fx import Interpreter
from torch.utils import _pytree as pytree

from atml_exp import channels_last as module
from atml_exp import tracing
from atml_exp.batches import Batch
from atml_exp.channels_last import prefers_channels_last, store_channels_last, stored
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.models.cnn import cnn
from atml_exp.models.mlp import mlp
from atml_exp.optimisers.momentum import Momentum
from atml_exp.population import assemble, update
from atml_exp.tracing import traced

R, N = 3, 4


def stacked(module, shape, dtype=torch.float64, shared=False):
    """Output, gradients and buffers of R modules as one function, and arguments for it."""
    generator = torch.Generator().manual_seed(0)

    def draw(size):
        return torch.randn(size, generator=generator, dtype=torch.float64).to(dtype)

    weights = {n: draw((R, *p.shape)) for n, p in module.named_parameters()}
    buffers = {n: b.to(dtype if b.is_floating_point() else b.dtype).repeat(R, *[1] * b.dim())
               for n, b in module.named_buffers()}  # fmt: skip
    x = draw((N, *shape) if shared else (R, N, *shape))

    def fn(weights, buffers, x):
        weights, x = [{n: w.detach().requires_grad_() for n, w in weights.items()}, x.detach().requires_grad_()]
        with torch.enable_grad():
            one = vmap(lambda w, b, x: functional_call(module, (w, b), (x,)), in_dims=(0, 0, None if shared else 0))
            y = one(weights, buffers, x)
            places = torch.arange(y.numel(), dtype=y.dtype).reshape(y.shape)
            gradients = torch.autograd.grad((y * (0.1 * places).sin()).sum(), [*weights.values(), x])
        return y.detach(), gradients, buffers

    return fn, (weights, buffers, x)


def rewritten(fn, arguments):
    recording = tracing._recorded(fn, arguments)
    store_channels_last(recording)
    recording.graph.lint()
    return recording


def assert_same(fn, arguments, tolerance=1e-11):
    recording = rewritten(fn, arguments)
    ours, theirs = tracing._result(recording, arguments), tracing._result(fn, arguments)
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
    return recording


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("channels", [(1, 4), (3, 5)])
@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 1},
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": 3, "padding": 1, "bias": False},
        {"kernel_size": 3, "stride": 2},
        {"kernel_size": (2, 3), "stride": (1, 2), "padding": (0, 1)},
        {"kernel_size": 3, "padding": 2, "dilation": 2},
        {"kernel_size": 5, "padding": 2, "stride": 3},
    ],
    ids=str,
)
def test_convolutions_of_stacked_models(options, channels, shared):
    assert_same(*stacked(nn.Conv2d(*channels, **options), (channels[0], 7, 6), shared=shared))


LAYERS = {
    "mean pooling": nn.AvgPool2d(2),
    "mean pooling with a margin": nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True, count_include_pad=False),
    "maximum": nn.MaxPool2d(2),
    "overlapping maximum": nn.MaxPool2d(3, stride=2, padding=1),
    "adaptive": nn.AdaptiveAvgPool2d(2),
    "batch norm": nn.BatchNorm2d(6),
    "group norm": nn.GroupNorm(2, 6),
    "layer norm": nn.GroupNorm(1, 6),
    "group norm without weights": nn.GroupNorm(3, 6, affine=False),
    "instance norm": nn.InstanceNorm2d(6),
    "grouped convolution": nn.Conv2d(6, 4, 3, groups=2),
    "transposed convolution": nn.ConvTranspose2d(6, 4, 3, stride=2),
    "enlargement": nn.Upsample(scale_factor=2),
    "flat": nn.Flatten(2),
}


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_what_stands_between_convolutions(layer):
    assert_same(*stacked(nn.Sequential(nn.Conv2d(2, 6, 3, padding=1), nn.Tanh(), layer), (2, 6, 6)))


def test_images_of_one_axis_are_left_as_they_are():
    recording = assert_same(
        *stacked(nn.Sequential(nn.Conv1d(2, 6, 3), nn.AvgPool1d(2), nn.Conv1d(6, 2, 1)), (2, 9))
    )
    assert all(node.target is not stored for node in recording.graph.nodes)


@pytest.mark.parametrize("normalisation", ["none", "batch", "layer"])
def test_only_what_comes_in_is_transposed(normalisation):
    fn, arguments = stacked(cnn((3, 8, 8), 10, width=4, normalisation=normalisation), (3, 8, 8))
    recording = assert_same(fn, arguments, 1e-9)
    copies = []

    class Watch(Interpreter):
        def call_function(self, target, args, kwargs):
            if target is stored and not args[0].is_contiguous(memory_format=torch.channels_last):
                copies.append(args[0].shape)
            return super().call_function(target, args, kwargs)

    Watch(recording).run(*pytree.tree_leaves(arguments))
    assert set(copies) == {(N, 3 * R, 8, 8)}
    assert all(n.target is not torch.ops.aten.avg_pool2d.default for n in recording.graph.nodes)


def test_biases_are_added_by_the_convolution_where_nothing_else_sees_it_without():
    class Both(nn.Conv2d):
        def forward(self, x):
            y = nn.functional.conv2d(x, self.weight)
            return (y + self.bias[:, None, None]) * y

    def biases(layer):
        convolutions = assert_same(*stacked(layer, (1, 5, 5))).graph.nodes
        return [n.args[2] is not None for n in convolutions if n.target is torch.ops.aten.convolution.default]

    assert biases(Both(1, 2, 3)) == [False]
    assert biases(nn.Conv2d(1, 2, 3)) == [True]


def trained(make, seeds, *, dtype=torch.float32, examples=N, shared=False, steps=1):
    """A population after some steps on mini-batches drawn by each model's seed."""
    models = []
    for seed in seeds:
        torch.manual_seed(seed)
        models.append(make().to(dtype))
    population = assemble(models, seeds)
    population = replace(population, state=Momentum(0.1, 0.9).init(population.w))
    for step in range(steps):
        batch = mini_batch([0] if shared else seeds, step, examples, dtype)
        population = update(population, Momentum(0.1, 0.9), cross_entropy, batch, 0.1)
    return population


def mini_batch(seeds, step, examples, dtype):
    generators = [torch.Generator().manual_seed(1000 * seed + step) for seed in seeds]
    x = torch.stack([torch.randn(examples, 1, 8, 8, generator=g, dtype=torch.float64) for g in generators]).to(
        dtype
    )
    y = torch.stack([torch.randint(0, 10, (examples,), generator=g) for g in generators])
    return Batch(x[0], y[0]) if len(seeds) == 1 else Batch(x, y, x_stacked=True, y_stacked=True)


def is_channels_last(population):
    (step,) = population.recorded.values()
    return any(node.target is stored for node in step.graph.nodes)


def small_cnn(normalisation="none"):
    return cnn((1, 8, 8), 10, width=4, normalisation=normalisation)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("normalisation", ["none", "batch", "layer"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_each_of_a_population_has_the_numbers_that_it_has_alone(
    monkeypatch, dtype, tolerance, normalisation, shared
):
    monkeypatch.setattr(tracing, "prefers_channels_last", lambda recording: True)
    options = {"dtype": dtype, "steps": 5, "examples": 8}
    together = trained(lambda: small_cnn(normalisation), [0, 1, 2], shared=shared, **options)
    assert is_channels_last(together)
    for r in range(3):
        alone = trained(lambda: small_cnn(normalisation), [r], shared=shared, **options)
        torch.testing.assert_close(together.w[r], alone.w, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(together.loss[r], alone.loss, rtol=tolerance, atol=tolerance)


def test_populations_of_convolutional_nets_in_float32_are_stored_channels_last():
    assert is_channels_last(trained(small_cnn, [0, 1], examples=8))


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (small_cnn, {"dtype": torch.float64}),
        (small_cnn, {"seeds": [0]}),
        (lambda: nn.Sequential(nn.Flatten(), mlp((64,), 10)), {}),
        (lambda: cnn((1, 8, 8), 10, width=48), {"examples": 2}),
        (lambda: nn.Sequential(nn.Flatten(2), nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(124, 10)), {}),
    ],
    ids=["float64", "alone", "without convolutions", "kernels larger than images", "one axis"],
)
def test_what_would_not_be_faster_stays_as_it_is(make, options):
    assert not is_channels_last(trained(make, **{"seeds": [0, 1], "examples": 8, **options}))


def test_what_would_differ_by_more_than_rounding_stays_as_it_is(monkeypatch):
    fn, arguments = stacked(nn.Sequential(nn.Conv2d(2, 6, 3), nn.AvgPool2d(2)), (2, 9, 9), torch.float32)
    assert prefers_channels_last(tracing._recorded(fn, arguments))
    apart = module._apart
    monkeypatch.setattr(module, "_apart", lambda x, models: 1.001 * apart(x, models))
    fallen_back = traced(fn, *arguments, exact=False)
    torch.testing.assert_close(fallen_back(*arguments), fn(*arguments), rtol=0, atol=0)
