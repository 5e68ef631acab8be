"""The patterns that a text must match: what a schedule, a duration and a start may be."""

import pytest
from pydantic import TypeAdapter, ValidationError

from atml_exp.fields import Duration, Schedule, Start

ACCEPTED = [
    (Schedule, ["1it", "100it", "2ep", "1.0ep", "10.00ep", "0.5ep", "1.25ep", "log", "end"]),
    (Duration, ["500it", "20ep", "0.5ep", "0it", 0, 7]),
    (Start, ["0it", "500it", "10ep", "-500it", "-0.5ep"]),
]
REFUSED = [
    (Schedule, ["", "0it", "0ep", "0.0ep", "1", "1.5it", "-1ep", "1 ep", "1epoch", "ep", "LOG", "1ep "]),
    (Duration, ["", "5", "1.5it", "-5it", "5epochs", -1]),
    (Start, ["", "5", "--5it", "1.5it", "end"]),
]


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in ACCEPTED for value in values])
def test_accepted(kind, value):
    assert TypeAdapter(kind).validate_python(value, strict=True) == value


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in REFUSED for value in values])
def test_refused(kind, value):
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(value, strict=True)
