"""Data contracts: what a table promises, after the Open Data Contract Standard (ODCS) v3.1.0 of bitol.io.

The YAML models below hold the part of the standard that is enforced here, under the standard's own names. Any other
key is an error rather than a promise that nobody checks. Only `description`, `transformDescription`, `status`,
`dimension`, `severity` and `unit` of a quality rule are taken without being enforced: the standard means them for
people. Of the service levels there is `frequency`, how often the table is renewed: an older one is out of date.

`physicalName` of a property is what files call the column, where that is no plain word; everywhere else it has its
`name`. Several properties with `primaryKey` tell the rows apart together, in the order of `primaryKeyPosition`.

`classification` of a property decides what a snapshot for the Lab may show of it:

* `identifier`: becomes a pseudonym in the Lab;
* `personal`: never leaves the Factory;
* `restricted`: is shown only as coarse as its custom property `generalise` says (see `shared.data.generalisation`), and
  without one it is redacted: the column is there, and every value is NULL;
* `public`, or nothing: may be published. The standard takes any word here; another one is an error for us, because a
  misspelt `personal` must not be published.

The contract inside a snapshot describes the columns as they are there; `transformDescription` says what became of them.
"""
# ruff: noqa: N815 - the standard's own names

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    PlainValidator,
    StrictBool,
    StrictInt,
    ValidationError,
    field_validator,
    model_validator,
)

from shared.core.errors import BadInput
from shared.core.exact import Number, exact
from shared.core.frozen import FrozenModel
from shared.core.sql import COLUMN
from shared.core.yamlfile import read_yaml
from shared.data.formats import date_format, string_pattern
from shared.data.generalisation import Generalisation

ColumnType = Literal["string", "integer", "number", "boolean", "date", "timestamp"]
Classification = Literal["identifier", "personal", "restricted", "public"]
Value = str | int | float | bool
HOURS_PER_DAY = 24

_DUCKDB_TYPES: dict[ColumnType, str] = {
    "string": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMPTZ",
}
_OPTIONS: dict[ColumnType, frozenset[str]] = {
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "integer": frozenset({"minimum", "maximum"}),
    "number": frozenset({"minimum", "maximum"}),
    "boolean": frozenset(),
    "date": frozenset({"format"}),
    "timestamp": frozenset({"format"}),
}
_PYTHON_TYPES: dict[ColumnType, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column and every rule its values must keep; NULL breaks none of them but `required`."""

    name: str
    type: ColumnType
    required: bool = False
    unique: bool = False
    classification: Classification = "public"
    minimum: int | float | None = None
    """Inclusive, as is `maximum`; numbers only."""
    maximum: int | float | None = None
    min_length: int | None = None
    """In characters, inclusive, as is `max_length`; strings only."""
    max_length: int | None = None
    pattern: str | None = None
    """A regular expression that must match somewhere in the text (RE2; anchor it to match all of it)."""
    valid_values: tuple[Value, ...] | None = None
    format: str | None = None
    """How a date or timestamp is written in files, or what a string is (see `shared.data.formats`)."""
    physical: str | None = field(default=None, compare=False)
    """What files call the column, where that is another name."""
    generalise: Generalisation | None = None
    """How coarse a `restricted` column is shown; without it, it is redacted."""
    description: str | None = field(default=None, compare=False)
    """What it means and in which unit, for people; columns that differ in nothing else keep the same rules."""

    @property
    def printable(self) -> bool:
        """Whether a message may print it: a pseudonym says nothing to anybody, and a redacted value is not there."""
        return self.classification == "public" or self.generalise is not None

    @property
    def duckdb_type(self) -> str:
        """The type of this column in the warehouse."""
        return _DUCKDB_TYPES[self.type]


@dataclass(frozen=True, slots=True)
class Contract:
    """What one table promises."""

    id: str
    name: str
    version: str
    table: str
    key: tuple[str, ...]
    """The names of the columns that tell the rows apart, all required; a single one is unique."""
    columns: tuple[Column, ...]
    minimum_rows: int = 1
    max_age_days: float | None = None
    """How old the table may be; None where the contract does not say."""

    @property
    def primary_key(self) -> str:
        """The one column that tells the rows apart; raises BadInput where these are several."""
        if len(self.key) > 1:
            raise BadInput(
                f"the rows of table `{self.table}` are told apart by {len(self.key)} columns together: "
                + ", ".join(self.key),
                where=f"the contract {self.name}",
                expected="one column that names the unit",
                remedy="use a table with one row per customer",
            )
        return self.key[0]

    @property
    def told(self) -> tuple[str, ...]:
        """The columns that say something of a row and are published, in order: neither its id nor a pseudonym."""
        own = {*self.key, "unit"}
        return tuple(c.name for c in self.columns if c.printable and c.name not in own and c.name.lower() != "unit")


def load_contract(path: Path) -> Contract:
    """The contract in an ODCS file; raises BadInput with file and line."""
    return _contract(read_yaml(path, Document, as_it_is=True))


def load_new_contract(path: Path) -> Contract:
    """The same of a file that people write: also refuses what nobody would keep, and names that are used inside.

    What was frozen or published by an earlier build is read without these rules.
    """
    document = read_yaml(path, Document)
    for at, column in enumerate(document.objects[0].properties):
        if problem := _not_kept(column):
            raise BadInput(problem[0], where=f"{path}, column {at + 1} (`{column.name}`)", remedy=problem[1])
    return _contract(document)


def _not_kept(column: Property) -> tuple[str, str] | None:
    """What is wrong with a column of a new contract, and the remedy."""
    if column.name.startswith("_"):
        return (
            "names that begin with `_` are used inside",
            f"name it `{column.name.strip('_') or 'column'}`, and say `physicalName: {column.name}` for the files",
        )
    given = column.logicalTypeOptions.format
    try:
        if given is not None and column.logicalType == "string":
            string_pattern(given)
        elif given is not None:
            date_format(given, with_time=column.logicalType == "timestamp")
    except ValueError as error:
        return str(error), "correct `format` of its logicalTypeOptions"
    return None


def parse_contract(document: Any, *, where: str) -> Contract:
    """The contract in ODCS data that was read already; raises BadInput, which names `where`."""
    try:
        return _contract(Document.model_validate(document))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = ".".join(str(step) for step in problem["loc"]) or "the document"
        message = problem["msg"].removeprefix("Value error, ")
        raise BadInput(
            f"`{name}`: {message}", where=where, expected="a data contract after ODCS v3.1.0", remedy="correct it there"
        ) from error


@cache
def _wrong_with(pattern: str) -> str | None:
    """Asked of DuckDB, whose dialect (RE2) is smaller than the standard's: no look-around, no back-references."""
    import duckdb

    with duckdb.connect() as connection:
        try:
            connection.execute("SELECT regexp_matches('', ?)", [pattern])
        except duckdb.Error as error:
            return str(error)
    return None


def _name(value: Any) -> str:
    if not (isinstance(value, str) and re.fullmatch(COLUMN, value)):
        raise ValueError("a name must be letters, digits and underscores, must not start with a digit, at most 63 long")
    return value


def _value(value: Any) -> Value:
    return value if isinstance(value, str | bool) else exact(value)


Name = Annotated[str, PlainValidator(_name)]
Text = Annotated[str, Field(min_length=1)]
Length = Annotated[StrictInt, Field(ge=0)]


class Options(FrozenModel):
    """`logicalTypeOptions` of a property; which of them apply depends on its type."""

    minimum: Number | None = None
    maximum: Number | None = None
    minLength: Length | None = None
    maxLength: Length | None = None
    pattern: Text | None = None
    format: Text | None = None

    @field_validator("pattern")
    @classmethod
    def _pattern_compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None and (wrong := _wrong_with(pattern)):
            raise ValueError(f"not a regular expression that DuckDB (RE2) knows: {wrong}")
        return pattern

    @model_validator(mode="after")
    def _in_order(self) -> Options:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}")
        if self.minLength is not None and self.maxLength is not None and self.minLength > self.maxLength:
            raise ValueError(f"minLength {self.minLength} is above maxLength {self.maxLength}")
        return self


class _Check(FrozenModel):
    type: Literal["library"] = "library"
    name: Text | None = None
    description: Text | None = None
    dimension: Text | None = None
    severity: Text | None = None
    unit: Literal["rows"] = "rows"


class Arguments(FrozenModel):
    """The arguments of `invalidValues`."""

    validValues: Annotated[tuple[Annotated[Value, PlainValidator(_value)], ...], Field(min_length=1)]


class ValueCheck(_Check):
    """A quality rule of a property: its values come from a list."""

    metric: Literal["invalidValues"]
    arguments: Arguments
    mustBe: Annotated[StrictInt, Field(ge=0, le=0)]


class TableCheck(_Check):
    """A quality rule of a table: it has at least so many rows."""

    metric: Literal["rowCount"]
    mustBeGreaterOrEqualTo: Annotated[StrictInt, Field(ge=1)]


class CustomProperty(FrozenModel):
    """How coarse a restricted property is shown; the standard leaves the names of custom properties to us."""

    property: Literal["generalise"]
    value: Generalisation
    description: Text | None = None


class Property(FrozenModel):
    """A column, as the standard writes it."""

    name: Name
    physicalName: Text | None = None
    logicalType: ColumnType
    required: StrictBool = False
    unique: StrictBool = False
    primaryKey: StrictBool = False
    primaryKeyPosition: Annotated[StrictInt, Field(ge=-1)] = -1
    classification: Classification = "public"
    description: Text | None = None
    transformDescription: Text | None = None
    logicalTypeOptions: Options = Options()
    quality: Annotated[tuple[ValueCheck, ...], Field(max_length=1)] = ()
    customProperties: Annotated[tuple[CustomProperty, ...], Field(max_length=1)] = ()

    @model_validator(mode="after")
    def _fits_its_type(self) -> Property:
        for option in sorted(self.logicalTypeOptions.model_fields_set - _OPTIONS[self.logicalType]):
            raise ValueError(f"{option} does not apply to {self.logicalType}")
        fitting = _PYTHON_TYPES.get(self.logicalType, ())
        for value in self.valid_values or ():
            if type(value) not in fitting:
                raise ValueError(f"the valid value {value!r} is not of type {self.logicalType}")
        return self

    @model_validator(mode="after")
    def _can_be_masked(self) -> Property:
        if self.primaryKey and self.classification not in {"identifier", "public"}:
            raise ValueError("the primary key tells rows apart: it can be an identifier or public, and nothing coarser")
        if self.generalise is None:
            return self
        if self.classification != "restricted":
            raise ValueError("`generalise` needs `classification: restricted`")
        against = self.generalise.against(self.logicalType)
        if against:
            raise ValueError(f"generalise: {against}")
        return self

    @property
    def generalise(self) -> Generalisation | None:
        """How coarse it is shown."""
        return self.customProperties[0].value if self.customProperties else None

    @property
    def valid_values(self) -> tuple[Value, ...] | None:
        """What the quality rule lists."""
        return self.quality[0].arguments.validValues if self.quality else None


class Object(FrozenModel):
    """A table, as the standard writes it."""

    name: Name
    logicalType: Literal["object"] = "object"
    physicalName: Name | None = None
    description: Text | None = None
    properties: Annotated[tuple[Property, ...], Field(min_length=1)]
    quality: Annotated[tuple[TableCheck, ...], Field(max_length=1)] = ()

    @model_validator(mode="after")
    def _tells_columns_and_rows_apart(self) -> Object:
        if self.physicalName not in {None, self.name}:
            raise ValueError("physicalName must be left out or equal name: a table has one name here")
        lowered = [column.name.lower() for column in self.properties]
        # A file may call a column by either of its names.
        called = lowered + [
            column.physicalName.lower()
            for column in self.properties
            if column.physicalName and column.physicalName.lower() != column.name.lower()
        ]
        for column in called:
            if called.count(column) > 1:
                raise ValueError(f"the column {column} is given twice (DuckDB does not tell capitals apart)")
        keys = [column for column in self.properties if column.primaryKey]
        if not keys:
            raise ValueError("a property must have `primaryKey: true`, or several that tell the rows apart together")
        places = sorted(column.primaryKeyPosition for column in keys)
        if len(keys) > 1 and places != list(range(1, len(keys) + 1)):
            raise ValueError("of several properties with `primaryKey` each has its `primaryKeyPosition`: 1, 2, …")
        return self

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of the key's columns, in their order."""
        keys = [column for column in self.properties if column.primaryKey]
        return tuple(column.name for column in sorted(keys, key=lambda column: column.primaryKeyPosition))


class ServiceLevel(FrozenModel):
    """How often a table is renewed."""

    property: Literal["frequency"]
    value: Annotated[Number, Field(gt=0)]
    unit: Literal["d", "day", "days", "h", "hour", "hours"]
    element: Text | None = None
    description: Text | None = None


class Description(FrozenModel):
    """What the data is for."""

    purpose: Text | None = None
    usage: Text | None = None
    limitations: Text | None = None


class Document(FrozenModel):
    """An ODCS file of one table."""

    apiVersion: Literal["v3.1.0"]
    kind: Literal["DataContract"]
    id: Text
    name: Text
    version: Text
    status: Text
    description: Description | None = None
    slaProperties: Annotated[tuple[ServiceLevel, ...], Field(max_length=1)] = ()
    objects: Annotated[tuple[Object, ...], Field(alias="schema", min_length=1, max_length=1)]


def _contract(document: Document) -> Contract:
    table = document.objects[0]
    level = document.slaProperties[0] if document.slaProperties else None
    return Contract(
        id=document.id,
        name=document.name,
        version=document.version,
        table=table.name,
        key=table.keys,
        columns=tuple(_column(column, alone=len(table.keys) == 1) for column in table.properties),
        minimum_rows=table.quality[0].mustBeGreaterOrEqualTo if table.quality else 1,
        max_age_days=None if level is None else level.value / (1 if level.unit.startswith("d") else HOURS_PER_DAY),
    )


def _column(given: Property, *, alone: bool) -> Column:
    """A column's rules; `alone` says whether a key is one column, whose values are then unique."""
    options = given.logicalTypeOptions
    return Column(
        name=given.name,
        type=given.logicalType,
        required=given.required or given.primaryKey,
        unique=given.unique or (given.primaryKey and alone),
        classification=given.classification,
        minimum=options.minimum,
        maximum=options.maximum,
        min_length=options.minLength,
        max_length=options.maxLength,
        pattern=options.pattern,
        format=options.format,
        physical=given.physicalName,
        valid_values=given.valid_values,
        generalise=given.generalise,
        description=given.description,
    )
