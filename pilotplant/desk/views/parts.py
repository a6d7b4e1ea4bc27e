"""What pages are made of: lines, meters and facts, as values that a template draws and JSON says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.ui.page import Tone, first_large


@dataclass(frozen=True, slots=True)
class Item:
    """One thing in a list.

    Attributes:
        icon, tone: how its state is drawn; the word beside it says the same.
        title: what is so, in a sentence.
        state: that, in a word or two.
        text: why, or what to know of it.
        href, action: the page to go on with, and what its button says; None for nothing to do.
        at: the moment that it is about; None for none.
    """

    icon: str
    tone: Tone
    title: str
    state: str
    text: str = ""
    href: str | None = None
    action: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Meter:
    """How much of what was planned there is.

    Attributes:
        label: both numbers, in words.
        frac: what there is, as a share of the plan; more than 1 where the plan is exceeded.
        held: what else is bound, as such a share.
        told: what a reader who does not see the bar is told.
    """

    label: str
    frac: float
    told: str
    held: float = 0.0

    @property
    def width(self) -> float:
        """How long the bar is, in per cent; the plan is at 100 or, where it is exceeded, before that."""
        return 100 * self.frac / self._full

    @property
    def held_width(self) -> float:
        """The same of what is held."""
        return 100 * self.held / self._full

    @property
    def plan(self) -> float:
        """Where the plan is."""
        return 100 / self._full

    @property
    def _full(self) -> float:
        return max(1.0, self.frac + self.held)


def title_of(name: str) -> str:
    """A pilot's, release's or table's name as a sentence begins with it: `spring-mail` is `Spring mail`."""
    return first_large(name.replace("-", " ").replace("_", " "))


def trouble_of(subject: str, what: str) -> str:
    """What is wrong, with what it concerns: `The Factory is down since …`."""
    if subject == "Factory":
        return f"The Factory {what.replace('DOWN', 'down')}"
    return f"{title_of(subject)}: {what}"


def how_many(count: int, one: str, many: str) -> str:
    """A sentence's beginning that says how many: `One thing waits`, `Two things wait`."""
    return f"{number_word(count)} {one if count == 1 else many}"


def number_word(count: int) -> str:
    """A count as a sentence begins with it: up to ten in letters."""
    words = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")
    return words[count] if count < len(words) else f"{count:,}"
