"""Masking: pseudonyms are HMAC-SHA-256, the same in SQL and Python, and personal columns are gone."""

import hashlib
import hmac
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from factory.state.room import open_factory
from factory.warehouse.mask import KEY_DRAWN, generalised, generalised_sql, masked_sql, pseudonym_key, published
from shared.core.digests import digest_bytes
from shared.core.errors import BadInput, Refused
from shared.data.contracts import Column, Contract
from shared.data.generalisation import Generalisation
from shared.data.pseudonym import pseudonym, pseudonym_sql
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
        key=("id",),
        columns=(
            Column(name="id", type="string", required=True, classification="identifier"),
            Column(name="email", type="string", classification="personal"),
            Column(name="recency", type="integer"),
        ),
    )
    assert [column.name for column in published(contract)] == ["id", "recency"]
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE customers AS SELECT 'C1' AS id, 'a@example.com' AS email, 3 AS recency")
        found = connection.sql(masked_sql(contract, KEY))
        assert found.columns == ["id", "recency"]
        assert found.fetchall() == [(pseudonym(KEY, "C1"), 3)]


def coarse(rule, duckdb_type, value):
    """What DuckDB makes of one value."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        query = f"SELECT {generalised_sql(rule, 'v', duckdb_type)}, typeof({generalised_sql(rule, 'v', duckdb_type)})"
        [[found, kind]] = connection.execute(f"{query} FROM (SELECT $v::{duckdb_type} AS v)", {"v": value}).fetchall()
    assert kind.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ") == duckdb_type
    return found


@pytest.mark.parametrize(
    ("form", "duckdb_type", "value", "expected"),
    [
        ({"width": 10}, "BIGINT", 37, 30),
        ({"width": 10}, "BIGINT", 30, 30),
        ({"width": 10}, "BIGINT", -1, -10),
        ({"width": 10}, "BIGINT", -(2**63), -(2**63)),  # its band begins below the least integer
        ({"width": 10}, "BIGINT", None, None),
        ({"width": 250}, "DOUBLE", 1249.99, 1000.0),
        ({"width": 0.5}, "DOUBLE", -0.2, -0.5),
        ({"breaks": [18, 30, 50]}, "BIGINT", 17, 18),
        ({"breaks": [18, 30, 50]}, "BIGINT", 30, 30),
        ({"breaks": [18, 30, 50]}, "BIGINT", 99, 50),
        ({"breaks": [18, 30, 50]}, "BIGINT", None, None),
        ({"breaks": [-0.5, 2]}, "DOUBLE", 1.99, -0.5),
        ({"to": "month"}, "DATE", date(1984, 7, 19), date(1984, 7, 1)),
        ({"to": "quarter"}, "DATE", date(1984, 9, 30), date(1984, 7, 1)),
        ({"to": "year"}, "DATE", None, None),
        # One in the morning of New Year's Day in Berlin is still the old year in UTC.
        ({"to": "year"}, "TIMESTAMPTZ", "2026-01-01 00:30:00+01:00", datetime(2025, 1, 1, tzinfo=UTC)),
        ({"characters": 2}, "VARCHAR", "10115", "10"),
        ({"characters": 2}, "VARCHAR", "ÄÖÜ", "ÄÖ"),
        ({"characters": 2}, "VARCHAR", "10", None),  # shown whole it would not be masked
        ({"characters": 2}, "VARCHAR", None, None),
    ],
)
def test_a_value_becomes_the_low_end_of_its_band_its_period_or_its_beginning(form, duckdb_type, value, expected):
    """By hand."""
    assert coarse(Generalisation(**form), duckdb_type, value) == expected


numbers = st.integers(-(2**53), 2**53) | st.floats(-1e12, 1e12)
forms = st.one_of(
    st.builds(Generalisation, width=st.integers(1, 10**6) | st.floats(0.01, 1e6)),
    st.builds(
        Generalisation, breaks=st.lists(st.integers(-1000, 1000), min_size=1, max_size=5, unique=True).map(sorted)
    ),
)


@pytest.mark.check
@given(forms, numbers, numbers)
@example(Generalisation(width=695), 0, -9_007_199_254_740_381)  # its band begins where doubles are 2 apart
@settings(max_examples=100, deadline=None)
def test_bounds_in_a_contract_are_coarsened_like_the_values_and_keep_their_order(rule, one, other):
    low, high = sorted((one, other))
    found = [generalised(rule, float(value)) for value in (low, high)]
    assert found == [coarse(rule, "DOUBLE", float(value)) for value in (low, high)]
    assert found[0] <= found[1]


@pytest.mark.check
@given(st.integers(1, 10**6), st.integers(-(2**53), 2**53))
@settings(max_examples=50, deadline=None)
def test_whole_numbers_stay_exact_in_their_band(width, value):
    rule = Generalisation(width=width)
    assert generalised(rule, value) == coarse(rule, "BIGINT", value)
    assert 0 <= value - generalised(rule, value) < width


@given(st.integers(1, 5), st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8))
@settings(max_examples=50, deadline=None)
def test_valid_values_are_coarsened_like_the_values(characters, value):
    rule = Generalisation(characters=characters)
    found = generalised(rule, value)
    assert found == coarse(rule, "VARCHAR", value)
    assert found != value


def test_a_redacted_column_is_there_and_empty_in_its_own_type():
    columns = (Column(name="id", type="string"), Column(name="salary", type="integer", classification="restricted"))
    contract = Contract(id="c", name="c", version="1", table="people", key=("id",), columns=columns)
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE people AS SELECT 'a' AS id, 41234 AS salary")
        found = connection.sql(masked_sql(contract, KEY))
        assert (found.columns, [str(kind) for kind in found.types]) == (["id", "salary"], ["VARCHAR", "BIGINT"])
        assert found.fetchall() == [("a", None)]


def test_a_foreign_key_joins_its_customer_whatever_its_type():
    def masked(connection, table, columns):
        contract = Contract(id="c", name="c", version="1", table=table, key=(columns[0].name,), columns=columns)
        connection.execute(f"CREATE TABLE masked_{table} AS {masked_sql(contract, KEY)}")

    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE customers AS SELECT 42 AS id UNION ALL SELECT 43")
        connection.execute("CREATE TABLE orders AS SELECT 'o1' AS id, '42' AS customer UNION ALL SELECT 'o2', NULL")
        masked(connection, "customers", (Column(name="id", type="integer", classification="identifier"),))
        masked(
            connection,
            "orders",
            (Column(name="id", type="string"), Column(name="customer", type="string", classification="identifier")),
        )
        joined = connection.execute(
            "SELECT o.id, c.id FROM masked_orders o JOIN masked_customers c ON c.id = o.customer"
        ).fetchall()
    assert joined == [("o1", pseudonym(KEY, "42"))]


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
