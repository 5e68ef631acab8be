r"""Formulas in text as MathML, which browsers draw by themselves: `typeset("stable below $\frac{2}{η}$")`.

Understood is the part of LaTeX's notation that update rules and losses need: sub- and superscripts, groups in
braces (\{ and \} draw them), \frac, \sqrt, \hat, \bar, \tilde and \text; Greek letters and operators are written
as themselves.
"""

import re
from html import escape

__all__ = ["cite", "math", "typeset", "update_rule"]

_TOKEN = re.compile(r"\\text\{[^{}]*\}|\\[a-zA-Z]+|\\[{}]|\d+(?:\.\d+)?|\s+|.", re.DOTALL)
_ACCENTS = {r"\hat": "^", r"\bar": "¯", r"\tilde": "~"}
_HAT = "\u0302"  # the combining circumflex of a letter such as m̂
_DIGITS = str.maketrans("₀₁₂₃₄₅₆₇₈₉⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789" * 2)
_NO_BREAK_SPACE = "\u00a0"
_FUNCTIONS = frozenset({"log", "exp", "max", "min", "tr", "std", "mean", "cos", "dim"})


def typeset(text: str) -> str:
    """Text as HTML: escaped, what stands between two dollar signs as a formula where it is one.

    >>> typeset("a < b, $x_1$")
    'a &lt; b, <math><msub><mi>x</mi><mn>1</mn></msub></math>'
    """
    parts = re.split(r"\$([^$]+)\$", text)
    return "".join(_math_or_text(part, f"${part}$") if i % 2 else escape(part) for i, part in enumerate(parts))


def cite(text: str, doi: str) -> str:
    """A reference as HTML that links to its DOI.

    >>> cite("Cohen et al., 2021", "10.48550/arXiv.2103.00065")
    '<a href="https://doi.org/10.48550/arXiv.2103.00065">Cohen et al., 2021</a>'
    """
    return f'<a href="https://doi.org/{escape(doi)}">{escape(text)}</a>'


def update_rule(text: str) -> str:
    """Text as HTML in which what holds an arrow, as `w ← w − ηv` does, is set as formulas.

    >>> update_rule("GD: w ← w − ηg; 9 steps")
    'GD: <math><mi>w</mi><mo>←</mo><mi>w</mi><mo>−</mo><mi>η</mi><mi>g</mi></math>; 9 steps'
    """
    clauses = re.split(r"((?:[;:,]|\.(?=\W|$))\s*)", text)
    return "".join(
        _math_or_text(clause, clause) if i % 2 == 0 and "←" in clause else typeset(clause)
        for i, clause in enumerate(clauses)
    )


def math(formula: str, display: bool = False) -> str:
    r"""A formula as a MathML element; ValueError where braces or arguments are missing.

    >>> math(r"\frac{2}{η}")
    '<math><mfrac><mrow><mn>2</mn></mrow><mrow><mi>η</mi></mrow></mfrac></math>'
    """
    plain = re.sub("[₀-₉]+", lambda m: f"_{{{m[0].translate(_DIGITS)}}}", formula)
    plain = re.sub("[⁰¹²³⁴-⁹]+", lambda m: f"^{{{m[0].translate(_DIGITS)}}}", plain)
    tokens = _words(_TOKEN.findall(plain))
    body = "".join(_sequence(tokens))
    if tokens:
        raise ValueError(f"formula {formula!r}: a closing brace has no opening one")
    return f'<math display="block">{body}</math>' if display else f"<math>{body}</math>"


def _math_or_text(formula: str, text: str) -> str:
    try:
        return math(formula)
    except ValueError:
        return escape(text)


def _words(tokens: list[str]) -> list[str]:
    """Tokens without spaces, letters of a known function name put together."""
    text = [token for token in tokens if not token.isspace() or token == "\u2003"]
    words: list[str] = []
    while text:
        size = next((n for n in (4, 3, 2) if "".join(text[:n]) in _FUNCTIONS), 1)
        words.append("".join(text[:size]))
        text = text[size:]
    return words


def _sequence(tokens: list[str]) -> list[str]:
    """Elements up to the end or a closing brace, which is left; takes what it reads off the list."""
    elements: list[str] = []
    while tokens and tokens[0] != "}":
        if tokens[0] in "_^":
            elements.append(_scripts(elements.pop() if elements else "<mrow></mrow>", tokens))
        elif tokens[0] == _HAT and elements:
            elements.append(_hat(tokens.pop(0) and elements.pop()))
        else:
            function = tokens[0] in _FUNCTIONS
            elements.append(_element(tokens))
            if function and tokens and tokens[0] not in "}_^()|/":
                elements.append('<mspace width="0.17em"/>')
    return elements


def _scripts(base: str, tokens: list[str]) -> str:
    scripts: dict[str, str] = {}
    while tokens and tokens[0] in "_^" and tokens[0] not in scripts:
        mark = tokens.pop(0)
        scripts[mark] = _element(tokens)
    tag = {"_": "msub", "^": "msup"}.get("".join(scripts), "msubsup")
    return f"<{tag}>{base}{''.join(scripts[mark] for mark in '_^' if mark in scripts)}</{tag}>"


def _element(tokens: list[str]) -> str:
    if not tokens:
        raise ValueError("formula ends where an argument should stand")
    token = tokens.pop(0)
    if token == "{":
        return _group(tokens)
    if token.startswith("\\"):
        return _command(token, tokens)
    return _atom(token)


def _group(tokens: list[str]) -> str:
    body = "".join(_sequence(tokens))
    if not tokens:
        raise ValueError("formula has an opening brace without a closing one")
    tokens.pop(0)
    return f"<mrow>{body}</mrow>"


def _command(name: str, tokens: list[str]) -> str:
    if name == r"\frac":
        return f"<mfrac>{_element(tokens)}{_element(tokens)}</mfrac>"
    if name in {r"\{", r"\}"}:
        return f"<mo>{name[1]}</mo>"
    if name == r"\sqrt":
        return f"<msqrt>{_element(tokens)}</msqrt>"
    if name in _ACCENTS:
        return _hat(_element(tokens), _ACCENTS[name])
    if name.startswith(r"\text{"):
        return f"<mtext>{_with_outer_spaces(escape(name[6:-1]))}</mtext>"
    raise ValueError(f"formula has {name}; known: \\frac, \\sqrt, \\text, {', '.join(_ACCENTS)}")


def _with_outer_spaces(text: str) -> str:
    """Spaces at its ends as such that MathML doesn't trim."""
    bare = text.strip(" ")
    before = len(text) - len(text.lstrip(" "))
    after = len(text) - before - len(bare) if bare else 0
    return _NO_BREAK_SPACE * before + bare + _NO_BREAK_SPACE * after


def _hat(base: str, accent: str = "^") -> str:
    return f'<mover accent="true">{base}<mo stretchy="false">{accent}</mo></mover>'


def _atom(token: str) -> str:
    if token[0].isdigit():
        return f"<mn>{token}</mn>"
    if token in _FUNCTIONS:
        return f'<mi mathvariant="normal">{token}</mi>'
    if token.isalpha() and token not in "∇∂":
        return f"<mi>{token}</mi>"
    if token == "\u2003":
        return '<mspace width="1.5em"/>'
    return f"<mo>{escape(token)}</mo>"
