r"""Printable text: what people and files say, so that no character of it can act on a terminal, a page or a sheet.

What is not seen is shown as JSON writes it (`\u202e`, `\n`), so that a reader sees that something was there: control
characters with their escape sequences, line and paragraph separators, marks of direction, and whatever else Unicode
wants ignored where it is displayed. Letters of every script stay, and so do the joiners and variation selectors that
Persian, Hindi, Japanese names and emoji are spelt with, each directly after what it belongs to.

Whoever writes for people calls one of these once, at the edge: `shared/ui/console.py`, `shared/ui/page.py`,
`shared/notify/mail.py`, `shared/data/tabular.py` and what else is named in docs/text.md.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

# Default_Ignorable_Code_Point (Unicode 16, DerivedCoreProperties.txt), as a class of a pattern for `re` and RE2.
IGNORABLE = (
    "[\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Controls, separators, surrogates and interlinear marks are not meant to be seen either.
_HIDDEN = f"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufff9-\ufffb{IGNORABLE[1:-1]}"
_SEEN = rf"[^\x00-\x7f{_HIDDEN}]"
# How one character is to be drawn: text or emoji, which form of a name's ideograph, which form of a Mongolian letter.
_SELECTOR = "[\ufe00-\ufe0f\u180b-\u180d\u180f\U000e0100-\U000e01ef]"
_JOINER = "[\u200c\u200d]"
_SPELT = rf"(?:{_SEEN}+{_SELECTOR}?(?:{_JOINER}(?={_SEEN}))?)+|[0-9#*]\ufe0f(?=\u20e3)"
_FOUND = re.compile(rf"({_SPELT})|[{_HIDDEN}]")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_BASIC_PLANE = 0xFFFF
# What makes a spreadsheet take a cell for a formula: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_NUMBER = re.compile(r" *[-+]?[0-9][0-9.,]*([eE][-+]?[0-9]+)? *%? *")
# The cells that `cell` may write otherwise, as RE2 spells it: DuckDB and Arrow ask Python about no other.
SUSPICIOUS = r"^ *[=+@＝＋－＠-]|[^ -~]"


def line(text: str) -> str:
    """The text on one line: what breaks a line is shown like everything else that is not seen."""
    return _shown(text, keep="")


def block(text: str) -> str:
    """A text of several lines, with its line breaks and tabs; only for where the reader sees that it is quoted."""
    return _shown(text.replace("\r\n", "\n"), keep="\n\t")


def quoted(text: str) -> list[str]:
    """A text of several lines as lines of output: a bar before each tells it from what the page itself says."""
    return [f"  | {line(each)}" for each in text.replace("\r\n", "\n").rstrip("\n").split("\n")]


def json_text(text: str) -> str:
    """JSON as a terminal may show it: the very same values, with what is not seen written as JSON escapes."""
    return _shown(text, keep="\n")  # outside of JSON's own strings there are no others


def cell(value: Any) -> Any:
    """A value of a sheet: a text on one line, with `'` before it where a spreadsheet would compute it."""
    if not isinstance(value, str):
        return value
    shown = line(value)
    formula = shown.lstrip(" ").startswith(_FORMULA) and not _NUMBER.fullmatch(shown)
    return f"'{shown}" if formula else shown


def hidden(text: str) -> tuple[int, str] | None:
    """The place and name of the first character that is not seen, line breaks and tabs aside; None where all are."""
    for found in _FOUND.finditer(text):
        if found[1] is None and found[0] not in "\n\t":
            name = unicodedata.name(found[0], "control character").lower()
            return found.start(), f"U+{ord(found[0]):04X}, {name}"
    return None


def _shown(text: str, *, keep: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return _FOUND.sub(lambda found: found[1] or (found[0] if found[0] in keep else _escaped(found[0])), text)


def _escaped(sign: str) -> str:
    r"""`\n`, `\u202e`, `\udb40\udc41`: as JSON writes a character."""
    if sign in _SHORT:
        return _SHORT[sign]
    number = ord(sign)
    if number <= _BASIC_PLANE:
        return f"\\u{number:04x}"
    high, low = divmod(number - _BASIC_PLANE - 1, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
