"""Masking: pseudonyms are HMAC-SHA-256, the same in SQL and Python, and personal columns are gone."""

import hashlib
import hmac
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory.masking import KEY_DRAWN, masked_sql, pseudonym, pseudonym_key, pseudonym_sql, published
from factory.state import open_factory
from shared.contracts import Column, Contract
from shared.digests import digest_bytes
from shared.errors import BadInput, Refused
from tests.makers import make_workspace

KEY = bytes(range(32))


def test_a_pseudonym_is_the_hmac_of_the_standard_library():
    expected = "u_" + hmac.new(KEY, b"C000001", hashlib.sha256).hexdigest()[:32]
    assert pseudonym(KEY, "C000001") == expected


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=100))
@settings(max_examples=100, deadline=None)
def test_sql_gives_the_pseudonym_that_python_gives(identity):
    [[found]] = duckdb.execute(f"SELECT {pseudonym_sql(KEY, '$identity')}", {"identity": identity}).fetchall()
    assert found == pseudonym(KEY, identity)


def test_a_missing_id_has_no_pseudonym():
    assert duckdb.execute(f"SELECT {pseudonym_sql(KEY, 'NULL')}").fetchall() == [(None,)]


def test_a_number_has_the_pseudonym_of_its_text():
    assert duckdb.execute(f"SELECT {pseudonym_sql(KEY, '42')}").fetchall() == [(pseudonym(KEY, "42"),)]


def test_a_personal_column_is_not_published():
    contract = Contract(
        id="c",
        name="c",
        version="1",
        table="customers",
        primary_key="id",
        columns=(
            Column(name="id", type="string", required=True, classification="identifier"),
            Column(name="email", type="string", classification="personal"),
            Column(name="recency", type="integer"),
        ),
    )
    assert [column.name for column in published(contract)] == ["id", "recency"]
    found = duckdb.sql(
        f"SELECT {masked_sql(contract, KEY)} FROM (SELECT 'C1' AS id, 'a@example.com' AS email, 3 AS recency)"
    )
    assert found.columns == ["id", "recency"]
    assert found.fetchall() == [(pseudonym(KEY, "C1"), 3)]


def test_the_key_is_drawn_once_and_readable_by_its_owner_only(workspace):
    first = pseudonym_key(workspace)
    assert pseudonym_key(workspace) == first
    assert (workspace.factory / "pseudonym.key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", ["", "zz", "abcd"])
def test_a_damaged_key_is_never_replaced(workspace, content):
    """A new key would sever every unit from its customer."""
    path = workspace.factory / "pseudonym.key"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    with pytest.raises(BadInput, match="damaged"):
        pseudonym_key(workspace)
    assert path.read_text() == content


def test_the_ledger_has_the_keys_digest_from_its_first_use_on(workspace):
    path = workspace.factory / "pseudonym.key"
    path.write_text("2026" * 16 + "\n")
    for _ in range(2):
        assert pseudonym_key(workspace).hex() == "2026" * 16
    [entry] = open_factory(workspace).entries("pseudonym.key")
    assert (entry.kind, entry.body) == (KEY_DRAWN, {"digest": digest_bytes(bytes.fromhex("2026" * 16))})


def test_a_lost_key_is_never_replaced(workspace):
    key = pseudonym_key(workspace)
    path = workspace.factory / "pseudonym.key"
    path.unlink()
    with pytest.raises(Refused, match="is missing") as caught:
        pseudonym_key(workspace)
    assert "backup" in str(caught.value.remedy)
    assert not path.exists()
    path.write_text(key.hex())
    assert pseudonym_key(workspace) == key


def test_another_key_is_refused(workspace):
    pseudonym_key(workspace)
    (workspace.factory / "pseudonym.key").write_text("ab" * 32)
    with pytest.raises(Refused, match="another one"):
        pseudonym_key(workspace)


def test_first_uses_at_once_draw_one_key(tmp_path):
    workspace = make_workspace(tmp_path / "workspace")
    open_factory(workspace)
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: pseudonym_key(workspace), range(8)))
    assert len(keys) == 1
    assert len(open_factory(workspace).entries("pseudonym.key")) == 1
