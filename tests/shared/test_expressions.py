"""Expressions: a value of one row gets in, written anew; everything else is refused."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.experiment.expressions import CHARACTERS_MAX, parse_expression

ROW = {"spend": 7.5, "visit": 3, "channel": "web"}


def value(sql):
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t (spend DOUBLE, visit BIGINT, channel VARCHAR)")
        connection.execute("INSERT INTO t VALUES ($spend, $visit, $channel)", ROW)
        return connection.execute(f"SELECT {sql} FROM t").fetchone()[0]


@pytest.mark.parametrize(
    ("text", "by_hand"),
    [
        ("spend", 7.5),
        ("spend - 0.1 * visit", 7.2),
        ("-spend + 1", -6.5),
        ("spend / visit", 2.5),
        ("visit % 2", 1),
        ("CASE WHEN channel = 'web' THEN spend ELSE 0 END", 7.5),
        ("CASE visit WHEN 1 THEN 10 WHEN 3 THEN 30 ELSE 0 END", 30),
        ("visit BETWEEN 1 AND 2", False),
        ("visit NOT BETWEEN 1 AND 2", True),
        ("channel IN ('app', 'web') AND NOT visit > 5", True),
        ("channel NOT IN ('app', 'web') OR visit <= 2 OR visit <> 3", False),
        ("least(spend, 5) + greatest(visit, 4) + abs(-2 * visit)", 15),
        ("spend -- what they paid", 7.5),
        ("SPEND", 7.5),
    ],
)
def test_an_expression_is_computed_as_by_hand(text, by_hand):
    assert value(parse_expression(text).sql) == pytest.approx(by_hand)


def test_the_columns_that_are_read_are_known():
    assert parse_expression("CASE WHEN channel = 'web' THEN spend ELSE visit END").columns == (
        "channel", "spend", "visit",
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "1", "true", "'a'", "*", "spend, visit", "spend visit", "spend AS x", "DISTINCT spend",
        "spend; DROP TABLE t", "1) AS a, (spend", "spend FROM t", "spend WHERE true", "spend UNION SELECT 1",
        "spend LIMIT 1", "spend ORDER BY 1", "(SELECT spend)", "spend IN (SELECT 1)", "EXISTS (SELECT 1)",
        "sum(spend)", "count(*)", "sum(spend) OVER ()", "row_number() OVER ()", "abs(spend) OVER ()",
        "read_text('/etc/passwd')", "getenv('HOME')", "random() * spend", "now() > spend", "main.abs(spend)",
        "abs(DISTINCT spend)", "abs(spend) FILTER (WHERE true)", "abs(spend ORDER BY 1)", "o.spend", "t.o.spend",
        "spend::VARCHAR", "CAST(spend AS INTEGER)", "TRY_CAST(spend AS INTEGER)", "spend IS NULL", "spend + NULL",
        "CASE WHEN visit = 1 THEN spend END", "CASE WHEN visit = 1 THEN spend ELSE NULL END", "spend + 1e400",
        "$1 + spend", "? + spend", "x -> spend", "lambda x: spend", "[spend]", "spend[1]", "{'a': spend}",
        "channel || 'x'", "channel LIKE 'w%'", "channel ~ 'w'", "spend COLLATE de", "spend ** 2", "spend // 2",
        "spend = ANY([1])", "INTERVAL 1 DAY + spend", "COLUMNS('.*')", "abs(least(read_text('x'), spend))",
        "spend + (VALUES (1))", "TRY(spend)", "coalesce(spend, 0)", "PIVOT t ON spend", "spend QUALIFY true",
        "spend GROUP BY ALL", "spend USING SAMPLE 1", "spend INTO t",
    ],
)  # fmt: skip
def test_anything_but_a_value_of_one_row_is_refused(text):
    with pytest.raises(ValueError, match=r"expression|column|value|CASE|nested"):
        parse_expression(text)


def test_an_endless_expression_is_refused_before_it_is_read():
    with pytest.raises(ValueError, match=f"at most {CHARACTERS_MAX} characters"):
        parse_expression("+".join(["spend"] * 500))


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=30))
def test_a_text_stays_a_text_whatever_is_in_it(text):
    quoted = text.replace("'", "''")
    written = parse_expression(f"channel = '{quoted}'")
    assert written.columns == ("channel",)
    assert value(written.sql) == (text == "web")


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1, max_size=30))
def test_a_name_stays_a_name_whatever_is_in_it(name):
    quoted = name.replace('"', '""')
    assert parse_expression(f'"{quoted}" + 1').columns == (name,)


def test_what_was_written_is_read_as_the_same():
    once = parse_expression("CASE WHEN channel IN ('a', 'b') THEN -spend / 2 ELSE least(visit, 1.5) END")
    assert parse_expression(once.sql) == once
