"""Names of units, and which of them are the same unit."""

from __future__ import annotations

_WORDS = """
meter meters metre metres|m
gram grams gm gms|g
second seconds sec secs|s
minute minutes min mins|minute
hour hours hr hrs|hour
day days|day
week weeks wk wks|week
month months|month
year years yr yrs|year
inch inches in|inch
foot feet ft|foot
yard yards yd yds|yard
mile miles mi|mile
pound pounds lb lbs|pound
ounce ounces oz|ounce
ton tons tonne tonnes|ton
liter liters litre litres|L
gallon gallons gal|gallon
pint pints|pint
quart quarts|quart
acre acres|acre
hectare hectares|hectare
degree degrees deg|degree
radian radians rad rads|radian
steradian steradians sr|steradian
dollar dollars usd bucks buck|dollar
cent cents|cent
euro euros eur|euro
yen jpy|yen
yuan rmb cny|yuan
rupee rupees rs inr|rupee
won krw|won
ruble rubles rouble roubles rub|ruble
pence penny pennies|penny
newton newtons|N
joule joules|J
watt watts|W
volt volts|V
amp amps ampere amperes|A
ohm ohms|ohm
hertz|Hz
kelvin kelvins|K
celsius centigrade|C
fahrenheit|F
pascal pascals|Pa
mole moles mol|mol
coulomb coulombs|coulomb
tesla teslas|T
farad farads|farad
henry henries|H
weber webers Wb|Wb
erg ergs|erg
dyne dynes dyn|dyne
calorie calories cal|cal
electronvolt electronvolts|eV
angstrom angstroms|angstrom
parsec parsecs pc|pc
lightyear lightyears ly|ly
au AU|au
jansky Jy|Jy
bar bars|bar
atm atmospheres|atm
mph|mph
kmh kph|kph
rpm|rpm
arcsec arcseconds arcsecond|arcsec
arcmin arcminutes arcminute|arcmin
bit bits|bit
byte bytes|byte
am|am
pm|pm
msun Msun|Msun
lsun Lsun|Lsun
amu Da|amu
molal molar|molar
"""
_CJK = """
元 圆 块 人民币|yuan
円 日元|yen
원|won
美元|dollar
欧元|euro
米|m
厘米|centi-m
毫米|milli-m
千米 公里|kilo-m
克|g
千克 公斤|kilo-g
秒 秒钟|s
分钟|minute
小时 時間|hour
天 日|day
年|year
度|degree
"""
_SYMBOLS = "m g s N J W V A Hz Pa mol eV L l C K T H F S Wb ohm cal erg pc bar t h yr Jy G"
_PREFIXES = {
    "k": "kilo",
    "M": "mega",
    "G": "giga",
    "m": "milli",
    "c": "centi",
    "d": "deci",
    "u": "micro",
    "µ": "micro",
    "n": "nano",
    "p": "pico",
    "f": "femto",
}
_AMBIGUOUS = frozenset(["K", "T"])  # kelvin and tesla, or thousand and trillion
BARE_LETTERS = frozenset("mgsh")
_SHORT_NOUNS = (
    "men kids cups cup box bag egg eggs car cars cat cats dog dogs cow cows day ways way toy"
    " toys pen pens can cans jar jars mug bus pie pies row rows bees bee ants ant hen hens pigs"
    " pig fish logs log tans times mph kmh pcs pts lbs hrs kgs tie ties hat hats fly gum tea oz"
    " units unit single singles sink sinks costs cost tanks tank minutes minute mins min secs"
    " sec"
)
NOUNS = frozenset(_SHORT_NOUNS.split())


def _table(lines: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines.strip().splitlines():
        names, canonical = line.split("|")
        found |= dict.fromkeys(names.split(), canonical)
    return found


_OTHER_NAME = {"h": "hour", "t": "ton", "l": "L", "yr": "year"}
_NO_UNITS = "cd ft min mt pt dt nt mh fs kt dC mC pl"
_NEVER = frozenset(_NO_UNITS.split())  # or names of others
_WHOLE = _table(_WORDS)
_EXACT = {
    symbol: _OTHER_NAME.get(symbol, symbol) for symbol in _SYMBOLS.split() if symbol not in "GS"
}
_EXACT |= {
    prefix + symbol: f"{meaning}-{_OTHER_NAME.get(symbol, symbol)}"
    for prefix, meaning in _PREFIXES.items()
    for symbol in _SYMBOLS.split()
    if prefix + symbol not in _NEVER
}
_EXACT |= _table(_CJK) | _WHOLE
_LONG = {name.casefold(): canonical for name, canonical in _WHOLE.items() if len(name) > 1}
_LONG |= {
    meaning + name: f"{meaning}-{canonical}"
    for meaning in _PREFIXES.values()
    for name, canonical in _WHOLE.items()
    if len(name) > 3
}


def name_of(word: str, spaced: bool) -> str | None:
    """The unit's one name, or None where the word is no known unit. K and T are one only behind a
    space: 5K may be five thousand."""
    if word in _AMBIGUOUS and not spaced:
        return None
    return _EXACT.get(word) or (_LONG.get(word.casefold()) if len(word) > 1 else None)
