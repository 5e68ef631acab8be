"""From a config to the objects of a run: the same path for training and for probing what was trained."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import FunctionType
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.nn.parameter import is_lazy

from atml_exp.build import building, instantiate
from atml_exp.data import Dataset, Split
from atml_exp.device import choose_device
from atml_exp.errors import ConfigError
from atml_exp.layout import Layout
from atml_exp.model_outputs import check_loss_value, check_outputs
from atml_exp.nonparametric import is_of_training_set
from atml_exp.optimiser_updates import check_updates
from atml_exp.population import Loss
from atml_exp.probe import Probe, Value
from atml_exp.probes.performance import performance
from atml_exp.schedule import num_steps
from atml_exp.seeds import derive, seeded_globally
from atml_exp.soundness import check_kind, check_sound, doubts
from atml_exp.store.identity import run_id
from atml_exp.targets import carried
from atml_exp.train import Schedules
from atml_exp.validate import check_fit

__all__ = ["Job", "build_dataset", "build_job", "build_model"]


@dataclass(frozen=True)
class Job:
    """One run, built but not started. warnings: what to know of its data before its numbers are believed."""

    id: str
    config: DictConfig
    resolved: Mapping[str, Any]
    device: torch.device
    dtype: torch.dtype
    data: Dataset
    model: nn.Module
    loss_fn: Loss
    optimiser: Any
    schedules: Schedules
    probes: Mapping[str, Probe]
    loggers: Sequence[Any]
    warnings: Sequence[str] = ()

    @property
    def seed(self) -> int:
        return int(self.resolved["seed"])

    def redrawn(self, draw: int) -> nn.Module:
        """The model with other initial weights, of the same seed."""
        return build_model(self.config, self.data, self.loss_fn, draw=draw).to(self.device, self.dtype)

    @property
    def evaluate(self) -> Callable[[nn.Module, Split], Mapping[str, Value]]:
        """Loss and error of a model on a split."""
        return partial(performance, loss=self.loss_fn)


def build_job(config: DictConfig, built: dict[str, Any] | None = None) -> Job:
    """Builds everything that a config names. ConfigError where something doesn't fit, before any training.

    built: what earlier jobs of the same call built, by config; replicas then share the memory of their data, and
    a job of a sweep costs a third of the first.
    """
    built = {} if built is None else built
    resolved: Mapping[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    dtype = getattr(torch, resolved["dtype"])
    device = choose_device(resolved["device"], dtype)
    make = partial(_made, trusted=tuple(config.trusted_packages), built=built)
    loss_fn = make(config.loss)
    data = build_dataset(config, device, dtype, built)
    optimiser = make(_without(config.optimiser, "schedule"))
    probes = _readers_last({name: make(node) for name, node in config.probe.items()})
    check_fit(data, loss_fn, probes, _batch_size(resolved, optimiser), resolved["recipe"])
    with building("loss"):
        carried([data.train], [loss_fn])  # refuses what the labels can't carry
    model = build_model(config, data, loss_fn, built).to(device, dtype)
    _try_out(model, loss_fn, data, resolved, built)
    _try_updates(optimiser, model, device, resolved, built)
    return Job(
        id=run_id(config),
        config=config,
        resolved=resolved,
        device=device,
        dtype=dtype,
        data=data,
        model=model,
        loss_fn=loss_fn,
        optimiser=optimiser,
        schedules=[make(node) for node in (config.optimiser.get("schedule") or {}).values()],
        probes=probes,
        loggers=[instantiate(node, tuple(config.trusted_packages)) for node in config.logger.values()],
        warnings=_as_made(config, device, dtype, built)[1],
    )


def _try_out(
    model: nn.Module, loss_fn: Loss, data: Dataset, resolved: Mapping[str, Any], built: dict[str, Any]
) -> None:
    """Model and loss on two examples, once for all jobs whose model, loss and data say the same."""
    said = {key: resolved[key] for key in ("model", "loss", "dataset", "recipe", "dtype", "device")}
    key = f"tried out {json.dumps(said, default=str)}"
    if key in built:
        return
    _check_trainable(model, resolved["recipe"])
    name, of_loss = (str(resolved[key]["_target_"]) for key in ("model", "loss"))
    outputs = check_outputs(model, data.train, _num_outputs(data, loss_fn), name)
    check_loss_value(loss_fn, outputs, data.train.y[: len(outputs)], of_loss)
    built[key] = True


def _try_updates(
    optimiser: Any, model: nn.Module, device: torch.device, resolved: Mapping[str, Any], built: dict[str, Any]
) -> None:
    """The optimiser on a few weights, once for all jobs that have the same one on parameters of the same shapes."""
    layout, dtype = Layout.of(model), getattr(torch, resolved["dtype"])
    rule = {key: value for key, value in resolved["optimiser"].items() if key != "schedule"}
    key = f"updated {json.dumps(rule, default=str)} {layout} {dtype} {device}"
    if key not in built:
        check_updates(optimiser, layout, torch.empty(0, dtype=dtype, device=device), str(rule["_target_"]))
        built[key] = True


def _check_trainable(model: nn.Module, recipe: Mapping[str, Any]) -> None:
    if any(p.requires_grad for p in model.parameters()):
        return
    steps = recipe.get("steps", 0)
    if num_steps(steps, 1):
        raise ConfigError(f"recipe.steps = {steps}: the model has nothing to train; allowed: 0, or recipe=memorise")
    if not getattr(model, "nonparametric", False):
        raise ConfigError(
            "model: has nothing to train; allowed: parameters with requires_grad, or nonparametric = True of a "
            "model that is made of its training set"
        )


def _num_outputs(data: Dataset, loss_fn: Loss) -> int:
    marked = loss_fn.func if isinstance(loss_fn, partial) else loss_fn
    return int(getattr(marked, "num_outputs", None) or data.num_targets)


def _made(node: DictConfig, trusted: tuple[str, ...], built: dict[str, Any]) -> Any:
    """The object that a node describes; one that can't change serves all jobs whose nodes say the same."""
    key = f"{json.dumps(OmegaConf.to_container(node, resolve=True), default=str)}{trusted}"
    if key in built:
        return built[key]
    made = instantiate(node, trusted)
    frozen = getattr(getattr(type(made), "__dataclass_params__", None), "frozen", False)
    if frozen or isinstance(made, partial | FunctionType):
        built[key] = made
    return made


def _readers_last(probes: Mapping[str, Probe]) -> dict[str, Probe]:
    """What is recorded at a step is there before it is read at the same step."""
    return dict(sorted(probes.items(), key=lambda item: item[1].reads is not None))


def _batch_size(resolved: Mapping[str, Any], optimiser: Any) -> int | None:
    size = resolved["recipe"].get("batch_size")
    if size is not None and getattr(optimiser, "full_batch", False):
        raise ConfigError(
            f"recipe.batch_size = {size}: {type(optimiser).__name__} takes the whole training set at each step; "
            "allowed: null (or optimiser=sgd for mini-batches)"
        )
    return size


def build_dataset(config: DictConfig, device: torch.device, dtype: torch.dtype, built: dict[str, Any]) -> Dataset:
    """The dataset on its device, corrupted in the config's order by wrappers seeded with the run's seed."""
    data, _ = _as_made(config, device, dtype, built)
    wrappers = config.dataset.get("wrapper") or {}
    for name, wrapper in wrappers.items():
        with building(f"dataset.wrapper.{name}"):
            make = _made(wrapper, tuple(config.trusted_packages), built)
            data = make(data, derive(int(config.seed), "wrapper", name))
    if wrappers:
        check_sound(data)
    return data


def _as_made(
    config: DictConfig, device: torch.device, dtype: torch.dtype, built: dict[str, Any]
) -> tuple[Dataset, list[str]]:
    """The dataset without wrappers, and what is doubtful of it: both found once for all jobs that share it."""
    node = _without(config.dataset, "wrapper")
    key = f"{json.dumps(OmegaConf.to_container(node, resolve=True), default=str)}{device}{dtype}"
    if key not in built:
        made = instantiate(node, tuple(config.trusted_packages))
        check_kind(made)
        data = made.to(device, dtype)
        check_sound(data)
        built[key] = data, doubts(data)
    found: tuple[Dataset, list[str]] = built[key]
    return found


def build_model(
    config: DictConfig, data: Dataset, loss_fn: Loss, built: dict[str, Any] | None = None, *, draw: int = 0
) -> nn.Module:
    """The model with the initial weights of the run's seed; for each other number `draw` with other ones.

    A model `of_training_set` (see `atml_exp.nonparametric`) is given that too.
    """
    make = _made(config.model, tuple(config.trusted_packages), {} if built is None else built)
    num_outputs = _num_outputs(data, loss_fn)
    given = [data.train] if is_of_training_set(make) else []
    with building("model"), seeded_globally(int(config.seed), "initialisation", *([draw] if draw else [])):
        model = make(data.input_shape, num_outputs, *given)
    name = config.model._target_
    if not isinstance(model, nn.Module):
        raise ConfigError(f"model = {name}: gave a {type(model).__name__}; allowed: a torch.nn.Module")
    if any(map(is_lazy, (*model.parameters(), *model.buffers()))):
        raise ConfigError(
            f"model = {name}: has layers whose sizes the first inputs decide; allowed: sizes from input_shape, "
            "which its function is given"
        )
    return model


def _without(node: DictConfig, key: str) -> DictConfig:
    """A copy of a node, in its place in the config, without one of its keys."""
    rest = OmegaConf.masked_copy(node, [str(k) for k in node if k != key])
    rest._set_parent(node._get_parent())
    return rest
