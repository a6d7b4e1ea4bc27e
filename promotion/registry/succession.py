"""Succession: *revise* opens a draft that continues the pilot, with its lineage and the alpha already spent.

So does *scale* of one arm of several, where its owner asks for it, with the other arms.
"""

from __future__ import annotations

import copy
import io
import re
import shutil
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from promotion.registry.revision import applied, parse_changes
from promotion.state import DECIDED
from shared.core.errors import PilotPlantError, Refused
from shared.core.files import scratch_in, settle
from shared.core.printable import block, line
from shared.core.yamlfile import read_yaml
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


def open_successor(workspace: Workspace, candidate: Candidate, decision: Decision) -> Path:
    """Writes the successor's draft charter with its files; a draft that is there stays as it is."""
    charter = candidate.promise().charter
    folder = workspace.pilots / str(decision.successor)
    if not folder.exists():
        with scratch_in(workspace.pilots) as scratch:
            _write(workspace, candidate, charter, decision, scratch)
            settle(scratch, folder)
    return folder / "charter.yaml"


def _write(workspace: Workspace, candidate: Candidate, charter: Charter, decision: Decision, folder: Path) -> None:
    before: dict[str, Any] = charter.model_dump(mode="json", exclude_none=True)
    content = copy.deepcopy(before)
    start = workspace.clock.now().date() + timedelta(days=1)
    later = start - charter.time_box.start
    content["pilot"] = decision.successor
    # What is scaled has been found out; the successor goes on with the others.
    content["arms"] = [arm for arm in content["arms"] if arm["name"] != decision.arm]
    content["time_box"] |= {name: day + later for name, day in _days(charter).items()}
    content["decide_by"] = charter.decide_by + later
    content = applied(content, parse_changes(decision.changes, charter))
    content["follows"] = {
        "pilot": charter.pilot,
        "candidate": digest_named(candidate),
        "change": _change(decision),
        "alpha_spent": spent_by(charter),
    }
    # In one line: a reason of several would go on as YAML where the comment ends.
    without = f", but for its arm {decision.arm}, which was scaled" if decision.arm else ""
    head = f"# Revises {charter.pilot}{without}: {line(' '.join(decision.reason.split()))}\n"
    plain = yaml.safe_dump(_shown(content), sort_keys=False, allow_unicode=True)
    written = workspace.pilots / charter.pilot / "charter.yaml"
    text = with_comments(written, charter, before, _shown(content)) or plain
    # What editors find the schema by stays first.
    first, _, rest = text.partition("\n") if text.startswith("# yaml-language-server") else ("", "", text)
    named = rest.replace(f"# The charter of {charter.pilot}:", f"# The charter of {decision.successor}:").replace(
        f"`pilotplant lab check {charter.pilot}`", f"`pilotplant lab check {decision.successor}`"
    )
    (folder / "charter.yaml").write_text((first and f"{first}\n") + head + named, encoding="utf-8")
    going_on = tuple(arm for arm in charter.arms if arm.name != decision.arm)
    for name in charter.model_copy(update={"arms": going_on}).files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(candidate.file(name), folder / name)


def with_comments(path: Path, charter: Charter, before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """The charter's own file with what is different, and with its comments; None where that cannot be had.

    The file may have been edited since it was frozen, or be gone: what is written must say the same as `after`.
    """
    yaml_ = YAML()
    yaml_.width, yaml_.preserve_quotes = 10_000, True
    try:
        if read_yaml(path, Charter) != charter:
            return None
        document = yaml_.load(path.read_text(encoding="utf-8"))
        _carry(document, before, after)
        stream = io.StringIO()
        yaml_.dump(document, stream)
        text = stream.getvalue()
        expected = Charter.model_validate(yaml.safe_load(yaml.safe_dump(dict(after))))
        return text if Charter.model_validate(yaml.safe_load(text)) == expected else None
    except (OSError, ValueError, YAMLError, PilotPlantError):
        return None


def _carry(document: Any, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Changes in a document what differs between the two, and leaves alone what only says a default."""
    for key, value in after.items():
        if key in before and before[key] == value:
            continue
        if isinstance(value, dict) and isinstance(before.get(key), dict) and isinstance(document.get(key), dict):
            _carry(document[key], before[key], value)
        elif key == "arms" and isinstance(document.get(key), list):
            kept = {arm["name"] for arm in value}
            if value != [arm for arm in before[key] if arm["name"] in kept]:
                document[key] = value
                continue
            for place in reversed(range(len(document[key]))):
                if document[key][place]["name"] not in kept:
                    del document[key][place]
        else:
            document[key] = value
    for key in before.keys() - after.keys():
        document.pop(key, None)


def _change(decision: Decision) -> str:
    """What is different, as the charter says it: of a pilot with a scaled arm the reason is that of scaling."""
    said = f"arm {decision.arm} was scaled, and the others go on" if decision.arm else decision.reason
    return said + (f" ({'; '.join(decision.changes)})" if decision.changes else "")


def _days(charter: Charter) -> dict[str, date]:
    """Every day that the time box names."""
    box = charter.time_box
    named = {"start": box.start, "end": box.end, "enrol_until": box.enrol_until, "record_until": box.record_until}
    return {name: day for name, day in named.items() if day is not None}


def _shown(value: Any) -> Any:
    """The content of a draft that can be read again: an earlier build took characters that nobody can see."""
    if isinstance(value, str):
        return block(value)
    if isinstance(value, dict):
        return {key: _shown(each) for key, each in value.items()}
    return [_shown(each) for each in value] if isinstance(value, list) else value
