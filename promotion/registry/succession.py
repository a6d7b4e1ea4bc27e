"""Succession: *revise* opens a draft that continues the pilot, with its lineage and the alpha already spent.

So does *scale* of one arm of several, where its owner asks for it, with the other arms.
"""

from __future__ import annotations

import re
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from promotion.registry.revision import applied, parse_changes
from promotion.state import DECIDED
from shared.core.errors import Refused
from shared.core.yamlfile import read_yaml
from shared.doors.door import ask
from shared.doors.requests import OpenDraft
from shared.experiment.charter import Charter
from shared.state.chain import Entry
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.candidate import Candidate
from shared.trust.candidates import digest_named
from shared.trust.decision import Decision


def successor_name(pilot: str) -> str:
    """`spring-email` is followed by `spring-email-2`, that by `spring-email-3`."""
    found = re.fullmatch(r"(.*?)-(\d+)", pilot)
    return f"{found[1]}-{int(found[2]) + 1}" if found else f"{pilot}-2"


def spent_by(charter: Charter) -> float:
    """The error rates that a pilot and the ones before it in its line have spent, for the one after it."""
    return charter.sample.alpha + (charter.line.alpha_spent if charter.line else 0.0)


def opened_by(room: Room, pilot: str) -> Entry | None:
    """The gate's decision that opened a pilot as the successor of another one, or None."""
    decided = room.entries(kinds=[DECIDED])
    return next((e for e in decided if e.body["decision"].get("successor") == pilot), None)


def require_free(workspace: Workspace, pilot: str, successor: str) -> None:
    """Raises Refused where the successor's name is taken by a pilot that does not continue this one."""
    path = workspace.pilots / successor / "charter.yaml"
    if not path.parent.exists():
        return
    follows = read_yaml(path, Charter).line
    if follows is None or follows.pilot != pilot:
        raise Refused(
            f"the successor would be called {successor}, and there is such a pilot already",
            where=str(path),
            expected=f"no pilot of that name, or one that follows {pilot}",
            remedy="move that draft to another name",
        )


def open_successor(workspace: Workspace, candidate: Candidate, decision: Decision) -> str:
    """Has the Lab open the successor's draft, and returns where; a draft that is there stays as it is."""
    charter = candidate.promise().charter
    before: dict[str, Any] = charter.model_dump(mode="json", exclude_none=True)
    after = _successor(candidate, charter, decision, start=workspace.clock.now().date() + timedelta(days=1))
    # What is scaled has been found out; the successor goes on with the others.
    going_on = charter.model_copy(update={"arms": tuple(arm for arm in charter.arms if arm.name != decision.arm)})

    def pack(folder: Path) -> None:
        for name in going_on.files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(candidate.file(name), folder / name)

    return ask(workspace, OpenDraft(decision=decision, before=before, after=after), pack)


def _successor(candidate: Candidate, charter: Charter, decision: Decision, *, start: date) -> dict[str, Any]:
    """What the successor's charter has to say, as JSON has it."""
    content: dict[str, Any] = charter.model_dump(mode="json", exclude_none=True)
    later = start - charter.time_box.start
    content["pilot"] = decision.successor
    content["arms"] = [arm for arm in content["arms"] if arm["name"] != decision.arm]
    content["time_box"] |= {name: str(day + later) for name, day in _days(charter).items()}
    content["decide_by"] = str(charter.decide_by + later)
    content = applied(content, parse_changes(decision.changes, charter))
    content["follows"] = {
        "pilot": charter.pilot,
        "candidate": digest_named(candidate),
        "change": _change(decision),
        "alpha_spent": spent_by(charter),
    }
    return content


def _change(decision: Decision) -> str:
    """What is different, as the charter says it: of a pilot with a scaled arm the reason is that of scaling."""
    said = f"arm {decision.arm} was scaled, and the others go on" if decision.arm else decision.reason
    return said + (f" ({'; '.join(decision.changes)})" if decision.changes else "")


def _days(charter: Charter) -> dict[str, date]:
    """Every day that the time box names."""
    box = charter.time_box
    named = {"start": box.start, "end": box.end, "enrol_until": box.enrol_until, "record_until": box.record_until}
    return {name: day for name, day in named.items() if day is not None}
