"""Audiences without SQL: conditions on the columns of a table, the one SELECT that they are, and that read back.

What is read back is what is written here, and nothing else: any other SELECT stays as its author wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from shared.core.errors import BadInput
from shared.core.printable import hidden
from shared.core.sql import file_literal, identifier, literal, plain_identifier
from shared.data.contracts import Contract
from shared.data.snapshot import Snapshot
from shared.data.tabular import connect

Operator = Literal["is", "is not", "at least", "at most", "between", "one of", "none of", "is empty", "is not empty"]
# What separates several values that are typed into one field: a text may hold a comma.
SEPARATOR = ";"
VALUES_MAX, CONDITIONS_MAX = 200, 20
_ANY: tuple[Operator, ...] = ("is", "is not", "one of", "none of", "is empty", "is not empty")
_ORDERED: tuple[Operator, ...] = ("is", "is not", "at least", "at most", "between", "one of", "none of", "is empty",
                                  "is not empty")  # fmt: skip
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
_LITERAL = r"'(?:[^']|'')*'|DATE '\d{4}-\d\d-\d\d'|-?\d+(?:\.\d+)?|TRUE|FALSE"
_NAME = r'[a-z_][a-z0-9_]*|"(?:[^"]|"")+"'
_CONDITION = re.compile(
    rf"(?P<column>{_NAME}) (?:"
    rf"(?P<compare>=|<>|>=|<=) (?P<value>{_LITERAL})"
    rf"|BETWEEN (?P<low>{_LITERAL}) AND (?P<high>{_LITERAL})"
    rf"|(?P<negated>NOT )?IN \((?P<values>(?:{_LITERAL})(?:, (?:{_LITERAL}))*)\)"
    rf"|IS (?P<filled>NOT )?NULL)"
)
_COMPARED: dict[str, Operator] = {"=": "is", "<>": "is not", ">=": "at least", "<=": "at most"}


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition; as many values as its operator takes, as people type them."""

    column: str
    operator: Operator
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Choosable:
    """A column of which conditions may be made.

    Attributes:
        kind: of its values, as the contract has it.
        meaning: what it says, by the contract.
    """

    name: str
    kind: str
    operators: tuple[Operator, ...]
    meaning: str


def choosable(contract: Contract) -> tuple[Choosable, ...]:
    """The columns that the Lab sees and that say something of a customer."""
    told = set(contract.told)
    return tuple(
        Choosable(
            column.name,
            column.type,
            _ORDERED if column.type in {"integer", "number", "date"} else _ANY,
            column.description or "",
        )
        for column in contract.columns
        if column.name in told and column.type in _WRITTEN
    )


def written(
    table: str, key: str, conditions: Sequence[Condition], known: Sequence[Choosable], comment: str = ""
) -> str:
    """The SELECT of conditions, all of which hold; raises BadInput for one that cannot be.

    `comment` are the lines that stand above it.
    """
    if len(conditions) > CONDITIONS_MAX:
        raise BadInput(f"{len(conditions)} conditions are too many", expected=f"at most {CONDITIONS_MAX}")
    kinds = {column.name: column for column in known}
    parts = [_part(one, kinds) for one in conditions]
    where = "".join(f"\n{'WHERE' if at == 0 else '  AND'} {part}" for at, part in enumerate(parts))
    return f"{comment}SELECT {plain_identifier(key)} AS unit\nFROM {plain_identifier(table)}{where}\n"


def read(text: str, table: str, key: str, known: Sequence[Choosable]) -> tuple[Condition, ...] | None:
    """The conditions of a SELECT that was written here; None for any other."""
    comment, sql = split(text)
    begins = f"SELECT {plain_identifier(key)} AS unit\nFROM {plain_identifier(table)}"
    if not sql.startswith(begins):
        return None
    found: list[Condition] = []
    for line in sql.removeprefix(begins).strip("\n").split("\n") if sql.strip("\n") != begins else ():
        one = _condition(line[6:]) if line[:6] in {"WHERE ", "  AND "} else None
        if one is None:
            return None
        found.append(one)
    try:
        # Whatever the pattern lets pass: it counts only where the very same text comes of it again.
        same = written(table, key, found, known, comment) == text.rstrip("\n") + "\n"
    except BadInput:
        return None
    return tuple(found) if same else None


def split(text: str) -> tuple[str, str]:
    """The comment above a SELECT, and the SELECT."""
    lines = text.splitlines(keepends=True)
    count = next((at for at, line in enumerate(lines) if line.strip() and not line.startswith("--")), len(lines))
    return "".join(lines[:count]), "".join(lines[count:])


def count(snapshot: Snapshot, table: str, conditions: Sequence[Condition], known: Sequence[Choosable]) -> int:
    """How many rows of the snapshot's table the conditions select."""
    kinds = {column.name: column for column in known}
    where = " AND ".join(_part(one, kinds) for one in conditions) or "TRUE"
    # Of our own writing: every name is quoted, and every value is a literal.
    with connect() as connection:
        sql = f"SELECT count(*) FROM read_parquet({file_literal(snapshot.table(table))}) WHERE {where}"
        row = connection.execute(sql).fetchone()
    return int(row[0]) if row else 0


def usual_values(snapshot: Snapshot, table: str, column: str, most: int) -> tuple[str, ...]:
    """The values of a column, the commonest first; none where there are more than `most`."""
    name = identifier(column)
    with connect() as connection:
        rows = connection.execute(
            f"SELECT {name}::VARCHAR FROM read_parquet({file_literal(snapshot.table(table))}) WHERE {name} IS NOT NULL "
            f"GROUP BY {name} ORDER BY count(*) DESC, 1 LIMIT {most + 1}"
        ).fetchall()
    return tuple(value for (value,) in rows) if len(rows) <= most else ()


def _part(one: Condition, known: Mapping[str, Choosable]) -> str:
    column = known.get(one.column)
    if column is None:
        raise BadInput(f"there is no column `{one.column}` to choose by", expected=f"one of: {', '.join(known)}")
    if one.operator not in column.operators:
        raise BadInput(f"`{one.column}` cannot be compared by `{one.operator}`",
                       expected=f"one of: {', '.join(column.operators)}")  # fmt: skip
    name, write = plain_identifier(column.name), _WRITTEN[column.kind]
    if one.operator in {"is empty", "is not empty"}:
        return f"{name} IS {'NOT ' if one.operator == 'is not empty' else ''}NULL"
    _require_values(one)
    said = [write(value, one.column) for value in one.values]
    if one.operator in {"one of", "none of"}:
        return f"{name} {'NOT ' if one.operator == 'none of' else ''}IN ({', '.join(said)})"
    if one.operator == "between":
        return f"{name} BETWEEN {said[0]} AND {said[1]}"
    sign = next(sign for sign, operator in _COMPARED.items() if operator == one.operator)
    return f"{name} {sign} {said[0]}"


def _require_values(one: Condition) -> None:
    least, most = {"between": (2, 2), "one of": (1, VALUES_MAX), "none of": (1, VALUES_MAX)}.get(one.operator, (1, 1))
    if not least <= len(one.values) <= most:
        few = f"{least}" if least == most else f"{least} to {most}"
        raise BadInput(
            f"`{one.column}` {one.operator} takes {few} value{'s' if most > 1 else ''}; {len(one.values)} are given",
            remedy=f"separate several by `{SEPARATOR}`" if most > 1 else None,
        )


def _condition(text: str) -> Condition | None:
    found = _CONDITION.fullmatch(text)
    if found is None:
        return None
    column = found["column"]
    column = column[1:-1].replace('""', '"') if column.startswith('"') else column
    if found["compare"]:
        return Condition(column, _COMPARED[found["compare"]], (_value(found["value"]),))
    if found["low"]:
        return Condition(column, "between", (_value(found["low"]), _value(found["high"])))
    if found["values"]:
        values = tuple(_value(each) for each in re.findall(_LITERAL, found["values"]))
        return Condition(column, "none of" if found["negated"] else "one of", values)
    return Condition(column, "is not empty" if found["filled"] else "is empty")


def _value(said: str) -> str:
    """A literal as people type it."""
    if said.startswith("'"):
        return said[1:-1].replace("''", "'")
    return (
        said.removeprefix("DATE ").strip("'") if said.startswith("DATE") else said.lower() if said.isalpha() else said
    )


def _text(said: str, column: str) -> str:
    if "\n" in said or hidden(said) is not None:
        raise BadInput(f"a value of `{column}` holds a character that nobody can see")
    return literal(said)


def _number(said: str, column: str) -> str:
    if not _NUMBER.fullmatch(said):
        raise BadInput(f"`{said}` is no number for `{column}`", expected="a number like 12 or 0.5")
    return said


def _whole(said: str, column: str) -> str:
    if not _NUMBER.fullmatch(said) or "." in said:
        raise BadInput(f"`{said}` is no whole number for `{column}`", expected="a number like 12")
    return said


def _day(said: str, column: str) -> str:
    try:
        return f"DATE '{date.fromisoformat(said).isoformat()}'"
    except ValueError as error:
        raise BadInput(f"`{said}` is no day for `{column}`", expected="a day like 2026-12-31") from error


def _truth(said: str, column: str) -> str:
    if said.lower() not in {"true", "false"}:
        raise BadInput(f"`{said}` is neither true nor false for `{column}`", expected="true or false")
    return said.upper()


_WRITTEN: dict[str, Callable[[str, str], str]] = {
    "string": _text,
    "integer": _whole,
    "number": _number,
    "date": _day,
    "boolean": _truth,
}
