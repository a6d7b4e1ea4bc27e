"""Whatever is changed in the gate's record after a promotion, `promote verify` finds it and names it."""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import contextmanager, redirect_stdout
from itertools import pairwise
from pathlib import Path

import pytest

from pilotplant.app import run
from shared.state.workspace import open_workspace
from tests.forgery import FLIPPED, flipped
from tests.lab_makers import AFTER, BEFORE, INSIDE, OWNER, PILOT, customers_csv, draft, results, seed_draws, write_csv
from tests.makers import allow_small

pytestmark = pytest.mark.check

PIECE = 48
COLUMNS = ("seq", "at", "kind", "subject", "body", "prev", "hash")
TRIGGERS = ("ledger_no_update", "ledger_no_delete", "ledger_no_replace")


class Promoted:
    """A workspace after one whole promotion, its ledger open to a forger's hand."""

    def __init__(self, root: Path, digest: str) -> None:
        self.root, self.digest = root, digest
        self.promotion = open_workspace(root).promotion
        self.candidate = self.promotion / "intake" / digest
        self.database = self.promotion / "promotion.db"
        connection = sqlite3.connect(self.database)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        self.sound = self.database.read_bytes()

    def verify(self) -> tuple[int, list[str]]:
        """Exit code and problems of `promote verify`."""
        with redirect_stdout(io.StringIO()) as said:
            code = run(["--workspace", str(self.root), "promote", "verify", "--json"])
        return (code if isinstance(code, int) else 0), json.loads(said.getvalue())["problems"]

    def rows(self) -> list[dict[str, object]]:
        """The ledger."""
        connection = sqlite3.connect(self.database)
        found = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM ledger ORDER BY seq").fetchall()
        connection.close()
        return [dict(zip(COLUMNS, row, strict=True)) for row in found]

    @contextmanager
    def forged(self, *statements: tuple[str, tuple[object, ...]]):
        """The ledger with statements carried out on it, and the triggers that refuse them put back."""
        connection = sqlite3.connect(self.database)
        with connection:
            triggers = [
                connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()[0]
                for name in TRIGGERS
            ]
            for name in TRIGGERS:
                connection.execute(f"DROP TRIGGER {name}")
            for statement, values in statements:
                assert connection.execute(statement, values).rowcount == 1
            for trigger in triggers:
                connection.execute(trigger)
        connection.close()
        try:
            yield
        finally:
            self.restore()

    def restore(self) -> None:
        """Puts the database back as it was, to the byte."""
        for suffix in ("-wal", "-shm"):
            self.database.with_name(self.database.name + suffix).unlink(missing_ok=True)
        self.database.write_bytes(self.sound)


@pytest.fixture(scope="module")
def promoted(tmp_path_factory):
    home = tmp_path_factory.mktemp("promoted")
    root = home / "workspace"

    def command(*words):
        with redirect_stdout(io.StringIO()):
            found = run(["--workspace", str(root), *map(str, words)])
        assert not isinstance(found, int) or isinstance(found, bool), words
        return found

    command("init", root, "--rehearsal")
    workspace = open_workspace(root)
    allow_small(workspace)
    seed_draws(workspace)
    workspace.clock.set(BEFORE)
    for name in ("gate", OWNER):
        command("promote", "enrol", name)
        command("factory", "trust", name)
    command("factory", "enrol")
    command("promote", "enrol", "factory")
    command("factory", "load", "customers", customers_csv(home / "customers.csv"))
    command("factory", "publish")
    draft(workspace)
    command("lab", "launch", PILOT)
    workspace.clock.set(INSIDE)
    command("lab", "record", PILOT, write_csv(home / "results.csv", results(workspace)))
    command("lab", "spend", PILOT, "40.00", "--for", "printing")
    workspace.clock.set(AFTER)
    command("lab", "analyse", PILOT)
    submitted = command("lab", "submit", PILOT)
    command("factory", "preflight", PILOT)
    command("promote", "check", PILOT)
    reason = "half of those who get a letter come back"
    command("promote", "decide", PILOT, "scale", "--arm", "letter", "--as", OWNER, "--reason", reason)
    return Promoted(root, submitted.candidate.folder.name)


def unnoticed(promoted, path, *names):
    """Where in a file a changed byte is not found, or found without a problem that holds one of the names."""
    missed = []
    for position in flipped(path):
        code, problems = promoted.verify()
        if code != 3 or not any(name in problem for problem in problems for name in names):
            missed.append((path.name, position, code, problems))
    return missed


def test_what_nobody_touched_verifies(promoted):
    assert promoted.verify() == (0, [])


@pytest.mark.proof
def test_a_changed_byte_in_any_file_of_the_candidate_is_found_and_the_file_named(promoted, record_property):
    paths = sorted(path for path in promoted.candidate.rglob("*") if path.is_file() and path.stat().st_size)
    assert len(paths) > 10
    record_property(FLIPPED, len(paths))
    missed = [miss for path in paths for miss in unnoticed(promoted, path, str(path.relative_to(promoted.candidate)))]
    assert (missed, promoted.verify()) == ([], (0, []))


def test_a_file_that_is_gone_or_was_added_is_named(promoted):
    path, stranger = promoted.candidate / "files" / "message.txt", promoted.candidate / "files" / "more.txt"
    path.rename(stranger)
    code, problems = promoted.verify()
    stranger.rename(path)
    assert code == 3
    assert [problem.partition(": ")[2] for problem in problems] == [
        "files/message.txt: missing",
        "files/more.txt: not part of what was sealed",
    ]


def test_a_changed_byte_in_the_attestation_is_found_and_named(promoted):
    path = promoted.promotion / "attestations" / f"{promoted.digest}.json"
    assert unnoticed(promoted, path, f"attestation {promoted.digest[:12]}") == []


def test_a_changed_byte_in_the_preflight_report_is_found_and_named(promoted):
    path = promoted.promotion / "preflight" / f"{promoted.digest}.json"
    assert unnoticed(promoted, path, f"preflight report {promoted.digest[:12]}") == []


@pytest.mark.parametrize("name", ["gate", "factory", OWNER])
def test_a_changed_byte_in_an_enrolled_key_is_found_and_the_person_named(promoted, name):
    path = promoted.promotion / "keys" / f"{name}.yaml"
    assert unnoticed(promoted, path, f"key {name}: its record was changed") == []


def other(value, position, taken):
    """The value with the character at a position exchanged; a number stays one, and one that is not in use."""
    text = str(value)
    if isinstance(value, int):
        numbers = (int(text[:position] + digit + text[position + 1 :]) for digit in "9876543210")
        return next(number for number in numbers if number not in taken and len(str(number)) == len(text))
    return text[:position] + ("x" if text[position] != "x" else "y") + text[position + 1 :]


@pytest.mark.proof
def test_a_changed_character_in_any_column_of_any_entry_is_found_and_the_entry_named(promoted, record_property):
    rows, missed, tried = promoted.rows(), [], 0
    taken = {row["seq"] for row in rows}
    for row in rows:
        for column in COLUMNS:
            length = len(str(row[column]))
            for position in sorted({0, length // 2, length - 1}):
                changed = other(row[column], position, taken)
                statement = (f"UPDATE ledger SET {column} = ? WHERE seq = ?", (changed, row["seq"]))
                with promoted.forged(statement):
                    code, problems = promoted.verify()
                tried += 1
                if code != 3 or not any(f"entry {row['seq']} " in problem for problem in problems):
                    missed.append((row["seq"], column, position, code, problems))
    assert {row["kind"] for row in rows} == {"opened", "enrolled", "registered", "looked", "decided"}
    assert tried >= 5 * (6 * 3 + 1)
    record_property("changed characters", tried)
    assert (missed, promoted.verify()) == ([], (0, []))


def test_a_deleted_entry_is_found_and_named(promoted):
    *earlier, last = [row["seq"] for row in promoted.rows()]
    for seq in earlier:
        with promoted.forged(("DELETE FROM ledger WHERE seq = ?", (seq,))):
            code, problems = promoted.verify()
        assert (code, any(f"entry {seq} " in problem for problem in problems)) == (3, True)
    # Nothing follows the last one, so what it spoke of has to speak.
    with promoted.forged(("DELETE FROM ledger WHERE seq = ?", (last,))):
        code, problems = promoted.verify()
    assert code == 3
    assert f"decision on {PILOT}: its table differs from the ledger" in problems
    assert f"attestation {promoted.digest}.json: the ledger has no such decision" in problems


def test_two_entries_that_changed_places_are_found_and_named(promoted):
    seqs = [row["seq"] for row in promoted.rows()]
    for one, two in pairwise(seqs):
        move = "UPDATE ledger SET seq = ? WHERE seq = ?"
        with promoted.forged((move, (1000, one)), (move, (one, two)), (move, (two, 1000))):
            code, problems = promoted.verify()
        assert code == 3
        assert any(f"entry {one} " in problem for problem in problems), problems


def place(content, text, at):
    """Where a byte of a text lies in a database file, in whose pages a long text is cut to pieces."""
    for before in range(min(at, PIECE), -1, -1):
        piece = text[at - before : at - before + PIECE]
        if content.count(piece) == 1 and len(piece) > before:
            return content.index(piece) + before
    raise AssertionError(f"byte {at} of {text!r} is not in the file once")


def test_a_changed_byte_of_an_entry_in_the_database_file_is_found(promoted):
    for row in promoted.rows():
        body = str(row["body"]).encode()
        for at in (0, len(body) // 2, len(body) - 1):
            position = place(promoted.sound, body, at)
            damaged = bytearray(promoted.sound)
            damaged[position] ^= 1
            promoted.database.write_bytes(damaged)
            code, problems = promoted.verify()
            promoted.restore()
            assert code == 3
            assert any(f"entry {row['seq']} " in problem for problem in problems), problems


def test_the_triggers_refuse_what_a_forger_would_have_to_do(promoted):
    connection = sqlite3.connect(promoted.database)
    for statement in (
        "UPDATE ledger SET at = 'x' WHERE seq = 1",
        "DELETE FROM ledger WHERE seq = 1",
        "INSERT OR REPLACE INTO ledger SELECT seq, 'x', kind, subject, body, prev, hash FROM ledger WHERE seq = 1",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="append only"):
            connection.execute(statement)
    connection.close()
    promoted.restore()
    assert promoted.verify() == (0, [])
