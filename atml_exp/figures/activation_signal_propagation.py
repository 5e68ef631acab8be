"""Signals and gradients through deep random nets beside mean-field theory; steps to a target loss."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import each, last_values, log_axis, rows
from atml_exp.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    PURPLE,
    SKY,
    VERMILLION,
    label_lines,
    new_figure,
    slide,
)
from atml_exp.mean_field_limit import Signals, jacobian_variance, propagate
from atml_exp.runs import Run

__all__ = ["claims", "draw"]

FORWARD, BACKWARD, ISOMETRY, SPEED = "forward", "backward", "isometry", "speed"
DEPTH, WIDTH, ACTIVATION, SCHEME = "model.depth", "model.width", "model.activation", "model.initialisation"
SCALE, BIAS, RATE = "model.initial_scale", "model.initial_bias_std", "optimiser.learning_rate"
LOOKS = {
    "relu": ("ReLU", BLUE),
    "leaky_relu": ("leaky ReLU", SKY),
    "gelu": ("GELU", GREEN),
    "tanh": ("tanh", VERMILLION),
    "sigmoid": ("sigmoid", PURPLE),
    "identity": ("linear", BLACK),
}
POOLE, SCHOENHOLZ, PENNINGTON = "Poole et al. 2016", "Schoenholz et al. 2017", "Pennington et al. 2017"
LEAST = 1e-34
"""Gradients below aren't drawn."""

LAYERS = (5, 10, 20)
"""At which signals are compared with theory."""

TARGET = 0.1
"""Training loss, in nats. Chosen by us."""


class Setting(NamedTuple):
    """What a random net is drawn from, for theory."""

    activation: str
    weight_variance: float
    bias_variance: float
    depth: int


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Correlations, gradients, the Jacobian's singular values, steps to the target; black: mean-field theory."""
    figure = new_figure(13.333, 5.8)
    panels = figure.subplots(2, 2)
    for axes, panel in zip(panels.flat, (_correlations, _gradients, _isometry, _speed), strict=True):
        panel(axes, table)
    return figure


def _correlations(axes: Axes, table: pd.DataFrame) -> None:
    labels = {}
    for setting, runs in _settings(_of_width(table, max), FORWARD):
        label, colour = LOOKS[setting.activation]
        layers = np.arange(1, setting.depth + 1)
        found = _arrays(runs, "correlation")[:, : setting.depth]
        axes.fill_between(layers, found.min(0), found.max(0), color=colour, alpha=0.18, linewidth=0)
        axes.plot(layers, found.mean(0), "o", color=colour, markersize=6)
        axes.plot(layers, _theory(setting, runs).c, color=BLACK, linewidth=1.5)
        labels[label] = (float(found.mean(0)[-1]), colour)
    axes.set_xlabel("layer $l$")
    axes.set_title("mean cosine $c_l$ of two inputs", size=17)
    axes.set_ylim(0, 1.04)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    label_lines(axes, labels)


def _gradients(axes: Axes, table: pd.DataFrame) -> None:
    """Lines: of the deepest nets; points: at the first layer of nets of each depth."""
    labels = []
    axes.set_yscale("log")
    axes.set_ylim(LEAST, 1e15)
    for setting, runs in _settings(table, BACKWARD):
        colour = LOOKS[setting.activation][1]
        mean = np.exp(np.log(_relative_gradients(runs, setting)).mean(0))
        size = 9 if setting.activation == "relu" else 6  # seen where one lies on the other
        axes.plot(setting.depth - 1, mean[0], "o", color=colour, markersize=size, zorder=3)
        if setting.depth == _deepest(table):
            below, theory = np.arange(setting.depth)[::-1], _gradient_theory(setting, runs)
            axes.plot(below, mean, color=colour, linewidth=5, alpha=0.5)
            axes.plot(below, theory, color=BLACK, linewidth=1.5)
            labels.append((_label(setting), max(float(theory[0]), LEAST), colour))
    axes.set_xlabel("layers passed, from the last down")
    axes.set_title("mean gradient$^2$ by layer (last: 1)", size=17)
    axes.set_yticks([1e-30, 1e-20, 1e-10, 1, 1e10])
    label_lines(axes, labels)


def _label(setting: Setting) -> str:
    label = LOOKS[setting.activation][0]
    if setting.bias_variance > 0:
        return f"{label}, critical"
    return f"{label}, $σ_w^2 = {setting.weight_variance:.3g}$"


def _isometry(axes: Axes, table: pd.DataFrame) -> None:
    labels = []
    axes.set_yscale("log")
    for (activation, scheme), runs in _spreads(table).groupby([ACTIVATION, SCHEME]):
        if activation == "identity":
            continue
        label, colour = LOOKS[str(activation)]
        spread = runs.groupby(DEPTH)["value"]
        mean = spread.mean()
        face = "none" if scheme == "orthogonal" else colour
        axes.vlines(mean.index - 1, spread.min(), spread.max(), color=colour, alpha=0.5)
        axes.plot(mean.index - 1, mean, "o", color=colour, markerfacecolor=face, zorder=3)
        layers, theory = _spread_theory(runs[runs[DEPTH] == runs[DEPTH].max()])
        axes.plot(layers, theory, color=BLACK, linewidth=1.5)
        name = "orthogonal" if scheme == "orthogonal" else "Gaussian"
        labels.append((f"{label} {name}", float(theory[-1]), colour))
    axes.set_xlabel("layers passed")
    axes.set_title("singular values: $\\mathrm{var}(s^2)/\\mathrm{mean}(s^2)^2$", size=17)
    log_axis(axes, "x")
    log_axis(axes)
    label_lines(axes, labels)


def _speed(axes: Axes, table: pd.DataFrame) -> None:
    """Open marks at the top: the target was not reached by every seed."""
    labels = {}
    found = _steps(table)
    for activation, runs in each(found, ACTIVATION):
        label, colour = LOOKS[str(activation)]
        grouped = runs.groupby(DEPTH)
        mean, never = grouped["value"].mean(), grouped["never"].any()
        axes.plot(mean.index, mean, color=colour)
        axes.fill_between(
            mean.index, grouped["value"].min(), grouped["value"].max(), color=colour, alpha=0.22, linewidth=0
        )
        axes.plot(mean[~never].index, mean[~never], "o", color=colour)
        axes.plot(mean[never].index, mean[never], "^", color=colour, markerfacecolor="white", markersize=11)
        labels[label] = (float(mean.iloc[-1]), colour)
    axes.set_xlabel("hidden layers")
    axes.set_title(f"steps to training loss {TARGET:g} (△: not reached)", size=17)
    log_axis(axes)
    axes.set_xticks(sorted(found[DEPTH].unique()))
    label_lines(axes, labels)


def _settings(table: pd.DataFrame, sweep: str) -> Iterator[tuple[Setting, pd.DataFrame]]:
    """The rows of every setting of the sweeps whose name begins so."""
    part = table[table["sweep"].str.startswith(sweep)]
    for _, of in part.groupby([ACTIVATION, SCALE, BIAS, DEPTH], sort=True):
        first = of.iloc[0]
        yield Setting(str(first[ACTIVATION]), first[SCALE] ** 2, first[BIAS] ** 2, int(first[DEPTH])), of


def _deepest(table: pd.DataFrame) -> int:
    """Of the nets whose gradients were measured."""
    return max(setting.depth for setting, _ in _settings(table, BACKWARD))


def _of_width(table: pd.DataFrame, which: Callable[[pd.Series], Any]) -> pd.DataFrame:
    """The nets of the forward sweep that are the widest, or the narrowest."""
    part = table[table["sweep"] == FORWARD]
    return part[part[WIDTH] == which(part[WIDTH])] if len(part) else part


def _arrays(runs: pd.DataFrame, name: str) -> np.ndarray:
    """(runs, layers) of the last measurement."""
    directories = runs["directory"].drop_duplicates()
    return np.stack([Run(str(d)).array(f"signal_propagation/{name}")[1][-1] for d in directories])


def _theory(setting: Setting, runs: pd.DataFrame) -> Signals:
    """Of inputs as the runs', which are the same for all."""
    q, c = (rows(runs, f"signal_propagation/input_{of}")["value"].iloc[0] for of in ("variance", "correlation"))
    return propagate(*setting, q, c)


def _relative_gradients(runs: pd.DataFrame, setting: Setting) -> np.ndarray:
    """(runs, depth): mean squares by the preactivations of hidden layers, the last one's being 1."""
    found = _arrays(runs, "preactivation_gradient")[:, : setting.depth]
    return found / found[:, -1:]


def _gradient_theory(setting: Setting, runs: pd.DataFrame) -> np.ndarray:
    chi = _theory(setting, runs).chi[:-1]
    return np.append(np.cumprod(chi[::-1])[::-1], 1.0)


def _spreads(table: pd.DataFrame) -> pd.DataFrame:
    part = table[table["sweep"].str.startswith(ISOMETRY)]
    return last_values(rows(part, "signal_propagation/jacobian_variance"))


def _spread_theory(runs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """(layers between, spread), from the variance that the first layer has."""
    first = runs.iloc[0]
    weight, depth = float(first[SCALE]) ** 2, int(first[DEPTH])
    q = propagate(first[ACTIVATION], weight, 0.0, depth, float(_arrays(runs, "variance")[:, 0].mean()) / weight).q
    added = [jacobian_variance(first[ACTIVATION], v, orthogonal=first[SCHEME] == "orthogonal") for v in q[:-1]]
    return np.arange(1, depth), np.cumsum(added)


def _steps(table: pd.DataFrame) -> pd.DataFrame:
    """Of each activation, depth and seed `value`, the steps to the target at the best of the learning rates.

    `never`: at none of them it was reached; the value is then that of the last step.
    """
    losses = rows(table, "train/loss", sweep=SPEED)
    there = losses[losses["value"] <= TARGET].groupby([ACTIVATION, DEPTH, "seed"])["step"].min()
    every = losses.groupby([ACTIVATION, DEPTH, "seed"])["step"].max()
    found = there.reindex(every.index)
    return pd.DataFrame({"value": found.fillna(every).astype(float), "never": found.isna()}).reset_index()


def claims(table: pd.DataFrame) -> list[Claim]:
    """Theory in standard errors or per cent, alignment, vanishing, isometry, speed."""
    spreads, steps = _spreads(table), _steps(table)
    return [
        Claim(
            POOLE,
            "$q_l$, $c_l$ are mean field's: largest deviation in s.e. (each at least 0.1 %; bound ours)",
            (_largest_deviation(_of_width(table, max)),),
            "<=",
            4,
        ),
        Claim(
            POOLE,
            "wide nets are nearer to it: r.m.s. deviation of $c_l$, widest against narrowest",
            (_root_mean_square(_of_width(table, max)) / _root_mean_square(_of_width(table, min)),),
            "<=",
            1,
        ),
        Claim(
            POOLE,
            "ReLU aligns any two inputs: $c_l$ at the last layer (bound ours)",
            _last_correlations(_of_width(table, max)),
            ">=",
            0.9,
        ),
        Claim(
            SCHOENHOLZ,
            "gradients$^2$ grow by χ a layer, 1 for ReLU at $σ_w^2 = 2$: deviation (bound ours)",
            _rates(table, tuple(LOOKS), lambda rate, chi: 100 * abs(rate / chi - 1)),
            "<=",
            5,
            "%",
        ),
        Claim(
            SCHOENHOLZ,
            "sigmoid's gradient vanishes: factor a layer, in theory at most $σ_w^2/16$",
            _rates(table, ("sigmoid",), lambda rate, _: rate),
            "<=",
            0.125,
        ),
        Claim(
            PENNINGTON,
            "spread of singular values: largest deviation of means from theory (bound ours)",
            (_largest_spread_deviation(spreads),),
            "<=",
            30,
            "%",
        ),
        Claim(
            PENNINGTON,
            "orthogonal tanh, linear: near isometry (spread against Gaussian's; bound ours)",
            by_seed(
                spreads[spreads[ACTIVATION] != "relu"],
                lambda t: max(_against_gaussian(part) for _, part in each(t, ACTIVATION)),
            ),
            "<=",
            0.1,
        ),
        Claim(
            PENNINGTON,
            "orthogonal ReLU isn't: the same quotient, in theory 1/2 (bound ours)",
            by_seed(spreads[spreads[ACTIVATION] == "relu"], _against_gaussian),
            ">=",
            0.25,
        ),
        Claim(
            "Glorot & Bengio 2010",
            "sigmoid needs more steps than ReLU at every depth (smallest quotient)",
            by_seed(steps, _slower),
            ">=",
            1,
        ),
    ]


def _largest_deviation(table: pd.DataFrame) -> float:
    found = []
    for setting, runs in _settings(table, FORWARD):
        theory = _theory(setting, runs)
        at = [layer - 1 for layer in LAYERS if layer <= setting.depth]
        for name, exact in (("variance", theory.q[at]), ("correlation", theory.c[at])):
            values = _arrays(runs, name)[:, at]
            error = np.hypot(values.std(0, ddof=1) / len(values) ** 0.5, 1e-3 * exact)
            found.append(float(np.abs((values.mean(0) - exact) / error).max()))
    return max(found, default=float("nan"))


def _root_mean_square(table: pd.DataFrame) -> float:
    """Over activations and layers, of the mean correlation's distance from theory's."""
    squares = [
        (_arrays(runs, "correlation")[:, : setting.depth].mean(0) - _theory(setting, runs).c) ** 2
        for setting, runs in _settings(table, FORWARD)
    ]
    return float(np.sqrt(np.mean(squares))) if squares else float("nan")


def _last_correlations(table: pd.DataFrame) -> tuple[float, ...]:
    for setting, runs in _settings(table, FORWARD):
        if setting.activation == "relu":
            return tuple(_arrays(runs, "correlation")[:, setting.depth - 1].tolist())
    return ()


def _rates(
    table: pd.DataFrame, activations: Sequence[str], quantity: Callable[[float, float], float]
) -> tuple[float, ...]:
    """For each seed the largest over the deepest nets' settings of quantity(factor a layer, that of theory)."""
    found: dict[int, list[float]] = {}
    for setting, runs in _settings(table, BACKWARD):
        if setting.depth == _deepest(table) and setting.activation in activations:
            root = 1 / (setting.depth - 1)
            exact = float(_gradient_theory(setting, runs)[0]) ** root
            for seed, first in zip(_seeds(runs), _relative_gradients(runs, setting)[:, 0], strict=True):
                found.setdefault(int(seed), []).append(float(quantity(first**root, exact)))
    return tuple(max(values) for _, values in sorted(found.items()))


def _seeds(runs: pd.DataFrame) -> list[int]:
    """In the order of `_arrays`."""
    return [int(seed) for seed in runs.drop_duplicates("directory")["seed"]]


def _largest_spread_deviation(spreads: pd.DataFrame) -> float:
    """In per cent; linear orthogonal nets, of which theory has 0, are left out."""
    found = []
    for (activation, scheme, _), runs in spreads.groupby([ACTIVATION, SCHEME, DEPTH]):
        if (activation, scheme) != ("identity", "orthogonal"):
            found.append(100 * abs(runs["value"].mean() / _spread_theory(runs)[1][-1] - 1))
    return float(max(found, default=float("nan")))


def _against_gaussian(spreads: pd.DataFrame) -> float:
    deepest = spreads[spreads[DEPTH] == spreads[DEPTH].max()].set_index(SCHEME)["value"]
    return float(deepest["orthogonal"] / deepest["lecun"])


def _slower(steps: pd.DataFrame) -> float:
    """Where sigmoid never arrives, by the steps that it had; where ReLU doesn't, 0."""
    of = {a: part.set_index(DEPTH) for a, part in each(steps, ACTIVATION)}
    quotient = of["sigmoid"]["value"] / of["relu"]["value"]
    return float(quotient.where(~of["relu"]["never"], 0.0).min())
