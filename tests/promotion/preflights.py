"""Preflight reports as a Factory would sign them: passing ones, of which each test changes one part."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from shared.core.clock import rfc3339
from shared.core.files import write_atomically
from shared.data.quality import Breach, QualityReport
from shared.state.chain import GENESIS
from shared.state.workspace import Workspace
from shared.trust.candidate import Candidate
from shared.trust.candidates import digest_named
from shared.trust.keys import FACTORY, KeyStore
from shared.trust.preflight import KIND, PreflightReport, report_path
from shared.trust.signed import sign

ROWS = 200
CONTRACT = "sha256:" + "c" * 64


def quality(**changes: Any) -> QualityReport:
    """A table that keeps its contract."""
    said: dict[str, Any] = {
        "rows": ROWS,
        "minimum_rows": 1,
        "expected": 12,
        "evaluated": 12,
        "breaches": (),
        "problems": (),
    }
    return QualityReport(**{**said, **changes})


def passing(workspace: Workspace, candidate: Candidate, at: datetime, /, **changes: Any) -> PreflightReport:
    """A report with which a candidate passes every check; `changes` replace whole parts, or fields of an arm's part.

    `shadow_run`, `personal` and `contacts_of_arm` change these fields for each arm.
    """
    promise = candidate.promise()
    charter = promise.charter
    tables = [charter.population, *charter.sources]
    compared = [{"table": name, "sealed": CONTRACT, "present": CONTRACT} for name in (*tables, charter.outcomes)]
    shadow, personal, contact = (changes.pop(name, {}) for name in ("shadow_run", "personal", "contacts_of_arm"))
    runs, contacts = [], []
    for arm in charter.treatments:
        printed = dict.fromkeys(arm.play.fields, "public") if arm.play else {}
        searched = {"fields": printed, "pseudonyms": 0, "addresses": 0, "values": {},
                    "looked_for": {"customer_id": "identifier", "email": "personal"}}  # fmt: skip
        runs.append(
            {"arm": arm.name, "release": charter.release(arm.name), "audience": 100, "held_out": 5, "messages": 95,
             "tested": 100, "tested_selected": 100, "subject_max": 27, "body_max": 60,
             "personal": {**searched, **personal}, **shadow}
        )  # fmt: skip
        contacts.append({"arm": arm.name, "cap": 7, "per_week": 7, "units": {"7": 95}, **contact})
    said: dict[str, Any] = {
        "candidate": digest_named(candidate),
        "pilot": charter.pilot,
        "workspace": workspace.id,
        "mode": workspace.mode,
        "at": rfc3339(at),
        "software": "pilotplant",
        "factory": {"seq": 3, "hash": GENESIS},
        "snapshot": "0123456789abcdef",
        "tables": [{"name": name, "loaded_at": rfc3339(at), "version": "1", "max_age_days": None} for name in tables],
        "compatibility": compared,
        "quality": [{"table": name, "contract": each, "report": quality()} for name in tables
                    for each in ("present", "sealed")],
        "shadow_runs": runs,
        "holdout": dict.fromkeys(("frozen", "published", "present"), str(promise.holdout_frac)),
        "contacts": contacts,
        "kill_switch": {"stops": True, "resumes": True, "undone": True},
    }  # fmt: skip
    return PreflightReport.model_validate({**said, **changes})


def put(workspace: Workspace, report: PreflightReport, *, signer: str = FACTORY, candidate: str | None = None) -> None:
    """Signs a report, by the real code, and lays it where the gate reads the one of `candidate`."""
    envelope = sign(KIND, report.as_json(), [KeyStore(workspace).signer(signer)])
    write_atomically(report_path(workspace, candidate or report.candidate), envelope)


def breach(rule: str, rows: int = 3) -> Breach:
    """A rule that is broken."""
    return Breach(rule, rule.split(maxsplit=1)[0], rows)
