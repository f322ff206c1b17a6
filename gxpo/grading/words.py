r"""The words that change what a number before them means.

English has many nouns and few function words. So an unknown noun behind a number is a unit ("5
apples"), and the words that join, bound, doubt, count or compute are listed here: "5 or 6", "2 or
more", "3 hours twenty minutes", "12 divided by 4", "7 remainder 3", "5 thousand" are not 5, 2, 3,
12, 7, 5.
"""

from __future__ import annotations

import re

_JOINS = (
    "and or nor but not to than through thru till until versus vs v either neither both between"
    " from of with out in upon plus minus"
)
_BOUNDS = (
    "least most minimum maximum min max approx approximately roughly nearly almost about around"
    " circa ish some so more fewer less greater larger smaller up upwards upward onward onwards"
    " above below under over exceeding strictly else other others any"
)
_DOUBTS = (
    "maybe perhaps possibly probably if when unless otherwise depending except without excluding"
    " no none false wrong incorrect never instead alternatively error guess unknown"
)
_COMPUTES = (
    "multiplied divided divide multiply subtract add added subtracted by mod modulo base remainder"
    " rem squared cubed choose factorial power powers raised exponent exp root half halves third"
    " thirds quarter quarters fourth fourths fifth fifths sixth sixths seventh sevenths eighth"
    " eighths ninth ninths tenth tenths hundredth hundredths thousandth thousandths double doubled"
    " twice triple tripled thrice halved negative positive inverse reciprocal repeating recurring"
    " point pi e i sqrt sin cos tan cot sec csc log ln inf infty infinity r d x y z n"
)
_NUMERALS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety"
)
_SCALES = (
    "hundred hundreds thousand thousands million millions billion billions trillion trillions"
    " quadrillion dozen dozens score gross lakh lakhs crore crores grand myriad mil mill mio mn mln"
    " bn bln tn k percent percentage permille pct ppm ppb bps kilo mega giga tera milli micro nano"
)
CHANGING = frozenset(" ".join((_JOINS, _BOUNDS, _DOUBTS, _COMPUTES, _NUMERALS, _SCALES)).split())
"""Words that make another answer of the number that they follow."""

# The same in Chinese and Japanese, where no space parts words: or, and, to, above, below, ten ...
CHANGING_CHARACTERS = frozenset(
    "或和与及至到~多半倍余餘约約近超少弱强強以内外分之加减減乘除负負点點零〇一二三四五六七八九十百千万萬亿億兆成"
)
_WORD = re.compile(r"[A-Za-z]+")
_CLAUSE_END = re.compile(
    r"[;:!?]|\.(?!\d)|\((?! ?(?:or|and|maybe)\b)"
    r"|,(?! ?(?:or|and|plus|minus|times|divided|multiplied|maybe|perhaps|to)\b)"
    r"|\b(?:because|since|as|so|which|that|but|if|when)\b"
)
_NUMBER_JOINED = re.compile(
    r"\b(?:and|to|of|through|from|for every|in|per|x|times|than|with|out|another|extra)\b"
    r"[^,;]{0,30}?\d"
)
_NOUN_NUMBER = re.compile(r" ?[a-z]+ [$€£]?\d")  # 3 hours 20 minutes
# Of a sentence's rest: "5 in total", "5 to the nearest unit", "5 more than before", "5 of them".
_GOES_ON = (
    "and to of from in with by not no i e x y z n d r v so more less about over other others"
    " some any up under above out both than other if when false wrong"
)
_HARMLESS_IN_PROSE = frozenset(_GOES_ON.split())


def changes_number(phrase: str) -> bool:
    """Whether a phrase behind a number holds a word that makes another answer of it."""
    return any(word in CHANGING for word in _WORD.findall(phrase.casefold()))


def prose_changes_number(rest: str) -> bool:
    """The same of the rest of a sentence, which may go on about something else: "42, because 6
    times 7 is 42" is 42, "12 apples or 13 pears" is not 12."""
    clause = _CLAUSE_END.split(rest.casefold(), maxsplit=1)[0]
    words = _WORD.findall(clause)
    if any(word in CHANGING and word not in _HARMLESS_IN_PROSE for word in words):
        return True
    return bool(_NUMBER_JOINED.search(clause) or _NOUN_NUMBER.match(clause))
