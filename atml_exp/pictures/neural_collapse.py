"""The four measures of neural collapse over training, the terminal phase shaded."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILLION,
    finite,
    log_if_wide,
    new_figure,
    style,
)
from atml_exp.pictures.recorded import epochs_axis, first_zero_error, last, marker, number, option, percent, series
from atml_exp.runs import Run
from atml_exp.typeset import cite, typeset

__all__ = ["caption", "draw"]

_PANELS: Mapping[str, Mapping[str, tuple[str, str, str]]] = {
    "NC1  classes shrink": {"nc1": ("", BLUE, "-")},
    "NC2  a simplex forms": {
        "nc2_equinorm_means": ("norms: means", VERMILLION, "-"),
        "nc2_equinorm_weights": ("weights", VERMILLION, "--"),
        "nc2_equiangle_means": ("angles: means", PURPLE, "-"),
        "nc2_equiangle_weights": ("weights", PURPLE, "--"),
    },
    "NC3  weights align": {"nc3": ("", GREEN, "-")},
    "NC4  nearest mean": {"nc4": ("", ORANGE, "-")},
}

_UNITS = (
    r"$\mathrm{tr}(\Sigma_W \Sigma_B^{\dagger})/C$",
    "deviation",
    r"$\Vert \hat{W} - \hat{M}^{\!\top} \Vert_F$",
    "disagreement (%)",
)


@style()
def draw(run: Run, name: str) -> Figure:
    """NC1 to NC4 over epochs, one panel each; all are 0 at perfect collapse."""
    figure = new_figure(8.2, 6.8)
    panels = figure.subplots(2, 2, sharex=True, gridspec_kw={"wspace": 0.08, "hspace": 0.06}).ravel()
    if not any(len(series(run, f"{name}/{key}")[0]) for lines in _PANELS.values() for key in lines):
        raise ValueError(f"the run has recorded none of the measures of {name}")
    for axes, (title, lines), unit in zip(panels, _PANELS.items(), _UNITS, strict=True):
        axes.set_title(title, fontsize=14, fontweight="bold")
        axes.set_ylabel(unit)
        _panel(run, name, axes, lines)
    for axes in panels:
        _shade_terminal_phase(run, axes, says=axes is panels[0])
        epochs_axis(run, axes, steps=False)
    for axes in panels[:2]:
        axes.set_xlabel("")
    return figure


def caption(run: Run, name: str) -> str:
    """What the panels show, as HTML."""
    start = first_zero_error(run)
    values = [
        (label, last(run, f"{name}/{key}")) for label, key in (("NC1", "nc1"), ("NC3", "nc3"), ("NC4", "nc4"))
    ]
    written = {"NC1": number, "NC3": number, "NC4": percent}
    final = ", ".join(f"{label} = {written[label](value)}" for label, value in values if value is not None)
    data = {"train": "training", "test": "test"}[option(run, name, "split", "train")]
    text = (
        f"Features: the last layer's inputs on the {data} set, eval mode. NC1: $tr(Σ_W Σ_B^†)/C$, scatter within "
        "classes relative to that between. NC2: std/mean of the norms of the centred class means (and of the last "
        "layer's rows), and mean of $|cos + 1/(C − 1)|$ over pairs. NC3: "
        r"$‖\hat{W} − \hat{M}^⊤‖_F$, both scaled to norm 1. NC4: how often the network and the nearest class mean "
        f"disagree. All are 0 at perfect collapse. At the end {final}. "
    )
    phase = (
        f"Shaded is the terminal phase, from epoch {number(start)}, where the training error first reads 0: there "
        f"the measures keep falling where collapse goes on. {_since(run, name, start)}"
        if start is not None
        else "The training error has not reached 0: the terminal phase, where collapse is expected, has not begun."
    )
    paper = cite("Papyan, Han & Donoho, 2020", "10.1073/pnas.2015509117")
    return f"<p>{typeset(text + phase)}</p><p>{paper}</p>"


def _since(run: Run, name: str, start: float) -> str:
    """What became of NC1 and NC3 in the terminal phase."""
    changes = []
    for label, key in (("NC1", "nc1"), ("NC3", "nc3")):
        epochs, values = series(run, f"{name}/{key}")
        if len(within := values[epochs >= start]) > 1:
            changes.append(f"{label} went from {number(within[0])} to {number(within[-1])}")
    return f"In it {' and '.join(changes)}." if changes else ""


def _panel(run: Run, name: str, axes: Axes, lines: Mapping[str, tuple[str, str, str]]) -> None:
    everything: list[float] = []
    for key, (label, colour, dash) in lines.items():
        epochs, values = series(run, f"{name}/{key}")
        values = (100 if key == "nc4" else 1) * np.where(np.isfinite(values), values, np.nan)
        axes.plot(
            epochs, values, dash, color=colour, label=label, linewidth=2.2, clip_on=False, marker=marker(values)
        )
        everything.extend(finite(values))
    log_if_wide(axes, everything)
    if len(lines) > 1:
        low, high = axes.get_ylim()  # room for the legend above the curves
        axes.set_ylim(low, 1.3 * high if axes.get_yscale() == "linear" else high * (high / low) ** 0.3)
        axes.legend(fontsize=10, ncols=2, handlelength=1.3, columnspacing=0.7, loc="upper right", borderpad=0)


def _shade_terminal_phase(run: Run, axes: Axes, *, says: bool) -> None:
    start, end = first_zero_error(run), axes.get_xlim()[1]
    if start is None or start >= end:
        return
    axes.axvspan(start, end, color=GREY, alpha=0.1, lw=0)
    axes.axvline(start, color=GREY, linewidth=1.2, linestyle=":")
    axes.set_xlim(right=end)
    if says:
        axes.annotate(
            "training\nerror 0", (start, 0.97), (6, 0), xycoords=axes.get_xaxis_transform(), va="top",
            textcoords="offset points", color=GREY, size=12,
        )  # fmt: skip
