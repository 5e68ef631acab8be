"""Attributions beside what they explain: heat maps for images, bars for tables."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.style import BLUE, GREY, VERMILLION, new_figure, style
from atml_exp.pictures.recorded import last, number, option
from atml_exp.runs import Run
from atml_exp.typeset import cite, typeset

__all__ = ["METHODS", "UNSIGNED", "caption", "draw", "heat_map", "image_panel", "recorded_methods"]

METHODS = {
    "saliency": "saliency",
    "smoothgrad": "SmoothGrad",
    "grad_cam": "Grad-CAM",
    "gradient_input": "gradient\n× input",
    "integrated_gradients": "integrated\ngradients",
    "occlusion": "occlusion",
    "lime": "LIME",
    "kernel_shap": "kernel\nSHAP",
    "exact_shap": "exact\nSHAP",
}
"""In the order in which they are shown: what is never negative first."""

UNSIGNED = ("saliency", "smoothgrad", "grad_cam")
"""Never negative, as the probe records them."""

MOST_ROWS, MOST_FEATURES = 6, 8


@style()
def draw(run: Run, name: str) -> Figure:
    """A row for each of up to 6 images, or of 2 rows of a table; a column for each method."""
    found = recorded_methods(run, name)
    inputs, targets = (run.array(f"{name}/{key}")[1][-1] for key in ("input", "target"))
    if not found:
        raise ValueError(f"the run has no attribution by any of {', '.join(METHODS)}")
    if inputs.ndim == 4:
        return _maps(inputs[:MOST_ROWS], targets, found)
    return _bars(inputs.reshape(len(inputs), -1)[:2], targets, found)


def recorded_methods(run: Run, name: str) -> dict[str, np.ndarray]:
    """What each method said last, (K, *shape), in the order of METHODS."""
    methods = {}
    for method in METHODS:
        try:
            methods[method] = run.array(f"{name}/{method}")[1][-1]
        except KeyError:
            continue
    return methods


def _maps(inputs: np.ndarray, targets: np.ndarray, found: dict[str, np.ndarray]) -> Figure:
    columns = 1 + len(found)
    figure = new_figure(1.3 * columns + 0.5, 1.28 * len(inputs) + 0.5)
    panels = figure.subplots(len(inputs), columns, squeeze=False)
    for k, row in enumerate(panels):
        image_panel(row[0], inputs[k])
        row[0].set_ylabel(f"class {int(targets[k])}", fontsize=12)
        for axes, (method, values) in zip(row[1:], found.items(), strict=True):
            heat_map(axes, values[k], unsigned=method in UNSIGNED)
            if k == 0:
                axes.set_title(METHODS[method], fontsize=12, loc="center")
    panels[0, 0].set_title("input", fontsize=12, loc="center")
    return figure


def image_panel(axes: Axes, image: np.ndarray) -> None:
    """In grey for one channel, in colour for three, stretched to its own range."""
    low, high = image.min(), image.max()
    shown = (image - low) / (high - low or 1)
    axes.imshow(
        shown.transpose(1, 2, 0) if len(image) == 3 else shown.mean(0), cmap="gray", interpolation="nearest"
    )
    _bare(axes)


def heat_map(axes: Axes, values: np.ndarray, *, unsigned: bool = False) -> None:
    """An attribution (C, H, W), summed over channels: red for, blue against; grey where it has no sign.

    Each map goes up to its own largest absolute value.
    """
    image = values.sum(0)
    most = np.abs(image).max() or 1.0
    look, least = ("Greys", 0.0) if unsigned else ("RdBu_r", -most)
    axes.imshow(image, cmap=look, vmin=least, vmax=most, interpolation="nearest")
    _bare(axes)


def _bare(axes: Axes) -> None:
    axes.grid(False)
    axes.set_xticks([])
    axes.set_yticks([])


def _bars(inputs: np.ndarray, targets: np.ndarray, found: dict[str, np.ndarray]) -> Figure:
    """Of the features with the largest share on average over methods, each to its method's largest."""
    figure = new_figure(1.25 * len(found) + 1.6, 2.6 * len(inputs) + 0.7)
    panels = figure.subplots(len(inputs), len(found), squeeze=False)
    for k, row in enumerate(panels):
        shares = {m: values[k].ravel() / (np.abs(values[k]).max() or 1.0) for m, values in found.items()}
        top = np.argsort(-np.mean([np.abs(share) for share in shares.values()], 0), kind="stable")[:MOST_FEATURES]
        for axes, (method, share) in zip(row, shares.items(), strict=True):
            values = share[top]
            signs = [GREY if method in UNSIGNED else VERMILLION if v > 0 else BLUE for v in values]
            axes.barh(np.arange(len(top)), values, color=signs)
            axes.axvline(0, color="#444444", linewidth=1)
            axes.set_xlim(-1.1, 1.1)
            axes.set_yticks(np.arange(len(top)), [""] * len(top))
            axes.set_xticks([-1, 0, 1], ["−1", "0", "1"])
            axes.invert_yaxis()
            if k == 0:
                axes.set_title(METHODS[method], fontsize=12, loc="center")
        row[0].set_yticks(np.arange(len(top)), [f"$x_{{{i}}}$ = {inputs[k, i]:.1f}".replace("-", "−") for i in top])
        row[0].set_ylabel(f"example {k + 1}, output {int(targets[k])}")
    figure.supxlabel("attribution, to the method's largest", fontsize=13)
    return figure


def caption(run: Run, name: str) -> str:
    """What the picture shows, as HTML."""
    split = {"train": "training", "test": "test"}[str(option(run, name, "split", "test"))]
    baseline = {"zero": "an input of zeros", "mean": "the mean input", "minimum": "the least value of each entry"}
    text = (
        f"What made the net say what it says of inputs of the {split} set. The output that is explained is that of "
        f"the {option(run, name, 'target', 'predicted')} class, before the softmax. Red speaks for it, blue "
        "against it; saliency, SmoothGrad and Grad-CAM have no sign (grey). Each panel is scaled to its own "
        "largest value. The "
        f"baseline is {baseline[str(option(run, name, 'baseline', 'zero'))]}. "
    )
    for method in ("integrated_gradients", "gradient_input"):
        gap = last(run, f"{name}/completeness_error/{method}")
        if gap is not None:
            text += f"Entries of {METHODS[method]} sum to $F(x) − F(x′)$ up to {number(100 * gap)} %. ".replace(
                "\n", " "
            )
    if (agreement := last(run, f"{name}/agreement")) is not None:
        text += f"Spearman's correlation between methods, of absolute values, is {number(agreement)} on average. "
    if (spread := last(run, f"{name}/lime_spread")) is not None:
        text += f"LIME's answer varies by {number(100 * spread)} % of its size when it draws anew. "
    papers = [
        cite("Sundararajan, Taly & Yan, 2017", "10.48550/arXiv.1703.01365"),
        cite("Lundberg & Lee, 2017", "10.48550/arXiv.1705.07874"),
    ]
    return f"<p>{typeset(text)}</p><p>{'; '.join(papers)}</p>"
