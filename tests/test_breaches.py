"""Exceptions of checked code become one sentence with their cause; what is one already stays."""

import pytest

from atml_exp.breaches import breaches_of, require, trying
from atml_exp.errors import ConfigError


def test_an_exception_is_the_cause_of_a_sentence_of_one_line():
    with pytest.raises(AssertionError) as said, breaches_of("the loss mine"), trying("its value", "a scalar"):
        raise KeyError("a\nb")
    assert str(said.value) == "the loss mine: its value failed: KeyError: 'a\\nb'; allowed: a scalar"
    assert isinstance(said.value.__cause__, KeyError)
    with (
        pytest.raises(AssertionError, match=r"^its value failed: RuntimeError: a; allowed: a scalar$"),
        trying("its value", "a scalar"),
    ):
        raise RuntimeError("a\nb")


def test_an_assert_without_words_is_said_and_a_sentence_stays():
    with (
        pytest.raises(AssertionError, match=r"^its value failed: AssertionError: ; allowed: a scalar$"),
        trying("its value", "a scalar"),
    ):
        raise AssertionError
    with pytest.raises(AssertionError, match=r"^it is 3$"), trying("its value", "a scalar"):
        require(False, "it is 3")
    require(True, "it is 3")


@pytest.mark.parametrize("error", [ConfigError("as it is"), KeyboardInterrupt()])
def test_what_is_for_others_passes(error):
    with pytest.raises(type(error)) as passed, breaches_of("the loss mine"), trying("its value", "a scalar"):
        raise error
    assert passed.value is error
