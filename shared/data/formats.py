"""What a contract's `format` means: kept by a rule of ours, or refused where nobody would keep it.

The Open Data Contract Standard takes the format of a date or timestamp as a pattern of the JDK's `DateTimeFormatter`,
and that of a string as a name (v3.1.0, "Logical Type Options"). Dates are read here by DuckDB's `strptime`, which
takes `14.05.26` for the year 26 where a year of four digits is expected, and `infinity` for a day in 1900: a regular
expression says first what the text must look like.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TWO, _ONE_OR_TWO, _NAME, _OFFSET = r"\d{2}", r"\d{1,2}", r"[A-Za-z]{3,}", r"(Z|[+-]\d{2}(:?\d{2})?)"
# The JDK's letters, with what they are to `strptime` and what they look like.
_DATE = {
    "yyyy": ("%Y", r"\d{4}"),
    "uuuu": ("%Y", r"\d{4}"),
    "yy": ("%y", _TWO),
    "MMMM": ("%B", _NAME),
    "MMM": ("%b", _NAME),
    "MM": ("%m", _TWO),
    "M": ("%-m", _ONE_OR_TWO),
    "dd": ("%d", _TWO),
    "d": ("%-d", _ONE_OR_TWO),
}
_TIME = {
    "HH": ("%H", _TWO),
    "H": ("%-H", _ONE_OR_TWO),
    "hh": ("%I", _TWO),
    "h": ("%-I", _ONE_OR_TWO),
    "mm": ("%M", _TWO),
    "ss": ("%S", _TWO),
    "SSS": ("%g", r"\d{3}"),
    "SSSSSS": ("%f", r"\d{6}"),
    "a": ("%p", r"[AaPp][Mm]"),
    "XXX": ("%z", _OFFSET),
    "XX": ("%z", _OFFSET),
    "X": ("%z", _OFFSET),
    "Z": ("%z", _OFFSET),
}
_ONCE = {"year": ("yyyy", "uuuu", "yy"), "month": ("MMMM", "MMM", "MM", "M"), "day": ("dd", "d")}
_AT_MOST_ONCE = {
    "hour": ("HH", "H", "hh", "h"), "minute": ("mm",), "second": ("ss",), "fraction": ("SSS", "SSSSSS"),
    "offset": ("XXX", "XX", "X", "Z"), "half of the day": ("a",),
}  # fmt: skip
_HOURS = frozenset({"HH", "H", "hh", "h"})
# What a part says nothing without: before it, as minutes are no months, or anywhere.
_BEFORE = {"mm": _HOURS, "ss": {"mm"}, "SSS": {"ss"}, "SSSSSS": {"ss"}}
_BEFORE |= dict.fromkeys(("XXX", "XX", "X", "Z"), _HOURS)
_ANYWHERE = {"hh": {"a"}, "h": {"a"}, "a": {"hh", "h"}}
_PIECE = re.compile(r"'(?P<quoted>[^']*)'|(?P<letters>(?P<letter>[A-Za-z])(?P=letter)*)|(?P<sign>[^A-Za-z'])")
# UUIDs as in RFC 9562; addresses as in HTML's `<input type=email>`, which is stricter than RFC 5322 on purpose.
PATTERNS = {
    "uuid": r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
    "email": r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$",
    "uri": r"^[A-Za-z][A-Za-z0-9+.-]*:[^\s]+$",
    "hostname": r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$",
    "ipv4": r"^((25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])$",
}


@dataclass(frozen=True, slots=True)
class DateFormat:
    """How a date or timestamp is written.

    Attributes:
        strptime: DuckDB's format.
        looks: what a text must look like, as a whole, before it is read by that.
    """

    strptime: str
    looks: str


def date_format(pattern: str, *, with_time: bool) -> DateFormat:
    """What a JDK pattern of a date, or `with_time` of a timestamp, means.

    Raises ValueError for a pattern that does not name year, month and day once each, or has letters not kept here.
    """
    known = _DATE | _TIME if with_time else _DATE
    formats, looks, seen = [], [], []
    position = 0
    while position < len(pattern):
        piece = _PIECE.match(pattern, position)
        if piece is None:
            raise ValueError(f"the format `{pattern}` has a quote without its other half")
        position = piece.end()
        letters = piece["letters"]
        if letters in known:
            seen.append(letters)
            formats.append(known[letters][0])
            looks.append(known[letters][1])
            continue
        # A `T` between date and time is written without quotes as often as with.
        if letters is not None and letters != "T":
            raise ValueError(
                f"`{letters}` of the format `{pattern}` is not kept here: leave the format out for ISO 8601, "
                f"or write it with {', '.join(known)}"
            )
        text = letters or piece["sign"] or piece["quoted"] or "'"  # two quotes stand for one
        formats.append(text.replace("%", "%%"))
        looks.append(re.escape(text))
    _require_sense(pattern, seen)
    return DateFormat("".join(formats), "".join(looks))


def _require_sense(pattern: str, seen: list[str]) -> None:
    """Raises ValueError where the parts, in their order, name no moment, or one of them twice."""
    for part, names in _ONCE.items():
        if sum(letters in names for letters in seen) != 1:
            raise ValueError(f"the format `{pattern}` must name the {part} once, with one of {', '.join(names)}")
    for part, names in _AT_MOST_ONCE.items():
        if sum(letters in names for letters in seen) > 1:
            raise ValueError(f"the format `{pattern}` names the {part} twice")
    for place, letters in enumerate(seen):
        needed = _BEFORE.get(letters, _ANYWHERE.get(letters))
        there = seen[:place] if letters in _BEFORE else seen
        if needed and not needed & {*there}:
            raise ValueError(f"the format `{pattern}` has `{letters}` without {' or '.join(sorted(needed))}")


def string_pattern(name: str) -> str:
    """The regular expression of a string's format; raises ValueError for one that is not kept here."""
    if name not in PATTERNS:
        raise ValueError(f"the format `{name}` is not kept here: leave it out, or write one of {', '.join(PATTERNS)}")
    return PATTERNS[name]
