"""Compatibility: what a change of a table's contract means to a play that was written for the contract before.

The play is a reader that stays as it is while the data moves on; in the words of schema registries, the question is
*forward* compatibility: data of the new schema, read by the old reader (Confluent, "Schema evolution and
compatibility"). Which changes break follows dbt's model contracts ("Breaking changes": a column removed, a data type
changed, enforcement loosened), widened by what the Open Data Contract Standard says of columns, and what messages do:

* `breaking`: SQL or templates would fail, or mean somebody or something else;
* `risky`: they run, and may say what nobody meant: values, ranges or meanings that were not there before;
* `safe`: everything that was promised still holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from shared.core.frozen import FrozenModel
from shared.data.contracts import Column, Contract

Severity = Literal["breaking", "risky", "safe"]


class Change(FrozenModel):
    """One difference between two contracts.

    Attributes:
        column: None where it concerns the table as a whole.
        severity: what it means to a play.
        told: the change in plain words.
    """

    column: str | None
    severity: Severity
    told: str


def changes(before: Contract, now: Contract) -> tuple[Change, ...]:
    """Every difference that matters to a reader of the contract `before`, the worst first."""
    found = [*_of_table(before, now), *_of_columns(before, now)]
    order: tuple[Severity, ...] = ("breaking", "risky", "safe")
    return tuple(sorted(found, key=lambda change: order.index(change.severity)))


def _of_table(before: Contract, now: Contract) -> Iterator[Change]:
    if before.table != now.table:
        yield _change(None, "breaking", f"the table is `{now.table}`, and was `{before.table}`")
    if before.key != now.key:
        told = f"rows are told apart by `{', '.join(now.key)}`, and were by `{', '.join(before.key)}`"
        yield _change(None, "breaking", told)
    if now.minimum_rows < before.minimum_rows:
        yield _change(
            None, "risky", f"{now.minimum_rows:,} rows are enough, and {before.minimum_rows:,} were asked for"
        )
    if now.minimum_rows > before.minimum_rows:
        yield _change(None, "safe", f"at least {now.minimum_rows:,} rows, and {before.minimum_rows:,} were asked for")


def _of_columns(before: Contract, now: Contract) -> Iterator[Change]:
    # DuckDB does not tell capitals apart, so neither does a play.
    old = {column.name.lower(): column for column in before.columns}
    new = {column.name.lower(): column for column in now.columns}
    for key, column in old.items():
        if key not in new:
            yield _change(column, "breaking", "the column was removed, or is no longer published")
        else:
            yield from _of_column(column, new[key])
    for key in new.keys() - old.keys():
        yield _change(new[key], "safe", "the column is new")


def _of_column(before: Column, now: Column) -> Iterator[Change]:
    if before.type != now.type:
        # A whole number still compares and adds up as a number, but prints as `3.0`.
        severity: Severity = "risky" if (before.type, now.type) == ("integer", "number") else "breaking"
        yield _change(now, severity, f"its type is {now.type}, and was {before.type}")
    yield from _of_presence(before, now)
    yield from _of_classification(before, now)
    yield from _of_range(before, now, "minimum", "least value", sign=1)
    yield from _of_range(before, now, "maximum", "largest value", sign=-1)
    yield from _of_range(before, now, "min_length", "least length", sign=1)
    yield from _of_range(before, now, "max_length", "largest length", sign=-1)
    if before.pattern != now.pattern:
        # Nobody can say in general whether one expression matches all that another one does.
        told = f"its pattern is {_or_none(now.pattern)}, and was {_or_none(before.pattern)}"
        yield _change(now, "safe" if before.pattern is None else "risky", told)
    if before.format != now.format:
        yield _change(now, "risky", f"its format is {_or_none(now.format)}, and was {_or_none(before.format)}")
    yield from _of_values(before, now)
    if before.description != now.description:
        told = (
            f"its meaning or unit is told otherwise: {_quoted(now.description)}, and was {_quoted(before.description)}"
        )
        yield _change(now, "risky", told)


def _of_presence(before: Column, now: Column) -> Iterator[Change]:
    if before.required and not now.required:
        yield _change(now, "breaking", "it may be missing now, and a template that prints it would fail")
    if now.required and not before.required:
        yield _change(now, "safe", "it can no longer be missing")
    if before.unique and not now.unique:
        yield _change(now, "breaking", "a value may occur twice now, and a join would count its rows twice")
    if now.unique and not before.unique:
        yield _change(now, "safe", "a value can no longer occur twice")


def _of_classification(before: Column, now: Column) -> Iterator[Change]:
    if before.classification != now.classification:
        told = f"it is classified {now.classification}, and was {before.classification}"
        # A pseudonym, an empty or a missing value in its place: another thing altogether.
        hidden = not now.printable or "identifier" in {before.classification, now.classification}
        yield _change(now, "breaking" if hidden else "risky", told)
    elif before.generalise != now.generalise:
        severity: Severity = "breaking" if now.generalise is None else "risky"
        told = f"it is shown {_coarse(now)}, and was shown {_coarse(before)}"
        yield _change(now, severity, told)


def _coarse(column: Column) -> str:
    return f"coarse ({column.generalise})" if column.generalise else "empty"


def _of_range(before: Column, now: Column, bound: str, told: str, *, sign: int) -> Iterator[Change]:
    """A bound from below has sign 1: it is loosened where it falls, or goes."""
    was, is_now = getattr(before, bound), getattr(now, bound)
    if was == is_now:
        return
    loosened = was is not None and (is_now is None or sign * is_now < sign * was)
    told = f"its {told} is {_or_none(is_now)}, and was {_or_none(was)}"
    yield _change(now, "risky" if loosened else "safe", told)


def _of_values(before: Column, now: Column) -> Iterator[Change]:
    was, is_now = before.valid_values, now.valid_values
    if was is None and is_now is not None:
        yield _change(now, "safe", f"its values are listed now: {_listed(is_now)}")
    if was is not None and is_now is None:
        yield _change(now, "risky", f"any value may come, and only these could: {_listed(was)}")
    if was is None or is_now is None:
        return
    added, gone = ([value for value in one if value not in other] for one, other in ((is_now, was), (was, is_now)))
    if added:
        yield _change(now, "risky", f"values may come that the play was not written for: {_listed(added)}")
    if gone:
        yield _change(now, "risky", f"values that the play may ask for come no more: {_listed(gone)}")


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(map(str, values))


def _or_none(value: Any) -> str:
    return "none" if value is None else str(value)


def _quoted(text: str | None) -> str:
    return f"“{text}”" if text else "nothing"


def _change(column: Column | None, severity: Severity, told: str) -> Change:
    return Change(column=column.name if column else None, severity=severity, told=told)
