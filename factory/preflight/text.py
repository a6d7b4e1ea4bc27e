"""A preflight report for people: one line per part, facts only."""

from __future__ import annotations

from collections.abc import Iterator

from shared.core.times import date_time
from shared.trust.preflight import Comparison, Contacts, PreflightReport, ShadowRun, TableQuality
from shared.ui.console import counted


def lines(report: PreflightReport) -> list[str]:
    """What was found, in the order of the report."""
    share = report.holdout
    return [
        f"{report.pilot}, candidate {report.candidate[:19]}…, tried at {date_time(report.at)}",
        *(
            f"table {each.name}: {f'loaded {date_time(each.loaded_at)}' if each.loaded_at else 'never loaded'}"
            for each in report.tables
        ),
        *(line for each in report.compatibility for line in _comparison(each)),
        *(_quality(each) for each in report.quality),
        *(line for each in report.shadow_runs for line in _shadow_run(each)),
        f"holdout of all: {share.frozen} when frozen, {share.published or 'none'} published, {share.present} now",
        *(line for each in report.contacts for line in _contacts(each)),
        _kill_switch(report),
    ]


def _comparison(found: Comparison) -> Iterator[str]:
    if found.problem:
        yield f"contract of {found.table}: cannot be compared: {found.problem}"
    elif not found.changes:
        yield f"contract of {found.table}: as it was sealed"
    for change in found.changes:
        place = f" column `{change.column}`:" if change.column else ""
        yield f"contract of {found.table}: {change.severity}:{place} {change.told}"


def _quality(found: TableQuality) -> str:
    name = f"quality of {found.table} by the {found.contract} contract"
    report = found.report
    if report is None:
        return f"{name}: cannot be told: {found.problem}"
    told = f"{report.evaluated} of {report.expected} rules on {counted(report.rows, 'row')}"
    broken = [f"{breach.rule} ({counted(breach.rows, 'row')})" for breach in report.breaches]
    return f"{name}: {report.outcome}, {told}" + "".join(f"; {each}" for each in (*broken, *report.problems))


def _shadow_run(found: ShadowRun) -> Iterator[str]:
    name = f"shadow run of {found.release}"
    if not found.ran:
        yield f"{name}: not run: " + "; ".join(found.refusals or (found.problem or "",))
        return
    left = f"{found.held_out:,} held out" + (f", {found.strangers:,} not in the table" if found.strangers else "")
    yield (
        f"{name}: {found.messages:,} messages to {found.audience:,} units ({left}), the longest {found.body_max:,} "
        "characters; none was written"
    )
    if found.tested is not None:
        yield f"{name}: of {counted(found.tested, 'unit')} that the pilot exposed, {found.tested_selected:,} are in it"
    if found.personal:
        data = found.personal
        printed = ", ".join(f"{name} ({kind})" for name, kind in data.fields.items()) or "no column"
        seen = {"pseudonyms": data.pseudonyms, "e-mail addresses": data.addresses, **data.values}
        told = ", ".join(f"{what} in {counted(rows, 'message')}" for what, rows in seen.items() if rows)
        yield f"{name}: prints {printed}; personal data found: {told or 'none'}"


def _contacts(found: Contacts) -> Iterator[str]:
    if found.problem:
        yield f"contacts of {found.arm}: cannot be told: {found.problem}"
        return
    yield (
        f"contacts of {found.arm}: at most {found.most:,} per unit in the coming week, {found.per_week:,} of its own; "
        f"the cap is {found.cap}, above it: {counted(found.above_cap, 'unit')}"
    )
    for other in found.neighbours:
        yield f"  {other.release}: shares {counted(other.shared, 'unit')}, {other.simultaneous:,} at one moment"


def _kill_switch(report: PreflightReport) -> str:
    found = report.kill_switch
    if found.problem:
        return f"kill switch: cannot be tried: {found.problem}"
    works = found.stops and found.resumes and found.undone
    return f"kill switch: {'works' if works else 'DOES NOT WORK'}" + (
        f"; everything is stopped now: {found.stopped}" if found.stopped is not None else ""
    )
