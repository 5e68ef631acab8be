"""What a target accepts, read from its signature."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Literal, Optional

import pytest
from annotated_types import Ge, Lt

from atml_exp import fields
from atml_exp.errors import ConfigError
from atml_exp.fields import Incidental
from atml_exp.schema import describe_type, locate, nearest, schema, schema_of


def function(model, data: int, *, steps: fields.PositiveInt, path: Annotated[str, Incidental()] = "."):
    """Two runtime arguments and two options."""


@dataclass
class Data:
    size: fields.PositiveInt
    widths: list[int] = field(default_factory=lambda: [1, 2])


class Plain:
    def __init__(self, name: str, *args: int, **options: Any) -> None:
        pass


def test_a_functions_positional_parameters_are_given_at_run_time():
    parameters = schema(function).parameters
    assert [(p.name, p.runtime, p.required, p.incidental) for p in parameters.values()] == [
        ("model", True, True, False),
        ("data", True, True, False),
        ("steps", False, True, False),
        ("path", False, False, True),
    ]
    assert parameters["model"].annotation is Any
    assert parameters["steps"].annotation == fields.PositiveInt
    assert parameters["path"].default == "."


def test_a_dataclass_has_its_fields_with_what_their_factories_make():
    parameters = schema(Data).parameters
    assert [(p.name, p.runtime, p.required) for p in parameters.values()] == [
        ("size", False, True),
        ("widths", False, False),
    ]
    assert parameters["widths"].default == [1, 2]


def test_a_class_that_takes_any_keyword_is_open():
    plain = schema(Plain)
    assert plain.open
    assert list(plain.parameters) == ["name"]
    assert plain.parameters["name"].annotation is str
    assert not schema(function).open


def test_a_target_without_a_signature_takes_anything():
    assert schema(dict.fromkeys).open or schema(dict).open


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("atml_exp.models.mlp.mlp", "mlp"),
        ("atml_exp.optimisers.sgd.SGD", "SGD"),
        ("atml_exp.data.Dataset.to", "to"),
        ("torch.nn.Linear", "Linear"),
    ],
)
def test_a_dotted_path_is_found(path, name):
    assert locate(path).__name__ == name
    assert schema_of(path).target is locate(path)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("atml_exp.models.mpl.mlp", "atml_exp.models has no 'mpl'; did you mean mlp[?]"),
        ("atml_exp.models.mlp.mlpp", "atml_exp.models.mlp has no 'mlpp'; did you mean mlp[?]"),
        ("atml_exp.data.Dataset.tasky", "Dataset has no 'tasky'; did you mean tasks[?]"),
        ("nowhere.to.be.found", "there is no module nowhere; is it installed, or in this folder[?]"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused_with_the_nearest_name(path, message):
    with pytest.raises(ConfigError, match=f"^_target_ = {path}: {message}$"):
        locate(path)


@pytest.mark.parametrize(
    ("source", "reason"), [("import not_there", "No module named 'not_there'"), ("1/0", "division by zero")]
)
def test_a_module_that_does_not_import_is_refused_with_the_reason(tmp_path, monkeypatch, source, reason):
    name = f"does_not_import_{len(source)}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=f"importing {name}.* failed: {reason}"):
        locate(f"{name}.thing")


def test_what_cannot_be_called_is_refused():
    with pytest.raises(ConfigError, match="is a module, not something that can be called"):
        schema_of("atml_exp.models.mlp")


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "a whole number"),
        (fields.Positive, "a number greater than 0"),
        (fields.NonNegativeInt, "a whole number at least 0"),
        (fields.ProperFraction, "a number at least 0 and less than 1"),
        (fields.Finite, "a number that is finite"),
        (Annotated[float, Ge(1), Lt(2.5)], "a number at least 1 and less than 2.5"),
        (fields.PositiveInt | None, "a whole number greater than 0, or null"),
        (Optional[str], "text, or null"),  # noqa: UP045
        (Literal["a", None], "a or null"),
        (Literal["a", "b", 3] | bool, "a, b or 3, or true or false"),
        (tuple[fields.Fraction, ...], "a list in which each item is a number from 0 to 1"),
        (list, "a list"),
        (Sequence[str], "a list in which each item is text"),
        (dict[str, int], "a mapping"),
        (Annotated[fields.Name, Incidental()], "non-empty text"),
        (fields.Duration, "a number of steps, or text such as 500it (steps) or 20ep (epochs)"),
        (Callable[..., int], "a node with _target_"),
        (Callable, "a node with _target_"),
        (Any, "anything"),
        (Data, "Data"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_types_in_words(annotation, words):
    assert describe_type(annotation) == words


def test_the_nearest_name_is_offered_only_where_one_is_near():
    assert nearest("learning_rat", ["momentum", "learning_rate"]) == "; did you mean learning_rate?"
    assert nearest("eta", ["momentum", "learning_rate"]) == ""


def test_a_partials_options_are_those_that_are_left():
    assert list(schema(partial(function, steps=3)).parameters) == ["model", "data", "steps", "path"]


NAMES = ("mlp", "relu", "sharpness", "pruning", "cross_entropy", "landscape")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("mpl", "mlp"),
        ("MLP", "mlp"),
        ("rellu", "relu"),
        ("sharpnes", "sharpness"),
        ("sharpnses", "sharpness"),
        ("prunning", "pruning"),
        ("crossentropy", "cross_entropy"),
        ("cross-entropy", "cross_entropy"),
        ("crss_entrpy", "cross_entropy"),
        ("lanscape", "landscape"),
        ("landscpae", "landscape"),
    ],
)
def test_a_slip_of_the_fingers_is_understood(typed, meant):
    assert nearest(typed, NAMES) == f"; did you mean {meant}?"


@pytest.mark.parametrize(
    "typed",
    ["balance", "escape", "lands", "x", "", "cnn", "entropy", "sharp", "relax", "running_mean", "cross", "shape"],
)
def test_another_word_is_not_taken_for_a_slip(typed):
    assert nearest(typed, NAMES) == ""


def test_the_nearest_of_several_is_named():
    assert nearest("tain", ["rain", "train", "trained"]) in ("; did you mean train?", "; did you mean rain?")
    assert nearest("margns", ["margin", "margins"]) == "; did you mean margins?"
