"""Everything that can be chosen is listed with a line on what it is, from files alone."""

import subprocess
import sys

import pytest

from atml_exp.commands.catalogue import KINDS, catalogue, kind_of
from atml_exp.compose import choices_of
from atml_exp.errors import ConfigError


@pytest.mark.parametrize("group", KINDS.values())
def test_every_choice_is_there_with_a_line(group):
    entries = catalogue(group)
    assert [entry.name for entry in entries] == choices_of(group)
    for entry in entries:
        assert len(entry.description.split()) >= 2, entry
        assert len(entry.description) < 220, entry
        assert not entry.description.startswith(("@", "paper:", "Asks the recipe")), entry


def test_no_two_of_a_group_have_the_same_line():
    for group in KINDS.values():
        lines = [entry.description for entry in catalogue(group)]
        assert len(set(lines)) == len(lines)


def test_the_line_is_the_yamls_first_comment_else_the_docstrings_first_line_else_the_figures_title():
    lines = {(g, e.name): e.description for g in ("probe", "loss", "figure") for e in catalogue(g)}
    assert lines["probe", "sharpness"].startswith("λ_max of the Hessian of the mean loss, against 2/η (Cohen")
    assert lines["loss", "mse"] == "(1/N) Σᵢ ½‖oᵢ − yᵢ‖²: a sum over the outputs, a mean over examples."
    assert lines["figure", "dying_relu"] == "Dying ReLU (Neural nets)"
    assert lines["probe", "signal_propagation"].endswith("1711.04735).")  # a sentence on two lines


def test_a_folder_of_the_users_is_listed_too_and_comes_first(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mlp.yaml").write_text("# Mine.\n_target_: course.mlp\n")
    (tmp_path / "model" / "new.yaml").write_text("_target_: course.new\n")
    found = {entry.name: entry.description for entry in catalogue("model", [str(tmp_path)])}
    assert (found["mlp"], found["new"]) == ("Mine.", "")
    assert set(found) == {*choices_of("model"), "new"}


@pytest.mark.parametrize(
    ("word", "group"),
    [("probes", "probe"), ("probe", "probe"), ("wrappers", "dataset/wrapper"), ("wrapper", "dataset/wrapper")],
)
def test_a_kind_is_named_in_the_plural_the_singular_or_as_its_group(word, group):
    assert kind_of(word) == kind_of(group) == group


def test_an_unknown_kind_is_refused_with_the_nearest():
    with pytest.raises(
        ConfigError, match=r"prbes: not a kind of thing; allowed: datasets, .*; did you mean probes\?"
    ):
        kind_of("prbes")


@pytest.mark.parametrize("content", [b"a: [\n", b"\xff\xfe\x00"])
def test_a_file_that_is_no_config_is_named(tmp_path, content):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "bad.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"model.bad\.yaml: is no config of group model: \w+Error: "):
        catalogue("model", [str(tmp_path)])


def test_a_figures_file_without_a_title_is_named(tmp_path):
    (tmp_path / "figure").mkdir()
    (tmp_path / "figure" / "bad.yaml").write_text("topic: x\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"bad\.yaml: is no config of group figure: KeyError: 'title'"):
        catalogue("figure", [str(tmp_path)])


def test_nothing_is_imported_for_it():
    listing = "from atml_exp.commands.catalogue import *; list(map(catalogue, KINDS.values()))"
    code = f"import sys; {listing}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
