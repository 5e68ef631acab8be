r"""Formulas between dollar signs as MathML, which browsers draw by themselves: neither a script nor a network.

LaTeX's names for symbols become the characters themselves; the rest is `atml_exp.typeset.math`. What isn't
understood is a warning, which fails the build.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from html import escape
from typing import Any
from unicodedata import normalize

from docutils.nodes import Element, SkipNode
from sphinx.application import Sphinx
from sphinx.util import logging

from atml_exp.typeset import math

__all__ = ["formulas_in", "from_prose", "plain", "setup"]

_GREEK = """
    alpha α beta β gamma γ delta δ varepsilon ε epsilon ε zeta ζ eta η theta θ kappa κ lambda λ mu μ nu ν xi ξ pi π
    rho ρ sigma σ tau τ phi φ varphi φ chi χ psi ψ omega ω ell ℓ Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ
    Phi Φ Psi Ψ Omega Ω
"""
_SIGNS = """
    nabla ∇ partial ∂ le ≤ leq ≤ ge ≥ geq ≥ ne ≠ neq ≠ approx ≈ sim ∼ propto ∝ ll ≪ gg ≫ equiv ≡ in ∈ notin ∉ ni ∋
    subset ⊂ cup ∪ cap ∩ setminus ∖ varnothing ∅ emptyset ∅ to → rightarrow → leftarrow ← gets ← mapsto ↦ Rightarrow
    ⇒ Longrightarrow ⟹ iff ⟺ cdot · times × pm ± odot ⊙ circ ∘ sum ∑ prod ∏ int ∫ infty ∞ top ⊤ dagger † ast ∗
    star ⋆ perp ⊥ dots … ldots … cdots ⋯ langle ⟨ rangle ⟩ lVert ‖ rVert ‖ Vert ‖ lvert | rvert | vert | mid |
    forall ∀ exists ∃ prime ′ lfloor ⌊ rfloor ⌋ lceil ⌈ rceil ⌉ colon :
    log log exp exp max max min min cos cos dim dim
"""
_WORDS = (_GREEK + " " + _SIGNS).split()
_SYMBOLS = dict(zip(_WORDS[::2], _WORDS[1::2], strict=True))
_OPERATORS = ("tr", "sup", "inf", "arg", "sin", "tanh", "Pr", "det", "rank", "ln")
_BLACKBOARD = {"E": "𝔼", "R": "ℝ", "P": "ℙ", "N": "ℕ", "Z": "ℤ", "1": "𝟙"}
_LETTERS = {"D": "𝒟", "L": "ℒ", "N": "𝒩", "H": "ℋ", "O": "𝒪", "X": "𝒳", "Y": "𝒴", "W": "𝒲", "F": "ℱ"}

_LINES = re.compile(r"\\\\(?:\[[^\]]*\])?")
_CASES = re.compile(r"(.*?)\\begin\{cases\}(.*)\\end\{cases\}[.,]?", re.DOTALL)

_log = logging.getLogger(__name__)


def _letter(letters: Mapping[str, str], found: "re.Match[str]") -> str:
    letter = found[1] or found[2]
    return letters.get(letter, letter)


def _dotted(found: "re.Match[str]") -> str:
    return normalize("NFC", f"{found[1] or found[2]}\u0307")


def _symbol(found: "re.Match[str]") -> str:
    return _SYMBOLS.get(found[1]) or found[0]


def _sign(found: "re.Match[str]") -> str:
    """A minus and a prime as such, but for text."""
    return {"-": "−", "'": "′"}.get(found[0], found[0])


_ONE = r" *(?:\{(\w)\}|(\w))"
_GROUP = r"(\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})"
_RULES: list[tuple[str, str | Callable[["re.Match[str]"], str]]] = [
    (rf"\\underbrace{_GROUP}_", r"\1\\,"),  # the words under it stand behind it
    (r"\\(?:left|right|big|Big|bigl|bigr)(?![a-zA-Z])\.?", ""),
    (r"\\[,;:! ]|~", ""),
    (r"\\q?quad(?![a-zA-Z])", "\u2003"),
    (rf"\\mathbb{_ONE}", partial(_letter, _BLACKBOARD)),
    (rf"\\mathcal{_ONE}", partial(_letter, _LETTERS)),
    (rf"\\mathbf{_ONE}", partial(_letter, {})),
    (rf"\\dot(?![a-zA-Z]){_ONE}", _dotted),
    (r"\\(?:mathrm|operatorname|textrm)\*?\{", r"\\text{"),
    (r"\\[td]frac(?![a-zA-Z])", r"\\frac"),
    (r"\\frac *(\w)", r"\\frac{\1}"),
    (rf"\\frac{_GROUP} *(\w)", r"\\frac\1{\2}"),
    (r"\\\|", "‖"),
    (r"\\%", "%"),
    (r"\\not *\\ni(?![a-zA-Z])", "∌"),
    (r"\\widehat(?![a-zA-Z])", r"\\hat"),
    (rf"\\({'|'.join(_OPERATORS)})(?![a-zA-Z])", r"\\text{\1}"),
    (r"\\([a-zA-Z]+) *", _symbol),
    (r" *([≤≥=→←]) *", r"\1"),
    (r"\\text\{[^{}]*\}|-|'", _sign),
]


def plain(formula: str) -> str:
    r"""A formula in LaTeX with the characters themselves in place of their names.

    >>> plain(r"\lambda_{\max} \le \tfrac{2}{\eta}")
    'λ_{max}≤\\frac{2}{η}'
    """
    text = formula
    for pattern, replacement in _RULES:
        text = re.sub(pattern, replacement, text)
    return text


def from_prose(formula: str) -> str:
    r"""A docstring's formula as LaTeX has it: whole words are upright, scripts in braces.

    >>> from_prose("B_simple = x^−dim softmax(o)")
    'B_{\\text{simple}} = x^{−dim} \\text{softmax}(o)'
    """
    text = re.sub("[ᵢⱼₖₙₜₗ]", lambda m: f"_{_LOW[m[0]]}", formula)
    text = re.sub("[ᵀ†]", lambda m: f"^{_HIGH[m[0]]}", text)
    text = re.sub(r"([_^])(−?[A-Za-z]{2,})", r"\1{\2}", text)
    text = re.sub(r"\^\(([^()]*)\)", r"^{\1}", text)
    return re.sub(r"(?<![\w\\])([A-Za-z]{3,}|[A-Z]{2}\d)(?![A-Za-z0-9])", _upright, text)


def _upright(found: "re.Match[str]") -> str:
    return found[1] if found[1] in _SPACED else f"\\text{{{found[1]}}}"


_LOW = dict(zip("ᵢⱼₖₙₜₗ", "ijkntl", strict=True))
_HIGH = {"ᵀ": "⊤", "†": "†"}
_SPACED = frozenset({"log", "exp", "max", "min", "std", "mean", "cos", "dim"})
_WORD = re.compile(r"log|exp|max|min|softmax|tr|sign|Var|cov|prox")
_SIGN = re.compile(r"[Α-Ωα-ωϕ∇∂∑√‖⟨⟩|≤≥≈∝←→−±×·∘⊤ᵀ†∞ℓ𝔼½¼²³⁰-⁻₀-₉ᵢⱼₖₜ̂̃′=<>+/^_*{}\d]")
_OPERATOR = re.compile(r"[=←≤≥≈∝]|Σ")


def formulas_in(docstring: str, most: int = 3) -> list[str]:
    """The formulas in a docstring's prose that can be told from the words around them, for the head of a page.

    >>> formulas_in("The rule v ← βv + g, w ← w − ηv, where k = 1 (Polyak 1964).")
    ['v ← βv + g', 'w ← w − ηv']
    """
    text = " ".join(re.sub(r"\n {4}\S.*", "", docstring.partition(">>>")[0]).split())
    runs, run = [], []
    for token in [*text.split(" "), ""]:
        belongs = _belongs(token)
        if belongs:
            run.append(token)
        if run and (not belongs or token[-1] in ".;:" or (token[-1] == "," and _is_balanced(" ".join(run)))):
            runs.append(" ".join(run).rstrip(".,;:"))
            run = []
    return [text for text in dict.fromkeys(map(_bare, runs)) if _is_formula(text)][:most]


def _belongs(token: str) -> bool:
    """Whether a word is part of a formula, as `βv`, `w` or `log` are."""
    core = _WORD.sub("", token.strip(".,;:()[]"))
    if (
        "`" in token
        or re.search(r"(?<![_{a-z])[a-z]{3,}", core)
        or re.search(r"\d{4}", core)
        or re.search(r"[a-z]=", core)
    ):
        return False
    short = core and core not in ("a", "A", "I") and not re.search("[A-Za-z]{2}", core)
    return bool(_SIGN.search(core) or short)


def _bare(text: str) -> str:
    """Without a bracket that the sentence opened or closes."""
    while text.startswith("(") and not _is_balanced(text):
        text = text[1:]
    while text.endswith(")") and not _is_balanced(text):
        text = text[:-1]
    return text.strip(" .,;:")


def _is_balanced(text: str) -> bool:
    pairs = all(text.count(a) == text.count(b) for a, b in ("()", "[]", "{}", "⟨⟩"))
    return pairs and text.count("‖") % 2 == 0 and text.count("|") % 2 == 0


def _is_formula(text: str) -> bool:
    whole = not re.search(r"^[=←≤≥≈∝+/−*·^)]|[=←≤≥≈∝+/−*·^(,]$", text)
    return whole and _is_balanced(text) and len(text) >= 9 and bool(_OPERATOR.search(text)) and "…" not in text


def setup(app: Sphinx) -> dict[str, bool]:
    """Makes `html_math_renderer = "mathml"` known."""
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(translator: Any, node: Element) -> None:
    translator.body.append(_mathml(node.astext(), node, display=False))
    raise SkipNode


def _display(translator: Any, node: Element) -> None:
    text = re.sub(r"\\(?:begin|end)\{(?:aligned|align|gathered|split)\*?\}", "", node.astext())
    text = text if "cases" in text else text.replace("&", "")
    text = re.sub(r"Σ(?=_[a-z{]| [½|‖(\w])", "∑", text)
    lines = [text] if "cases" in text else [line.strip() for line in _LINES.split(text) if line.strip()]
    made = "".join(_mathml(line, node, display=True) for line in lines)
    translator.body.append(f'<div class="formula">{made}</div>\n')
    raise SkipNode


def _mathml(formula: str, node: Element, display: bool) -> str:
    try:
        found = _CASES.fullmatch(formula.strip())
        return _by_cases(found) if found else math(plain(formula), display)
    except ValueError as error:
        _log.warning("%s", error, location=node)
        return f"<code>{escape(formula)}</code>"


def _by_cases(found: "re.Match[str]") -> str:
    """What stands before the cases, and a table of values and conditions."""
    rows = [[_inner(cell) for cell in line.split("&")] for line in _LINES.split(found[2]) if line.strip()]
    table = "".join(f"<mtr>{''.join(f'<mtd>{cell}</mtd>' for cell in row)}</mtr>" for row in rows)
    right = f'<mtable class="cases" columnalign="left">{table}</mtable>'
    return f'<math display="block">{_inner(found[1])}{right}</math>'


def _inner(formula: str) -> str:
    return math(plain(formula)).removeprefix("<math>").removesuffix("</math>")
