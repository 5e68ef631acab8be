"""The commands of the page 'Run it on a cluster', which the tests of launchers and searches run with small jobs."""

import re
import shlex
from pathlib import Path

__all__ = ["NOT_RUN", "PAGE", "commands", "of_page", "search"]

PAGE = Path(__file__).parents[2] / "scripts" / "documentation" / "cluster.md"
LAUNCHING = re.compile(r"\+?hydra[/.]")
NOT_RUN = {
    "hydra.launcher.gpus_per_node=1": "the cluster that scripts/slurm makes has no GPU",
    "+hydra.launcher.ray.init.address=auto": "joins a cluster that somebody else has started",
}
"""What the page names beside its commands and no test runs, and why."""


def commands() -> list[tuple[str, ...]]:
    """The arguments of each `atml-exp --multirun` in the page's bash blocks, in its order."""
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    lines = [shlex.split(line) for block in blocks for line in block.replace("\\\n", "").splitlines()]
    return [tuple(line[2:]) for line in lines if line[:2] == ["atml-exp", "--multirun"]]


def of_page(launcher: str, over: str | None = None) -> list[tuple[str, ...]]:
    """What the commands with this launcher, and over that one, say of them. AssertionError where there is none."""
    wanted = {f"hydra/launcher={launcher}"} | ({f"hydra.launcher.over={over}"} if over else set())
    all_of_them = [tuple(filter(LAUNCHING.match, command)) for command in commands()]
    found = [c for c in all_of_them if wanted <= {*c} and (over or "hydra.launcher.over=" not in "".join(c))]
    assert found, f"{PAGE.name} has no command with {sorted(wanted)}"
    return found


def search() -> tuple[str, ...]:
    """The page's search: the sweeper, what is minimised, and last what is varied."""
    (found,) = (command for command in commands() if "hydra/sweeper=optuna" in command)
    return found
