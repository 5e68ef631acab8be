"""`atml-exp`: finds the configs, composes, validates, hands over to Hydra and the runner."""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from atml_exp.commands.arguments import options_first
from atml_exp.commands.entry import enter
from atml_exp.commands.subcommands import run_subcommand
from atml_exp.errors import SAID, ConfigError
from atml_exp.launchers.plugins import check_installed, register_plugins
from atml_exp.launchers.watch import refuse, watched
from atml_exp.search_path import add_working_directory, configs_directory, register_search_path

if TYPE_CHECKING:
    from atml_exp.runner import RunResult

__all__ = ["main", "task"]

_COMPLETION = ("install=", "uninstall=", "query=")
"""What `--shell-completion` is asked for."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit code.

    0: all is there. 1: something failed that a config can't be blamed for: a disk that is full, for instance. 2: a
    config that can't run, said in one message, nothing written. 130: stopped by Ctrl-C, 143: by SIGTERM, 129: with
    its terminal; to be gone on with. HYDRA_FULL_ERROR=1 shows tracebacks.
    """
    if argv is not None:
        sys.argv = [sys.argv[0], *argv]
    return enter("atml-exp", _main)


def _main() -> int:
    code = run_subcommand(sys.argv[1:])
    if code is not None:
        return code
    add_working_directory()
    arguments = _parser().parse_intermixed_args()
    try:
        sys.argv[1:] = _hydras(arguments)
        check_installed(arguments.overrides)
        register_plugins()
        if arguments.describe:
            return _describe(_compose(arguments))
        if not _only_shows(arguments):
            _preflight(_compose(arguments), arguments.multirun and not _is_fused(arguments))
            _make_folder(arguments)
        elif arguments.cfg or ((arguments.help or arguments.info) and arguments.overrides):
            _compose(arguments)
        return _hand_over()
    except SAID as error:
        return refuse(error)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)


def _parser() -> ArgumentParser:
    """Hydra's, and what is ours."""
    parser: ArgumentParser = get_args_parser()
    parser.add_argument("--describe", action="store_true", help="Print each run's learning system, train nothing")
    return parser


def _hydras(arguments: Any) -> list[str]:
    """The words that Hydra is to read, in the order that it can. ConfigError for options that exclude one another,
    of which it would make a traceback, and for the one with which it would read a pickle.
    """
    options = {key: value for key, value in vars(arguments).items() if key not in ("overrides", "describe")}
    exclusive = ("run", "multirun", "cfg", "info", "shell_completion")
    given = [f"--{name.replace('_', '-')}" for name in exclusive if options[name]]
    if len(given) > 1:
        raise ConfigError(f"{' '.join(given)}: exclude one another; allowed: one of them")
    if options["resolve"] and not (options["cfg"] or options["help"]):
        raise ConfigError("--resolve: says how --cfg and --help show a config; allowed: beside one of them")
    if empty := [f"--{name.replace('_', '-')}" for name, value in options.items() if value == ""]:
        raise ConfigError(f"{empty[0]}: is empty; allowed: a name")
    if options["shell_completion"] and not any(o.startswith(_COMPLETION) for o in arguments.overrides):
        raise ConfigError(f"--shell-completion: what of it? allowed: {', '.join(f'{o}bash' for o in _COMPLETION)}")
    if options["experimental_rerun"] is not None:
        raise ConfigError(
            "--experimental-rerun: reads a pickle, which can run any code; allowed: the same overrides"
        )
    return options_first(options, [] if options["hydra_help"] else arguments.overrides)


def _describe(configs: Sequence[DictConfig]) -> int:
    """Prints the learning system of each job: it is built and validated, and neither trained nor written."""
    from atml_exp.job import build_job
    from atml_exp.system import describe, in_lines
    from atml_exp.validate import validate

    built: dict[str, Any] = {}
    for config in configs:
        validate(config)
        print(f"{in_lines(describe(build_job(config, built)))}\n")
    return 0


def _only_shows(arguments: Any) -> bool:
    """Whether nothing is to be run: help, a config to print, completion."""
    shows = ("help", "hydra_help", "version", "cfg", "info", "shell_completion", "package")
    return any(getattr(arguments, name, None) for name in shows)


def _is_fused(arguments: Any) -> bool:
    """Whether the launcher itself builds all jobs before it trains any."""
    return any(o.startswith("hydra/launcher=fused") for o in arguments.overrides)


def _compose(arguments: Any) -> list[DictConfig]:
    """The config of every job. Raises ConfigError."""
    from atml_exp.compose import compose_each, swept

    overrides = list(arguments.overrides)
    if not arguments.multirun and (several := swept(overrides)):
        raise ConfigError(
            f"{several[0]}: names several values; allowed: one, or --multirun to train each, or [a,b] for a list"
        )
    jobs = _sweep_jobs(overrides) if arguments.multirun else [overrides]
    if _is_fused(arguments) and "hydra/sweeper=optuna" not in overrides:
        jobs = jobs[:1]  # that launcher composes and validates all of them itself
    folder = Path(__file__).parent / arguments.config_path if arguments.config_path else None  # as Hydra takes it
    extra = [arguments.config_dir] if arguments.config_dir else []
    return compose_each(jobs, folder, arguments.config_name or "config", extra)


def _sweep_jobs(overrides: list[str]) -> list[list[str]]:
    """The jobs of a sweep, or those that stand for all that a search may come to."""
    from atml_exp.compose import sweep_jobs
    from atml_exp.sweepers.corners import corner_jobs, refuse_intervals

    if "hydra/sweeper=optuna" in overrides:
        return corner_jobs(overrides)
    refuse_intervals(overrides)
    return sweep_jobs(overrides)


def _preflight(configs: Sequence[DictConfig], sweep: bool) -> None:
    """Validates every job before the first trains. A sweep's are also built, on the CPU, and let go of again;
    its damaged runs are moved to quarantine all at once, before each worker would find its own.
    """
    from atml_exp.launchers.objective import check_objective
    from atml_exp.validate import validate

    for config in configs:
        validate(config)
        check_objective(config)
    if sweep:
        from atml_exp.job import build_job
        from atml_exp.store.ledger import later_attempts, look_up
        from atml_exp.store.quarantine import quarantine_damaged

        datasets: dict[str, Any] = {}
        for config in configs:
            config.device = "cpu"
        ids = [build_job(config, datasets).id for config in configs]
        listed = cache(later_attempts)
        quarantine_damaged(
            look_up(c.output_dir, i, force=c.force, later=listed(c.output_dir))
            for c, i in zip(configs, ids, strict=True)
        )


def _make_folder(arguments: Any) -> None:
    """Makes the folder that an override names for what Hydra writes, which would make a traceback of one that can't
    be. ConfigError.
    """
    from atml_exp.overrides import parse

    for text, override in parse(arguments.overrides):
        name = override.value() if override.key_or_group == _folder_key(arguments) else None
        if isinstance(name, str) and "${" not in name:
            try:
                Path(name).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigError(f"{text}: {error.strerror}; allowed: a folder that can be written") from error


def _folder_key(arguments: Any) -> str:
    return "hydra.sweep.dir" if arguments.multirun else "hydra.run.dir"


def _hand_over() -> int:
    register_search_path()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else hydra/launcher=ray sends them to Ray's makers
    decorate = hydra.main(version_base="1.3", config_path=str(configs_directory()), config_name="config")
    with watched() as sweep:
        try:
            decorate(task)()
        finally:
            sweep.print()
    return int(sweep.failed)


def task(config: DictConfig) -> "RunResult | None":
    """What Hydra runs for each job, in whatever process: at the top of a module, so that it can be sent there."""
    if HydraConfig.get().mode is hydra.types.RunMode.MULTIRUN:
        from atml_exp.launchers.worker import run_in_sweep

        return run_in_sweep(config)
    _run(config)
    return None


def _run(config: DictConfig) -> None:
    from atml_exp.runner import run
    from atml_exp.summary import print_summary

    try:
        print_summary(run([config]))
    except SAID as error:
        sys.exit(refuse(error))


if __name__ == "__main__":
    sys.exit(main())
