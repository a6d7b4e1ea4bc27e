"""Makes workspaces as the build at hand leaves them, for every later build to carry on.

`python -m tests.earlier.make WORD` writes them to `tests/earlier/<version>-<word>/`: an archive each, and beside it
what the build said of its pilots. Everything is done by commands; only what a team writes itself (charters, settings,
tables, results) is written here.

An archive is never made anew: it holds what *that* build wrote. A later build that writes something else adds its own
beside the others, under its version and a word for what came after it.

- `0.1.0-before-nonces`: by version 0.1.0, the last build in which the arms follow from the pilot's name alone.
- `0.1.0-before-rules-3`: by version 0.1.0, the last build under rules 2, in which `data_quality` counts rows.
- `0.1.0-before-migrations`: by version 0.1.0, the last build whose databases are of schema 1.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from shared.core.digests import digest_json
from tests.earlier.hand import Hand
from tests.earlier.pilots import (
    END,
    LAUNCH,
    LOOK,
    OWNER,
    PILOTS,
    REQUESTER,
    WARDEN,
    customers,
    read_arms,
    results,
    write_charter,
    write_rows,
)
from tests.postgres import Server, start

FOLDER = Path(__file__).parent
KINDS = ("rehearsal", "live", "live-postgresql")
GUIDE = FOLDER.parents[1] / "docs" / "postgresql.md"
CONFIGS = {"lab": "lab.yaml", "promotion": "gate.yaml", "factory": "factory.yaml"}
# Where the databases are, as the guide calls it; whoever unpacks an archive puts their own server there.
ELSEWHERE = "@db.example.com/"
DECIDED = END + timedelta(hours=3)
RUN = END + timedelta(hours=9, minutes=1)
PACKED = END + timedelta(hours=12)
MONTHS = "2026-12-31"
SMALL = "    promise_reasonable: {units_min: 20}\n    randomised: {level: warn}\n"
HOUSEHOLD = """\
      - name: household
        logicalType: string
        classification: identifier
        description: Who lives at one address; the Lab sees a pseudonym.
      - name: recency
"""
PEOPLE = f"""\
schema_version: 1
people:
  - email: {REQUESTER}
  - email: {OWNER}
    decides:
      tiers: [low, standard]
      up_to: {{amount: 5000.00, currency: USD}}
  - email: {WARDEN}
    waives: [{{checks: [sample_planned], tiers: [low, standard]}}]
"""


def main() -> None:
    """Makes the three archives of this build."""
    target = FOLDER / f"{version('pilotplant')}-{sys.argv[1]}"
    if target.exists():
        raise SystemExit(f"{target} is there already, and an archive is never made anew: choose another word")
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "made"
        made.mkdir()
        for kind in KINDS:
            print(f"{kind} ...", flush=True)  # noqa: T201
            _make(kind, Path(scratch) / kind, made)
        shutil.copytree(made, target)


def _make(kind: str, folder: Path, target: Path) -> None:
    """One archive and what was said of its pilots."""
    hand = Hand(folder, rehearsal=kind == "rehearsal")
    (folder / "files").mkdir(parents=True)
    hand.say(LAUNCH, "init", hand.root, *(["--rehearsal"] if hand.rehearsal else []))
    server = start() if kind == "live-postgresql" else None
    if server is not None:
        _to_postgresql(hand, server)
    _open_house(hand)
    arms = _launch(hand)
    _feed(hand, arms)
    _decide(hand)
    _keep_outside(hand)
    said = _said(hand)
    if server is not None:
        _dump(hand, server)
        server.stop()
    (target / f"{kind}.json").write_text(json.dumps(said, indent=1, sort_keys=True) + "\n")
    with tarfile.open(target / f"{kind}.tar.xz", "w:xz", preset=9) as archive:
        archive.add(folder, arcname=".")


def _to_postgresql(hand: Hand, server: Server) -> None:
    """Puts the rooms' state on a server, by the very statements and commands of the guide."""
    guide = GUIDE.read_text()
    [statements] = re.findall(r"```sql\n(.*?)```", guide, flags=re.DOTALL)
    (hand.folder / "databases").mkdir()
    (hand.folder / "databases" / "roles.sql").write_text(statements)
    server.run(*statements.strip().split("\n"))
    for line in re.findall(r"^pilotplant (init-database .*)$", guide, flags=re.MULTILINE):
        hand.say(LAUNCH, *here(line, server).split())
    for url, file in re.findall(r"^(database: \S+) +# (\S+)$", guide, flags=re.MULTILINE):
        path = hand.root / "configs" / file
        path.write_text(re.sub(r"^database: .*$", here(url, server), path.read_text(), flags=re.MULTILINE))


def here(text: str, server: Server) -> str:
    """Addresses as the guide has them, on a server of the tests."""
    return re.sub(rf"{ELSEWHERE}(\w+)", rf"@/\1?host={server.data}", text)


def _dump(hand: Hand, server: Server) -> None:
    """Writes each database with its owner and rights as SQL, and takes the server's address out of the settings."""
    for room, file in CONFIGS.items():
        database, path = f"pilotplant_{room}", hand.root / "configs" / file
        words = [server.bin / "pg_dump", "--dbname", server.url(database), "--file"]
        subprocess.run([*words, hand.folder / "databases" / f"{room}.sql"], check=True)
        _replace(path, f"@/{database}?host={server.data}", f"{ELSEWHERE}{database}")


def _open_house(hand: Hand) -> None:
    """Who is who, customers, a snapshot, keys, and a draft of every pilot."""
    configs = hand.root / "configs"
    (configs / "people.yaml").write_text(PEOPLE)
    _replace(configs / "contracts" / "customers.odcs.yaml", "      - name: recency\n", HOUSEHOLD)
    _replace(configs / "factory.yaml", "holdout_frac: 0\n", "holdout_frac: 0.1\n")
    # The archives stay small: pilots of 60 units, one of them with arms from elsewhere.
    _replace(configs / "gate.yaml", "  standard:\n", f"  standard:\n{SMALL}")
    hand.say(LAUNCH, "factory", "load", "customers", customers(hand.folder / "files" / "customers.csv"))
    hand.say(LAUNCH, "factory", "publish")
    for name in ("gate", OWNER, WARDEN):
        hand.say(LAUNCH, "promote", "enrol", name)
        hand.say(LAUNCH, "factory", "trust", name)
    hand.say(LAUNCH, "factory", "enrol")
    hand.say(LAUNCH, "promote", "enrol", "factory")
    for number, (name, pilot) in enumerate(PILOTS.items()):
        hand.say(LAUNCH, "lab", "new", name, "--owner", OWNER, "--requester", REQUESTER)
        write_charter(hand.root / "pilots" / name / "charter.yaml", pilot)
        _own_words(hand.root / "pilots" / name, number)


def _own_words(folder: Path, number: int) -> None:
    """No pilot is a further attempt at another's idea: each has its own message, and its own audience of all."""
    message = folder / "message.txt.j2"
    message.write_text(f"{message.read_text()}Offer {number}.\n")
    audience = folder / "audience.sql"
    audience.write_text(f"{audience.read_text().rstrip().rstrip(';')} AND history <> -{number + 1}\n")


def _launch(hand: Hand) -> dict[str, dict[str, str]]:
    """Launches all but the draft; returns each pilot's arms, drawn elsewhere where its charter says so."""
    arms = {}
    for name in launched():
        hand.say(LAUNCH, "lab", "launch", name)
        if name != "sealed-source":
            file = hand.folder / "files" / f"{name}-arms.csv"
            hand.say(LAUNCH, "lab", "assign", name, "--out", file)
            arms[name] = read_arms(file)
    units = sorted(arms["scaled-mail"])
    arms["sealed-source"] = {unit: ("control", "email")[n % 2] for n, unit in enumerate(units)}
    charter = hand.root / "pilots" / "running-mail" / "charter.yaml"
    _replace(charter, "media: '100.00'", "media: '120.00'")
    hand.say(LAUNCH, "lab", "amend", "running-mail", "--reason", "the printer wants more than was said")
    return arms


def _feed(hand: Hand, arms: dict[str, dict[str, str]]) -> None:
    """Records what has happened so far, in two files where somebody looks between; the rest waits beside."""
    rows = {name: results(PILOTS[name], arms[name]) for name in launched()}
    for name, moment in (("ended-mail", LOOK), ("running-mail", END)):
        early = [row for row in rows[name] if row["at"] < moment.isoformat()]
        rows[f"{name}-later"] = [row for row in rows[name] if row not in early]
        rows[name] = early
    files = {name: write_rows(hand.folder / "files" / f"{name}.csv", found) for name, found in rows.items()}
    hand.say(LOOK - timedelta(hours=2), "lab", "spend", "scaled-mail", "12.50", "--for", "letters")
    hand.say(LOOK - timedelta(hours=1), "lab", "record", "ended-mail", files["ended-mail"])
    hand.say(LOOK + timedelta(hours=1), "lab", "analyse", "ended-mail")
    hand.say(END - timedelta(hours=2), "lab", "record", "ended-mail", files["ended-mail-later"])
    for name in (*sealed(), "running-mail"):
        hand.say(END - timedelta(hours=1), "lab", "record", name, files[name])
    hand.say(END - timedelta(minutes=30), "lab", "spend", "running-mail", "40.00", "--for", "letters", "--reserve")
    for name in ("ended-mail", *sealed()):
        hand.say(END + timedelta(hours=1), "lab", "analyse", name)
    for name in sealed():
        hand.say(END + timedelta(hours=1), "lab", "submit", name)
        hand.say(END + timedelta(hours=1), "factory", "preflight", name)


def _decide(hand: Hand) -> None:
    """Waives, decides, admits, and runs once."""
    reason = ["--as", OWNER, "--reason", "as the numbers have it, and nobody spends less"]
    waiver = ["--as", WARDEN, "--reason", "the effect is far larger than was planned for", "--until", MONTHS]
    hand.say(DECIDED, "promote", "waive", "sealed-mail", "sample_planned", *waiver)
    learned = ["--insight", "a mail of this kind brings nobody back"]
    hand.say(DECIDED, "promote", "decide", "stopped-mail", "stop", *reason, *learned)
    hand.say(DECIDED, "promote", "decide", "revised-mail", "revise", *reason, "--change", "sample.units_per_arm=220")
    hand.say(DECIDED, "promote", "decide", "scaled-mail", "scale", *reason)
    hand.say(DECIDED + timedelta(hours=1), "factory", "admit")
    hand.say(RUN, "factory", "run", "scaled-mail-email")


def _keep_outside(hand: Hand) -> None:
    """What others keep of the workspace: a checkpoint, and an exported decision."""
    hand.say(RUN + timedelta(hours=1), "promote", "checkpoint", "--out", hand.folder / "files" / "checkpoint.json")
    hand.say(RUN + timedelta(hours=1), "promote", "export", "scaled-mail", "--out", hand.folder / "files" / "export")


def _said(hand: Hand) -> dict[str, Any]:
    """What this build says of its pilots: digests of promises, charters and arms, verdicts, findings and decisions."""
    audit = hand.say(PACKED, "promote", "audit", "--as-of", PACKED.date())
    frozen = {str(path.relative_to(hand.root)): json.loads(path.read_text()) for path in promises(hand.root)}
    return {
        "version": version("pilotplant"),
        "passphrases": dict(hand.passphrases),
        "promises": {path: digest_json(content) for path, content in frozen.items()},
        "charters": {path: digest_json(content["charter"]) for path, content in frozen.items()},
        "judged": {name: _judged(hand, name) for name in sealed()},
        "decided": {each["pilot"]: each["word"] for each in audit["decisions"]},
    }


def _judged(hand: Hand, name: str) -> dict[str, Any]:
    _, answer = hand.ask(PACKED, "promote", "check", name)
    findings = [[each["check"], each["arm"], each["outcome"]] for each in answer["findings"]]
    return {"verdict": answer["verdict"], "findings": findings}


def promises(root: Path) -> list[Path]:
    """Every promise that the Lab has frozen: one for each version of a pilot."""
    return sorted((root / "var" / "lab" / "pilots").glob("*/frozen*/promise.json"))


def launched() -> list[str]:
    """Every pilot that was launched."""
    return [name for name in PILOTS if name != "draft-mail"]


def sealed() -> list[str]:
    """Every pilot that has a candidate."""
    return [name for name in launched() if name not in {"unfed-mail", "running-mail", "ended-mail"}]


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new))


if __name__ == "__main__":
    main()
