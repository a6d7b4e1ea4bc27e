"""The order of time: in a live ledger no entry is earlier than the one before it.

Whoever sets a machine's clock back could otherwise date a promise, or a run, as they please. Where a clock was wrong
and ran ahead, two persons sign that it was (`shared.trust.clock_correction`), and time goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, Protocol

from shared.core.clock import parse_rfc3339, rfc3339
from shared.core.errors import Refused, Undecided
from shared.state.chain import Dated, Entry
from shared.state.workspace import Workspace

# More than a clock in good order is ever put back: NTP steps it where it is an eighth of a second off (RFC 5905,
# section 11.3, STEPT), and a leap second is one. Less than there is between two commands that somebody types.
TOLERANCE = timedelta(seconds=5)
# From this entry on a ledger keeps the order; what earlier builds wrote before it is as it is.
BEGUN = "order_begun"
CORRECTED = "clock_corrected"
REMEDY = (
    "put this machine's clock right (`timedatectl`). If it is right, and was ahead before: two persons sign that with "
    "`pilotplant promote correct-clock`"
)


class Corrections(Protocol):
    """What knows corrections of the clock: they are signed, and nothing here reads signatures."""

    def due(
        self, workspace: Workspace, room: str, chain: Callable[[], list[Entry]], now: datetime
    ) -> dict[str, Any] | None:
        """The body of the entry by which time goes on after the chain; None where nobody has signed for it."""

    def problem(self, entry: Entry, chain: list[Entry], workspace: Workspace, room: str) -> str | None:
        """What is wrong with an entry of that kind, `chain` being what stands before it; None for nothing."""


class OutOfOrder(Refused):
    """The clock is earlier than what has been written already."""


def dated(now: datetime, last: Dated | None, ledger: str) -> datetime:
    """The moment of an entry that is written now: the clock's, or that of the last one where it is a little later.

    Raises OutOfOrder where the clock is behind the last entry by more than a clock in good order can be.
    """
    if last is None:
        return now
    before = moment_of(last, ledger)
    if now >= before - TOLERANCE:
        return max(now, before)
    raise OutOfOrder(
        f"the clock is wrong, or was: it shows {rfc3339(now)}, and the last entry of {ledger} is of {last.at}",
        where=f"entry {last.seq} ({last.kind}) of {ledger}",
        expected=f"a time no earlier than that by more than {TOLERANCE.seconds} seconds",
        remedy=REMEDY,
    )


def moment_of(entry: Dated, ledger: str) -> datetime:
    """When an entry says that it was written; raises Undecided where that is no moment."""
    try:
        return parse_rfc3339(entry.at)
    except (ValueError, TypeError) as error:
        raise Undecided(
            f"when entry {entry.seq} of {ledger} was written cannot be read, so nobody knows what comes after it",
            where=f"{ledger}: {entry.at!r}",
            remedy="look: pilotplant verify",
        ) from error


def problems(entries: Iterable[Dated], name: str, *, begun: bool = False) -> list[str]:
    """Each entry that is earlier than one before it, by more than the tolerance and without a correction.

    `begun`: whether the order is kept from the first of these entries on; else it is from the entry that says so.
    """
    found, latest = [], None
    for entry in entries:
        begun = begun or entry.kind == BEGUN
        try:
            at = parse_rfc3339(entry.at)
        except (ValueError, TypeError):
            found += [f"{name}: when entry {entry.seq} was written cannot be read"] if begun else []
            continue
        if not begun:
            continue
        if latest is not None and at < latest - TOLERANCE and entry.kind != CORRECTED:
            found.append(f"{name}: entry {entry.seq} ({entry.kind}) is of {entry.at}, earlier than one before it")
        latest = at if latest is None or entry.kind == CORRECTED else max(latest, at)
    return found
