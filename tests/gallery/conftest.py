import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from atml_exp.figures.style import new_figure, pdf, png, svg

CLAIM: dict[str, Any] = {
    "paper": "Cohen et al. 2021",
    "statement": "$λ_{max}$ settles at $2/η$",
    "measured": 1.8034,
    "spread": 1.02,
    "threshold": 5.0,
    "relation": "<=",
    "unit": "%",
    "values": [0.5, 1.1, 1.9, 2.4, 7.5],
    "holds": True,
}

ABOUT: dict[str, Any] = {
    "title": "The edge of stability",
    "topic": "Why SGD works",
    "text": "The sharpness rises to $\\frac{2}{η}$. There it stays. The loss goes on falling.",
    "papers": [{"citation": "Cohen et al. (2021), Gradient descent", "doi": "10.48550/arXiv.2103.00065"}],
    "command": "atml-figures make edge_of_stability scale=laptop",
    "scale": "laptop",
    "created": "2026-10-30T14:05:12+00:00",
    "num_runs": 13,
    "seeds": [0, 1, 2, 3, 4],
    "versions": {"python": "3.11.13", "torch": "2.9.0", "torchvision": None},
    "seconds": 93.1,
}


@cache
def pictures() -> dict[str, bytes]:
    figure = new_figure(4, 3)
    figure.subplots().plot([0, 1], [1, 0])
    return {"png": png(figure), "svg": svg(figure).encode(), "pdf": pdf(figure), "csv": b"step,value\n0,1\n1,0\n"}


@pytest.fixture
def figures(tmp_path: Path) -> Path:
    return tmp_path / "figures"


@pytest.fixture
def claim() -> Callable[..., dict[str, Any]]:
    return lambda **changes: CLAIM | changes


@pytest.fixture
def make_figure(figures: Path) -> Callable[..., Path]:
    """A figure's folder as `atml-figures make` leaves it; keywords change what figure.json says."""

    def make(name: str = "edge_of_stability", claims: Any = (CLAIM,), **about: Any) -> Path:
        folder = figures / name
        folder.mkdir(parents=True, exist_ok=True)
        for kind, data in pictures().items():
            (folder / f"{name}.{kind}").write_bytes(data)
        (folder / "claims.json").write_text(json.dumps(list(claims)), encoding="utf-8")
        (folder / "figure.json").write_text(json.dumps({"name": name} | ABOUT | about), encoding="utf-8")
        return folder

    return make
