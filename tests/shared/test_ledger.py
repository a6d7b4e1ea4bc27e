"""The ledger: what its triggers refuse, and what its verification finds with and without a witness."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.state import ledger
from shared.state.chain import GENESIS, Head
from tests.makers import open_database

AT = datetime(2026, 2, 2, 9, tzinfo=UTC)
COLUMNS = ("seq", "at", "kind", "subject", "body", "prev", "hash")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)


class Chain:
    """A ledger in a real SQLite database, in memory unless a file is given."""

    def __init__(self, bodies, engine=None):
        self.metadata = sa.MetaData()
        self.table = ledger.ledger_table(self.metadata)
        self.engine = engine or sa.create_engine("sqlite://", poolclass=sa.StaticPool)
        self.metadata.create_all(self.engine)
        self.heads = [Head(0, GENESIS)]
        for number, body in enumerate(bodies, 1):
            with self.engine.begin() as connection:
                self.heads.append(
                    ledger.append(connection, self.table, at=AT, kind="note", subject=f"pilot-{number}", body=body)
                )

    def tamper(self, statement, *parameters):
        """What the account's owner can do: first the triggers go, then the rows."""
        with self.engine.begin() as connection:
            for name in ("update", "delete", "replace"):
                connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS ledger_no_{name}")
            connection.exec_driver_sql(statement, parameters)

    def problems(self, *witnesses):
        with self.engine.begin() as connection:
            return ledger.problems(connection, self.table, name="ledger", witnesses=witnesses)

    def rows(self):
        with self.engine.begin() as connection:
            return [dict(row._mapping) for row in connection.execute(sa.select(self.table).order_by("seq"))]


def bodies(count):
    return [{"number": number} for number in range(1, count + 1)]


@pytest.fixture
def chain(tmp_path):
    metadata = sa.MetaData()
    ledger.ledger_table(metadata)
    return Chain(bodies(4), open_database("sqlite:///ledger.db", tmp_path, metadata, version=1))


@given(st.lists(st.dictionaries(TEXTS, st.one_of(TEXTS, st.booleans(), st.none())), max_size=8))
def test_a_chain_as_it_was_written_has_no_problem(written):
    assert Chain(written).problems() == []


def test_entries_come_back_as_they_were_written(chain):
    with chain.engine.begin() as connection:
        assert [entry.body for entry in ledger.entries(connection, chain.table)] == bodies(4)


def test_entries_of_one_subject_leave_the_others_out(chain):
    with chain.engine.begin() as connection:
        assert [entry.seq for entry in ledger.entries(connection, chain.table, subject="pilot-3")] == [3]


def test_an_empty_ledger_ends_at_the_genesis():
    chain = Chain([])
    with chain.engine.begin() as connection:
        assert ledger.head(connection, chain.table) == Head(0, GENESIS)


def test_the_hash_of_an_entry_is_sha_256_over_its_canonical_json_by_hand_arithmetic():
    chain = Chain([{"b": 1, "a": "ü"}])
    body = "sha256:" + hashlib.sha256('{"a":"ü","b":1}'.encode()).hexdigest()
    by_hand = (
        f'{{"at":"2026-02-02T09:00:00Z","body":"{body}","kind":"note","prev":"sha256:{"0" * 64}",'
        '"seq":1,"subject":"pilot-1"}'
    )
    assert chain.heads[1].hash == "sha256:" + hashlib.sha256(by_hand.encode()).hexdigest()


def test_an_entry_that_is_rolled_back_was_never_written(chain):
    with pytest.raises(ZeroDivisionError), chain.engine.begin() as connection:  # noqa: PT012 - the crash is inside
        ledger.append(connection, chain.table, at=AT, kind="note", subject="x", body={})
        raise ZeroDivisionError
    assert len(chain.rows()) == 4


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger SET kind = 'other' WHERE seq = 4",
        "UPDATE OR REPLACE ledger SET seq = 3 WHERE seq = 4",
        "DELETE FROM ledger WHERE seq = 4",
        "DELETE FROM ledger",
        "INSERT OR REPLACE INTO ledger VALUES (4, '', '', '', '{}', 'p', 'h')",
        "REPLACE INTO ledger VALUES (1, '', '', '', '{}', 'p', 'h')",
        "INSERT INTO ledger VALUES (2, '', '', '', '{}', 'p', 'h')",
        "INSERT OR IGNORE INTO ledger VALUES (0, '', '', '', '{}', 'p', 'h')",
        "INSERT INTO ledger VALUES (4, '', '', '', '{}', 'p', 'h') ON CONFLICT (seq) DO UPDATE SET kind = 'other'",
    ],
)
def test_sqlite_refuses_every_change_but_an_addition(chain, tmp_path, statement):
    with (
        closing(sqlite3.connect(tmp_path / "ledger.db")) as connection,
        pytest.raises(sqlite3.IntegrityError, match="append only"),
    ):
        connection.execute(statement)


@pytest.mark.parametrize("column", ["prev", "hash"])
def test_sqlite_refuses_to_replace_a_row_through_a_repeated_hash(chain, tmp_path, column):
    values = {"prev": "p", "hash": "h", column: chain.rows()[1][column]}
    with (
        closing(sqlite3.connect(tmp_path / "ledger.db")) as connection,
        pytest.raises(sqlite3.IntegrityError, match="append only"),
    ):
        connection.execute(
            "INSERT OR REPLACE INTO ledger VALUES (99, '', '', '', '{}', ?, ?)", (values["prev"], values["hash"])
        )


def test_a_refused_change_leaves_the_chain_as_it_was(chain, tmp_path):
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute("DELETE FROM ledger")
    assert chain.problems() == []


@given(
    length=st.integers(1, 6),
    data=st.data(),
    column=st.sampled_from(["at", "kind", "subject", "body", "prev", "hash"]),
    value=TEXTS,
)
def test_an_edited_row_is_found_and_named(length, data, column, value):
    chain = Chain(bodies(length))
    seq = data.draw(st.integers(1, length))
    assume(chain.rows()[seq - 1][column] != value)
    chain.tamper(f"UPDATE ledger SET {column} = ? WHERE seq = ?", value, seq)
    assert any(f"entry {seq} " in problem for problem in chain.problems())


@pytest.mark.parametrize(
    "body",
    [
        '{"number": 2}',
        '{"number":2.0}',
        '{"number":NaN}',
        '{"number":1e999}',
        '{"number":99999999999999999999}',
        '"\\ud800"',
        "[" * 100_000,
        "",
        "null",
        b"\x00",
    ],
)
def test_a_body_that_means_the_same_or_nothing_is_found_and_named(body):
    chain = Chain(bodies(3))
    chain.tamper("UPDATE ledger SET body = ? WHERE seq = 2", body)
    assert chain.problems() == ["ledger: entry 2 (note) was changed after it was written"]


def test_a_time_that_is_no_text_is_found_and_named():
    chain = Chain(bodies(3))
    chain.tamper("UPDATE ledger SET at = ? WHERE seq = 2", b"\x00\x01")
    assert chain.problems() == ["ledger: entry 2 (note) was changed after it was written"]


@given(length=st.integers(2, 7), data=st.data())
def test_a_dropped_row_is_found_and_named(length, data):
    chain = Chain(bodies(length))
    seq = data.draw(st.integers(1, length - 1))
    chain.tamper("DELETE FROM ledger WHERE seq = ?", seq)
    assert f"ledger: entry {seq} is missing" in chain.problems()


@given(length=st.integers(2, 6), data=st.data())
def test_rows_in_another_order_are_found_and_named(length, data):
    chain = Chain(bodies(length))
    order = data.draw(st.permutations(range(1, length + 1)))
    moved = [seq for seq, place in enumerate(order, 1) if seq != place]
    assume(moved)
    chain.tamper("UPDATE ledger SET seq = -seq")
    for seq, place in enumerate(order, 1):
        chain.tamper("UPDATE ledger SET seq = ? WHERE seq = ?", place, -seq)
    assert any(f"entry {min(moved)} " in problem for problem in chain.problems())


def test_a_dropped_row_whose_successors_were_renumbered_is_found():
    chain = Chain(bodies(4))
    chain.tamper("DELETE FROM ledger WHERE seq = 2")
    chain.tamper("UPDATE ledger SET seq = 2 WHERE seq = 3")
    chain.tamper("UPDATE ledger SET seq = 3 WHERE seq = 4")
    assert "ledger: entry 2 does not continue the one before it" in chain.problems()


@given(length=st.integers(1, 6), data=st.data())
def test_a_chain_cut_at_its_end_is_found_by_a_witness_of_the_lost_part(length, data):
    chain = Chain(bodies(length))
    kept = data.draw(st.integers(0, length - 1))
    seen = data.draw(st.integers(kept + 1, length))
    chain.tamper("DELETE FROM ledger WHERE seq > ?", kept)
    assert chain.problems(chain.heads[seen]) == [
        f"ledger: entry {seen} is not the one that was witnessed; the chain was cut or replaced"
    ]


@given(length=st.integers(1, 6), data=st.data())
def test_a_chain_cut_at_its_end_is_not_found_without_a_witness(length, data):
    chain = Chain(bodies(length))
    chain.tamper("DELETE FROM ledger WHERE seq > ?", data.draw(st.integers(0, length - 1)))
    assert chain.problems() == []


@given(length=st.integers(1, 6), data=st.data())
def test_a_witness_of_what_is_still_there_is_content(length, data):
    chain = Chain(bodies(length))
    assert chain.problems(chain.heads[data.draw(st.integers(0, length))]) == []


def _rewritten(seq, body):
    """A chain whose entry was changed and every hash after it computed anew."""
    chain = Chain(bodies(4))
    changed = [body if number == seq else old for number, old in enumerate(bodies(4), 1)]
    return chain, Chain(changed)


def test_a_chain_rewritten_throughout_is_not_found_without_a_witness():
    _, forged = _rewritten(2, {"number": "other"})
    assert forged.problems() == []


@pytest.mark.parametrize("seen", [2, 3, 4])
def test_a_chain_rewritten_throughout_is_found_by_any_witness_from_there_on(seen):
    chain, forged = _rewritten(2, {"number": "other"})
    assert f"entry {seen} is not the one that was witnessed" in forged.problems(chain.heads[seen])[0]


def test_a_chain_restored_and_continued_otherwise_is_found_by_a_witness():
    chain = Chain(bodies(4))
    restored = Chain([*bodies(3), {"number": "another fourth"}, {"number": 5}])
    assert "entry 4 is not the one that was witnessed" in restored.problems(chain.heads[4])[0]


def test_a_head_is_carried_as_sequence_number_and_hash():
    assert json.loads(json.dumps(Head(3, "sha256:1").as_json())) == {"seq": 3, "hash": "sha256:1"}
