"""A laboratory for the question: why do neural networks work?

`atml_exp.load("outputs")` gives all runs as one table; the probes are plain functions in `atml_exp.probes`.
"""

from typing import Any

__all__ = ["Run", "load"]


def __getattr__(name: str) -> Any:
    """Public names are looked up when used, so that importing the package costs nothing."""
    if name in __all__:
        from atml_exp import runs

        return getattr(runs, name)
    raise AttributeError(f"module 'atml_exp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
