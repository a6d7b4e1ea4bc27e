r"""Personal data: what looks like an e-mail address or a telephone number, the same in Python and in DuckDB.

An address is a name, `@` (or as links and pages write it) and a domain that ends in letters. A telephone number is

* `+` and 7 to 15 digits (ITU-T E.164), whatever separates them; or `00` and groups of digits;
* groups of digits of 7 to 15 in all that begin with the trunk prefix 0 of most countries;
* groups of 3, 3 and 4 digits, as North America writes them;
* three groups of digits or more between spaces or brackets.

Digits and signs of other scripts are read as ours, and marks that nobody sees are left out. So are dates, times and
UUIDs. Bare digits are no telephone number, for every order number would be one.
docs/personal-data.md has a table of what is taken for which, and of near misses; the tests read it.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from shared.core.printable import IGNORABLE
from shared.core.sql import identifier, literal
from shared.data.breaches import breaches_sql
from shared.data.contracts import Column

ADDRESS, TELEPHONE = "an e-mail address", "a telephone number"
# ITU-T E.164: at most 15 digits with the country's code; fewer than 7 are short codes and extensions.
DIGITS_MIN, DIGITS_MAX = 7, 15

# Every pattern is written for Python's `re` in ASCII mode and for RE2 alike: neither looks ahead or behind.
_AT = "(?:@|%40|&#0{0,4}64;|&#[xX]0{0,4}40;|&commat;)"
_LABEL = r"[^\x00-\x2c\x2e\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\x7f]"
_QUOTED = r"[\"'\])>]?[ \t]?"
_EMAIL = rf"[^\x00-\x20\x7f@,;:<>()=?&/\"\[\]]{_QUOTED}{_AT}(?:{_LABEL}+\.)+(?:[A-Za-z]|[^\x00-\x7f]){{2}}"
# `logo@2x.png` is how pictures for fine screens are named.
_PICTURE = r"@[0-9](?:\.[0-9])?x\.[A-Za-z]{3,4}"

_GAP = "[ \u00a0\u2000-\u200a\u202f\t.()/\u2010-\u2015-]"
_SPACE = "[ \u00a0\u2000-\u200a\u202f\t()]"
_ABROAD = (
    rf"(?:^|[^0-9A-Za-z])[+] ?\(?[1-9](?:{_GAP}{{0,3}}[0-9]){{6,14}}(?:[^0-9]|$)"
    # Behind a word it is one from ten digits on: `1.5E+10000000` is a number.
    r"|[A-Za-z]{2}[+][1-9][0-9]{9,14}(?:[^0-9]|$)"
)
_OTHERS = (
    r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b",
    r"\b[0-9]{4}([-/.])[0-9]{1,2}[-/.][0-9]{1,2}\b(?:[T _-]?[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?(?:[.,][0-9]+)?)?",
    r"\b[0-9]{1,2}[-/. ][0-9]{1,2}[-/. ](?:19|20)[0-9]{2}\b",
    r"\b(?:(?:0[1-9]|1[0-2])[-/.](?:19|20)[0-9]{2}|(?:19|20)[0-9]{2}[-/.](?:0[1-9]|1[0-2]))\b",
    r"\b[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?(?:[.,][0-9]+)?\b",
)
_NOT_DIALLED = "|".join(_OTHERS)
# Thousands between spaces, as the SI writes a number.
_THOUSANDS = r"\b[1-9][0-9]?(?: [0-9]{3})+\b"
_FORMS = (
    rf"\b00[1-9][0-9]{{0,3}}(?:(?:{_SPACE}|/){{1,3}}[0-9]{{1,8}}){{2,6}}\b",
    rf"\b0[1-9][0-9]{{0,4}}(?:{_GAP}{{1,3}}[0-9]{{2,4}}){{2,6}}\b",
    rf"\b0[1-9][0-9]{{0,4}}(?:(?:{_SPACE}|/)(?:{_GAP}){{0,2}}[0-9]{{1,8}}){{1,6}}\b",
    r"\b0[1-9][0-9]{2,3}-[0-9]{6,8}\b",
    rf"\b[1-9][0-9]{{2}}{_GAP}{{1,2}}[0-9]{{3}}{_GAP}[0-9]{{4}}\b",
)
_AT_HOME = "|".join(_FORMS)
_GROUPS = rf"\b[1-9][0-9]{{0,4}}(?:{_SPACE}{{1,3}}[0-9]{{2,5}}){{2,6}}\b"
# What no telephone number without `+` is without, so that nothing else is looked at for long.
_HINT = rf"\b00?[1-9]|[0-9]{_SPACE}{{1,3}}[0-9]|[0-9]{_GAP}{{1,2}}[0-9]{{3}}{_GAP}[0-9]{{4}}"


def personal(text: str) -> str | None:
    """What the text looks like, or holds: ADDRESS, TELEPHONE or None."""
    text = re.sub(IGNORABLE, "", text).translate(str.maketrans(*_plain()))
    if _found(_EMAIL, _without(_PICTURE, text)):
        return ADDRESS
    if _found(_ABROAD, text):
        return TELEPHONE
    rest = _without(_NOT_DIALLED, text)
    return TELEPHONE if _dialled(_AT_HOME, rest) or _dialled(_GROUPS, _without(_THOUSANDS, rest)) else None


def personal_sql(column: str) -> str:
    """The DuckDB expression of `personal` over a text column's SQL; NULL for None and for NULL."""
    signs, plain = map(literal, _plain())
    # Of a text in ASCII there is nothing to translate: it has as many bytes as letters.
    translated = f"translate(regexp_replace({column}, {literal(IGNORABLE)}, '', 'g'), {signs}, {plain})"
    column = f"(CASE WHEN strlen({column}) > length({column}) THEN {translated} ELSE {column} END)"
    rest = _without_sql(_NOT_DIALLED, column)
    at_home = f"{_dialled_sql(_AT_HOME, rest)} OR {_dialled_sql(_GROUPS, _without_sql(_THOUSANDS, rest))}"
    # Each question is asked of those rows alone that the one before it leaves open: most ids have no sign of any.
    dialled = f"CASE WHEN {_found_sql(_HINT, rest)} THEN CASE WHEN {at_home} THEN {literal(TELEPHONE)} END END"
    return (
        f"CASE WHEN {_found_sql(_AT, column)} AND {_found_sql(_EMAIL, _without_sql(_PICTURE, column))} "
        f"THEN {literal(ADDRESS)} WHEN contains({column}, '+') AND {_found_sql(_ABROAD, column)} "
        f"THEN {literal(TELEPHONE)} WHEN {_found_sql(_HINT, column)} THEN {dialled} END"
    )


def kept_sql(name: str, column: Column) -> str:
    """The DuckDB expression of what a value of a column, as text, looks like, where it is free."""
    return f"CASE WHEN {free_sql(name, column)} THEN {personal_sql(identifier(name))} END"


def free_sql(name: str, column: Column) -> str:
    """The DuckDB condition under which a value of a column, as text, has to be asked what it looks like.

    Free text is asked, and whatever the column's type, pattern or list of values does not allow: such a row is held
    back, and kept. What a pattern allows was meant.
    """
    if column.type != "string":
        return f"TRY_CAST({identifier(name)} AS {column.duckdb_type}) IS NULL"
    if column.pattern is None and column.valid_values is None:
        return "true"
    return " OR ".join(f"({rule})" for rule in breaches_sql(column).values())


@cache
def _plain() -> tuple[str, str]:
    """Signs and digits of other scripts, and the same in ASCII."""
    digits = [character for character in map(chr, range(0x80, 0x10000)) if unicodedata.category(character) == "Nd"]
    signs = {"@": "＠﹫", "+": "＋﹢", ".": "。．｡", "-": "·‧・･－", "(": "（", ")": "）", "/": "／"}
    return (
        "".join([*digits, *signs.values()]),
        "".join([*(str(unicodedata.decimal(digit)) for digit in digits), *(to * len(of) for to, of in signs.items())]),
    )


def _found(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.ASCII) is not None


def _without(pattern: str, text: str) -> str:
    return re.sub(pattern, "~", text, flags=re.ASCII)


def _dialled(pattern: str, text: str) -> bool:
    found = (re.sub("[^0-9]", "", match[0]) for match in re.finditer(pattern, text, re.ASCII))
    return any(DIGITS_MIN <= len(digits) <= DIGITS_MAX for digits in found)


def _found_sql(pattern: str, text: str) -> str:
    return f"regexp_matches({text}, {literal(pattern)})"


def _without_sql(pattern: str, text: str) -> str:
    return f"regexp_replace({text}, {literal(pattern)}, '~', 'g')"


def _dialled_sql(pattern: str, text: str) -> str:
    digits = "length(regexp_replace(m, '[^0-9]', '', 'g'))"
    return (
        f"len(list_filter(regexp_extract_all({text}, {literal(pattern)}), "
        f"lambda m: {digits} BETWEEN {DIGITS_MIN} AND {DIGITS_MAX})) > 0"
    )
