"""The calendar: pilots and releases on one scale of weeks, who shares whose customers, and what is due when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from math import ceil

from factory.releases.releases import play_of, runs_between
from factory.state.settings import read_settings
from lab.overview.portfolio import drafts
from lab.pilots.pilot import all_pilots
from lab.state import open_lab
from pilotplant.desk.views.overlaps import Overlap, overlap, pairs
from pilotplant.desk.views.parts import Item, how_many, title_of
from pilotplant.desk.views.planned import Planned, Released, decided_by, drafted, planned, released_by, slice_of
from pilotplant.desk.views.weeks import WEEKS, Span, Tick, Weeks, around
from shared.core.clock import parse_rfc3339
from shared.core.errors import PilotPlantError
from shared.core.times import spoken
from shared.experiment.charter import Charter
from shared.experiment.play import Play, Schedule
from shared.state.workspace import Workspace
from shared.trust.record import decisions
from shared.ui.page import Tone, sentence

# Of pilots and of releases, on one page; of overlaps and of deadlines, in one list.
SHOWN, LISTED = 16, 15
# Of a schedule that fires more often, the runs are not counted.
COUNTED_MAX = 2_000
# More runs than that are no dots any more, but a line.
DOTS_MAX = WEEKS * 2


@dataclass(frozen=True, slots=True)
class Bar:
    """A pilot or a release on the scale.

    Attributes:
        kind: `draft`, `running`, `ended` or `decided` of a pilot; `release` of a release.
        starts, ends: when customers are reached, or while it may run.
        decide_by: the first moment that is too late to decide; None where nothing is to be decided.
        span, wait, due: the same on the scale: its time, the time to decide, and the deadline.
        runs, dots: how many runs lie inside, None where they are too many to be counted; and where, unless the dots
            would be a line.
        who: whose move it is, or who decides.
        shares: what it draws from: population, slice, channel, holdout.
        told: what a reader who does not see the drawing is told.
    """

    name: str
    kind: str
    href: str
    tone: Tone
    icon: str
    state: str
    starts: datetime
    ends: datetime
    decide_by: datetime | None
    span: Span | None
    wait: Span | None
    due: float | None
    runs: int | None
    dots: tuple[float, ...]
    who: str | None
    shares: tuple[str, ...]
    told: str = ""


@dataclass(frozen=True, slots=True)
class Calendar:
    """The page.

    Attributes:
        now: where the present is on the scale; None where it is outside.
        shift: so many weeks later than the present.
        unread: drafts and releases of which nothing can be shown, each with the reason.
        holdout: the share of all customers that no pilot and no release touches, in per cent.
        more_overlaps: overlaps that are not shown.
        pilots_count, releases_count: how many there are inside, on all pages.
    """

    headline: str
    why: str
    tone: Tone
    starts: datetime
    ends: datetime
    now: float | None
    ticks: tuple[Tick, ...]
    pilots: tuple[Bar, ...]
    releases: tuple[Bar, ...]
    overlaps: tuple[Overlap, ...]
    more_overlaps: int
    deadlines: tuple[Item, ...]
    unread: tuple[tuple[str, str], ...]
    holdout: float
    shift: int
    page: int
    pages: int
    pilots_count: int
    releases_count: int


def calendar(workspace: Workspace, shift: int = 0, page: int = 1) -> Calendar:
    """The calendar, now or so many weeks later."""
    room = open_lab(workspace)
    now, scale = room.now(), around(room.now(), shift)
    launched, decided = all_pilots(room), decisions(workspace)
    plans, unread = drafted(workspace, drafts(room))
    everything = [*(planned(pilot, decided.get(pilot.name), now) for pilot in launched), *plans]
    inside = sorted(
        (one for one in everything if scale.holds(one.starts, max(one.ends, decided_by(one)))),
        key=lambda one: (one.starts, one.name),
    )
    charters = {pilot.name: pilot.charter for pilot in launched}
    released = [one for one in released_by(workspace, charters) if scale.holds(one.starts, one.ends)]
    here = slice(SHOWN * (page - 1), SHOWN * page)
    bars, broken = _releases(workspace, released[here], scale, now)
    found = list(pairs(inside, released, scale))
    found.sort(key=lambda pair: (pair.apart, pair.ends < now, pair.starts, pair.one.name, pair.other.name))
    sharing = sum(not pair.apart and pair.ends > now for pair in found)
    deadlines = tuple(_deadlines(inside, released, now, scale))
    return Calendar(
        headline=how_many(sharing, "pair shares customers", "pairs share customers")
        if sharing
        else "Nothing gets in another's way",
        why=_why(deadlines),
        tone="wait" if sharing else "go",
        starts=scale.start,
        ends=scale.end,
        now=scale.at(now),
        ticks=tuple(scale.ticks()),
        pilots=tuple(_bar(one, scale, now) for one in inside[here]),
        releases=tuple(bars),
        overlaps=tuple(overlap(pair) for pair in found[:LISTED]),
        more_overlaps=max(0, len(found) - LISTED),
        deadlines=deadlines[:LISTED],
        unread=(*unread, *broken),
        holdout=100 * float(read_settings(workspace).holdout_frac),
        shift=shift,
        page=page,
        pages=max(1, ceil(max(len(inside), len(released)) / SHOWN)),
        pilots_count=len(inside),
        releases_count=len(released),
    )


def _bar(one: Planned, scale: Weeks, now: datetime) -> Bar:
    tone, icon, state = _stands(one, now)
    deadline, is_open = one.charter.deadline, one.state != "decided"
    found = Bar(
        name=one.name,
        kind=one.state,
        href=one.href,
        tone=tone,
        icon=icon,
        state=state,
        starts=one.starts,
        ends=one.ends,
        decide_by=deadline if is_open else None,
        span=scale.span(one.starts, one.ends),
        wait=scale.span(one.ends, decided_by(one)),
        due=scale.at(deadline) if is_open else None,
        runs=None,
        dots=(),
        who=one.charter.owner,
        shares=tuple(_shares(one.charter)),
    )
    until = f"; to be decided until {spoken(deadline)}" if is_open else ""
    told = f"{title_of(one.name)}, {state.lower()}: from {spoken(one.starts)} to {spoken(one.ends)}{until}"
    return replace(found, told=told)


def _stands(one: Planned, now: datetime) -> tuple[Tone, str, str]:
    if one.state == "draft":
        return ("wait", "warn", "Draft; its start has passed") if one.starts <= now else ("quiet", "ask", "Draft")
    if one.state == "running":
        return ("new", "flask", "Running") if one.starts <= now else ("new", "clock", "Launched; begins later")
    if one.state == "ended":
        return "wait", "clock", "Ended, to be decided"
    word = one.decided.decision.word if one.decided else "stop"
    words: dict[str, tuple[Tone, str, str]] = {
        "scale": ("go", "check", "Scaled"),
        "revise": ("quiet", "next", "Revised"),
        "stop": ("quiet", "cross", "Stopped"),
    }
    return words[word]


def _shares(charter: Charter) -> Iterator[str]:
    made_up = ", made up" if charter.synthetic else ""
    yield f"{title_of(charter.population)}{made_up}"
    if charter.layer is not None:
        yield f"slice {slice_of(charter)} of layer {charter.layer.name}"
    channels = sorted({arm.play.channel for arm in charter.arms if arm.play is not None})
    yield from (f"channel {channel}" for channel in channels)


def _releases(
    workspace: Workspace, shown: Sequence[Released], scale: Weeks, now: datetime
) -> tuple[list[Bar], list[tuple[str, str]]]:
    """A bar for each release, and of which the schedule cannot be read, with the reason."""
    ran: dict[str, list[datetime]] = {}
    for run in runs_between(workspace, scale.start, min(now, scale.end)):
        ran.setdefault(run.release, []).append(parse_rfc3339(run.occurrence))
    bars, unread = list[Bar](), list[tuple[str, str]]()
    for one in shown:
        name, play = one.release.name, None
        try:
            play = play_of(workspace, one.release)
        except PilotPlantError as error:
            unread.append((name, sentence(error.what)))
        coming = _coming(one, play, scale, now)
        moments = None if coming is None else (*ran.get(name, ()), *coming)
        bars.append(_release(one, play, moments, scale))
    return bars, unread


def _coming(one: Released, play: Play | None, scale: Weeks, now: datetime) -> tuple[datetime, ...] | None:
    """When it is still to run: a release that rests does not. None where that is too often to be counted."""
    if play is None or one.release.state != "live":
        return ()
    moments = _scheduled(play.schedule, scale.start, scale.end)
    return None if moments is None else tuple(at for at in moments if now < at < one.ends)


@lru_cache(maxsize=512)
def _scheduled(schedule: Schedule, start: datetime, end: datetime) -> tuple[datetime, ...] | None:
    """Every moment that a schedule names; None where they are too many to be counted."""
    first = schedule.next(start)
    if (end - start) / (schedule.next(first) - first) > COUNTED_MAX:
        return None
    return tuple(sorted(schedule.between(start, end)))


def _release(one: Released, play: Play | None, moments: Sequence[datetime] | None, scale: Weeks) -> Bar:
    name, state = one.release.name, one.release.state
    tones: dict[str, tuple[Tone, str, str]] = {
        "live": ("go", "play", "Runs"),
        "paused": ("wait", "pause", "Paused"),
        "retired": ("quiet", "cross", "Retired"),
    }
    tone, icon, word = tones[state]
    places = tuple(dict.fromkeys(at for moment in moments or () if (at := scale.at(moment)) is not None))
    shares = [title_of(one.origin.population)] if one.origin else []
    if play is not None:
        shares += [f"channel {play.channel}", f"{100 * float(play.holdout_frac):g} % are left alone"]
    count = None if moments is None else len(moments)
    runs = "many runs" if count is None else how_many(count, "run", "runs").lower()
    return Bar(
        name=name,
        kind="release",
        href=f"/factory/{name}",
        tone=tone,
        icon=icon,
        state=word,
        starts=one.starts,
        ends=one.ends,
        decide_by=None,
        span=scale.span(one.starts, one.ends),
        wait=None,
        due=scale.at(one.ends),
        runs=count,
        dots=places if len(places) <= DOTS_MAX else (),
        who=None,
        shares=tuple(shares),
        told=f"Release {title_of(name)}, {word.lower()}: may run from {spoken(one.starts)} to {spoken(one.ends)}; "
        f"{runs} in these weeks",
    )


def _deadlines(inside: Sequence[Planned], released: Sequence[Released], now: datetime, scale: Weeks) -> list[Item]:
    """What has to be done by when, the first one first, as far as these weeks go."""
    found = [
        *(_of_pilot(one) for one in inside if one.state in {"running", "ended"}),
        *(_of_release(one) for one in released if one.release.state != "retired"),
    ]
    coming = [item for item in found if item.at is not None and now < item.at < scale.end]
    return sorted(coming, key=lambda item: (item.at or now, item.title))


def _of_pilot(one: Planned) -> Item:
    ended = one.state == "ended"
    return Item(
        "clock", "wait" if ended else "new", f"Decide about {title_of(one.name).lower()}",
        "Ended" if ended else "Still running", f"{one.charter.owner} decides; if nobody does, it is stopped.",
        f"/lab/{one.name}", "See", one.charter.deadline,
    )  # fmt: skip


def _of_release(one: Released) -> Item:
    name = one.release.name
    return Item("next", "quiet", f"{title_of(name)} ends", "Runs until then",
                "Nothing runs after it.", f"/factory/{name}", "See", one.ends)  # fmt: skip


def _why(deadlines: Sequence[Item]) -> str:
    if not deadlines or deadlines[0].at is None:
        return "No decision is due in these weeks."
    first = deadlines[0]
    return f"Next: {first.title[:1].lower()}{first.title[1:]}, until {spoken(first.at)}."
