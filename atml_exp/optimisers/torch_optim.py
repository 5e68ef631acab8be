"""Any class of torch.optim behind the interface of our optimisers, for one replica at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor

from atml_exp.errors import ConfigError
from atml_exp.fields import Name, Positive
from atml_exp.optimisers.optimiser import Gradient, State

__all__ = ["TorchOptim"]


@dataclass(frozen=True)
class TorchOptim:
    """`torch.optim.<name>(parameters, lr=learning_rate, **options)`, made anew from its state at each step.

    Single runs only: torch's classes don't broadcast hyperparameters over replicas. Ours are faster.
    Raises ConfigError for a name that torch.optim lacks, and for options that the class doesn't take.
    """

    stackable = False

    name: Name = "RMSprop"
    learning_rate: Positive = 1e-3
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._make([torch.zeros(1, 1, requires_grad=True)], self.learning_rate)

    def init(self, w: Tensor) -> State:
        return {}

    def update(
        self, w: Tensor, state: State, gradient: Gradient, *, step: int, learning_rate: Any
    ) -> tuple[Tensor, State]:
        layout = gradient.layout
        parameters = [p.clone().requires_grad_() for p in layout.pieces(w)]
        optimiser = self._make(parameters, learning_rate)
        _restore(optimiser, parameters, state)

        def closure() -> Tensor:
            g = gradient(layout.flatten([p.detach() for p in parameters]))
            for p, piece in zip(parameters, layout.pieces(g), strict=True):
                p.grad = piece
            return gradient.loss

        optimiser.step(closure)  # type: ignore[arg-type]  # LBFGS reads the loss as a tensor too
        new_w = layout.flatten([p.detach() for p in parameters])
        return new_w, dict(_entries(optimiser, parameters))

    def _make(self, parameters: list[Tensor], learning_rate: float) -> torch.optim.Optimizer:
        try:
            return self._class()(parameters, lr=float(learning_rate), **self.options)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"optimiser.options = {dict(self.options)}: torch.optim.{self.name}: {error}"
            ) from error

    def _class(self) -> Any:
        found = getattr(torch.optim, self.name, None)
        if isinstance(found, type) and issubclass(found, torch.optim.Optimizer):
            return found
        names = [
            n for n, c in vars(torch.optim).items() if isinstance(c, type) and issubclass(c, torch.optim.Optimizer)
        ]
        near = get_close_matches(self.name, names, 1, 0.5)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ConfigError(
            f"optimiser.name = {self.name}: not a class of torch.optim, which has {', '.join(sorted(names))}.{hint}"
        )


def _entries(optimiser: torch.optim.Optimizer, parameters: list[Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The state as named tensors: `0/exp_avg`; a number as `0/n_iter#`, a list as `0/old_dirs/length` and items."""
    for i, p in enumerate(parameters):
        for key, value in optimiser.state.get(p, {}).items():
            if isinstance(value, Tensor):
                yield f"{i}/{key}", value.detach()
            elif isinstance(value, bool | int | float):
                yield f"{i}/{key}#", torch.tensor(value, dtype=torch.float64)
            elif isinstance(value, list) and all(isinstance(v, Tensor) for v in value):
                yield f"{i}/{key}/length", torch.tensor(len(value))
                for k, item in enumerate(value):
                    yield f"{i}/{key}/{k}", item.detach()


def _restore(optimiser: torch.optim.Optimizer, parameters: list[Tensor], state: State) -> None:
    for name, value in sorted(state.items(), key=lambda entry: not entry[0].endswith("/length")):
        i, key, *item = name.split("/")
        entry = optimiser.state[parameters[int(i)]]
        if item == ["length"]:
            entry[key] = [torch.empty(0)] * int(value)
        elif item:
            entry[key][int(item[0])] = value.clone()
        elif key.endswith("#"):
            number = float(value)
            entry[key[:-1]] = int(number) if number.is_integer() and abs(number) < 2**53 else number
        else:
            entry[key] = value.clone()
