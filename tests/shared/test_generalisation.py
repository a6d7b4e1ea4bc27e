"""What a contract may say of a restricted column, and what is refused, with file and line."""

from __future__ import annotations

import pytest

from shared.core.errors import BadInput
from shared.data.contracts import load_contract
from shared.data.generalisation import Generalisation

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: people
name: people
version: 1.0.0
status: active
schema:
  - name: people
    properties:
      - name: id
        logicalType: string
        primaryKey: true
        classification: identifier
      - name: trait
        logicalType: {kind}
        classification: restricted
        customProperties:
          - property: generalise
            value: {value}
"""


def contract(folder, kind="integer", value="{width: 10}", *changes):
    text = CONTRACT.replace("{kind}", kind).replace("{value}", value)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "people.odcs.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("kind", "value", "rule", "said"),
    [
        ("integer", "{width: 10}", {"width": 10}, "the lower end of its band, which is 10 wide"),
        ("number", "{width: 2.5}", {"width": 2.5}, "the lower end of its band, which is 2.5 wide"),
        ("integer", "{breaks: [18, 30]}", {"breaks": (18, 30)}, "the lower end of its band, one of 18, 30"),
        ("date", "{to: month}", {"to": "month"}, "the first moment of its month"),
        ("timestamp", "{to: year}", {"to": "year"}, "the first moment of its year"),
        ("string", "{characters: 3}", {"characters": 3}, "its first 3 characters"),
    ],
)
def test_each_form_is_read_and_says_what_a_value_becomes(tmp_path, kind, value, rule, said):
    column = load_contract(contract(tmp_path, kind, value)).columns[1]
    assert (column.classification, column.generalise) == ("restricted", Generalisation(**rule))
    assert str(column.generalise) == said
    assert column.printable


def test_a_restricted_column_without_a_form_is_redacted_and_not_to_be_printed(tmp_path):
    text = contract(tmp_path).read_text()
    (tmp_path / "people.odcs.yaml").write_text(text[: text.index("        customProperties")])
    column = load_contract(tmp_path / "people.odcs.yaml").columns[1]
    assert (column.classification, column.generalise, column.printable) == ("restricted", None, False)


@pytest.mark.parametrize(
    ("kind", "value", "line", "told"),
    [
        ("integer", "{widht: 10}", 19, "unknown key"),
        ("integer", "{}", 19, "needs exactly one of width, breaks, to, characters, and has none"),
        ("integer", "{width: 10, breaks: [1]}", 19, "and has width, breaks"),
        ("integer", "{width: 0}", 19, "must be above 0"),
        ("integer", "{width: .inf}", 19, "must be a finite number"),
        ("integer", "{breaks: [30, 18]}", 19, "must ascend"),
        ("integer", "{breaks: []}", 19, "at least 1 item"),
        ("date", "{to: week}", 19, "month"),
        ("string", "{characters: 0}", 19, "greater than or equal to 1"),
        ("integer", "{width: 2.5}", 14, "width of an integer needs whole numbers"),
        ("integer", "{to: month}", 14, "to does not apply to integer; width or breaks does"),
        ("string", "{width: 10}", 14, "width does not apply to string; characters does"),
        ("boolean", "{characters: 1}", 14, "characters does not apply to boolean"),
    ],
)
def test_a_form_that_is_unknown_or_does_not_fit_is_refused_with_its_line(tmp_path, kind, value, line, told):
    path = contract(tmp_path, kind, value)
    with pytest.raises(BadInput) as caught:
        load_contract(path)
    assert told in str(caught.value)
    assert caught.value.where == f"{path}, line {line}"


def test_a_misspelt_form_comes_with_the_right_word(tmp_path):
    with pytest.raises(BadInput) as caught:
        load_contract(contract(tmp_path, "integer", "{widht: 10}"))
    assert caught.value.remedy == "did you mean `width`?"


def test_an_unknown_custom_property_is_refused_with_its_line(tmp_path):
    """`generalize` taken for a remark would publish the column as it is, or leave it out in silence."""
    path = contract(tmp_path, "integer", "{width: 10}", ("property: generalise", "property: generalize"))
    with pytest.raises(BadInput) as caught:
        load_contract(path)
    assert caught.value.where == f"{path}, line 18"
    assert caught.value.expected == "'generalise'"


@pytest.mark.parametrize("word", ["public", "personal", "identifier"])
def test_only_a_restricted_column_is_generalised(tmp_path, word):
    change = ("classification: restricted", f"classification: {word}")
    with pytest.raises(BadInput, match="`generalise` needs `classification: restricted`"):
        load_contract(contract(tmp_path, "integer", "{width: 10}", change))


@pytest.mark.parametrize("word", ["personal", "restricted"])
def test_a_key_that_could_no_longer_tell_rows_apart_is_refused(tmp_path, word):
    change = ("classification: identifier", f"classification: {word}")
    with pytest.raises(BadInput, match="the primary key tells rows apart"):
        load_contract(contract(tmp_path, "integer", "{width: 10}", change))
