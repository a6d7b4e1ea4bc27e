"""What an adversary or an accident makes of a pilot, each in three sizes, and winners whose recording was untidy.

Nothing that an adversary submits deserves to be scaled: either there is no effect and the fault makes one, or there is
harm that the charter said would close the pilot.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np

from benchmarks.gate import conventional
from benchmarks.gate.classes import (
    HALF,
    NOTHING,
    OPENS,
    SILENT_FROM,
    SILENT_UNTIL,
    WINNER,
    Fault,
    Held,
    Pilot,
    PilotClass,
    Retold,
    everywhere,
)
from benchmarks.gate.shop import ALPHA, ARM, CONTROL, DAY_S, USUAL, Customers, Habits
from shared.core.clock import rfc3339
from shared.engines.protocol import NOT_ASSIGNED
from tests.promotion.cases import known_before

PILOTS, UNTIDY_PILOTS = 300, 1_000
# How much less often untidy winners may be admitted than tidy ones.
UNTIDY_POINTS = 2.0
HOUR_S = 3_600
BOX_S = conventional.DAYS * DAY_S
OUTSIDE = "outside the time box"
# Of a published column that goes from 10 to 16 evenly.
HISTORY_SD = 2.0
KILL_AT = -0.005
# Who visits at a moment that has nothing to do with the letter, of all within the time box.
ANYWAY = 0.2


@dataclass(frozen=True, slots=True)
class Attack:
    """A fault at one size.

    Attributes:
        one: the pilots that have it.
        size: in words.
        check: the check that is made for it.
    """

    one: PilotClass
    size: str
    check: str


def ground(names: int) -> Fault:
    """The arms are the luckiest of so many draws, each from a name that was tried and thrown away."""

    def fault(rng: np.random.Generator, pilot: Pilot) -> Pilot:
        visits = np.isfinite(pilot.customers.visited)
        draws = rng.random((names, len(visits))) < 0.5  # noqa: PLR2004 - a coin
        lead = (draws @ visits) / draws.sum(axis=1) - (~draws @ visits) / (~draws).sum(axis=1)
        return replace(pilot, customers=replace(pilot.customers, treated=draws[lead.argmax()]))

    return fault


def picked(deviations: float) -> Fault:
    """Another system dealt the arms, the better customers to the letter: their history is so many deviations higher."""

    def fault(_rng: np.random.Generator, pilot: Pilot) -> Pilot:
        higher = f"n % 7 + 10.0 + CASE WHEN arm = '{ARM}' THEN {deviations * HISTORY_SD} ELSE 0 END"
        submitted = {"pre_period": known_before(history=higher)}
        return replace(pilot, charter={"assignment": "source"}, submitted=submitted)

    return fault


def held_back(share: float) -> Fault:
    """Of the control's visits, so many were recorded with a time outside the time box, so that none of them counts."""

    def fault(rng: np.random.Generator, pilot: Pilot) -> Pilot:
        gone = _some(rng, pilot.customers, share)
        return replace(pilot, customers=_unseen(pilot.customers, gone), held=(*_late_rows(pilot.customers, gone),))

    return fault


def crossed(share: float) -> Fault:
    """Of the control's visitors, so many were reported in the other arm as well, so that none of them counts."""

    def fault(rng: np.random.Generator, pilot: Pilot) -> Pilot:
        found = _some(rng, pilot.customers, share)
        return replace(pilot, held=(*_other_arm_rows(pilot.customers, found),))

    return fault


def silent(days: int) -> Fault:
    """The control's outcomes of so many days in a row were never recorded."""

    def fault(rng: np.random.Generator, pilot: Pilot) -> Pilot:
        customers = pilot.customers
        start = int(rng.integers(SILENT_FROM, SILENT_UNTIL - days)) * DAY_S
        inside = (customers.visited >= start) & (customers.visited < start + days * DAY_S)
        return replace(pilot, customers=_unseen(customers, inside & ~customers.treated))

    return fault


def late(days: int) -> Fault:
    """The control's outcomes of the last so many days were not there yet when the pilot was submitted."""

    def fault(_rng: np.random.Generator, pilot: Pilot) -> Pilot:
        customers = pilot.customers
        return replace(
            pilot, customers=_unseen(customers, ~customers.treated & (customers.visited >= BOX_S - days * DAY_S))
        )

    return fault


def exposed_later(hours: float) -> Fault:
    """The control is reached so many hours later, and customers visit whenever they like: it has less time to."""

    def fault(rng: np.random.Generator, pilot: Pilot) -> Pilot:
        customers, count = pilot.customers, len(pilot.customers)
        exposed = customers.exposed + np.where(customers.treated, 0.0, hours * HOUR_S)
        moment = rng.random(count) * BOX_S
        seen = (rng.random(count) < ANYWAY) & (moment > exposed)
        bought = seen & (rng.random(count) < 0.5)  # noqa: PLR2004 - half of the visitors buy
        visited = np.where(seen, moment, np.inf)
        return replace(pilot, customers=replace(customers, exposed=exposed, visited=visited, bought=bought))

    return fault


def killed(_rng: np.random.Generator, pilot: Pilot) -> Pilot:
    """The charter says how many fewer purchases would close the pilot."""
    return replace(pilot, charter={"kill_criteria": [{"metric": "conversion", "worse_than": KILL_AT}]})


def renamed(*, message: bool, audience: bool) -> Fault:
    """A pilot that came to nothing, once more under another name: the same message, or the same audience, or both."""

    def fault(_rng: np.random.Generator, pilot: Pilot) -> Pilot:
        return replace(pilot, retold=Retold(message, audience))

    return fault


def untidy(rng: np.random.Generator, pilot: Pilot) -> Pilot:
    """What happens in every shop, to both arms alike: rows held back, customers reported twice, a gap of hours."""
    customers = pilot.customers
    visits = np.isfinite(customers.visited)
    gone = visits & (rng.random(len(customers)) < 0.005)  # noqa: PLR2004 - half of what may be held back
    twice = rng.random(len(customers)) < 0.003  # noqa: PLR2004 - a third of what may be seen in two arms
    start = rng.uniform(3, 10) * DAY_S
    inside = (customers.visited >= start) & (customers.visited < start + 6 * HOUR_S)
    delayed = np.where(rng.random(len(customers)) < 0.05, rng.uniform(0, DAY_S, len(customers)), 0.0)  # noqa: PLR2004
    moved = np.where(visits, np.minimum(customers.visited + delayed, BOX_S - 1), np.inf)
    recorded = _unseen(replace(customers, visited=moved), gone | inside)
    held = (*_late_rows(customers, gone), *_other_arm_rows(customers, twice))
    return replace(pilot, customers=recorded, held=held, ten_columns=True)


def _some(rng: np.random.Generator, customers: Customers, share: float) -> np.ndarray:
    """So many of the control's visitors."""
    there = np.flatnonzero(~customers.treated & np.isfinite(customers.visited))
    chosen = np.zeros(len(customers), dtype=bool)
    chosen[rng.choice(there, round(share * len(there)), replace=False)] = True
    return chosen


def _unseen(customers: Customers, gone: np.ndarray) -> Customers:
    return replace(customers, visited=np.where(gone, np.inf, customers.visited), bought=customers.bought & ~gone)


def _late_rows(customers: Customers, gone: np.ndarray) -> Iterator[Held]:
    after = rfc3339(OPENS + timedelta(seconds=BOX_S + HOUR_S))
    for number in np.flatnonzero(gone):
        said = {"visit": "1", "conversion": str(int(customers.bought[number])), "spend": "0.0"}
        arm = ARM if customers.treated[number] else CONTROL
        yield Held("outcomes", f"h-{number}", customers.unit[number], OUTSIDE, None, arm, after, json.dumps(said))


def _other_arm_rows(customers: Customers, twice: np.ndarray) -> Iterator[Held]:
    for number in np.flatnonzero(twice):
        drawn, other = (ARM, CONTROL) if customers.treated[number] else (CONTROL, ARM)
        at = rfc3339(OPENS + timedelta(seconds=float(customers.exposed[number]) + HOUR_S))
        yield Held("exposures", f"t-{number}", customers.unit[number], NOT_ASSIGNED, other, drawn, at, None)


def _class(name: str, what: str, fault: Fault | None = None, **said: Any) -> PilotClass:
    """Pilots without an effect, that may be admitted as rarely as others without one, where nothing else is said."""
    usual = {"promise": "at most", "treated": NOTHING, "limit": ALPHA / 2}
    return PilotClass(name=name, what=what, fault=fault, **{**usual, **said})


def _attacks(name: str, what: str, check: str, sizes: Mapping[str, Mapping[str, Any]], **said: Any) -> Iterator[Attack]:
    """One fault in its sizes, each by what it changes of the class."""
    for number, (size, changed) in enumerate(sizes.items(), start=1):
        yield Attack(_class(f"{name}-{number}", what, **{**said, **changed}), size, check)


def _purchases(fewer: float) -> tuple[Habits, ...]:
    return everywhere(USUAL.moved(HALF, HALF, buy=-fewer))


NEVER: dict[str, Any] = {"promise": "never", "limit": None}
IMPLIED: dict[str, Any] = {"limit": None}
ATTACKS = (
    *_attacks(
        "ground", "names are tried until the arms are lucky ones", "units_assigned",
        {f"{n:,} names": {"fault": ground(n)} for n in (10, 100, 1_000)}, **NEVER,
    ),
    *_attacks(
        "held-back", "the control's visits are held back", "losses_by_arm",
        {f"{n} %": {"fault": held_back(n / 100)} for n in (10, 20, 40)},
    ),
    *_attacks(
        "crossed", "the control's visitors are reported in two arms", "losses_by_arm",
        {f"{n} %": {"fault": crossed(n / 100)} for n in (10, 20, 40)},
    ),
    *_attacks(
        "outage", "days without the control's outcomes", "outages_by_arm",
        {f"{n} days": {"fault": silent(n), "silent_days": n} for n in (1, 2, 4)}, **IMPLIED,
    ),
    *_attacks(
        "late", "the control's last days have not come in yet", "outages_by_arm",
        {f"{n} days": {"fault": late(n), "late_days": n} for n in (2, 4, 6)}, **IMPLIED,
    ),
    *_attacks(
        "later", "the control is reached later, and has less time to visit", "time_at_risk",
        {
            "1 hour": {"fault": exposed_later(1)},
            "24 hours": {"fault": exposed_later(24), **NEVER},
            "84 hours": {"fault": exposed_later(84), **NEVER},
        },
    ),
    *_attacks(
        "killed", "more visits, and purchases fall by more than what closes the pilot", "kill_criteria",
        {f"{100 * n:g} points": {"treated": _purchases(n)} for n in (0.01, 0.0175, 0.025)},
        fault=killed, kill_at=KILL_AT, **IMPLIED,
    ),
    *_attacks(
        "picked", "another system puts the better customers into one arm", "pre_period_balance",
        {f"{n:g} deviations": {"fault": picked(n)} for n in (0.1, 0.2, 0.4)}, treated=WINNER, **NEVER,
    ),
    *_attacks(
        "renamed", "a pilot once more under another name", "registration",
        {
            "the same message": {"fault": renamed(message=True, audience=False)},
            "the same audience": {"fault": renamed(message=False, audience=True)},
            "both": {"fault": renamed(message=True, audience=True)},
        },
        treated=WINNER, **NEVER,
    ),
    *_attacks(
        "at-once", "pilots without an effect side by side", "portfolio_fdr",
        {f"{n} at once": {"together": n} for n in (20, 40, 80)},
    ),
)  # fmt: skip
REWORDED = _class(
    "reworded",
    "a successor that names none, of other words and another audience",
    renamed(message=False, audience=False),
)
UNTIDY = PilotClass(
    "untidy", "a true effect; rows held back, units crossed, lateness and a gap in both arms", "as planned", WINNER,
    fault=untidy, seeded_as="winner",
)  # fmt: skip
