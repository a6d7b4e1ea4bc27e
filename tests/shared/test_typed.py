"""Values as a contract's types: what a text has to look like before it is taken for one."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from shared.data.contracts import Column
from shared.data.tabular import connect
from shared.data.typed import typed_sql, unreadable_sql


def typed(kind, text, **said):
    """The typed value of a text, and the reasons why it has none."""
    columns = [Column(name="x", type=kind, **said)]
    with connect() as connection:
        connection.execute("CREATE TEMP TABLE raw AS SELECT 1 AS _row, CAST(? AS VARCHAR) AS x", [text])
        value = connection.execute(f"SELECT {typed_sql(columns, ['x'])} FROM raw").fetchone()[0]
        reasons = connection.execute(unreadable_sql(columns, ["x"], "raw", "_row")).fetchall()
    return value, [reason for _, reason in reasons]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("integer", "3", 3), ("integer", "-3", -3), ("integer", "3.0", 3), ("integer", "9007199254740993", 2**53 + 1),
        ("integer", "9223372036854775807", 2**63 - 1),
        ("number", "1.5", 1.5), ("number", "1e3", 1000.0), ("boolean", "true", True), ("string", "x", "x"),
        ("integer", None, None),
    ],
)  # fmt: skip
def test_a_text_of_its_columns_type_is_its_value(kind, text, value):
    assert typed(kind, text) == (value, [])


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("integer", "1.5"), ("integer", "0.4"), ("integer", "many"), ("integer", "9223372036854775808"),
        ("integer", "nan"), ("number", "1,5"), ("number", "x"), ("boolean", "perhaps"), ("date", "2026-02-30"),
        ("timestamp", "yesterday"), ("date", "3/4/26"), ("date", "infinity"), ("date", "epoch"), ("date", "26-03-04"),
        ("date", "2026-3-4"), ("date", "2026-03-04 13:00:00"), ("date", "20260304"),
        ("timestamp", "infinity"), ("timestamp", "-infinity"), ("timestamp", "epoch"), ("timestamp", "now"),
        ("timestamp", "3/4/26 09:00"), ("timestamp", "2026-03-04 09:00 BST"), ("timestamp", "2026-03-04 09:00 EST"),
        ("timestamp", "2026-03-04 09:00 Europe/Berlin"), ("timestamp", "2026-03-04 25:00"), ("timestamp", "1772614800"),
        ("timestamp", "2026-05-14 11:23+99"), ("timestamp", "2026-05-14 11:23:00 -15:00"),
        ("integer", "1_000"), ("integer", "-2_000_000"), ("number", "1_000.5"), ("integer", "0x10"), ("integer", "0b1"),
        ("number", "0x1p3"),
        ("integer", "1e-3"), ("number", "12 000"), ("number", "€ 5"), ("number", "5 %"),
    ],
)  # fmt: skip
def test_a_text_of_another_type_is_null_with_its_reason(kind, text):
    article = "an" if kind == "integer" else "a"
    assert typed(kind, text) == (None, [f"x is not {article} {kind}"])


def test_a_time_without_offset_is_utc():
    assert typed("timestamp", "2026-01-05 09:00:00")[0] == typed("timestamp", "2026-01-05 10:00:00+01")[0]


def test_an_absent_column_is_null():
    with connect() as connection:
        columns = [Column(name="x", type="integer")]
        assert connection.execute(f"SELECT {typed_sql(columns, [])}").fetchone() == (None,)


def test_columns_that_are_all_texts_have_nothing_unreadable():
    with connect() as connection:
        assert (
            connection.execute(unreadable_sql([Column(name="x", type="string")], ["x"], "raw", "_row")).fetchall() == []
        )


@pytest.mark.parametrize(
    "text",
    [
        "2026-05-14 11:23:45 +0100", "2026-05-14 11:23:45+0100", "2026-05-14T11:23:45+01:00", "2026-05-14T10:23:45Z",
        "2026-05-14t10:23:45z", "2026-05-14 10:23:45 UTC", "2026-05-14 10:23:45 Z", "2026-05-14 10:23:45",
        " 2026-05-14 15:53:45 +05:30 ", "2026-05-14 11:23:45+01:00:00", "2026-05-14 10:23:45.000000000+00",
    ],
)  # fmt: skip
def test_a_moment_may_be_written_as_databases_and_sheets_write_it(text):
    """Each is 10:23:45 UTC, by ISO 8601's own arithmetic."""
    assert typed("timestamp", text) == (datetime(2026, 5, 14, 10, 23, 45, tzinfo=UTC), [])


@pytest.mark.parametrize(
    "text", ["2026-05-14", "2026-05-14 00:00:00", "2026-05-14T00:00:00Z", "2026-05-14 00:00:00+00"]
)
def test_a_day_may_be_its_midnight(text):
    assert typed("date", text) == (date(2026, 5, 14), [])


@pytest.mark.parametrize("text", ["", " ", "\t", "  "])
def test_a_required_text_of_blanks_says_nothing(text):
    assert typed("string", text, required=True)[0] is None
    assert typed("string", text)[0] == text


@pytest.mark.parametrize(
    ("written", "text", "day"),
    [
        ("dd.MM.yyyy", "04.03.2026", date(2026, 3, 4)), ("M/d/yy", "3/4/26", date(2026, 3, 4)),
        ("d/M/yyyy", "4/3/2026", date(2026, 3, 4)), ("d MMM yyyy", "4 Mar 2026", date(2026, 3, 4)),
        ("yyyyMMdd", "20260304", date(2026, 3, 4)), ("dd.MM.yy", "04.03.85", date(2085, 3, 4)),
        ("M/d/yy", "2/29/72", date(2072, 2, 29)), ("dd.MM.yyyy", "2026-03-04", date(2026, 3, 4)),
    ],
)  # fmt: skip
def test_a_contract_says_how_its_dates_are_written(written, text, day):
    assert typed("date", text, format=written) == (day, [])


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("dd.MM.yyyy", "04.03.26"), ("dd.MM.yyyy", "4.3.2026"), ("dd.MM.yyyy", "31.02.2026"), ("M/d/yy", "13/4/26"),
        ("dd.MM.yyyy", "infinity"), ("d MMM yyyy", "4 Foo 2026"), ("dd.MM.yyyy", "04/03/2026"),
    ],
)  # fmt: skip
def test_a_date_that_is_written_otherwise_is_held_back_with_the_format(written, text):
    assert typed("date", text, format=written) == (None, [f"x is not a date written as {written}"])


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("dd.MM.yyyy HH:mm", "14.05.2026 10:23"), ("yyyy-MM-dd'T'HH:mmXXX", "2026-05-14T11:23+01:00"),
        ("yyyy-MM-ddTHH:mmX", "2026-05-14T10:23Z"), ("MM/dd/yyyy hh:mm a", "05/14/2026 10:23 AM"),
        ("dd/MMM/yyyy:HH:mm Z", "14/May/2026:11:23 +0100"),
    ],
)  # fmt: skip
def test_a_contract_says_how_its_moments_are_written(written, text):
    assert typed("timestamp", text, format=written) == (datetime(2026, 5, 14, 10, 23, tzinfo=UTC), [])


def test_a_format_that_an_earlier_build_froze_and_nobody_kept_is_as_none():
    assert typed("date", "2026-03-04", format="QQ") == (date(2026, 3, 4), [])


@pytest.mark.parametrize("text", [" true", "TRUE ", " 1 ", "t", "yes"])
def test_a_boolean_may_have_blanks_around_it_as_a_number_may(text):
    assert typed("boolean", text) == (True, [])
