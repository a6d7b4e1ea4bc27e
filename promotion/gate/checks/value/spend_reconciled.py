"""Are the costs in the candidate those of the Lab's ledger, entry by entry?"""

from __future__ import annotations

from collections.abc import Iterator

from promotion.gate.case import Case
from promotion.gate.check import NeverWaived, check, finding
from promotion.gate.facts.spend_ledger import Booked, booked, differences
from shared.state.chain import Head
from shared.trust.excerpt import Excerpt
from shared.trust.finding import Finding
from shared.ui import phrases

AGAIN = "submit the pilot again: pilotplant lab submit {}"
REPAIR = "run `pilotplant promote verify`, restore the Lab's ledger from a backup, and submit the pilot again"


@check(
    NeverWaived,
    reads="sealed spend, the Lab's chain from the head that the gate witnessed at registration to the manifest's",
    group="value and risk",
    blind=True,
)
def spend_reconciled(case: Case, _rule: NeverWaived) -> Iterator[Finding]:
    """Are the costs in the candidate those of the Lab's ledger?"""
    pilot, chain = case.charter.pilot, case.excerpt
    again = AGAIN.format(pilot)
    if not case.registrations:
        reason = "the gate never took in this charter, so it witnessed no head of the Lab's ledger"
        yield finding("unevaluable", reason, remedy="nothing mends this candidate: launch a new pilot")
    elif broken := chain.broken():
        yield finding(
            "failed", f"the Lab's ledger was altered: {phrases.first_of(broken)}", measured=broken, remedy=REPAIR
        )
    elif gap := _uncovered(case, chain):
        yield finding("unevaluable", gap, remedy=again)
    elif replaced := [head for head in case.witnessed if not _agrees(chain, head)]:
        yield finding(
            "failed",
            f"entry {replaced[0].seq} of the Lab's ledger is not the one that the gate witnessed",
            measured=chain.heads[replaced[0].seq],
            threshold=replaced[0].hash,
            remedy=REPAIR,
        )
    elif hidden := [link.seq for link in chain.bookings(pilot) if link.body is None]:
        reason = f"what entry {hidden[0]} of the Lab's ledger says on the pilot's costs is not in the candidate"
        yield finding("unevaluable", reason, measured=hidden, remedy=again)
    else:
        yield _compared(case, booked(chain.bookings(pilot)), again)


def _uncovered(case: Case, chain: Excerpt) -> str | None:
    """What of the Lab's ledger, from the first head that the gate witnessed to the manifest's, is not shown."""
    first = Head(**case.registrations[0].body["lab"])
    if chain.after.seq > first.seq:
        return (
            f"the candidate shows the Lab's ledger from entry {chain.after.seq + 1} on, and the gate witnessed "
            f"entry {first.seq}"
        )
    if chain.end.as_json() != case.candidate.manifest.ledger:
        return f"the candidate shows the Lab's ledger up to entry {chain.end.seq}, and its manifest names another"
    last = Head(**case.registrations[-1].body["lab"])
    if chain.end.seq < last.seq:
        return f"the candidate shows the Lab's ledger up to entry {chain.end.seq}, and the gate witnessed {last.seq}"
    return None


def _agrees(chain: Excerpt, head: Head) -> bool:
    return chain.heads.get(head.seq, head.hash) == head.hash


def _compared(case: Case, account: Booked, again: str) -> Finding:
    found = [f"`{key}` is twice in the Lab's ledger" for key in account.twice]
    found += differences(account.costs, case.spend.entries)
    if found:
        reason = f"the costs in the candidate are not those of the Lab's ledger: {phrases.first_of(found)}"
        return finding("failed", reason, measured=found, threshold=[], remedy=again)
    if account.held:
        held = ", ".join(f"{money} for `{key}`" for key, money in sorted(account.held.items()))
        return finding(
            "unevaluable",
            f"it is not yet known what the pilot has cost; still held: {held}",
            measured={key: money.as_json() for key, money in account.held.items()},
            remedy=f"settle or release what is held (pilotplant lab spend {case.charter.pilot}), and submit again",
        )
    number, totals = len(account.costs), account.totals
    told = f"{number} cost{'s' * (number != 1)}, {' and '.join(map(str, totals))} in all" if number else "no costs"
    return finding(
        "passed",
        f"{told}, entry by entry as in the Lab's ledger",
        measured={"costs": number, "totals": [total.as_json() for total in totals], "entries": len(case.excerpt.links)},
    )
