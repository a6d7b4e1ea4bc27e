"""Pages for people: one self-contained HTML file each, in one style, everything escaped that is not ours.

A text stands on one line, and what cannot be seen in it is shown (`shared/core/printable.py`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from shared.core.clock import parse_rfc3339, rfc3339
from shared.core.printable import block, line
from shared.core.times import date_time, spoken, spoken_day

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

# As messages write them: `a name`, and *a word* that stands out.
_CODE, _STRESSED = re.compile(r"`([^`]+)`"), re.compile(r"(?<![\w*])\*([A-Za-z]+)\*(?![\w*])")
STYLE = """
  :root { color-scheme: light; --ink: #1b1b1b; --soft: #555; --line: #d9d9d9; --note: #fff7e0; }
  body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); max-width: 62rem; margin: 2rem auto;
         padding: 0 1rem; }
  h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
  .soft { color: var(--soft); } .note { background: var(--note); border: 1px solid var(--line); padding: .6rem .9rem; }
  table { border-collapse: collapse; width: 100%; }
  th, td { text-align: left; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid var(--line);
           vertical-align: top; }
  td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
  figure { margin: 1rem 0; overflow-x: auto; } figure svg { max-width: 100%; height: auto; }
  code { font-size: .85rem; overflow-wrap: anywhere; }
  @media (max-width: 40rem) {
    body { margin: 1rem auto; } th, td { padding-right: .6rem; }
    /* What is wider than a telephone is moved sideways by itself: the names of the rows stay, the page stands still. */
    table:has(thead) { display: block; overflow-x: auto; }
    table:has(thead) :is(th, td):first-child { position: sticky; left: 0; background: #fff; }
    figure svg { max-width: none; min-width: 34rem; }
  }
  @media print { body { margin: 0; max-width: none; } }
"""


def pages(package: str) -> Environment:
    """Where a package's page templates are rendered, with `style` in their reach; an unknown name is an error."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("shared.ui")]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finished,
    )
    environment.globals["style"] = STYLE
    environment.filters |= {
        "told": told, "plain": plain, "date_time": date_time, "moment": moment, "spoken": spoken,
        "spoken_day": spoken_day, "block": blocked, "typed": typed, "first_line": lambda text: text.split("\n")[0],
        "first_large": first_large,
    }  # fmt: skip
    return environment


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


def plain(text: str) -> str:
    """The same where no tags can stand, as in a title."""
    return _STRESSED.sub(r"\1", _CODE.sub(r"\1", text))
