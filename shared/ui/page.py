"""Pages for people: one self-contained HTML file each, in one style, everything escaped that is not ours.

A text stands on one line, and what cannot be seen in it is shown (`shared/core/printable.py`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from shared.core.clock import parse_rfc3339, rfc3339
from shared.core.printable import block, line
from shared.core.times import date_time, spoken, spoken_day

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

# How something stands, as its colour and its icon say beside a word.
Tone = Literal["go", "no", "wait", "new", "quiet"]
# As messages write them: `a name`, and *a word* that stands out.
_CODE, _STRESSED = re.compile(r"`([^`]+)`"), re.compile(r"(?<![\w*])\*([A-Za-z]+)\*(?![\w*])")


def pages(*packages: str) -> Environment:
    """Where packages' page templates are rendered, with `style` in their reach; an unknown name is an error."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in (*packages, "shared.ui")]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finished,
    )
    environment.globals["style"] = style
    environment.filters |= {
        "told": told, "plain": plain, "date_time": date_time, "moment": moment, "spoken": spoken,
        "spoken_day": spoken_day, "block": blocked, "typed": typed, "first_line": lambda text: text.split("\n")[0],
        "first_large": first_large, "sentence": sentence,
    }  # fmt: skip
    return environment


def style() -> Markup:
    """The style of all pages, for one that is a file and loads none."""
    from markupsafe import Markup

    return Markup((Path(__file__).parent / "desk.css").read_text(encoding="utf-8"))  # noqa: S704 - our own


def _finished(value: Any) -> Any:
    """What a template prints; `style` and pictures come marked as safe, and stay as they are."""
    return line(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def told(text: str) -> Markup:
    """A sentence of ours: what is code or stands out on a terminal does so here, without the signs that say it there.

    What somebody else has written is shown as it is.
    """
    from markupsafe import Markup, escape

    coded = _CODE.sub(r"<code>\1</code>", str(escape(line(text))))
    return Markup(_STRESSED.sub(r"<em>\1</em>", coded))  # noqa: S704 - escaped, and the tags are ours


def moment(at: datetime | str | None) -> Markup:
    """A moment with UTC behind it: in its title for people, and in its attribute for scripts."""
    from markupsafe import Markup, escape

    if at is None:
        return Markup("–")
    try:
        known = parse_rfc3339(at) if isinstance(at, str) else at
    except ValueError:
        return escape(line(str(at)))
    utc = known.astimezone(UTC)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        rfc3339(known), f"{utc:%Y-%m-%d %H:%M} UTC", spoken(known)
    )


def blocked(text: str) -> Markup:
    """A text of several lines, which stays within its box: no line of it begins one of the page."""
    from markupsafe import Markup, escape

    return Markup("<br>").join(escape(each) for each in block(text).splitlines())


def typed(text: str) -> Markup:
    """A text to be edited: as it is, lines and all; what is not seen is shown."""
    from markupsafe import escape

    return escape(block(text))


def first_large(text: str) -> str:
    """The same with a capital letter at its beginning."""
    return text[:1].upper() + text[1:]


def sentence(text: str) -> str:
    """A sentence's end as a sentence of its own."""
    text = text.strip()
    return f"{first_large(text)}{'' if text.endswith(('.', '!', '?')) else '.'}" if text else ""


def plain(text: str) -> str:
    """The same where no tags can stand, as in a title."""
    return _STRESSED.sub(r"\1", _CODE.sub(r"\1", text))
