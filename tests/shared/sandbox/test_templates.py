"""Templates: mail is rendered row by row, and no template reads, climbs or grows out of its box."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.core.errors import BadInput, Contained
from shared.sandbox import Limits, check_template, render

BODY = """Dear {{ name }},
{% if segment == 1 %}thank you{% else %}welcome{% endif %} since {{ since.strftime('%d.%m.%Y') }} – grüße 🙂
{% for i in range(3) %}{{ loop.index * 2 }}{{ ', ' if not loop.last }}{% endfor %} {{ (city or 'hier')|upper }}"""

# Some 40 kB for each customer, that do not pack well.
DIGITS = (
    "{% for b in range(0, 4000, 1000) %}{% for i in range(999) %}"
    "{{ (i + b) * 48271 * since.toordinal() % 2147483647 }}{% endfor %}{% endfor %}"
)


def refusal(world, body, subject="Hello {{ name }}", limits=None):
    with pytest.raises(Contained) as caught:
        render(body, subject, world.tables["customers"], world.out, where="mail", limits=limits or world.tight)
    assert not world.out.exists()
    assert "the secret" not in str(caught.value)
    return caught.value


def test_every_row_is_rendered_in_order(world):
    found = render(BODY, "For {{ name }}\n", world.tables["customers"], world.out, where="mail")
    table = pq.read_table(world.out)
    assert (found, table.column_names) == (100, ["unit", "subject", "body"])
    assert table.column("unit").to_pylist() == [f"u{i}" for i in range(100)]
    assert table.column("subject")[7].as_py() == "For Zoë 7"
    assert table.column("body")[1].as_py() == "Dear Zoë 1,\nthank you since 02.01.2026 – grüße 🙂\n2, 4, 6 ŁÓDŹ"
    assert table.column("body")[5].as_py().endswith("HIER")


def test_every_filter_on_the_list_works_inside(world):
    body = (
        "{{ -2|abs }}{{ 'a b'|capitalize|title|wordcount }}{{ 'x'|d('y')|default('z')|e|escape|upper|lower|trim }}"
        "{{ {'b': 1}|dictsort|first|last }}{{ {'b': 1}|items|list|count }}{{ 1000|filesizeformat }}{{ '2'|float|int }}"
        "{{ [1, 2]|join('-') }}{{ [3, 1]|sort|reverse|map('string')|list|length }}{{ [1, 2]|max + [1, 2]|min }}"
        "{{ [1, 2]|reject('odd')|select('even')|sum }}{{ [{'a': 1}]|rejectattr('a', 'eq', 2)|selectattr('a')|list }}"
        "{{ 'ab'|replace('a', 'é') }}{{ 2.345|round(2) }}{{ '<b>&eacute;</b>'|striptags }}{{ [1]|tojson }}"
        "{{ 'a b c d'|truncate(3) }}{{ [1, 1]|unique|list }}{{ 'ä /'|urlencode }}"
        "{{ [{'a': 1}]|groupby('a')|length }}"
    )
    render(body, "s", world.tables["customers"], world.out, where="mail")
    text = pq.read_table(world.out).column("body")[0].as_py()
    assert text.startswith("22x1")
    assert text.endswith("%C3%A4%20/1")


def test_rows_may_hold_every_type_that_parquet_knows(world):
    rows = world.root / "rows.parquet"
    instant = pa.array([1_767_225_600_000_000_001], pa.timestamp("ns", "Europe/Berlin"))
    pq.write_table(pa.table({"unit": pa.array([7]), "at": instant, "tags": pa.array([["a", "b"]])}), rows)
    render("{{ at }} {{ tags[1] }} {{ unit }}", "s", rows, world.out, where="mail")
    assert pq.read_table(world.out).column("body").to_pylist() == ["2026-01-01 00:00:00+00:00 b 7"]


@pytest.mark.parametrize(
    "body",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ name.__init__.__globals__ }}",
        "{{ range.__globals__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ dict.mro() }}",
        "{{ ''|attr('__class__') }}",
        "{{ ['']|map('attr', '__class__')|list }}",
        "{{ '{0.__class__}'.format(name) }}",
        "{{ '%999999999d' % 1 }}",
        "{{ lipsum(9999) }}",
        "{% include '{canary}' %}",
        "{% import '{canary}' as stolen %}",
        "{% extends '{canary}' %}",
        "{{ open('{canary}').read() }}",
        "{{ [1].append(2) }}",
        "{{ 'x' * 10**10 }}",
        "{{ 10 ** (10 ** 10) }}",
        "{{ 'x'.ljust(9999999999) }}",
        "{{ 'x'|center(9999999999) }}",
        "{{ 'x'|indent(9999999999) }}",
        "{{ 1 .to_bytes(9999999999, 'big') }}",
        "{% for i in range(9999999999) %}x{% endfor %}",
        "{{ [1]|batch(9999999999, 'x')|list }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for a in range(999) %}{% for b in range(999) %}{{ name }}{% endfor %}{% endfor %}",
        "{{ " + "(" * 900 + "1" + ")" * 900 + " }}",
    ],
)
def test_a_hostile_template_is_refused(world, body):
    error = refusal(world, body.replace("{canary}", str(world.canary)))
    assert "stopped" not in error.what
    assert error.where.startswith("mail")


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ("{% for a in range(999) %}" * 4 + "{% endfor %}" * 4, "after 1 s"),
        ("{{ 1|round(999999999, 'ceil') }}", "stopped"),
        ("{% set n = namespace(x='xxxx') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}", "memory"),
        ("{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}", "memory"),
        (
            "{% set n = namespace(x='ab') %}{% for i in range(99) %}{% set n.x = n.x|replace('', n.x) %}{% endfor %}",
            "memory",
        ),
    ],
)
def test_a_template_without_end_is_stopped_by_the_limit_it_hit(world, body, limit):
    # On a busy machine a template may need more than a second to fill its memory.
    limits = replace(world.tight, seconds=20) if limit == "memory" else None
    assert limit in refusal(world, body, limits=limits).what


def test_texts_that_fill_the_disk_are_stopped(world):
    error = refusal(world, DIGITS, limits=replace(world.tight, seconds=20, disk_mb=1))
    assert error.what == "it was stopped: it wrote more than 1 MB"


def test_an_attribute_reached_through_a_filter_is_not_there(world):
    render("{{ [name]|map(attribute='__class__')|list }}", "s", world.tables["customers"], world.out, where="mail")
    assert "class" not in pq.read_table(world.out).column("body")[0].as_py()


def test_an_unknown_variable_is_named_with_its_line_and_those_there_are(world):
    error = refusal(world, "Hi\n{{ nmae }}")
    assert error.what == "there is no variable `nmae`; there are unit, segment, name, city, since"
    assert error.where == "mail, body, line 2"


def test_a_syntax_error_is_named_with_its_line(world):
    assert refusal(world, "fine", subject="{{ name").where == "mail, subject, line 1"


def test_a_null_is_not_printed_as_none(world):
    error = refusal(world, "in\n\n{{ city }}")
    assert error.what == "row 6: a variable that is printed is NULL"
    assert error.where == "mail, body, line 3"


def test_an_error_while_rendering_names_row_and_line(world):
    error = refusal(world, "{{ name }}\n{{ 1 // segment }}")
    assert error.what == "row 1: ZeroDivisionError: integer division or modulo by zero"
    assert error.where == "mail, body, line 2"


def test_many_rows_are_rendered_in_chunks_to_the_same_messages(world, monkeypatch):
    render(BODY, "For {{ name }}", world.tables["customers"], world.out, where="mail")
    whole = pq.read_table(world.out)
    monkeypatch.setattr("shared.sandbox.calls.CHUNK_ROWS", 30)
    assert render(BODY, "For {{ name }}", world.tables["customers"], world.out, where="mail") == 100
    assert pq.read_table(world.out).equals(whole)


@pytest.mark.parametrize("chunk", [1, 4, 5])
def test_an_error_in_a_later_chunk_names_the_row_of_the_whole_and_leaves_nothing(world, monkeypatch, chunk):
    monkeypatch.setattr("shared.sandbox.calls.CHUNK_ROWS", chunk)
    error = refusal(world, "in\n\n{{ city }}")
    assert error.what == "row 6: a variable that is printed is NULL"
    assert not list(world.out.parent.glob(f".{world.out.name}*"))


@pytest.mark.proof
def test_the_limit_of_time_is_one_for_a_chunk(world, monkeypatch):
    """Each chunk may take what the limits say; all of them together take longer."""
    counted = "{% for n in range(1000) %}{% for m in range(800) %}{% endfor %}{% endfor %}"
    slow = f"{3 * counted}{{{{ name }}}}"
    limits = Limits(seconds=3)
    with pytest.raises(Contained, match="stopped after 3 s"):
        render(slow, "s", world.tables["customers"], world.out, where="mail", limits=limits)
    monkeypatch.setattr("shared.sandbox.calls.CHUNK_ROWS", 6)
    assert render(slow, "s", world.tables["customers"], world.out, where="mail", limits=limits) == 100


def test_the_limit_of_the_disk_is_one_for_a_chunk(world, monkeypatch):
    """The texts of twenty customers take less than what those of a hundred may not exceed."""
    limits = replace(world.tight, seconds=100, disk_mb=1)
    monkeypatch.setattr("shared.sandbox.calls.CHUNK_ROWS", 20)
    assert render(DIGITS, "s", world.tables["customers"], world.out, where="mail", limits=limits) == 100
    assert world.out.stat().st_size > 2**20


def test_more_rows_than_are_allowed_are_refused_with_the_setting_that_allows_them(world):
    limits = Limits(rows=99, setting="`box` in configs/factory.yaml")
    error = refusal(world, "x", limits=limits)
    assert error.what == "there are more than 99 rows to render"
    assert error.remedy == "render for fewer, or have `box` in configs/factory.yaml raised"
    assert render("x", "y", world.tables["customers"], world.out, where="mail", limits=Limits(rows=100)) == 100


def test_rows_without_a_key_are_bad_input(world):
    rows = world.root / "rows.parquet"
    pq.write_table(pa.table({"name": ["x"]}), rows)
    with pytest.raises(BadInput, match="no column `unit`"):
        render("x", "y", rows, world.out, where="mail")


def test_a_check_needs_the_names_of_the_variables_only(world):
    variables = ["unit", "segment", "name", "city", "since"]
    check_template(BODY, "Hi {{ name }}", variables, where="mail")
    with pytest.raises(Contained, match="there is no variable `city`; there are name, since, segment"):
        check_template(BODY, "Hi {{ name }}", ["name", "since", "segment"], where="mail")
