"""A live workspace, the whole way by its commands: encrypted keys, real time, and no clock to set."""

import csv
import json
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
import yaml

from factory.warehouse.mask import pseudonym_key
from lab.pilots.pilot import get_pilot
from lab.state import open_lab
from pilotplant.app import _exit_code, run
from shared.core.errors import BadInput, Refused
from shared.data.pseudonym import pseudonym
from shared.experiment.assignment import assign
from shared.state.workspace import open_workspace
from shared.trust.keys import passphrase_variable

LAUNCH = datetime(2026, 3, 2, 8, tzinfo=UTC)
START, END = datetime(2026, 3, 3, tzinfo=UTC), datetime(2026, 3, 17, tzinfo=UTC)
PILOT, OWNER, CUSTOMERS = "live-offer", "owner@example.com", 600


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A live workspace whose pilot was scaled and admitted; time is moved from outside, as only a test can."""
    folder = tmp_path_factory.mktemp("live")
    patch = pytest.MonkeyPatch()
    patch.setenv("PILOTPLANT_KEYS", str(folder / "keys"))
    patch.setenv("PILOTPLANT_PASSPHRASE", "the owner's own")
    patch.setenv("PILOTPLANT_GATE_PASSPHRASE", "the gate's very own")
    patch.setenv("PILOTPLANT_FACTORY_PASSPHRASE", "the Factory's own")
    root = folder / "workspace"

    command = commands(root)

    command(LAUNCH, "init", root)
    submitted(command, root, folder)
    yield root, command, folder
    patch.undo()


def commands(root):
    """A function that gives a command at a moment, but no earlier than when the one before it ended."""
    latest = LAUNCH

    def command(at, *words):
        nonlocal latest
        with time_machine.travel(max(at, latest)):
            try:
                return run(["--workspace", str(root), *map(str, words)])
            finally:
                latest = datetime.now(UTC)

    return command


def submitted(command, root, folder):
    """The way of a live pilot from the first customers to a candidate that the Factory has tried."""
    command(LAUNCH, "factory", "load", "customers", customers(folder / "customers.csv"))
    command(LAUNCH, "factory", "publish")
    command(LAUNCH, "lab", "new", PILOT)
    edit_charter(root)
    for name in ("gate", OWNER):
        command(LAUNCH, "promote", "enrol", name)
        command(LAUNCH, "factory", "trust", name)
    command(LAUNCH, "factory", "enrol")
    command(LAUNCH, "promote", "enrol", "factory")
    command(LAUNCH, "lab", "launch", PILOT)
    command(LAUNCH, "lab", "spend", PILOT, "12.50", "--for", "letters")
    command(END - timedelta(hours=1), "lab", "record", PILOT, results(root, folder / "results.csv"))
    for words in (["lab", "analyse", PILOT], ["lab", "submit", PILOT], ["factory", "preflight", PILOT]):
        command(END + timedelta(hours=1), *words)


def customers(path):
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("customer_id", "email", "recency", "history", "channel"))
        writer.writerows((f"c{n:05}", f"c{n}@example.com", n % 12 + 1, n / 10, "Web") for n in range(CUSTOMERS))
    return path


def edit_charter(root):
    path = root / "pilots" / PILOT / "charter.yaml"
    charter = yaml.safe_load(path.read_text())
    charter["sample"]["units_per_arm"] = 250
    charter["primary"]["minimum_effect"] = 0.05
    charter["time_box"] = {"start": START.date(), "end": END.date(), "timezone": "UTC"}
    charter["arms"][1]["play"]["schedule"] = {"cron": "0 9 * * *", "timezone": "UTC", "grace_minutes": 60}
    path.write_text(yaml.safe_dump(charter))


def results(root, path):
    """Every unit in the arm that Python assigns; every second unit of the mail visits, every fifth of the control."""
    key, pilot = pseudonym_key(open_workspace(root)), get_pilot(open_lab(open_workspace(root)), PILOT)
    weights = {"control": 1, "email": 1}
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("event_id", "unit", "arm", "exposed_at", "at", "visit", "conversion", "spend"))
        for n in range(CUSTOMERS):
            unit = pseudonym(key, f"c{n:05}")
            arm = assign(f"pilot:{PILOT}:{pilot.nonce}", unit, weights)
            visit = int(n % (2 if arm == "email" else 5) == 0)
            at = START + timedelta(minutes=n)
            spend = (n % 7) / 10
            seen = at + timedelta(days=1 + n % 12)
            writer.writerow((f"e{n}", unit, arm, at.isoformat(), seen.isoformat(), visit, 0, spend))
    return path


def decide(command, *words):
    reason = ["--reason", "visits rise and nobody spends less"]
    return command(END + timedelta(hours=2), "promote", "decide", PILOT, "scale", "--as", OWNER, *reason, *words)


def test_a_live_clock_cannot_be_set(live):
    root, _, _ = live
    with pytest.raises(Refused, match="cannot be set"):
        open_workspace(root).clock.set(LAUNCH)


def test_private_keys_are_encrypted_and_outside_the_workspace(live):
    root, _, folder = live
    keys = list((folder / "keys").rglob("*.pem"))
    assert len(keys) == 3
    assert all(b"ENCRYPTED" in key.read_bytes() for key in keys)
    assert not list(root.rglob("*.pem"))


def test_a_wrong_passphrase_signs_nothing(live, monkeypatch):
    root, command, _ = live
    monkeypatch.setenv("PILOTPLANT_PASSPHRASE", "another")
    with pytest.raises(Refused, match="does not open"):
        decide(command)
    assert not list((root / "var/promotion/attestations").glob("*"))


def test_a_service_without_a_passphrase_is_told_what_to_set(live, monkeypatch):
    _, command, _ = live
    monkeypatch.delenv("PILOTPLANT_PASSPHRASE")
    with pytest.raises(BadInput) as caught:
        decide(command)
    assert "PILOTPLANT_PASSPHRASE" in str(caught.value.remedy)


@pytest.mark.parametrize("missing", ["gate", OWNER])
def test_whoever_signs_is_told_which_passphrase_is_missing(live, monkeypatch, missing):
    _, command, _ = live
    variable = passphrase_variable(missing)
    monkeypatch.delenv(variable)
    with pytest.raises(BadInput) as caught:
        command(END + timedelta(hours=2), "promote", "countersign") if missing == "gate" else decide(command)
    assert f"set {variable} for a service" in str(caught.value.remedy)


def test_a_live_pilot_goes_the_whole_way(live, monkeypatch, capsys):
    """The owner has their own passphrase, and is asked for no other; ops have the gate's."""
    root, command, _ = live
    with monkeypatch.context() as owners:
        owners.delenv("PILOTPLANT_GATE_PASSPHRASE")
        owners.setattr("sys.stdin.isatty", lambda: True)
        owners.setattr("typer.prompt", lambda text, **_: pytest.fail(text))
        assert decide(command, "--json") == 4
    said = json.loads(capsys.readouterr().out)
    assert (said["awaits"], said["persons"]) == ("gate", [OWNER])
    assert not list((root / "var/promotion/attestations").glob("*"))
    with monkeypatch.context() as ops:
        ops.delenv("PILOTPLANT_PASSPHRASE")
        [decided] = command(END + timedelta(hours=2), "promote", "countersign")
    assert decided.decided.attestation.predicate.mode == "live"
    assert command(END + timedelta(hours=3), "factory", "admit").admitted == (f"{PILOT}-email",)
    nine = END.replace(hour=9)
    ran = command(nine + timedelta(minutes=1), "factory", "run", f"{PILOT}-email")
    assert ran.state == "done"
    [file] = (root / "var/factory/outgoing").rglob("*.jsonl")
    assert len(file.read_text().splitlines()) == ran.messages > 500
    assert command(nine + timedelta(hours=1), "promote", "verify").problems == []


def test_an_expired_package_runs_no_more(live):
    """gate.yaml: valid_days 180; the package of the test above is a year old here."""
    root, _, _ = live
    late = END.replace(year=2027, hour=9, minute=1)
    with time_machine.travel(late):
        assert _exit_code(["--workspace", str(root), "factory", "run", f"{PILOT}-email"]) == 3


def test_editing_the_mode_of_a_workspace_is_refused(live):
    """Invariant 4: the ledgers hold the mode from their first entry."""
    root, _, _ = live
    mark = root / "workspace.json"
    before = mark.read_text()
    mark.write_text(json.dumps(json.loads(before) | {"mode": "rehearsal"}))
    try:
        assert _exit_code(["--workspace", str(root), "status"]) == 3
    finally:
        mark.write_text(before)
    assert _exit_code(["--workspace", str(root), "status"]) == 0
