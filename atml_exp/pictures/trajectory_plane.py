"""The path of training in the plane that holds most of it, over the loss."""

import numpy as np
from matplotlib.figure import Figure

from atml_exp.figures.contours import draw_path, loss_contours
from atml_exp.figures.style import new_figure, style
from atml_exp.pictures.recorded import last, number, percent
from atml_exp.runs import Run
from atml_exp.typeset import cite, typeset

__all__ = ["caption", "draw"]


@style()
def draw(run: Run, name: str) -> Figure:
    """Contours of the loss, the recorded weights as dots, the last as a star."""
    axes_of, losses, path, shares = (
        np.asarray(run.array(f"{name}/{key}")[1][-1]) for key in ("axes", "loss", "path", "variance")
    )
    if not np.isfinite(losses).any():
        raise ValueError("no loss on the plane is finite")
    figure = new_figure(6.4, 4.8)
    axes = figure.subplots()
    loss_contours(axes, axes_of[0], axes_of[1], losses)
    draw_path(axes, path)
    axes.set_xlabel(f"1st principal component ({100 * shares[0]:.0f} % of the variance)")
    axes.set_ylabel(f"2nd ({100 * shares[1]:.0f} %)")
    return figure


def caption(run: Run, name: str) -> str:
    """What the picture shows, as HTML."""
    explained, walk = last(run, f"{name}/explained"), last(run, f"{name}/walk")
    text = (
        "The recorded weights, projected onto the plane of their first two principal components through the last "
        f"of them (star), and the loss on that plane. The two components hold {percent(explained)} of the variance "
        f"of the path; of a random walk of as many points in many dimensions they would hold {percent(walk)}. "
        f"The farthest point of the path is {number(last(run, f'{name}/distance'))} away from the plane, so "
        "the loss drawn under a point need not be its own. "
    )
    papers = [
        cite("Li, Xu, Taylor, Studer & Goldstein, 2018", "10.48550/arXiv.1712.09913"),
        cite("Antognini & Sohl-Dickstein, 2018", "10.48550/arXiv.1806.08805"),
    ]
    return f"<p>{typeset(text)}</p><p>{'; '.join(papers)}</p>"
