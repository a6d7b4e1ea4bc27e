"""Today: what waits for whom, what is broken, what is about to happen, and what happened since yesterday."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lab.overview.measures import Measures as LabMeasures
from lab.overview.portfolio import Line
from pilotplant.desk.views.history import Event, history
from pilotplant.desk.views.parts import Item, Meter, how_many, title_of, trouble_of
from pilotplant.overview import Overview
from promotion.queue.views import Waiting
from shared.core.times import spoken
from shared.experiment.people import same_person
from shared.state.workspace import Workspace
from shared.ui.page import Tone, sentence
from shared.ui.phrases import days

COMING_WITHIN, BEFORE = timedelta(hours=36), timedelta(days=1)
SHOWN_MAX, BROKEN_MAX = 12, 40


@dataclass(frozen=True, slots=True)
class Today:
    """The page.

    Attributes:
        headline, why: what is so, in a sentence, and what to know of it.
        mine: what waits for whoever reads.
        others: what waits for somebody else, of which `more` are not shown.
    """

    now: datetime
    headline: str
    why: str
    mine: tuple[Item, ...]
    others: tuple[Item, ...]
    more: int
    broken: tuple[Item, ...]
    coming: tuple[Item, ...]
    since: tuple[Event, ...]
    running: tuple[tuple[str, Meter], ...]
    lab: LabMeasures
    releases: dict[str, int]
    plant: str


def today(workspace: Workspace, found: Overview, person: str | None) -> Today:
    """The page of a person, or of somebody who only reads."""
    mine, others = split(found, person)
    broken = tuple(_broken(found))
    shown = broken[:BROKEN_MAX]
    running = [line for line in found.lab.waiting if line.state == "running"]
    return Today(
        now=found.clock,
        headline=_headline(len(mine), len(broken)),
        why=_why(mine, others),
        mine=tuple(mine),
        others=tuple(others[:SHOWN_MAX]),
        more=max(0, len(others) - SHOWN_MAX),
        broken=shown,
        coming=tuple(sorted(_coming(found), key=lambda item: item.at or found.clock)[:SHOWN_MAX]),
        since=history(workspace, since=found.clock - BEFORE, most=SHOWN_MAX),
        running=tuple((line.name, sample_meter(line)) for line in running[:SHOWN_MAX]),
        lab=found.lab,
        releases=found.factory.releases_by_state,
        plant=sentence(trouble_of("Factory", str(found.factory.plant))),
    )


def split(found: Overview, person: str | None) -> tuple[list[Item], list[Item]]:
    """What waits for a person, and what waits for anybody else."""
    mine: list[Item] = []
    others: list[Item] = []
    for who, item in _waits(found):
        is_mine = person is not None and any(same_person(person, one) for one in who)
        (mine if is_mine else others).append(item)
    return mine, others


def _headline(mine: int, broken: int) -> str:
    if broken:
        more = f", and {_waits_for_you(mine).lower()}" if mine else ""
        return f"{how_many(broken, 'thing does', 'things do')} not work as planned{more}"
    return _waits_for_you(mine) if mine else "Nothing needs you today"


def _waits_for_you(count: int) -> str:
    return how_many(count, "thing waits for you", "things wait for you")


def _why(mine: Sequence[Item], others: Sequence[Item]) -> str:
    due = [(item.at, item.title) for item in mine if item.at is not None]
    if due:
        at, title = min(due)
        return f"First: {title[:1].lower()}{title[1:]}, until {spoken(at)}."
    count = len(others)
    return f"{how_many(count, 'thing waits', 'things wait')} for others." if count else ""


def _waits(found: Overview) -> Iterator[tuple[tuple[str, ...], Item]]:
    """Each thing that waits, with the people whom it waits for; nobody's name is ops'."""
    at_gate = {each.pilot: each for each in found.promotion.waiting}
    for candidate in at_gate.values():
        yield of_candidate(candidate)
    for line in found.lab.waiting:
        if line.name not in at_gate:
            charter = line.pilot.charter
            who = charter.owner if line.state == "ended" and line.submitted else charter.requester
            yield (who,), _of_pilot(line)
    if found.factory.handed_over:
        count = found.factory.handed_over
        title = how_many(count, "release waits to be admitted", "releases wait to be admitted")
        told = "The Factory takes them in when it runs."
        yield (), Item("clock", "new", title, "Handed over", told, "/factory", "See")


def of_candidate(one: Waiting) -> tuple[tuple[str, ...], Item]:
    """Whom a candidate waits for, and its line; nobody where it waits for the gate itself."""
    href, name = f"/gate/{one.pilot}", title_of(one.pilot)
    if one.proposed and one.proposed.for_gate:
        what = f"{name}: {one.proposed.told} is signed and waits for the gate's own signature"
        return (), Item("key", "new", what, "Signed in time", sentence(one.proposed.reason), href, "See", one.until)
    if one.proposed:
        said = f"{' and '.join(one.proposed.persons)} decided {one.proposed.told}: {one.proposed.reason}"
        what = f"Sign the decision about {name.lower()}, as the second person"
        asked = "Your signature is asked for"
        return one.proposed.others, Item("key", "new", what, asked, said, href, "Read", one.until)
    left = f"{days(one.days_left)} left; if nobody decides, it is stopped."
    tone: Tone = "wait" if one.due else "new"
    return one.deciders, Item(
        "clock", tone, f"Decide about {name.lower()}", "Due" if one.due else "Results are sealed", left, href, "Decide",
        one.until,
    )  # fmt: skip


def _of_pilot(line: Line) -> Item:
    href, name = f"/lab/{line.name}", title_of(line.name)
    left = "" if line.days_left is None else f"{days(line.days_left)} left." if line.days_left >= 0 else "Overdue."
    if line.state == "running":
        return Item("flask", "new", f"Bring the results of {name.lower()}", "Running", left, href, "See", line.until)
    if line.submitted:
        return Item("clock", "new", f"Decide about {name.lower()}", "Results are sealed", left, f"/gate/{line.name}",
                    "Decide", line.until)  # fmt: skip
    if line.state == "ended":
        return Item("flask", "wait", f"Analyse and submit {name.lower()}", "Ended", left, href, "See", line.until)
    return Item("flask", "quiet", f"Settle the last bills of {name.lower()}", "Decided", left, href, "See", line.until)


def _broken(found: Overview) -> Iterator[Item]:
    for killed in found.lab.killed:
        yield Item("warn", "no", sentence(killed.told), "Does harm", "", f"/lab/{killed.pilot}", "See why")
    for each in found.promotion.troubles:
        yield Item("warn", "no", trouble_of(each.subject, each.what), "Stuck", each.next,
                   f"/gate/{each.subject}", "See why")  # fmt: skip
    known = {release.name for release in found.factory.releases}
    for one in found.factory.troubles:
        href = f"/factory/{one.subject}" if one.subject in known else "/factory"
        yield Item("warn", "no", trouble_of(one.subject, one.what), "Does not work", one.next, href, "See why")


def _coming(found: Overview) -> Iterator[Item]:
    until = found.clock + COMING_WITHIN
    is_up = found.factory.plant.is_up
    tone: Tone = "quiet" if is_up else "wait"
    state = "Planned" if is_up else "Does not run while the Factory is down"
    for release in found.factory.releases:
        if release.next is not None and release.next <= until:
            name = release.name
            yield Item("next", tone, f"{title_of(name)} runs", state, "", f"/factory/{name}", "See", release.next)
    for line in found.lab.waiting:
        if line.state == "running" and line.pilot.ends <= until:
            yield Item("flask", "quiet", f"{title_of(line.name)} ends", "Planned", "Nothing counts that happens later.",
                       f"/lab/{line.name}", "See", line.pilot.ends)  # fmt: skip


def sample_meter(line: Line) -> Meter:
    """Customers reached, of those that were planned."""
    return Meter(
        f"{line.exposures:,} of {line.planned_units:,} customers",
        line.sample_frac,
        f"{title_of(line.name)}: {line.exposures:,} of {line.planned_units:,} planned customers were reached",
    )
