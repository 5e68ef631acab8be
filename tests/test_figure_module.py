"""A mistake in a figure's module is one sentence that says what is allowed."""

import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from atml_exp.checks import check_figure
from atml_exp.errors import BuildError, ConfigError, DamagedRunError
from atml_exp.figure_module import claimed, drawn, figure_module

TABLE = pd.DataFrame({"seed": [0], "value": [1.0]})
CLAIM = 'Claim("we", "it falls", (1.0,), "<=", 2.0)'
GOOD = f"""
from matplotlib.figure import Figure
from atml_exp.figures.claim import Claim

def draw(table):
    return Figure()

def claims(table):
    return [{CLAIM}]
"""


@pytest.fixture
def written(tmp_path: Path, monkeypatch):
    """`written(text)`: the module `my_drawing`, with this text."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_drawing", raising=False)

    def write(text: str):
        (tmp_path / "my_drawing.py").write_text(text)
        return tmp_path / "my_drawing.py"

    yield write
    sys.modules.pop("my_drawing", None)


def refusal(name: str = "my_drawing") -> str:
    with pytest.raises(ConfigError) as refused:
        figure_module("loss", name)
    text = str(refused.value)
    assert text.startswith(f"figure loss: module = {name}: ")
    return text.removeprefix(f"figure loss: module = {name}: ")


def test_a_sound_module_is_found(written):
    written(GOOD)
    module = figure_module("loss", "my_drawing")
    assert [claim.statement for claim in claimed(module, TABLE)] == ["it falls"]
    assert drawn(module, TABLE).axes == []


def test_a_module_that_is_not_there_is_said_with_the_nearest():
    assert refusal("atml_exp.figures.random_lables") == (
        "atml_exp.figures has no 'random_lables'; did you mean random_labels?"
    )
    assert refusal("no_such_package.figures") == (
        "there is no module no_such_package; is it installed, or in this folder?"
    )
    assert refusal("atml_exp.figures.random_labels.draw") == "is a function, and must be a module"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package', line 1 of FILE"),
        ("x = 1\ny = z", "NameError: name 'z' is not defined, line 2 of FILE"),
        ("def draw(table:\n", "SyntaxError: '(' was never closed (my_drawing.py, line 1), line 1 of FILE"),
    ],
)
def test_a_module_whose_own_code_fails_is_said_with_the_line(text, message, written):
    file = written(text)
    said = message.replace("FILE", str(file))
    assert refusal() == f"importing it failed: {said} (HYDRA_FULL_ERROR=1 shows the traceback)"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("def draw", "def drawn", "has no function draw; ALLOWED; did you mean drawn?"),
        ("def claims", "def claim", "has no function claims; ALLOWED; did you mean claim?"),
        ("def claims", "def stated", "has no function claims; ALLOWED"),  # the imported Claim is no slip of it
        ("def draw", "draw = 3\ndef picture", "has no function draw; ALLOWED"),
    ],
)
def test_a_function_that_is_missing_is_said_with_the_nearest(old, new, message, written):
    written(GOOD.replace(old, new))
    allowed = "allowed: a module with draw(table) -> Figure and claims(table) -> [Claim]"
    assert refusal() == "my_drawing " + message.replace("ALLOWED", allowed)
    with pytest.raises(AssertionError, match=r"^my_drawing has no function"):
        check_figure(import_module("my_drawing"), TABLE)


RETURNS = [
    ("Figure()", "None", "draw returned None: it must be a matplotlib Figure; does it end with `return figure`?"),
    ("Figure()", "Figure().subplots()", "draw returned an Axes: it must be a matplotlib Figure"),
    ("Figure()", "'figure.png'", "draw returned a str: it must be a matplotlib Figure"),
    (f"[{CLAIM}]", CLAIM, "claims returned a Claim: it must be a list of Claim, [Claim(…), …]"),
    (
        f"[{CLAIM}]",
        f"({CLAIM} for _ in [1])",
        "claims returned a generator: it must be a list of Claim, [Claim(…), …]",
    ),
    (f"[{CLAIM}]", "None", "claims returned None: it must be a list of Claim, [Claim(…), …]"),
    (f"[{CLAIM}]", "[]", "claims returned no Claim: the figure states no claim, and it must state one or more"),
    (f"[{CLAIM}]", f"[{CLAIM}, 0.5]", "claims holds a float: it must be a Claim"),
    ("Figure()", "table['step']", "draw failed: KeyError: 'step', line 6 of FILE TRACEBACK"),
    ("Figure()", "table.groupby('run')", "draw failed: KeyError: 'run', line 6 of FILE TRACEBACK"),
    (f"[{CLAIM}]", "1 / 0", "claims failed: ZeroDivisionError: division by zero, line 9 of FILE TRACEBACK"),
    (
        '"<="',
        '">"',
        "claims failed: ValueError: Claim 'it falls': relation = '>': allowed: <= or >=, line 9 of FILE TRACEBACK",
    ),
]


@pytest.mark.parametrize(("old", "new", "message"), RETURNS)
def test_what_the_functions_return_and_raise_is_said_and_check_figure_says_the_same(old, new, message, written):
    file = written(GOOD.replace(old, new))
    module = figure_module("loss", "my_drawing")
    traceback = "(HYDRA_FULL_ERROR=1 shows the traceback)"
    said = "my_drawing." + message.replace("FILE", str(file)).replace("TRACEBACK", traceback)
    with pytest.raises(BuildError) as refused:
        drawn(module, TABLE), claimed(module, TABLE)
    assert str(refused.value) == said
    with pytest.raises(AssertionError) as failed:
        check_figure(module, TABLE)
    assert str(failed.value) == said
    assert type(failed.value.__cause__) is type(refused.value.__cause__)


def test_what_is_said_already_is_left_as_it_is():
    def draw(table):
        raise DamagedRunError.of(Path("run.json"), "is missing")

    with pytest.raises(DamagedRunError, match=r"^run.json is damaged"):
        drawn(SimpleNamespace(draw=draw), TABLE)


def test_a_message_over_several_lines_is_one():
    def draw(table):
        raise ValueError("\n$\\nonsense$\n^\nunknown")

    with pytest.raises(
        BuildError, match=r"^SimpleNamespace.draw failed: ValueError: \$\\nonsense\$ \^ unknown \(HYD"
    ):
        drawn(SimpleNamespace(draw=draw), TABLE)
