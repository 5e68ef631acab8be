"""A laboratory for the question: why do neural networks work?

`runs, frame = atml_exp.run(["model=mlp", "seed=range(8)"])` trains; `atml_exp.load("outputs")` gives all runs as a
table, and `atml_exp.runs_table("outputs")` a row for each; `atml_exp.figure("edge_of_stability")` makes a lecture
figure; `model, data = atml_exp.restore(runs[0])` has a trained model back, for the probes: plain functions in
`atml_exp.probes`.
"""

from typing import Any

__all__ = ["Results", "Run", "figure", "load", "restore", "run", "runs_table"]


def __getattr__(name: str) -> Any:
    """Public names are looked up when used, so that importing the package costs nothing."""
    if name in __all__:
        from atml_exp import api, runs

        return getattr(runs if name in ("Run", "load", "runs_table") else api, name)
    raise AttributeError(f"module 'atml_exp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
