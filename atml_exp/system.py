"""The elements of an ML system, in words: domain, hypothesis class, loss, algorithm, sample."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # reports are written without torch
    from torch import nn

    from atml_exp.data import Dataset
    from atml_exp.job import Job

__all__ = ["TITLES", "describe", "in_lines"]

TITLES = {
    "domain": "Domain X × Y",
    "sample": "Sample S",
    "hypothesis_class": "Hypothesis class H",
    "loss": "Loss ℓ",
    "algorithm": "Algorithm A",
}
"""The elements in the order in which they are read, with their symbols."""


def describe(job: "Job") -> dict[str, str]:
    """A sentence for each element (Shalev-Shwartz & Ben-David, 2014, chapter 2)."""
    config = job.resolved
    return {
        "domain": _domain(job.data),
        "hypothesis_class": f"{_named(config['model'])}: {_num_trained(job.model):,} trainable parameters",
        "loss": f"{_name_of(job.loss_fn)}: {_first_line(job.loss_fn)}",
        "algorithm": f"{_options(job.optimiser)}; {_schedules(config)}{_batches(config['recipe'])}",
        "sample": _sample(job.data, config),
    }


def _num_trained(model: "nn.Module") -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def in_lines(system: Mapping[str, str]) -> str:
    """A description as text for a terminal, an element in a line."""
    width = max(map(len, TITLES.values()))
    return "\n".join(f"{title:<{width}}  {system[key]}" for key, title in TITLES.items() if key in system)


def _domain(data: "Dataset") -> str:
    shape = "×".join(map(str, data.input_shape))
    classes = "{0, 1}" if data.num_classes == 2 else f"{{0, …, {(data.num_classes or 1) - 1}}}"
    targets = classes if data.num_classes else f"ℝ^{data.num_targets}"
    return f"X × Y = ℝ^({shape}) × {targets}"


def _sample(data: "Dataset", config: Mapping[str, Any]) -> str:
    wrappers = (config["dataset"].get("wrapper") or {}).items()
    changed = "; ".join(f"{name}({_arguments(node)})" for name, node in wrappers)
    return f"{data.name}: {len(data.train):,} training and {len(data.test):,} test examples" + (
        f"; {changed}" if changed else ""
    )


def _named(node: Mapping[str, Any]) -> str:
    return f"{node['_target_'].rpartition('.')[2]}({_arguments(node)})"


def _arguments(node: Mapping[str, Any]) -> str:
    return ", ".join(f"{k}={v}" for k, v in node.items() if not k.startswith("_"))


def _name_of(fn: Any) -> str:
    return str(getattr(fn.func if isinstance(fn, partial) else fn, "__name__", type(fn).__name__)).replace("_", " ")


def _first_line(fn: Any) -> str:
    text = (inspect.getdoc(fn.func if isinstance(fn, partial) else fn) or "").partition("\n")[0]
    return text.replace("*", "").removesuffix(".")


def _options(optimiser: Any) -> str:
    values = ", ".join(f"{f.name}={getattr(optimiser, f.name)}" for f in fields(optimiser))
    return f"{type(optimiser).__name__}({values}): {_first_line(type(optimiser))}"


def _schedules(config: Mapping[str, Any]) -> str:
    schedules: Sequence[str] = list(config["optimiser"].get("schedule") or {})
    return f"learning rate by {' × '.join(schedules)}; " if schedules else ""


def _batches(recipe: Mapping[str, Any]) -> str:
    if "steps" not in recipe:
        return "the whole training set at once, in closed form"
    size = recipe.get("batch_size")
    drawn = f"mini-batches of {size}" if size else "the whole training set"
    drawn += " drawn with replacement" if recipe.get("replacement") else ""
    drawn += f", label noise {noise} at each step" if (noise := recipe.get("label_noise")) else ""
    first = (
        f", the first {_length(random)} with labels in a random order" if (random := recipe.get("pretrain")) else ""
    )
    return f"{_length(recipe.get('steps'))} on {drawn}{first}"


def _length(steps: Any) -> str:
    """A duration in words.

    >>> _length("60ep"), _length("4000it"), _length(7)
    ('60 epochs', '4,000 steps', '7 steps')
    """
    text = str(steps)
    if text.endswith("ep"):
        return f"{text[:-2]} epochs"
    return f"{int(text.removesuffix('it')):,} steps"
