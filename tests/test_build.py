"""Only what is trusted is instantiated, and its own message comes through."""

import pytest
from omegaconf import OmegaConf

from atml_exp.build import check_target, instantiate, targets
from atml_exp.compose import compose
from atml_exp.errors import ConfigError
from atml_exp.probe import Probe


@pytest.mark.parametrize(
    "path",
    [
        "atml_exp.models.mlp.mlp",
        "torch.nn.Linear",
        "torch.optim.SGD",
        "torchvision.models.resnet18",
    ],
)
def test_ours_and_the_building_blocks_of_torch_are_trusted(path):
    check_target(path)


@pytest.mark.parametrize(
    "path",
    [
        "os.system",
        "builtins.eval",
        "torch.load",
        "torch.hub.load",
        "torch.nnx.f",
        "atml_exp_evil.f",
        "hydra.utils.get_method",
        "",
    ],
)
def test_anything_else_is_refused_with_the_way_to_trust_it(path):
    with pytest.raises(
        ConfigError, match=f"_target_ = {path}: not in a trusted package; allowed: atml_exp, "
    ) as error:
        check_target(path)
    assert str(error.value).endswith(f"trusted_packages=[{path.split('.')[0]}]")


@pytest.mark.parametrize("trusted", [["mine"], ["other", "mine.code"]])
def test_what_the_user_trusts_is_trusted(trusted):
    check_target("mine.code.net", trusted)
    with pytest.raises(ConfigError):
        check_target("mine2.code.net", trusted)


@pytest.mark.parametrize(
    "node",
    [
        {"_target_": "os.getcwd"},
        {"_target_": "atml_exp.probe.Probe", "fn": {"_target_": "os.getcwd"}},
        {"a": [{"b": {"_target_": "os.getcwd"}}]},
    ],
)
def test_an_untrusted_target_is_found_at_any_depth(node):
    assert "os.getcwd" in list(targets(node))
    with pytest.raises(ConfigError, match=r"os\.getcwd: not in a trusted package"):
        instantiate(OmegaConf.create(node))


def test_an_interpolated_target_is_checked_too():
    config = OmegaConf.create({"evil": "os.getcwd", "node": {"_target_": "${evil}"}})
    with pytest.raises(ConfigError, match=r"os\.getcwd"):
        instantiate(config.node)


def test_a_node_becomes_its_object_with_plain_containers_inside():
    probe = instantiate(compose(["probe=[pruning]"]).probe.pruning)
    assert isinstance(probe, Probe)
    assert type(probe.fn.keywords["densities"]) is list


def test_a_config_error_of_the_target_is_passed_on_and_others_say_where_they_come_from(tmp_path):
    node = {"_target_": "atml_exp.datasets.mnist.mnist", "root": str(tmp_path)}
    with pytest.raises(ConfigError, match="of the 4 files of MNIST are missing"):
        instantiate(OmegaConf.create(node))
    said = r"torch\.nn\.Linear: can't be made of these values: TypeError: "
    with pytest.raises(ConfigError, match=said) as error:
        instantiate(OmegaConf.create({"_target_": "torch.nn.Linear", "in_features": "two", "out_features": 1}))
    assert isinstance(error.value.__cause__, TypeError)
