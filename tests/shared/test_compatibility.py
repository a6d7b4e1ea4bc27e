"""Compatibility: each change of a contract has the class that a reader of the old one meets."""

from __future__ import annotations

import pytest

from shared.data.compatibility import changes
from shared.data.contracts import Column, Contract, load_contract
from shared.data.generalisation import Generalisation

KEY = Column("id", "string", required=True, unique=True, classification="identifier")


def contract(*columns, key=("id",), rows=1, table="customers"):
    return Contract("c", "customers", "1.0.0", table, key, (KEY, *columns), rows)


def classes(before, now):
    return [(change.severity, change.column) for change in changes(before, now)]


def column(**said):
    return Column(**{"name": "x", "type": "string", **said})


TENS, HUNDREDS = Generalisation(width=10), Generalisation(width=100)
# (before, now, severity): dbt's breaking changes (removal, type), Avro's resolution rules as Confluent cites them
# (a reader of the old schema meets new data), and what a message does with a missing value.
CASES = {
    "a type": (column(), column(type="integer"), "breaking"),
    "a wider number": (column(type="integer"), column(type="number"), "risky"),
    "a narrower number": (column(type="number"), column(type="integer"), "breaking"),
    "a date for a moment": (column(type="timestamp"), column(type="date"), "breaking"),
    "may be missing": (column(required=True), column(), "breaking"),
    "may no longer be missing": (column(), column(required=True), "safe"),
    "may occur twice": (column(unique=True), column(), "breaking"),
    "occurs once": (column(), column(unique=True), "safe"),
    "now personal in other words": (column(), column(classification="identifier"), "breaking"),
    "now redacted": (column(), column(classification="restricted"), "breaking"),
    "now shown": (column(classification="restricted"), column(), "risky"),
    "now coarse": (
        column(type="integer"), column(type="integer", classification="restricted", generalise=TENS), "risky"
    ),
    "coarser": (
        column(type="integer", classification="restricted", generalise=TENS),
        column(type="integer", classification="restricted", generalise=HUNDREDS),
        "risky",
    ),
    "empty in place of coarse": (
        column(type="integer", classification="restricted", generalise=TENS),
        column(type="integer", classification="restricted"),
        "breaking",
    ),
    "a lower minimum": (column(type="integer", minimum=1), column(type="integer", minimum=0), "risky"),
    "no minimum": (column(type="integer", minimum=1), column(type="integer"), "risky"),
    "a higher minimum": (column(type="integer", minimum=1), column(type="integer", minimum=2), "safe"),
    "a new minimum": (column(type="integer"), column(type="integer", minimum=2), "safe"),
    "a higher maximum": (column(type="integer", maximum=1), column(type="integer", maximum=2), "risky"),
    "no maximum": (column(type="integer", maximum=1), column(type="integer"), "risky"),
    "a lower maximum": (column(type="integer", maximum=2), column(type="integer", maximum=1), "safe"),
    "longer texts": (column(max_length=5), column(max_length=9), "risky"),
    "shorter texts": (column(max_length=5), column(max_length=3), "safe"),
    "even shorter texts": (column(min_length=5), column(min_length=3), "risky"),
    "at least longer texts": (column(min_length=5), column(min_length=6), "safe"),
    "another pattern": (column(pattern="^a"), column(pattern="^b"), "risky"),
    "no pattern": (column(pattern="^a"), column(), "risky"),
    "a new pattern": (column(), column(pattern="^a"), "safe"),
    "more values": (column(valid_values=("a",)), column(valid_values=("a", "b")), "risky"),
    "fewer values": (column(valid_values=("a", "b")), column(valid_values=("a",)), "risky"),
    "any value": (column(valid_values=("a",)), column(), "risky"),
    "listed values": (column(), column(valid_values=("a",)), "safe"),
    "another unit": (column(description="US dollars"), column(description="euros"), "risky"),
    "no meaning": (column(description="US dollars"), column(), "risky"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_change_of_a_column_has_its_class_and_names_the_column(name):
    before, now, severity = CASES[name]
    assert classes(contract(before), contract(now)) == [(severity, "x")]


@pytest.mark.parametrize("name", CASES)
def test_no_change_is_none(name):
    for each in CASES[name][:2]:
        assert changes(contract(each), contract(each)) == ()


def test_a_removed_column_breaks_and_a_new_one_is_safe():
    assert classes(contract(column()), contract()) == [("breaking", "x")]
    assert classes(contract(), contract(column())) == [("safe", "x")]


def test_a_renamed_column_is_one_removed_and_one_new():
    assert classes(contract(column()), contract(column(name="y"))) == [("breaking", "x"), ("safe", "y")]


def test_capitals_make_no_other_column():
    assert changes(contract(column(name="Zip")), contract(column(name="zip"))) == ()


def test_another_key_or_table_breaks():
    [change] = changes(contract(column(unique=True)), contract(column(unique=True), key=("x",)))
    assert (change.severity, change.column) == ("breaking", None)
    assert "`x`" in change.told
    assert classes(contract(), contract(table="clients")) == [("breaking", None)]


def test_fewer_rows_asked_for_is_risky_and_more_is_safe():
    assert classes(contract(rows=100), contract(rows=1)) == [("risky", None)]
    assert classes(contract(rows=1), contract(rows=100)) == [("safe", None)]


def test_the_worst_comes_first_and_both_sides_are_told():
    before = contract(column(valid_values=("a",)), column(name="y", type="integer"))
    now = contract(column(valid_values=("a", "b")), column(name="y"), column(name="z"))
    found = changes(before, now)
    assert [change.severity for change in found] == ["breaking", "risky", "safe"]
    assert found[0].told == "its type is string, and was integer"
    assert "b" in found[1].told


CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: c
name: customers
version: 1.0.0
status: active
{levels}
schema:
  - name: customers
    logicalType: object
    properties:
      - {{name: id, logicalType: string, primaryKey: true}}
"""


@pytest.mark.parametrize(("unit", "value", "days"), [("d", 7, 7), ("days", 1.5, 1.5), ("h", 36, 1.5), ("hours", 24, 1)])
def test_the_standards_frequency_is_how_old_a_table_may_be(tmp_path, unit, value, days):
    path = tmp_path / "customers.odcs.yaml"
    path.write_text(CONTRACT.format(levels=f"slaProperties: [{{property: frequency, value: {value}, unit: {unit}}}]"))
    assert load_contract(path).max_age_days == days
    path.write_text(CONTRACT.format(levels=""))
    assert load_contract(path).max_age_days is None
