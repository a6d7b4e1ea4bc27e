"""Every error of a YAML file says which file, which line, what would have been valid, and what to do."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, RootModel

from shared.core.errors import BadInput
from shared.core.yamlfile import read_text, read_yaml
from shared.data.contracts import Document
from shared.experiment.charter import Charter
from shared.experiment.metrics import Catalogue

CONFIGS = Path(__file__).parents[2] / "configs"
METRICS = """\
schema_version: 1
metrics:
  visit:
    kind: proportion
    column: visit
    unit: share
"""
CHARTER = """\
schema_version: 1
pilot: spring-mail
hypothesis:
  because: they wrote
  we_believe: a letter
  will: bring visits
requester: requester@example.com
owner: owner@example.com
population: customers
arms:
  - name: control
  - name: letter
    play:
      kind: campaign
      audience: audience.sql
      subject: Hello
      template: message.txt
      schedule: {cron: "0 9 * * 1"}
primary: {metric: visit, minimum_effect: 0.01}
guardrails:
  - {metric: spend, margin: -0.1}
sample: {units_per_arm: 10}
time_box: {start: 2026-01-05, end: 2026-01-19}
decide_by: 2026-01-31
budget: {media: 12.50, currency: USD}
"""


class _Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    width: int = 0


class _Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    named: dict[str, _Inner] = {}
    listed: list[_Inner] = []
    maybe: tuple[_Inner, ...] | None = None


@pytest.fixture
def file(tmp_path):
    return tmp_path / "given.yaml"


def error_of(file, content, model=Catalogue):
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadInput) as caught:
        read_yaml(file, model)
    return caught.value


class Anything(RootModel[Any]):
    """Whatever a file says."""


def read_document(file):
    return read_yaml(file, Anything, as_it_is=True).root


def document_error(file, content):
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadInput) as caught:
        read_document(file)
    return caught.value


def line_of(text, needle):
    return next(number for number, line in enumerate(text.splitlines(), 1) if needle in line)


def test_a_file_as_declared_becomes_its_model(file):
    file.write_text(METRICS)
    assert read_yaml(file, Catalogue).get("visit").column == "visit"


def test_the_default_files_are_as_declared():
    assert read_yaml(CONFIGS / "metrics.yaml", Catalogue).metrics


def test_an_unknown_key_is_named_with_its_whole_way(file):
    assert "unknown key `metrics.visit.colour`" in error_of(file, METRICS + "    colour: red\n").what


def test_an_unknown_key_is_found_on_its_line(file):
    assert error_of(file, METRICS + "    colour: red\n").where == f"{file}, line 7"


def test_an_unknown_key_comes_with_the_valid_ones(file):
    error = error_of(file, METRICS + "    colour: red\n")
    assert error.expected == (
        "one of: cap, cap_quantile, column, denominator, description, direction, expression, history, kind, "
        "no_outcome, quantile, source, unit, window_days"
    )


def test_an_unknown_key_comes_with_the_closest_valid_one(file):
    assert error_of(file, METRICS + "    directon: increase\n").remedy == "did you mean `direction`?"


def test_an_unknown_key_like_no_other_is_to_be_removed(file):
    assert error_of(file, METRICS + "    zzz: 1\n").remedy == "remove it, or correct its name"


def test_a_misspelt_required_key_is_called_unknown_rather_than_missing(file):
    error = error_of(file, METRICS.replace("column:", "colum:"))
    assert (error.where, error.remedy) == (f"{file}, line 5", "did you mean `column`?")


def test_an_unknown_key_at_the_top_comes_with_the_valid_ones(file):
    assert error_of(file, METRICS + "metric: 1\n").expected == "one of: metrics, schema_version"


def test_an_unknown_key_in_a_list_item_is_found_on_its_line(file):
    text = CHARTER.replace("      subject: Hello\n", "      subject: Hello\n      subjekt: Hello\n")
    assert error_of(file, text, Charter).where == f"{file}, line {line_of(text, 'subjekt')}"


def test_an_unknown_key_in_a_list_item_is_named_with_its_place_in_the_list(file):
    text = CHARTER.replace("      subject: Hello\n", "      subject: Hello\n      subjekt: Hello\n")
    assert "unknown key `arms.1.play.subjekt`" in error_of(file, text, Charter).what


def test_an_unknown_key_in_a_list_item_comes_with_the_valid_ones(file):
    text = CHARTER.replace("margin: -0.1", "margn: -0.1")
    assert error_of(file, text, Charter).expected == "one of: margin, metric"


def test_an_unknown_key_under_an_alias_comes_with_the_valid_ones(file):
    text = (CONFIGS / "contracts" / "outcomes.odcs.yaml").read_text().replace("minimum: 0", "minimun: 0")
    error = error_of(file, text, Document)
    assert (error.expected, error.remedy) == (
        "one of: format, maxLength, maximum, minLength, minimum, pattern",
        "did you mean `minimum`?",
    )


def test_a_misspelt_alias_comes_with_the_aliases_of_the_file_not_the_names_of_the_code(file):
    text = (CONFIGS / "contracts" / "outcomes.odcs.yaml").read_text().replace("\nschema:", "\nschemas:")
    error = error_of(file, text, Document)
    assert (error.remedy, "objects" in error.expected) == ("did you mean `schema`?", False)


def test_a_missing_alias_is_called_as_the_file_calls_it(file):
    text = (CONFIGS / "contracts" / "outcomes.odcs.yaml").read_text().split("schema:\n")[0]
    assert error_of(file, text, Document).what == "`schema` is missing"


@pytest.mark.parametrize("name", ["named", "listed", "maybe", "width"])
def test_an_entry_named_like_a_key_of_its_model_does_not_mislead(file, name):
    assert error_of(file, f"named:\n  {name}:\n    widht: 1\n", _Outer).expected == "one of: width"


@pytest.mark.parametrize("key", ["listed", "maybe"])
def test_an_unknown_key_in_an_item_comes_with_the_keys_of_the_item(file, key):
    assert error_of(file, f"{key}:\n  - width: 1\n  - widht: 1\n", _Outer).expected == "one of: width"


@pytest.mark.parametrize(
    ("looks", "what", "expected"),
    [
        ("{method: group_sequential, at: [0.5, 1], spend: x}", "spend", "one of: at, method, spending"),
        ("{method: always_valid, at: [0.5, 1]}", "at", "one of: method"),
    ],
)
def test_an_unknown_key_of_one_kind_comes_with_the_keys_of_that_kind(file, looks, what, expected):
    text = CHARTER.replace("units_per_arm: 10", f"units_per_arm: 10, looks: {looks}")
    assert text != CHARTER
    error = error_of(file, text, Charter)
    assert (what in error.what, error.expected) == (True, expected)


def test_an_unknown_kind_comes_with_the_kinds_there_are(file):
    text = CHARTER.replace("units_per_arm: 10", "units_per_arm: 10, looks: {method: weekly}")
    error = error_of(file, text, Charter)
    assert error.where == f"{file}, line {line_of(text, 'weekly')}"
    assert error.what == "`sample.looks.method`: there is no `weekly`"
    assert error.expected == "one of: fixed, group_sequential, always_valid"


def test_what_does_not_hang_together_names_the_file_and_no_line(file):
    error = error_of(file, CHARTER.replace("decide_by: 2026-01-31", "decide_by: 2026-01-06"), Charter)
    assert (error.what.startswith("decide_by (2026-01-06) is before"), error.where) == (True, str(file))


def test_a_missing_key_is_named(file):
    assert error_of(file, METRICS.replace("    unit: share\n", "")).what == "`metrics.visit.unit` is missing"


def test_a_missing_key_is_missed_on_the_line_of_its_parent(file):
    assert error_of(file, METRICS.replace("    unit: share\n", "")).where == f"{file}, line 3"


def test_a_missing_key_says_what_to_add(file):
    assert error_of(file, METRICS.replace("    unit: share\n", "")).remedy == "add `unit:` there"


def test_a_missing_key_of_a_list_item_is_missed_on_the_line_of_the_item(file):
    text = CHARTER.replace("      audience: audience.sql\n", "")
    assert error_of(file, text, Charter).where == f"{file}, line {line_of(text, 'play:')}"


def test_a_value_of_the_wrong_type_is_found_on_its_line(file):
    text = CHARTER.replace("units_per_arm: 10", "units_per_arm: many")
    assert error_of(file, text, Charter).where == f"{file}, line {line_of(text, 'units_per_arm')}"


def test_a_value_of_the_wrong_type_says_which_type_was_expected(file):
    error = error_of(file, CHARTER.replace("units_per_arm: 10", "units_per_arm: many"), Charter)
    assert "valid integer" in error.what


def test_a_value_of_the_wrong_type_is_repeated(file):
    error = error_of(file, CHARTER.replace("units_per_arm: 10", "units_per_arm: many"), Charter)
    assert error.expected == "something else than 'many'"


@pytest.mark.parametrize("name", ["false", "null", "2026", "2026-01-05"])
def test_a_name_that_yaml_makes_something_else_of_is_told_of_its_quotes(file, name):
    error = error_of(file, CHARTER.replace("population: customers", f"population: {name}"), Charter)
    assert error.expected == "a text; what YAML would read as something else stands in quotes"
    error_free = CHARTER.replace("population: customers", f'population: "{name}"')
    file.write_text(error_free)
    assert read_yaml(file, Charter).population == name


def test_a_scalar_in_place_of_a_mapping_is_found_on_its_line(file):
    assert error_of(file, "schema_version: 1\nmetrics: 3\n").where == f"{file}, line 2"


def test_a_list_in_place_of_the_whole_file_is_refused_on_its_first_line(file):
    assert error_of(file, "- a\n- b\n").where == f"{file}, line 1"


def test_a_word_outside_its_list_comes_with_the_list(file):
    assert error_of(file, METRICS.replace("proportion", "share")).expected == (
        "'proportion', 'mean', 'count', 'ratio' or 'quantile'"
    )


def test_another_schema_version_is_refused(file):
    assert error_of(file, METRICS.replace("schema_version: 1", "schema_version: 2")).expected == "1"


def test_a_rule_of_our_own_speaks_in_its_own_words(file):
    error = error_of(file, CHARTER.replace("end: 2026-01-19", "end: 2026-01-04"), Charter)
    assert error.what == "`time_box`: it ends (2026-01-04) before it has begun (2026-01-05)"


def test_several_mistakes_are_counted(file):
    error = error_of(file, METRICS.replace("proportion", "share").replace("unit: share", "unit: [1]"))
    assert error.what.endswith("(and 1 more after this)")


def test_a_key_given_twice_is_refused_on_the_line_of_the_second(file):
    assert error_of(file, METRICS + "    column: other\n").where == f"{file}, line 7"


def test_a_key_given_twice_comes_with_the_line_of_the_first(file):
    assert "line 5" in error_of(file, METRICS + "    column: other\n").remedy


def test_a_key_given_twice_in_a_list_item_is_refused(file):
    assert "`a` is given twice" in document_error(file, "x:\n  - {a: 1, a: 2}\n").what


@pytest.mark.parametrize("text", ["? [a, b]\n: c\n", "x:\n  {{a: b}: c}\n"])
def test_a_key_that_is_no_plain_word_is_refused(file, text):
    assert "a key is a list or a mapping" in document_error(file, text).what


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: [1, 2\nb: 3\n", 2), ("a: 1\n b: 2\n", 2), ('a: 1\nb: "x\n', 3), ("a:\n\tb: 1\n", 2), ("a: 1\nb: %x\n", 2)],
)
def test_broken_yaml_is_refused_with_line_and_column(file, text, line):
    assert f"{file}, line {line}, column" in document_error(file, text).where


def test_a_character_that_yaml_forbids_is_found_on_its_line(file):
    assert document_error(file, "a: 1\nb: 2\nc: \x01\n").where == f"{file}, line 3"


def test_a_second_document_is_refused(file):
    assert "another document" in document_error(file, "a: 1\n---\nb: 2\n").what


def test_a_date_that_does_not_exist_is_found_on_its_line(file):
    assert document_error(file, "a: 1\nb:\n  - c\n  - 2026-13-45\n").where == f"{file}, line 4"


def test_a_python_object_is_refused_on_its_line(file):
    assert document_error(file, "a: 1\nb: !!python/object/apply:os.system [ls]\n").where == f"{file}, line 2"


@pytest.mark.parametrize("text", ["&a [*a]\n", "a: &x\n  b: *x\n", "[" * 5000])
def test_a_file_without_bottom_is_refused(file, text):
    assert "nested too deeply" in document_error(file, text).what


@pytest.mark.parametrize("text", ["", " \n\n"])
def test_an_empty_file_is_called_empty(file, text):
    assert error_of(file, text).what == "the file is empty"


@pytest.mark.parametrize("text", ["# nothing\n", "\n# a\n# b\n"])
def test_a_file_of_comments_is_called_so(file, text):
    assert "comments" in error_of(file, text).what


def test_another_encoding_is_found_on_its_line(file):
    assert error_of(file, b"a: 1\nb: 2\nc: Z\xfcrich\n").where == f"{file}, line 3"


def test_utf_16_is_refused_as_not_utf_8(file):
    assert error_of(file, METRICS.encode("utf-16")).what == "the file is not in UTF-8"


def test_a_byte_order_mark_does_no_harm(file):
    file.write_bytes(b"\xef\xbb\xbf" + METRICS.encode())
    assert read_yaml(file, Catalogue).metrics


def test_a_missing_file_is_called_so(tmp_path):
    with pytest.raises(BadInput, match="there is no such file"):
        read_text(tmp_path / "none.yaml")


def test_a_file_below_a_file_is_called_missing(file):
    file.write_text(METRICS)
    with pytest.raises(BadInput, match="there is no such file"):
        read_text(file / "none.yaml")


def test_a_folder_is_called_a_folder(tmp_path):
    with pytest.raises(BadInput, match="this is a folder, not a file"):
        read_text(tmp_path)


@given(st.text(max_size=60))
def test_any_text_at_all_is_read_or_refused_as_bad_input(tmp_path_factory, text):
    file = tmp_path_factory.mktemp("any") / "any.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with contextlib.suppress(BadInput):
        read_document(file)


_plain = st.one_of(st.none(), st.booleans(), st.integers(), st.text(st.characters(exclude_categories=["Cs"])))


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.lists(_plain), min_size=1))
def test_plain_data_written_as_yaml_is_read_back_unchanged(tmp_path_factory, data):
    file = tmp_path_factory.mktemp("plain") / "plain.yaml"
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    assert read_document(file) == data


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: float = 0
    flag: bool = False
    text: str = ""
    numbers: tuple[int, ...] = ()
    inner: dict[str, _Inner] = {}


def said(tmp_path, text):
    path = tmp_path / "said.yaml"
    path.write_text(text)
    return read_yaml(path, _Said)


@pytest.mark.parametrize(
    ("text", "as_"),
    [
        ("number: 0500", "320"), ("number: 01000", "512"), ("number: 1:30", "90"), ("number: 1_000", "1000"),
        ("number: 0b11", "3"), ("number: 1_0.5", "10.5"), ("number: 1:30.5", "90.5"), ("number: -010", "-8"),
        ("flag: on", "True"), ("flag: yes", "True"), ("flag: Off", "False"), ("text: no", "False"),
        ("number: on", "True"), ("numbers: [1, 07]", "7"),
    ],
)  # fmt: skip
def test_what_two_versions_of_yaml_read_differently_is_refused(tmp_path, text, as_):
    """As YAML 1.1 and 1.2 read them, by their own lists of tags (yaml.org/type, and the core schema of 1.2.2)."""
    with pytest.raises(BadInput, match=f"differently by different programs: as {re.escape(as_)} here") as caught:
        said(tmp_path, text)
    assert caught.value.where == f"{tmp_path / 'said.yaml'}, line 1"


@pytest.mark.parametrize(
    "text",
    [
        "number: 500", "number: -0.5", "number: 1.0e+3", "number: 0x1F", "number: 0", "number: .5", "flag: true",
        "flag: False", "text: 'no'", 'text: "0500"', "text: 1st", "numbers: [1, 2]", "text: 08:30 to nine",
        "text: 0800",
    ],
)  # fmt: skip
def test_what_is_read_in_one_way_is_taken(tmp_path, text):
    assert said(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "place", "line"),
    [
        ("number: true", "number", 1), ("text: x\nnumber: false", "number", 2), ("numbers: [1, true]", "numbers.1", 1),
        ("inner:\n  a: {width: 3}\n  b: {width: true}", "inner.b.width", 3),
    ],
)  # fmt: skip
def test_true_is_no_number(tmp_path, text, place, line):
    with pytest.raises(BadInput, match=f"`{re.escape(place)}` is true or false, and a number is expected") as caught:
        said(tmp_path, text)
    assert caught.value.where == f"{tmp_path / 'said.yaml'}, line {line}"


def test_a_frozen_file_is_read_as_it_always_was(tmp_path):
    path = tmp_path / "frozen.yaml"
    path.write_text("number: 0500\nflag: on\n")
    assert read_yaml(path, _Said, as_it_is=True) == _Said(number=320, flag=True)
