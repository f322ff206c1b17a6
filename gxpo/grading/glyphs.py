r"""Characters that mean the same, as one of them: full-width forms, minus signs, ², π, ∞."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

_MATH_LETTERS = range(0x1D400, 0x1D800)  # 𝑥, 𝟓
_FULL_WIDTH = range(0xFF01, 0xFF5F)


def _greek() -> dict[str, str]:
    names = {chr(code): unicodedata.name(chr(code)).split()[-1] for code in range(0x3B1, 0x3CA)}
    names |= {letter.upper(): name.capitalize() for letter, name in names.items() if letter != "ς"}
    commands = {letter: f"\\{name.capitalize()} " for letter, name in names.items()}
    commands |= {letter: commands[letter].lower() for letter in commands if letter.islower()}
    return commands | {"λ": "\\lambda ", "Λ": "\\Lambda ", "ϕ": "\\phi ", "µ": "\\mu "}


def _fraction(character: str) -> str:
    value = Fraction(unicodedata.numeric(character)).limit_denominator(10)
    return f"\\frac{{{value.numerator}}}{{{value.denominator}}}"


_SIGNS = {
    **dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\u2014\ufe63\uff0d", "-"),
    **dict.fromkeys("\u00a0\u2002\u2003\u2005\u2009\u200a\u202f\u3000", " "),
    **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", ""),
    **{chr(code): " " for code in (*range(32), *range(127, 160))},
    **{"×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "÷": "/", "∕": "/"},
    **{"⁄": "/", "∶": ":", "∗": "*", "∞": r"\infty ", "≤": r"\le ", "⩽": r"\le ", "≥": r"\ge "},
    **{"⩾": r"\ge ", "≠": r"\ne ", "≈": r"\approx ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in "},
    **{"±": r"\pm ", "∓": r"\mp ", "∅": r"\emptyset ", "…": r"\ldots ", "⋯": r"\ldots "},
    **{"∠": r"\angle ", "∂": r"\partial ", "ℝ": r"\mathbb{R}", "ħ": r"\hbar ", "ℏ": r"\hbar "},
    **{"⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil "},
    **dict.fromkeys("°º˚", r"^\circ "),
    **{
        "\u00c5": r"\AA ",
        "\u212b": r"\AA ",
        "℃": r"^\circ \text{C}",
        "℉": r"^\circ \text{F}",
        "‰": r"\text{ permille}",
        "⟩": ")",
    },
    **{"⟨": "(", "。": ".", "、": ",", "「": "", "」": "", "￥": "¥", "￡": "£", "￠": "¢"},
    **{"′": "'", "’": "'", "‘": "'", "″": "''"},
}
_COMMANDS = str.maketrans(_greek() | _SIGNS)
_TABLE = str.maketrans(
    {chr(code): chr(code - 0xFEE0) for code in _FULL_WIDTH}
    | {
        chr(code): unicodedata.normalize("NFKC", chr(code)).translate(_COMMANDS)
        for code in _MATH_LETTERS
    }
    | _greek()
    | {character: _fraction(character) for character in "¼½¾⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞⅐⅑⅒"}
    | _SIGNS
)
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_RAISED_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+")
_LOWERED_RUN = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")


def plain_characters(text: str) -> str:
    """``text`` in ASCII and LaTeX commands, as far as it is mathematics."""
    text = _RAISED_RUN.sub(lambda run: f"^{{{run[0].translate(_RAISED)}}}", text)
    text = _LOWERED_RUN.sub(lambda run: f"_{{{run[0].translate(_LOWERED)}}}", text)
    return text.translate(_TABLE)
