"""The draft that a decision asks for: of the pilot that goes on with what was revised, or with the other arms."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from shared.core.errors import PilotPlantError
from shared.core.files import scratch_in, settle
from shared.core.printable import block, line
from shared.core.yamlfile import read_yaml
from shared.experiment.charter import Charter
from shared.state.workspace import Workspace
from shared.trust.decision import Decision


def open_draft(
    workspace: Workspace, decision: Decision, before: Mapping[str, Any], after: Mapping[str, Any], files: Path
) -> Path:
    """Writes the successor's charter with the files it names, and returns it; a draft that is there stays as it is.

    `before` is the charter that was decided on, `after` what its successor's has to say, both as JSON has them.
    """
    folder = workspace.pilots / str(decision.successor)
    if not folder.exists():
        with scratch_in(workspace.pilots) as scratch:
            shutil.copytree(files, scratch, dirs_exist_ok=True)
            (scratch / "charter.yaml").write_text(_text(workspace, decision, before, after), encoding="utf-8")
            settle(scratch, folder)
    return folder / "charter.yaml"


def _text(workspace: Workspace, decision: Decision, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    pilot, content = str(before["pilot"]), _shown(_dated(after))
    # In one line: a reason of several would go on as YAML where the comment ends.
    without = f", but for its arm {decision.arm}, which was scaled" if decision.arm else ""
    head = f"# Revises {pilot}{without}: {line(' '.join(decision.reason.split()))}\n"
    plain = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    written = workspace.pilots / pilot / "charter.yaml"
    text = with_comments(written, Charter.model_validate(before), before, content) or plain
    # What editors find the schema by stays first.
    first, _, rest = text.partition("\n") if text.startswith("# yaml-language-server") else ("", "", text)
    named = rest.replace(f"# The charter of {pilot}:", f"# The charter of {decision.successor}:").replace(
        f"`pilotplant lab check {pilot}`", f"`pilotplant lab check {decision.successor}`"
    )
    return (first and f"{first}\n") + head + named


def _dated(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content with its days as YAML writes them, which are texts in JSON."""
    box = {name: date.fromisoformat(said) if name in _DAYS else said for name, said in content["time_box"].items()}
    return {**content, "time_box": box, "decide_by": date.fromisoformat(content["decide_by"])}


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


def _shown(value: Any) -> Any:
    """The content of a draft that can be read again: an earlier build took characters that nobody can see."""
    if isinstance(value, str):
        return block(value)
    if isinstance(value, dict):
        return {key: _shown(each) for key, each in value.items()}
    return [_shown(each) for each in value] if isinstance(value, list) else value


# The fields of a time box that are days.
_DAYS = {"start", "end", "enrol_until", "record_until"}
