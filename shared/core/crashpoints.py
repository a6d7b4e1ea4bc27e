"""Crash points: the named moments between two durable steps, at which tests end the process by kill -9.

A point does nothing unless `PILOTPLANT_CRASH_AT` holds its name.
"""

from __future__ import annotations

import os
import signal
from enum import StrEnum

VARIABLE = "PILOTPLANT_CRASH_AT"


class Point(StrEnum):
    """Every crash point, by command.

    `tests/journeys/test_crash_points.py` walks those of the Lab, `tests/promotion/test_crashes.py` and
    `test_reminders.py` the gate's, and `tests/journeys/test_crashed_handover.py` those from a decision to a release.
    """

    FREEZE_COPIED = "freeze: copied, not named"
    LAUNCH_FROZEN = "launch: frozen, not registered"
    REGISTER_WRITTEN = "register: written, not committed"
    REGISTER_RECORDED = "register: recorded, not signed"
    LAUNCH_REGISTERED = "launch: registered, not recorded"
    LAUNCH_WRITTEN = "launch: written, not committed"
    LAUNCH_RECORDED = "launch: recorded, not told"
    RECORD_COPIED = "record: copied, not named"
    RECORD_KEPT = "record: kept, not recorded"
    RECORD_WRITTEN = "record: written, not committed"
    RECORD_RECORDED = "record: recorded, not told"
    SPEND_WRITTEN = "spend: written, not committed"
    SPEND_RECORDED = "spend: recorded, not told"
    AMEND_FROZEN = "amend: frozen, not recorded"
    AMEND_WRITTEN = "amend: written, not committed"
    AMEND_RECORDED = "amend: recorded, not registered"
    AMEND_REGISTERED = "amend: registered, not noted"
    AMEND_NOTED = "amend: noted, not committed"
    AMEND_DEPOSITED = "amend: deposited, not told"
    PROPOSE_WRITTEN = "propose: written, not committed"
    PROPOSE_RECORDED = "propose: recorded, not told"
    SECOND_WRITTEN = "second: written, not committed"
    SECOND_RECORDED = "second: recorded, not told"
    DECLINE_WRITTEN = "decline: written, not committed"
    DECLINE_RECORDED = "decline: recorded, not told"
    WAIVE_WRITTEN = "waive: written, not committed"
    WAIVE_RECORDED = "waive: recorded, not told"
    ROTATE_RECORDED = "rotate: recorded, not laid out"
    REVOKE_WRITTEN = "revoke: written, not committed"
    REVOKE_RECORDED = "revoke: recorded, not laid out"
    DECIDE_JUDGED = "decide: judged, not signed"
    DECIDE_SIGNED = "decide: signed, not written"
    DECIDE_WRITTEN = "decide: written, not committed"
    DECIDE_RECORDED = "decide: recorded, not carried out"
    CARRY_ATTESTED = "carry: attestation written, nothing else done"
    CARRY_DRAFTED = "carry: draft opened, not told"
    HAND_OVER_COPIED = "hand over: copied, not named"
    HAND_OVER_SETTLED = "hand over: named, not told"
    ADMIT_WRITTEN = "admit: written, not committed"
    ADMIT_RECORDED = "admit: recorded, no receipt"
    ADMIT_RECEIPTED = "admit: receipt written, not told"
    REMIND_INTENDED = "remind: intended, not sent"
    REMIND_SENT = "remind: sent, not noted"
    LAPSE_WRITTEN = "lapse: written, not committed"
    LAPSE_RECORDED = "lapse: recorded, not told"


def reach(point: Point) -> None:
    """Ends the process here, at once and without any cleaning up, where the environment says so."""
    if os.environ.get(VARIABLE) == point:
        os.kill(os.getpid(), signal.SIGKILL)
