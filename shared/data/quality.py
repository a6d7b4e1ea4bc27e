"""Data quality: contracts as Great Expectations suites, run by DuckDB; no other file imports the library.

The library is trusted for one thing, which values break which rule. Whether that amounts to a pass is decided in
`QualityReport.outcome`, because the library calls an empty suite and a table of zero rows a success.
"""

from __future__ import annotations

import enum
import functools
import logging
import re
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from shared.core.errors import BadInput, Undecided
from shared.core.sql import MEMORY, file_literal, identifier, literal
from shared.data.contracts import Column, ColumnType, Contract
from shared.data.formats import PATTERNS

if TYPE_CHECKING:
    import pyarrow as pa

Outcome = Literal["passed", "failed", "unevaluable"]

# DuckDB's types, by the classes of SQLAlchemy that the engine reports them as. Its TIMESTAMP and TIMESTAMPTZ are one
# class; the standard takes a timestamp without a zone as UTC.
_TYPES: dict[ColumnType, list[str]] = {
    "string": ["String"],
    "integer": ["Integer"],
    "number": ["Integer", "Numeric", "Float"],
    "boolean": ["Boolean"],
    "date": ["Date"],
    "timestamp": ["DateTime"],
}
PATTERN = "ExpectColumnValuesToMatchPattern"
TOGETHER = "ExpectCompoundColumnsToBeUnique"
_VIEW = "checked"


@dataclass(frozen=True, slots=True)
class Breach:
    """One rule that the table breaks."""

    rule: str
    """In plain words: "recency must be between 1 and 12"."""
    column: str | None
    rows: int
    """How many rows break it; all of them where it concerns the column as a whole."""


@dataclass(frozen=True, slots=True)
class QualityReport:
    """What became of every rule of one contract on one table."""

    rows: int
    minimum_rows: int
    expected: int
    """Rules in the suite."""
    evaluated: int
    """Rules that came back with an answer, yes or no."""
    breaches: tuple[Breach, ...]
    problems: tuple[str, ...]
    """What could not be evaluated, and why."""

    @property
    def outcome(self) -> Outcome:
        """A breach is a no whatever else went wrong; a yes needs rows, rules and an answer to every rule."""
        if self.breaches:
            return "failed"
        if self.problems or self.expected == 0 or self.evaluated != self.expected:
            return "unevaluable"
        if self.rows == 0 or self.rows < self.minimum_rows:
            return "unevaluable"
        return "passed"


def run_suite(contract: Contract, parquet: Path | Sequence[Path]) -> QualityReport:
    """What the contract says of the Parquet file or files, read as one table.

    Raises BadInput where a file is missing or is not Parquet.
    """
    rules = _rules(contract)
    with _opened(parquet) as table:
        return _report(contract, table, rules, _answers(table, rules))


def quarantine_reasons(contract: Contract, parquet: Path | Sequence[Path], row_column: str) -> pa.Table:
    """Which rows break which rule: `row`, `column`, `reason`, one row per row number and broken rule, in their order.

    `row_column` is an integer column beside the contract's own that numbers the rows. Every row of a key that occurs
    twice is in breach, since nothing says which of them is right. A table without rows has no bad ones: run_suite on
    what is left decides whether enough is left.

    Great Expectations has one definition of every rule and hands it out as a query (`unexpected_index_query`), which
    DuckDB runs here. Its own list of rows (`unexpected_index_list`) stops at `partial_unexpected_count` on SQL engines
    and would make a dictionary of every bad row. A query that finds another number of rows than the library counted
    is not believed.

    Raises BadInput where the table as a whole breaks the contract (a column missing, unknown or of another type), and
    Undecided where a rule could not be evaluated: such a file is rejected whole.
    """
    if row_column.lower() in {column.name.lower() for column in contract.columns}:
        raise BadInput(f"{row_column} is a column of the contract {contract.name} and cannot number the rows as well")
    rules = _rules(contract, row_column)
    # Beside what is judged: what is spilled are customers as well.
    folder = parquet.parent if isinstance(parquet, Path) else None
    with _opened(parquet, folder) as table:
        answers = _answers(table, rules, row_column)
        _refuse_whole(answers, rules, contract)
        return _collect(table, answers, row_column)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a contract: in plain words, and as the library's expectation with its arguments."""

    text: str
    column: str | None
    expectation: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the library said to one rule."""

    rule: Rule
    breaches: tuple[Breach, ...] = ()
    problem: str | None = None
    query: str | None = None
    """Finds the rows in breach; only rules about values have one."""


def _rules(contract: Contract, *beside: str) -> tuple[Rule, ...]:
    names = [*(column.name for column in contract.columns), *beside]
    told = "the table must have the contract's columns and no others"
    rules = [Rule(told, None, "ExpectTableColumnsToMatchSet", {"column_set": names, "exact_match": True})]
    if len(contract.key) > 1:  # a single one is unique by its own rule
        told = f"{', '.join(contract.key)} must be unique together"
        rules.append(Rule(told, None, TOGETHER, {"column_list": list(contract.key)}))
    return (*rules, *(rule for column in contract.columns for rule in column_rules(column)))


def column_rules(column: Column) -> Iterator[Rule]:
    """Every rule that a contract makes about one column."""

    def rule(text: str, expectation: str, **arguments: Any) -> Rule:
        return Rule(f"{column.name} must {text}", column.name, expectation, {"column": column.name, **arguments})

    yield rule(f"be of type {column.type}", "ExpectColumnValuesToBeInTypeList", type_list=_TYPES[column.type])
    if column.required:
        yield rule("not be missing", "ExpectColumnValuesToNotBeNull")
    if column.unique:
        yield rule("be unique", "ExpectColumnValuesToBeUnique")
    if column.type == "number":
        # DuckDB sorts NaN above every number, so that it would pass any minimum.
        largest = sys.float_info.max
        yield rule("be a finite number", "ExpectColumnValuesToBeBetween", min_value=-largest, max_value=largest)
    if text := _range(column.minimum, column.maximum):
        bounds = {"min_value": column.minimum, "max_value": column.maximum}
        yield rule(f"be {text}", "ExpectColumnValuesToBeBetween", **bounds)
    if text := _range(column.min_length, column.max_length):
        bounds = {"min_value": column.min_length, "max_value": column.max_length}
        yield rule(f"have a length {text}", "ExpectColumnValueLengthsToBeBetween", **bounds)
    if column.type == "string" and column.format in PATTERNS:
        yield rule(f"be a {column.format}", PATTERN, pattern=PATTERNS[column.format])
    if column.pattern is not None:
        yield rule(f"match the pattern {column.pattern}", PATTERN, pattern=column.pattern)
    if column.valid_values is not None:
        listed = ", ".join(str(value) for value in column.valid_values)
        yield rule(f"be one of {listed}", "ExpectColumnValuesToBeInSet", value_set=list(column.valid_values))


def _range(lowest: float | None, highest: float | None) -> str | None:
    if lowest is not None and highest is not None:
        return f"between {lowest} and {highest}"
    if lowest is not None:
        return f"at least {lowest}"
    return f"at most {highest}" if highest is not None else None


@dataclass(frozen=True, slots=True)
class _Table:
    """A view over Parquet files in a DuckDB database in memory, which the library reaches under `url`."""

    url: str
    connection: Any
    rows: int


@contextmanager
def _opened(parquet: Path | Sequence[Path], folder: Path | None = None) -> Iterator[_Table]:
    import sqlalchemy

    url = f"duckdb:///:memory:{uuid.uuid4().hex}"
    engine = sqlalchemy.create_engine(url)  # as the library will: DuckDB refuses a second way of configuring
    try:
        with tempfile.TemporaryDirectory(dir=folder) as spill, engine.connect() as connected:
            connection: Any = connected.connection.driver_connection
            connection.execute(f"SET temp_directory = {literal(spill)}")
            connection.execute(f"SET memory_limit = '{MEMORY}'")
            yield _Table(url, connection, _create_view(connection, parquet))
    finally:
        engine.dispose()


def _create_view(connection: Any, parquet: Path | Sequence[Path]) -> int:
    """How many rows the view has; columns come together by name, and folders named `a=b` add none."""
    import duckdb

    paths = [parquet] if isinstance(parquet, Path) else list(parquet)
    for path in paths:
        if not path.is_file():
            raise BadInput("there is no such file", where=str(path), expected="a Parquet file")
    if not paths:
        raise BadInput("no file was given", expected="one Parquet file or more")
    files = ", ".join(map(file_literal, paths))
    try:
        connection.execute(
            f"CREATE VIEW {_VIEW} AS "
            f"FROM read_parquet([{files}], union_by_name = {len(paths) > 1}, hive_partitioning = false)"
        )
        return int(connection.execute(f"SELECT count(*) FROM {_VIEW}").fetchall()[0][0])
    except duckdb.Error as error:
        raise BadInput(
            f"this cannot be read as Parquet: {_first_line(error)}", where=", ".join(str(path) for path in paths)
        ) from error


def _answers(table: _Table, rules: Sequence[Rule], row_column: str | None = None) -> list[_Answer]:
    """What the library came back with, in the order of the rules (it has its own order, errors first)."""
    results = {int(result.expectation_config.meta["rule"]): result for result in _validate(table, rules, row_column)}
    return [_answer(rules[place], results[place], table.rows) for place in sorted(results)]


def _validate(table: _Table, rules: Sequence[Rule], row_column: str | None) -> list[Any]:
    gx = _library()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    # Without a transaction, a query that fails does not take the following ones with it.
    source = context.data_sources.add_sql(
        name="duckdb", connection_string=table.url, kwargs={"isolation_level": "AUTOCOMMIT"}
    )
    try:
        asset = source.add_table_asset(name=_VIEW, table_name=_VIEW)
        batch = asset.add_batch_definition_whole_table("all").get_batch()
        suite = gx.ExpectationSuite(name="contract")
        suite.expectations = [_expectation(gx, rule, place) for place, rule in enumerate(rules)]
        # Counts only: no value of the table, which may be personal, enters a result.
        told: dict[str, Any] = {"result_format": "BASIC", "partial_unexpected_count": 0}
        if row_column is not None:
            told |= {"return_unexpected_index_query": True, "unexpected_index_column_names": [row_column]}
        return list(batch.validate(suite, result_format=told).results)
    finally:
        source.get_execution_engine().close()
        source.get_engine().dispose()


def _expectation(gx: Any, rule: Rule, place: int) -> Any:
    kind = _pattern_expectation() if rule.expectation == PATTERN else getattr(gx.expectations, rule.expectation)
    return kind(**rule.arguments, meta={"rule": place})


def _answer(rule: Rule, result: Any, rows: int) -> _Answer:
    raised = _raised(result.exception_info)
    if raised is not None:
        return _Answer(rule, problem=f"{rule.text}: {raised}")
    found = result.result
    if "observed_value" in found:
        return _Answer(rule, breaches=() if result.success else _whole(rule, found, rows))
    count = found.get("unexpected_count")
    if not isinstance(count, int) or (count == 0) != bool(result.success):
        return _Answer(rule, problem=f"{rule.text}: the count of rows ({count}) and the result do not agree")
    breaches = (Breach(rule.text, rule.column, count),) if count else ()
    return _Answer(rule, breaches=breaches, query=found.get("unexpected_index_query"))


def _whole(rule: Rule, found: Mapping[str, Any], rows: int) -> tuple[Breach, ...]:
    """The breaches of a rule about columns rather than values: every row is concerned."""
    if rule.column is not None:
        return (Breach(f"{rule.text} (it is {found.get('observed_value')})", rule.column, rows),)
    mismatched = found["details"]["mismatched"]
    missing = [
        Breach(f"{name} must be there: the column is missing", name, rows) for name in mismatched.get("missing", ())
    ]
    unknown = [Breach(f"unknown column {name}", name, rows) for name in mismatched.get("unexpected", ())]
    return (*missing, *unknown)


def _raised(information: Mapping[str, Any]) -> str | None:
    """What was raised inside a result, which holds it at the top or once per metric.

    DuckDB quotes the value that it could not convert; it may be personal, and is left out.
    """
    entries = [information] if "raised_exception" in information else list(information.values())
    for entry in entries:
        if entry["raised_exception"]:
            return re.sub("'.*'", "'…'", _first_line(entry["exception_message"]))
    return None


def _first_line(message: object) -> str:
    return (str(message).strip() or "no reason given").splitlines()[0]


def _report(contract: Contract, table: _Table, rules: Sequence[Rule], answers: Sequence[_Answer]) -> QualityReport:
    return QualityReport(
        rows=table.rows,
        minimum_rows=contract.minimum_rows,
        expected=len(rules),
        evaluated=sum(answer.problem is None for answer in answers),
        breaches=tuple(breach for answer in answers for breach in answer.breaches),
        problems=tuple(answer.problem for answer in answers if answer.problem is not None),
    )


def _refuse_whole(answers: Sequence[_Answer], rules: Sequence[Rule], contract: Contract) -> None:
    whole = [breach.rule for answer in answers if answer.query is None for breach in answer.breaches]
    if whole:
        raise BadInput(
            f"the table breaks its contract as a whole: {'; '.join(whole)}",
            expected=f"the columns of {contract.name} {contract.version}",
            remedy="correct the file's columns and load it again",
        )
    problems = [answer.problem for answer in answers if answer.problem is not None]
    if problems or len(answers) != len(rules):
        raise Undecided(
            f"{len(rules) - len(answers) + len(problems)} of {len(rules)} rules could not be evaluated: "
            + ("; ".join(problems) or "the library gave no answer"),
            remedy="nothing was loaded; correct the contract or the file",
        )


def _collect(table: _Table, answers: Sequence[_Answer], row_column: str) -> pa.Table:
    import pyarrow as pa

    text = pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema([("row", pa.int64()), ("column", text), ("reason", text)])
    found = [schema.empty_table()]
    for answer in answers:
        for breach in answer.breaches:
            found_by = _together_sql(answer.rule) if answer.rule.expectation == TOGETHER else answer.query or ""
            query = f"SELECT {identifier(row_column)}::BIGINT FROM ({found_by.rstrip().rstrip(';')})"
            rows = table.connection.sql(query).to_arrow_table().column(0).combine_chunks()
            if len(rows) != breach.rows:
                raise Undecided(f"{breach.rule}: {breach.rows} rows break it, but {len(rows)} were found")
            texts = [_repeated(text, len(rows)) for text in (breach.column, breach.rule)]
            found.append(pa.Table.from_arrays([rows, *texts], schema=schema))
    together = pa.concat_tables(found).unify_dictionaries()
    return together.sort_by("row")  # stable: the rules keep their order within a row


def _repeated(text: str | None, times: int) -> pa.Array:
    """One text for many rows, kept once."""
    import pyarrow as pa

    if text is None:
        return pa.DictionaryArray.from_arrays(pa.nulls(times, pa.int32()), pa.array([], pa.string()))
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), times), pa.array([text], pa.string()))


def _together_sql(rule: Rule) -> str:
    """The rows whose columns are together twice; the library's own query names a column that two of its parts have."""
    columns = ", ".join(identifier(name) for name in rule.arguments["column_list"])
    told = " OR ".join(f"{identifier(name)} IS NOT NULL" for name in rule.arguments["column_list"])
    return f"SELECT * FROM {_VIEW} QUALIFY count(*) OVER (PARTITION BY {columns}) > 1 AND ({told})"


class _Dialect(enum.StrEnum):
    DUCKDB = "duckdb"


@functools.cache
def _library() -> Any:
    """Great Expectations, imported on first use (which takes seconds), with two faults mended and its chatter off."""
    import great_expectations
    from great_expectations.execution_engine import sqlalchemy_execution_engine
    from great_expectations.expectations.metrics import util

    # Its SQL engine closes DuckDB's connection before it fetches (upstream #11579), unless told to keep it.
    sqlalchemy_execution_engine._PERSISTED_CONNECTION_DIALECTS += (_Dialect.DUCKDB,)  # noqa: SLF001
    # It takes the 1 of a placeholder `$1` for a value 1 written in full, and hands out queries with the placeholder
    # left in. A yes to "is anything left?" lets SQLAlchemy write every value in full.
    util._check_has_unsubstituted_params = lambda _query, _compiled: True  # noqa: SLF001
    # One warning per column type: that it compares DuckDB's types as SQLAlchemy's.
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    return great_expectations


@functools.cache
def _pattern_expectation() -> Any:
    """A regular expression on DuckDB, which the library's own expectation does not support."""
    import sqlalchemy
    from great_expectations.execution_engine import SqlAlchemyExecutionEngine
    from great_expectations.expectations.expectation import ColumnMapExpectation
    from great_expectations.expectations.metrics.map_metric_provider import (
        ColumnMapMetricProvider,
        column_condition_partial,
    )

    class ColumnValuesMatchPattern(ColumnMapMetricProvider):  # type: ignore[misc]
        condition_metric_name = "column_values.match_pattern"
        condition_value_keys = ("pattern",)

        @column_condition_partial(engine=SqlAlchemyExecutionEngine)  # type: ignore[untyped-decorator]
        def _sqlalchemy(cls, column: Any, pattern: str, **_: Any) -> Any:  # noqa: N805
            return sqlalchemy.func.regexp_matches(column, sqlalchemy.literal(pattern))

    class ExpectColumnValuesToMatchPattern(ColumnMapExpectation):  # type: ignore[misc]
        pattern: str
        map_metric = ColumnValuesMatchPattern.condition_metric_name
        success_keys = ("pattern", "mostly")

    return ExpectColumnValuesToMatchPattern
