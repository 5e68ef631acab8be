"""Configs from elsewhere run no code that the user hasn't named: neither as targets nor through Hydra."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atml_exp.build import check_object, instantiate, targets
from atml_exp.compose import compose
from atml_exp.errors import ConfigError
from atml_exp.torchvision_operators import import_torchvision

LEADING_OUT = (
    *(
        "torch.nn.modules.module.functools.partial",
        "torch.nn.functional.importlib.import_module",
        "torch.nn.init.math.exp",
    ),
    *(
        "torch.nn.functional.torch.load",
        "torch.nn.functional.torch.hub.load",
        "torch.nn.functional.torch.from_file",
    ),
    *("torch.optim.optimizer.torch.load", "torchvision.models.resnet.torch.load", "torchvision.models.os.system"),
    *("torchvision.transforms.functional.sys.exit", "torchvision.transforms.transforms.warnings.warn"),
    *(
        "atml_exp.build.hydra.utils.call",
        "atml_exp.build.instantiate",
        "atml_exp.schema.locate",
        "atml_exp.cli.main",
    ),
    *(
        "atml_exp.store.environment._git",
        "atml_exp.datasets.image_files.shutil.rmtree",
        "atml_exp.models.mlp.nn.functional.torch.load",
    ),
    *(
        "atml_exp.datasets.image_files.os.remove",
        "atml_exp.loggers.wandb.os.system",
        "atml_exp.loggers.wandb._mode",
    ),
    *("torch.nn.Linear.__class__", "torch.nn.Linear.__subclasses__", "torch.nn.Module.__init__.__globals__"),
    *(
        "os.system",
        "builtins.eval",
        "builtins.exec",
        "subprocess.run",
        "hydra.utils.call",
        "torch.load",
        "torch.hub.load",
    ),
    *(
        "",
        ".",
        "..",
        "torch.nn.",
        ".torch.nn.Linear",
        "torch.nn..Linear",
        "torch",
        "torch.nn;os.system",
        "torch.nn Linear",
    ),
)


@pytest.mark.parametrize("path", LEADING_OUT)
def test_a_path_that_leads_out_of_a_trusted_package_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="_target_ = "):
        check_object(path)


@pytest.mark.parametrize(
    "path",
    [
        *(
            "torch.nn.Linear",
            "torch.nn.functional.relu",
            "torch.nn.functional.conv2d",
            "torch.nn.functional.softplus",
        ),
        *(
            "torch.nn.init.trunc_normal_",
            "torch.optim.SGD",
            "torch.optim.lr_scheduler.LambdaLR",
            "atml_exp.probe.Probe",
        ),
        *(
            "torchvision.models.resnet18",
            "torchvision.transforms.Normalize",
            "torchvision.transforms.functional.rotate",
        ),
    ],
)
def test_building_blocks_are_found(path: str) -> None:
    import_torchvision()
    check_object(path)


def test_what_a_trusted_package_imports_is_not_trusted_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs_foreign.py").write_text("import os\nfrom torch import load\ndef net():\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    check_object("theirs_foreign.net", ["theirs_foreign"])
    for path in ("theirs_foreign.os.system", "theirs_foreign.load"):
        with pytest.raises(ConfigError, match="leads out of the trusted packages, to "):
            check_object(path, ["theirs_foreign"])


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that leaves a mark when it is imported, and one when it is called."""
    mark = tmp_path / "mark"
    (tmp_path / "evil_foreign").mkdir()
    touch = f"Path({str(mark)!r}).touch()\n"
    code = f"from pathlib import Path\n{touch}def fn(*a, **k):\n    {touch}"
    (tmp_path / "evil_foreign" / "__init__.py").write_text(code)
    (tmp_path / "evil_foreign" / "configs.yaml").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "evil_foreign", raising=False)
    return mark


NODE = "{_target_:evil_foreign.fn}"
ATTACKS = (
    *(f"{group}._target_=evil_foreign.fn" for group in ("dataset", "model", "loss", "optimiser", "recipe")),
    *("probe.sharpness._target_=evil_foreign.fn", "probe.sharpness.fn._target_=evil_foreign.fn"),
    *(
        "+probe.sharpness.picture=evil_foreign.fn",
        f"+dataset.wrapper.mine={NODE}",
        f"+optimiser.schedule.mine={NODE}",
    ),
    *(f"+logger.mine={NODE}", f"+probe.mine={NODE}", f"+probe.sharpness.fn.mine={NODE}", f"+model.mine=[{NODE}]"),
    *(f"model.activation={NODE}", f"model.width=[{NODE}]", f"+model.mine={{a:[{{b:{NODE}}}]}}", f"seed={NODE}"),
    *(
        f"+hydra.callbacks.mine={NODE}",
        "hydra.launcher._target_=evil_foreign.fn",
        "hydra.sweeper._target_=evil_foreign.fn",
    ),
    *("hydra.searchpath=[pkg://evil_foreign]", "hydra.searchpath=[pkg://evil_foreign/configs]"),
    *(
        '+hydra.job_logging.handlers.mine={"()":evil_foreign.fn}',
        "+hydra.job_logging.handlers.mine.class=evil_foreign.fn",
    ),
    *(
        "++hydra.job_logging.formatters.simple.class=evil_foreign.fn",
        '+hydra.hydra_logging.filters.x={"()":evil_foreign.fn}',
    ),
)


@pytest.mark.parametrize("multirun", [(), ("--multirun",)], ids=["run", "sweep"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_untrusted_code_is_neither_imported_nor_called(
    command: Callable[..., Any], evil: Path, tmp_path: Path, attack: str, multirun: tuple[str, ...]
) -> None:
    assert command(*multirun, attack).message
    assert not evil.exists()
    assert "evil_foreign" not in sys.modules
    assert not (tmp_path / "outputs").exists()


PRESETS = {
    "vouches for itself": "trusted_packages: [evil_foreign]\nmodel:\n  _target_: evil_foreign.fn\n",
    "a callback": "hydra:\n  callbacks:\n    mine:\n      _target_: evil_foreign.fn\n",
    "a handler": "hydra:\n  job_logging:\n    handlers:\n      mine:\n        (): evil_foreign.fn\n",
    "commands for a cluster": "hydra:\n  launcher:\n    setup: [touch mark]\n",
}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_from_elsewhere_runs_nothing(
    command: Callable[..., Any], evil: Path, tmp_path: Path, preset: str
) -> None:
    (tmp_path / "theirs" / "experiment").mkdir(parents=True)
    text = f"# @package _global_\n{PRESETS[preset]}"
    (tmp_path / "theirs" / "experiment" / "bad.yaml").write_text(text)
    extra = ("hydra/launcher=submitit_slurm", "--multirun") if "cluster" in preset else ()
    if extra:
        pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    assert command("--config-dir=theirs", "experiment=bad", *extra).message
    assert not evil.exists()
    assert not (tmp_path / "outputs").exists()


NODES = st.recursive(
    st.one_of(st.integers(), st.text(max_size=5), st.just({"_target_": "evil_foreign.fn"})),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["a", "b", "_partial_", "fn"]), inner, max_size=3),
        st.builds(lambda node: {"_target_": "atml_exp.models.mlp.mlp", "x": node}, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=100, derandomize=True, database=None, deadline=None)
@given(NODES)
def test_no_node_however_nested_gets_an_untrusted_target_imported(node: Any) -> None:
    from omegaconf import OmegaConf

    outer = OmegaConf.create({"_target_": "torch.nn.Identity", "node": node})
    if "evil_foreign.fn" not in targets(OmegaConf.to_container(outer)):
        return
    with pytest.raises(ConfigError, match=r"evil_foreign\.fn: not in a trusted package"):
        instantiate(outer)
    assert "evil_foreign" not in sys.modules


def test_a_figure_from_elsewhere_draws_with_no_untrusted_module(evil: Path, tmp_path: Path) -> None:
    from atml_exp.figure_spec import figure_spec

    (tmp_path / "theirs" / "figure").mkdir(parents=True)
    (tmp_path / "theirs" / "figure" / "bad.yaml").write_text(
        "title: t\ntopic: t\ntext: t\npapers: []\nmodule: evil_foreign\nsweeps: {}\nscales: {}\n"
    )
    with pytest.raises(ConfigError, match="evil_foreign: not in a trusted package"):
        figure_spec("bad", [str(tmp_path / "theirs")])
    assert not evil.exists()


def test_a_package_trusted_on_the_command_line_is_trusted() -> None:
    assert compose(["trusted_packages=[theirs]", "hydra.searchpath=[pkg://hydra.conf]"]).trusted_packages == [
        "theirs"
    ]
