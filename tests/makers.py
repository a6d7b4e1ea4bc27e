"""Makers: a workspace with loaded customers and trusted keys, and packages as the gate hands them over."""

from __future__ import annotations

import csv
import secrets
import shutil
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
import yaml

from shared.core.clock import rfc3339
from shared.core.digests import digest_file, hex_of
from shared.core.files import scratch_in
from shared.experiment.charter import RULES, Charter, Promise, measured_by
from shared.experiment.metrics import read_metrics
from shared.state.db import connect, is_prepared, make_tables, writing
from shared.state.workspace import Mode, Workspace, create, open_workspace
from shared.trust.attestation import Predicate, Scope, Signatory, attest
from shared.trust.candidate import FILES, PROMISE, REGISTRATION, Candidate, seal, write_json
from shared.trust.candidates import take_in
from shared.trust.decision import Decision
from shared.trust.keys import GATE, KeyStore, write_public
from shared.trust.registration import Registration

OWNER = "owner@example.com"
PASSPHRASE = "correct horse battery"
AUDIENCE = "SELECT customer_id AS unit FROM customers WHERE recency <= 6\n"
TEMPLATE = "Dear customer from a {{ zip_code }} place,\n\nyou spent {{ history }}.\n"
# What `make_package` becomes, and a moment that its schedule names.
RELEASE = "spring-email-letter"
OCCURRENCE = datetime(2026, 2, 2, 9, tzinfo=UTC)
# What a visit is worth, so that a gain of a percentage point pays.
WORTH_IT = {"worth": "2.00", "units_per_month": 10_000, "running": {"media": "100.00"}}
CAREFUL = {
    "review": {"by": OWNER, "before": "send"},
    "rollout": {
        "steps": ["0.05", "0.25", "1"],
        "watched": ["visit", "spend"],
        "rollback": [{"metric": "visit", "worse_than": -0.01}],
    },
}
# Bounds under which pilots of a few units may be tried.
SMALL = {"units_min": 2, "margin_frac_max": 1}
HEAD = {"seq": 1, "hash": "sha256:" + "1" * 64}
NONCE = "2026" * 8
SEGMENTS = ("Urban", "Surburban", "Rural")


def make_workspace(root: Path, mode: Mode = "rehearsal") -> Workspace:
    """A new workspace with a gate and an owner, whose keys are enrolled and trusted."""
    workspace, _ = create(root, mode)
    # Plays of the tests leave nobody alone where they count messages; what the policy makes of that has its own tests.
    set_factory(workspace, release_holdout_frac_min=0)
    keys = keys_of(workspace)
    for name, role in ((GATE, "gate"), (OWNER, "owner")):
        record = keys.create(name, role)  # type: ignore[arg-type]
        write_public(workspace.promotion / "keys", record)
        write_public(workspace.configs / "trusted_keys", record)
    return workspace


def open_database(url: str, root: Path, metadata: sa.MetaData, *, version: int) -> sa.Engine:
    """A database with its tables, which are made in a SQLite file."""
    engine = connect(url, root)
    if not is_prepared(engine, metadata, version=version):
        with writing(engine) as connection:
            make_tables(connection, metadata, version=version)
    return engine


def copy_of(template: Workspace, target: Path) -> Workspace:
    """A workspace of a test's own."""
    shutil.copytree(template.root, target)
    return open_workspace(target)


def at_work(loaded: Workspace, target: Path) -> Workspace:
    """The same, at ten past nine of the day in question."""
    copy = copy_of(loaded, target)
    copy.clock.set(moment("2026-02-02 09:10"))
    return copy


def set_factory(workspace: Workspace, **fields: Any) -> None:
    """Changes fields of the workspace's `configs/factory.yaml`."""
    path = workspace.configs / "factory.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **fields}))


def allow_small(workspace: Workspace) -> Workspace:
    """Has the policy take pilots as small, and margins as wide, as tests make them; no other bound is changed."""
    path = workspace.configs / "gate.yaml"
    # Line by line, so that tests may still replace others.
    text = path.read_text()
    of_low = "    promise_reasonable: {alpha_max: 0.1, power_min: 0.7}\n"
    assert of_low in text, "the tests' own policy is no longer the default with one change"
    small = ", ".join(f"{name}: {bound}" for name, bound in SMALL.items())
    text = text.replace(of_low, of_low.replace("}", f", {small}}}"))
    for tier in ("standard", "high"):
        text = text.replace(f"  {tier}:\n", f"  {tier}:\n    promise_reasonable: {{{small}}}\n")
    path.write_text(text)
    return workspace


def keys_of(workspace: Workspace) -> KeyStore:
    """Where the workspace's private keys are."""
    return KeyStore(workspace, passphrase=PASSPHRASE if workspace.mode == "live" else None)


def customers_csv(path: Path, rows: int = 200) -> Path:
    """Customers after `configs/contracts/customers.odcs.yaml`; half of them bought in the last six months."""
    columns = ("customer_id", "email", "recency", "history", "zip_code")
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        for number in range(rows):
            place = SEGMENTS[number % len(SEGMENTS)]
            writer.writerow((f"c{number:05}", f"c{number}@example.com", number % 12 + 1, 10 + number / 4, place))
    return path


def make_charter(
    pilot: str = "spring-email", *, cron: str = "0 9 * * *", play: dict[str, Any] | None = None, **changes: Any
) -> Charter:
    """A small charter with one treatment arm, `letter`."""
    content = {
        "schema_version": 1,
        "pilot": pilot,
        "hypothesis": {"because": "they wrote", "we_believe": "a letter", "will": "bring visits"},
        "requester": "requester@example.com",
        "owner": OWNER,
        "population": "customers",
        "arms": [
            {"name": "control"},
            {
                "name": "letter",
                "play": {
                    "kind": "campaign",
                    "audience": "audience.sql",
                    "subject": "For our {{ zip_code }} customers",
                    "template": "message.txt",
                    "fields": ["zip_code", "history"],
                    "schedule": {"cron": cron, "timezone": "UTC", "grace_minutes": 60},
                    **(CAREFUL if changes.get("risk_tier") == "high" else {}),
                    **(play or {}),
                },
            },
        ],
        "primary": {"metric": "visit", "minimum_effect": 0.01},
        "sample": {"units_per_arm": 10},
        "time_box": {"start": "2026-01-05", "end": "2026-01-19"},
        "decide_by": "2026-01-31",
        "budget": {"media": Decimal("10.00"), "currency": "USD"},
        # The policy asks for it at high risk.
        **({"value": WORTH_IT} if changes.get("risk_tier") == "high" else {}),
        **changes,
    }
    return Charter.model_validate(content)


def make_candidate(
    workspace: Workspace,
    intake: Path,
    *,
    charter: Charter | None = None,
    audience: str = AUDIENCE,
    template: str = TEMPLATE,
    contracts: dict[str, str] | None = None,
    holdout: str = "0",
    rules: Literal[1, 2] = RULES,
) -> Candidate:
    """A sealed candidate in a folder of candidates; `contracts` are texts by table."""
    charter = charter or make_charter()
    files = {"audience.sql": audience, "message.txt": template}
    files |= {f"contracts/{table}.odcs.yaml": text for table, text in (contracts or {}).items()}
    with scratch_in(workspace.root / "var" / "making") as folder:
        for name, text in files.items():
            (folder / FILES / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / FILES / name).write_text(text)
        promise = Promise(
            charter=charter,
            metrics=measured_by(charter, read_metrics(workspace)),
            files={name: digest_file(folder / FILES / name) for name in files},
            holdout_frac=Decimal(holdout),
            rules=rules,
        )
        write_json(folder / PROMISE, promise.as_json())
        write_json(folder / REGISTRATION, registration_of(workspace, promise).as_json())
        (folder / "evidence.json").write_text('{"schema_version":1}')
        return seal_into(
            intake,
            folder,
            workspace=workspace.id,
            mode=workspace.mode,
            pilot=charter.pilot,
            promise=promise.digest,
            requester=charter.requester,
            ledger=HEAD,
            covers_until="2026-01-19T00:00:00Z",
        )


def seal_into(intake: Path, folder: Path, **head: Any) -> Candidate:
    """Seals everything in `folder`, and puts it into an intake under its digest."""
    sealed = seal(folder, **head)
    with scratch_in(intake) as scratch:
        shutil.copytree(folder, scratch, dirs_exist_ok=True)
        return Candidate(take_in(intake, scratch, sealed.digest), sealed.manifest)


def registration_of(workspace: Workspace, promise: Promise) -> Registration:
    """What a gate would have said that took the promise in."""
    return Registration(
        workspace=workspace.id,
        mode=workspace.mode,
        pilot=promise.charter.pilot,
        promise=promise.digest,
        at="2026-01-04T12:00:00Z",
        ledger=HEAD,
        nonce=NONCE,
    )


def make_package(
    workspace: Workspace,
    *,
    charter: Charter | None = None,
    into: Path | None = None,
    audience: str = AUDIENCE,
    template: str = TEMPLATE,
    rules: Literal[1, 2] = RULES,
    signers: tuple[str, ...] = (GATE, OWNER),
    decision: dict[str, Any] | None = None,
    **predicate: Any,
) -> Path:
    """A package as the gate hands it over, in the inbox or in `into`; keywords change what is attested."""
    charter = charter or make_charter()
    making = workspace.root / "var" / "making" / "intake"
    candidate = make_candidate(workspace, making, charter=charter, audience=audience, template=template, rules=rules)
    now = workspace.clock.now()
    said = {"word": "scale", "owner": OWNER, "reason": "it works", "at": rfc3339(now), "arm": "letter"}
    content = {
        "verifier": "pilotplant",
        "time_verified": rfc3339(now),
        "pilot": charter.pilot,
        "promise": candidate.manifest.promise,
        "policy": "sha256:" + "2" * 64,
        "mode": workspace.mode,
        "verdict": "admit",
        "findings": (),
        "evidence": "sha256:" + "3" * 64,
        "cost": {"amount": "10.00", "currency": "USD"},
        "expires": rfc3339(now + timedelta(days=90)),
        "ledgers": {"lab": HEAD},
        **signed_for(workspace.id, {**said, "release": f"{charter.pilot}-letter", **(decision or {})}, signers),
        "tier": charter.risk_tier,
    }
    keys = keys_of(workspace)
    envelope = attest(candidate.digest, Predicate(**{**content, **predicate}), [keys.signer(name) for name in signers])
    target = (into or workspace.factory / "inbox") / hex_of(candidate.digest)
    shutil.copytree(candidate.folder, target / "candidate")
    (target / "attestation.json").write_bytes(envelope)
    return target


def signed_for(workspace: str, decision: dict[str, Any], signers: tuple[str, ...] = (GATE, OWNER)) -> dict[str, Any]:
    """What an attestation says of a decision, where it counts and who signed it; for a test that makes its own."""
    return {
        "tier": "standard",
        "decision": Decision(**decision),
        "scope": Scope(workspace=workspace, release=decision.get("release"), arm=decision.get("arm")),
        "nonce": secrets.token_hex(16),
        "signatures_required": 1,
        "signatories": tuple(
            Signatory(name=name, role="gate" if name == GATE else "owner", key_id="0" * 64, at=decision["at"])
            for name in signers
        ),
    }


def moment(text: str) -> datetime:
    """A UTC moment from `2026-02-02 09:00`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
