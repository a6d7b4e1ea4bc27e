"""A live workspace with its three rooms on PostgreSQL, by the very statements and commands of docs/postgresql.md."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from pilotplant.app import _exit_code
from tests.journeys.test_live import CUSTOMERS, END, LAUNCH, PILOT, commands, decide, submitted

GUIDE = (Path(__file__).parents[2] / "docs" / "postgresql.md").read_text()
FILES = {"lab": "lab.yaml", "promotion": "gate.yaml", "factory": "factory.yaml"}
DECIDED = END + timedelta(hours=2)


def here(text, server):
    """An address of the guide, on the tests' server."""
    return re.sub(r"@db\.example\.com/(\w+)", rf"@/\1?host={server.data}", text)


@pytest.fixture(scope="module")
def live(postgres, tmp_path_factory):
    """A live pilot, submitted; its rooms' state is in three databases that the guide's commands have made."""
    folder = tmp_path_factory.mktemp("live-postgresql")
    root = folder / "workspace"
    patch = pytest.MonkeyPatch()
    patch.setenv("PILOTPLANT_KEYS", str(folder / "keys"))
    patch.setenv("PILOTPLANT_PASSPHRASE", "the owner's own")
    patch.setenv("PILOTPLANT_GATE_PASSPHRASE", "the gate's very own")
    patch.setenv("PILOTPLANT_FACTORY_PASSPHRASE", "the Factory's own")

    command = commands(root)

    command(LAUNCH, "init", root)
    [statements] = re.findall(r"```sql\n(.*?)```", GUIDE, flags=re.DOTALL)
    postgres.run(*statements.strip().split("\n"))
    prepared = re.findall(r"^pilotplant (init-database .*)$", GUIDE, flags=re.MULTILINE)
    for line in prepared:
        command(LAUNCH, *here(line, postgres).split())
    assert len(prepared) == len(FILES)
    for url, file in re.findall(r"^(database: \S+) +# (\S+)$", GUIDE, flags=re.MULTILINE):
        path = root / "configs" / file
        path.write_text(re.sub(r"^database: .*$", here(url, postgres), path.read_text(), flags=re.MULTILINE))
    submitted(command, root, folder)
    yield root, command, folder
    patch.undo()


def test_a_pilot_goes_from_the_lab_through_the_gate_into_the_factory(live, capsys):
    root, command, folder = live
    assert decide(command).attestation.predicate.mode == "live"
    assert decide(command).repeated
    assert command(END + timedelta(hours=3), "factory", "admit").admitted == (f"{PILOT}-email",)
    ran = command(END.replace(hour=9, minute=1), "factory", "run", f"{PILOT}-email")
    assert (ran.state, ran.messages > CUSTOMERS * 0.9) == ("done", True)
    # Nothing of the rooms' state has gone into a file.
    assert not [path for room in FILES for path in (root / "var" / room).glob(f"{room}.db*")]
    checkpoint = folder / "elsewhere" / "checkpoint.json"
    taken = command(DECIDED + timedelta(days=1), "promote", "checkpoint", "--out", checkpoint)
    assert set(taken.checkpoint.ledgers) == set(FILES)
    for words in (["promote", "verify"], ["verify"]):
        found = command(DECIDED + timedelta(days=1), *words, "--checkpoint", checkpoint)
        assert found.problems == []
    capsys.readouterr()
    command(DECIDED, "promote", "audit", "--as-of", DECIDED.date(), "--json")
    [ruling] = json.loads(capsys.readouterr().out)["decisions"]
    assert (ruling["pilot"], ruling["word"], ruling["mode"], len(ruling["keys"])) == (PILOT, "scale", "live", 2)
    assert command(DECIDED, "status").promotion.decisions["scale"] == 1


@pytest.mark.parametrize("room", FILES)
def test_a_room_gets_into_no_other_rooms_database_and_changes_no_entry_of_its_own(live, postgres, room):
    for other in FILES:
        url = postgres.url(f"pilotplant_{other}", f"pilotplant_{room}")
        if other != room:
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                psycopg.connect(url)
            continue
        for statement in ("UPDATE ledger SET at = at", "DELETE FROM ledger", "TRUNCATE ledger"):
            with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_a_live_room_is_not_opened_as_the_owner(live, capsys):
    root, _, _ = live
    path = root / "configs" / "gate.yaml"
    before = path.read_text()
    path.write_text(before.replace("//pilotplant_promotion@", "//pilotplant_owner@"))
    try:
        assert _exit_code(["--workspace", str(root), "promote", "log"]) == 3
    finally:
        path.write_text(before)
    assert "could change its ledger: by UPDATE, DELETE, TRUNCATE, TRIGGER, owning it" in capsys.readouterr().err


def test_what_the_owner_cut_off_is_named_by_the_checkpoint(live, postgres, capsys):
    root, _, folder = live
    checkpoint = folder / "elsewhere" / "checkpoint.json"
    postgres.run(
        "DELETE FROM ledger WHERE seq = (SELECT max(seq) FROM ledger)",
        database="pilotplant_promotion", role="pilotplant_owner",
    )  # fmt: skip
    asked = ["--workspace", str(root), "promote", "verify"]
    assert _exit_code(asked) == 0
    assert "cannot be told without a checkpoint" in capsys.readouterr().out
    assert _exit_code([*asked, "--checkpoint", str(checkpoint)]) == 3
    assert "is not the one that was witnessed by the checkpoint" in " ".join(capsys.readouterr().out.split())
