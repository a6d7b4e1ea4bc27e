"""Was the promise made after the snapshot it was made on, and is the Lab's record in order of time?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from promotion.gate.case import Case
from promotion.gate.check import NeverWaived, check, finding
from promotion.registry.dates import ORDER_REMEDY, SINCE, against_order
from shared.core.clock import rfc3339
from shared.state.chain import Dated
from shared.state.order import problems
from shared.trust.finding import Finding

NOTHING_MENDS = f"nothing mends this candidate: {ORDER_REMEDY}, under a new name"


@check(
    NeverWaived,
    reads="every version of the charter, the gate's register, when the snapshot was published, the Lab's ledger",
    since=SINCE,
)
def times_in_order(case: Case, _rule: NeverWaived) -> Iterator[Finding]:
    """Is the promise younger than the data it was made on, and the Lab's record in order of time?"""
    if case.mode == "rehearsal":
        yield finding("passed", "this is a rehearsal, whose clock may be set: no order of times is asked for")
        return
    versions = case.versions
    stamps = [case.taken_in(version.digest) for version in versions]
    source = versions[0].source
    if source is None or None in stamps:
        yield finding(
            "unevaluable",
            "the promise does not say when the snapshot that it was made on was published"
            if source is None
            else "the gate never took in a version of the promise, so that nothing dates it",
            remedy=NOTHING_MENDS,
        )
        return
    taken = [stamp for stamp in stamps if stamp is not None]
    told = (against_order(version, stamp, case.mode) for version, stamp in zip(versions, taken, strict=True))
    against = [each for each in told if each is not None]
    links = [Dated(link.seq, link.at, link.kind) for link in case.excerpt.links]
    against += problems(links, "the Lab's ledger", begun=True)
    dates: dict[str, Any] = {"measured": [rfc3339(stamp) for stamp in taken], "threshold": rfc3339(source.published)}
    if against:
        yield finding("failed", "; ".join(against), remedy=NOTHING_MENDS, **dates)
    else:
        so = "the promise is younger than its snapshot, and the Lab's record is in order of time"
        yield finding("passed", so, **dates)
