import xml.etree.ElementTree as ET

import pytest

from atml_exp.typeset import math, typeset, update_rule


def test_scripts_in_either_order_are_one_element() -> None:
    assert math("x_i^2") == math("x^2_i") == "<math><msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup></math>"


@pytest.mark.parametrize(
    "formula",
    [r"\frac{2 + 2β}{η(1 + 2β)}", r"\hat{W} − \hat{M}^⊤", "m̂/(√v̂ + ε)", "β₁m + (1−β₁)g²", r"\{0, 1\}", "a < b & c"],
)
def test_formulas_are_well_formed(formula: str) -> None:
    ET.fromstring(math(formula))


def test_unicode_digits_become_scripts_and_hats_go_over_letters() -> None:
    assert "<msub><mi>β</mi><mrow><mn>1</mn></mrow></msub>" in math("β₁")
    assert math("m̂").startswith('<math><mover accent="true"><mi>m</mi>')


def test_spaces_round_text_are_such_as_mathml_keeps() -> None:
    assert "<mtext>\u00a0with x in\u00a0</mtext>" in math(r"a\text{ with x in }b")
    assert "<mtext>\u00a0</mtext>" in math(r"a\text{ }b")
    assert "<mtext>if</mtext>" in math(r"a\text{if}b")


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("{x", "without a closing one"),
        ("x}", "closing brace has no opening one"),
        ("x_", "ends where an argument should stand"),
        (r"\alpha", r"has \\alpha; known"),
    ],
)
def test_broken_formulas_are_refused(formula: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        math(formula)


def test_text_that_is_no_formula_stays_text() -> None:
    assert typeset("costs $5 and <b>") == "costs $5 and &lt;b&gt;"
    assert typeset(r"$\evil{<script>}$") == r"$\evil{&lt;script&gt;}$"


def test_update_rules_in_prose_become_formulas() -> None:
    html = update_rule("Momentum(learning_rate=0.05): v ← βv + g + λw;  w ← w − ηv, where g is <the> gradient")
    assert html.count("<math>") == 2
    assert html.startswith("Momentum(learning_rate=0.05): <math>")
    assert html.endswith(", where g is &lt;the&gt; gradient")
