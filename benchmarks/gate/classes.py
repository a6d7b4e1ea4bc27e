"""The classes of simulated pilots: one that deserves to be scaled, and eleven that do not, each for one reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal

import numpy as np

from benchmarks.gate import conventional
from benchmarks.gate.shop import (
    ALPHA,
    DAY_S,
    EFFECT,
    MARGIN,
    PLACES,
    USUAL,
    Customers,
    Habits,
    customers_needed,
    drawn,
    units_planned,
)
from shared.core.clock import rfc3339
from tests.makers import moment

REQUESTER = "requester@example.com"
OPENS = moment("2026-01-05 00:00")
# Between these days of the time box an arm's recording may be down.
SILENT_FROM, SILENT_UNTIL = 3, 11
# What is promised of each class: admitted as often as the plan implies, at most so often, or never.
Promise = Literal["as planned", "at most", "never"]


@dataclass(frozen=True, slots=True)
class Held:
    """A row that was held back: a row of `conflicts`."""

    kind: str
    event_id: str
    unit: str
    reason: str
    arm: str | None
    assigned: str | None
    at: str
    said: str | None


@dataclass(frozen=True, slots=True)
class Retold:
    """What a pilot has from another one that was registered before under another name: its message, its audience."""

    message: bool
    audience: bool


@dataclass(frozen=True, slots=True)
class Pilot:
    """One simulated pilot as it is submitted.

    Attributes:
        customers: as they are recorded, with whatever is wrong with the recording.
        until: when the recording ends, in seconds since the time box began.
        charter: what its charter says otherwise than the others'.
        submitted: how its candidate differs, as keywords of `Stage.submit`.
        wrong_rows: outcomes that break their contract.
        held: rows that were held back.
        retold: what it repeats of an earlier one; None where there was none.
        ten_columns: whether the shop publishes ten columns of its customers, and not the usual eight.
    """

    customers: Customers
    until: float = conventional.DAYS * DAY_S
    charter: Mapping[str, Any] = field(default_factory=dict)
    submitted: Mapping[str, Any] = field(default_factory=dict)
    wrong_rows: int = 0
    held: tuple[Held, ...] = ()
    retold: Retold | None = None
    ten_columns: bool = False


Fault = Callable[[np.random.Generator, Pilot], Pilot]


@dataclass(frozen=True, slots=True)
class PilotClass:
    """A class of pilots.

    Attributes:
        what: in words.
        promise: what is promised of the gate.
        limit: the rate that is promised; None for the one that the plan implies (`benchmarks.gate.implied`).
        treated: what the arm's customers do, by place.
        share: of the planned customers, how many were reached.
        fault: what went wrong with the pilot; None where nothing did.
        lost: of the arm's customers who do not visit, the share that is never recorded, from and to.
        silent_days, late_days: how many days of the control's outcomes are not recorded, in a row or at the end.
        kill_at: how many fewer purchases would close the pilot; None where nothing would.
        together: how many pilots stand side by side in one workspace.
        seeded_as: the class from whose seeds its customers are drawn; None for its own.
    """

    name: str
    what: str
    promise: Promise
    treated: tuple[Habits, ...]
    limit: float | None = None
    share: float = 1.0
    fault: Fault | None = None
    lost: tuple[float, float] = (0.0, 0.0)
    silent_days: int = 0
    late_days: int = 0
    kill_at: float | None = None
    together: int = 25
    seeded_as: str | None = None

    def pilot(self, rng: np.random.Generator, name: str) -> Pilot:
        """One of them."""
        while True:
            planned = round(units_planned() * self.share)
            loss = rng.uniform(*self.lost)
            # Whoever loses customers reaches more, so that neither arm is short of its plan.
            customers = drawn(rng, name, customers_needed(round(planned / (1 - loss))), self.treated)
            gone = customers.treated & np.isinf(customers.visited) & (rng.random(len(customers)) < loss)
            made = Pilot(customers.kept(~gone))
            if self.fault is None:
                return made
            try:
                return self.fault(rng, made)
            except NotOfThisClass:
                continue


class NotOfThisClass(Exception):
    """A draw that the class is not about: it is drawn again."""


def everywhere(habits: Habits) -> tuple[Habits, ...]:
    """The same in every place."""
    return (habits,) * len(PLACES)


def _peeked(_rng: np.random.Generator, pilot: Pilot) -> Pilot:
    """Submitted on the first day on which a look says that the arm wins, before the time box is over."""
    day = conventional.first_significant(pilot.customers)
    if day is None or day >= conventional.DAYS:
        raise NotOfThisClass
    covers = rfc3339(OPENS + timedelta(days=day))
    until = day * DAY_S
    return replace(pilot, customers=pilot.customers.until(until), until=until, submitted={"covers_until": covers})


def _mislabelled(rng: np.random.Generator, pilot: Pilot) -> Pilot:
    """One customer in fifty is recorded under another one's id, as where two systems were joined by the wrong key."""
    unit = pilot.customers.unit.copy()
    mixed = rng.choice(len(unit), len(unit) // 50, replace=False)
    unit[mixed] = unit[np.roll(mixed, 1)]
    return replace(pilot, customers=replace(pilot.customers, unit=unit))


def _bad_schema(rng: np.random.Generator, pilot: Pilot) -> Pilot:
    return replace(pilot, wrong_rows=int(rng.integers(1, 20)))


def _missing_owner(rng: np.random.Generator, pilot: Pilot) -> Pilot:
    """Owned by nobody whom people.yaml knows, or by the one who asks."""
    owner = "somebody@example.com" if rng.random() < 0.5 else REQUESTER  # noqa: PLR2004 - a coin
    return replace(pilot, charter={"owner": owner, "requester": REQUESTER})


def _overspent(rng: np.random.Generator, pilot: Pilot) -> Pilot:
    cost = 10 + int(rng.integers(1, 1_000)) / 100
    return replace(pilot, submitted={"costs": [(f"{cost:.2f}", "USD")]})


HALF = EFFECT / 2
# As planned: more visits, early and late alike, and as many purchases as before.
WINNER = everywhere(USUAL.moved(HALF, HALF))
NOTHING = everywhere(USUAL)
# A third of the customers is driven away, and the others make up for more than that: EFFECT on average.
UNEVEN = (USUAL.moved(-0.035, -0.035, buy=-0.03), *(USUAL.moved(0.055, 0.055, buy=0.015),) * 2)

CLASSES = (
    PilotClass("winner", "a true effect, of the size that the plan was made for", "as planned", WINNER),
    PilotClass("null", "no effect", "at most", NOTHING, limit=ALPHA / 2),
    PilotClass(
        "harmful", "more visits, and purchases fall to their guardrail's margin", "at most",
        everywhere(USUAL.moved(HALF, HALF, buy=MARGIN)), limit=ALPHA,
    ),
    PilotClass(
        "broken", "no effect; of those who did not visit, 10 to 40 % are lost in one arm", "at most", NOTHING,
        lost=(0.1, 0.4),
    ),
    PilotClass("peeked", "no effect; submitted on the first day that looked like one", "never", NOTHING, fault=_peeked),
    PilotClass("underpowered", "a true effect, a quarter of the units", "never", WINNER, share=0.25),
    PilotClass("segment", "an effect on average; a third of the customers is driven away", "at most", UNEVEN),
    PilotClass(
        "novelty", "an effect in the first days after the exposure only", "at most", everywhere(USUAL.moved(EFFECT))
    ),
    PilotClass(
        "mislabelled", "a true effect; one customer in fifty under another's id", "never", WINNER, fault=_mislabelled
    ),
    PilotClass("schema", "a true effect; outcomes that break their contract", "never", WINNER, fault=_bad_schema),
    PilotClass("ownerless", "a true effect; nobody may decide on it", "never", WINNER, fault=_missing_owner),
    PilotClass("overspent", "a true effect; it cost more than its budget", "never", WINNER, fault=_overspent),
)  # fmt: skip
