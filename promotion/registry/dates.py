"""Dates: whether a promise comes after the snapshot that it was made on; asked at registration, and by the gate."""

from __future__ import annotations

from datetime import datetime

from shared.core.clock import rfc3339
from shared.experiment.charter import Promise
from shared.state.order import TOLERANCE
from shared.state.workspace import Mode

# The rules from which on a promise says when its snapshot was published.
SINCE = 2
ORDER_REMEDY = "put this machine's clock right, have marketing ops publish again, and launch then"


def against_order(promise: Promise, taken_in: datetime, mode: Mode) -> str | None:
    """Why a promise cannot have been made when it was taken in; None where it can. A rehearsal's clock may be set."""
    if mode == "rehearsal" or promise.rules < SINCE:
        return None
    if promise.source is None:
        return "the promise does not say when the snapshot that it was made on was published"
    published = promise.source.published
    if taken_in >= published - TOLERANCE:
        return None
    return (
        f"the promise would be of {rfc3339(taken_in)}, and the snapshot that it was made on was published "
        f"at {rfc3339(published)}: one of the two clocks was wrong"
    )
