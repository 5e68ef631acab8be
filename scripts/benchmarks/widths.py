"""MLPs of eleven widths in one population, against a population for each width."""

import tempfile
from collections.abc import Callable, Sequence

from measuring import Options, Row, interleaved, speed, wall
from omegaconf import DictConfig

from atml_exp.compose import compose
from atml_exp.runner import run

__all__ = ["measure"]

WIDTHS = (2, 3, 4, 6, 8, 10, 16, 32, 64, 128, 256)
STEPS, BATCH = 1_000, 50


def measure(options: Options) -> list[Row]:
    """One hidden layer, on digits; with one seed and with three."""
    rows = []
    for seeds in (1, 3):
        times = interleaved(
            {
                "together": lambda n=seeds: _timed(lambda configs: run(configs, reports=False), n),
                "apart": lambda n=seeds: _timed(lambda configs: _by_width(configs, n), n),
            },
            options.repeats,
        )
        what = f"widths: {len(WIDTHS)} from 2 to 256, {seeds} seed{'s' * (seeds > 1)}, {STEPS} steps"
        rows.append(speed(what, times["together"], "a population for each width", times["apart"], 1.0))
    return rows


def _by_width(configs: Sequence[DictConfig], seeds: int) -> None:
    for first in range(0, len(configs), seeds):
        run(configs[first : first + seeds], reports=False)


def _timed(action: Callable[[list[DictConfig]], object], seeds: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        configs = [_config(folder, width, seed) for width in WIDTHS for seed in range(seeds)]
        return wall(lambda: action(configs))


def _config(folder: str, width: int, seed: int) -> DictConfig:
    trained = [f"recipe.steps={STEPS}it", f"recipe.batch_size={BATCH}", "recipe.evaluate_every=end"]
    quiet = ["probe=[]", "progress=false", "device=cpu", f"output_dir={folder}"]
    return compose(["model.depth=1", f"model.width={width}", f"seed={seed}", *trained, *quiet])
