"""Values as a contract's types: SQL that turns a file's texts into them, and never guesses.

DuckDB's own casts take `3/4/26` for the year 3, `epoch` and `infinity` for days, `BST` for Bangladesh's time, `0x10`
and `1_000` for numbers, and round 1.5 to 2. So a text has to look like a value of its type before it is cast.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from shared.core.sql import identifier, literal
from shared.data.contracts import Column
from shared.data.formats import DateFormat, date_format

# Numbers as most tools write them. NaN and infinities are numbers too, which a rule of the contract refuses by name.
NUMBER = r"\s*[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|(?i:nan|inf|infinity))\s*"
# ISO 8601, as RFC 3339 narrows it, with what databases and spreadsheets write beside it: a blank for the T, no seconds,
# an offset without its colon or after a blank, UTC by its name. A day alone is its midnight.
_DAY = r"\d{4}-\d{2}-\d{2}"
# No zone is farther from UTC than 14 hours.
_OFFSET = r"[Zz]|UTC|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?(?::[0-5]\d)?"
MOMENT = rf"\s*({_DAY})(?:[Tt ](\d{{2}}:\d{{2}}(?::\d{{2}}(?:\.\d+)?)?)(?: ?({_OFFSET}))?)?\s*"
# The usual forms of both, which DuckDB's cast takes as they are: most rows need no second look.
_PLAIN_DAY = _DAY
_PLAIN_MOMENT = rf"{_DAY}(?:[T ]\d{{2}}:\d{{2}}(?::\d{{2}}(?:\.\d+)?)?(?:Z|[+-](?:0\d|1[0-4])(?::[0-5]\d)?)?)?"
DATE = rf"\s*({_DAY})(?:[Tt ]00:00(?::00(?:\.0+)?)?(?: ?(?:[Zz]|UTC|[+-]00(?::?00)?))?)?\s*"


def typed_sql(columns: Sequence[Column], present: Collection[str]) -> str:
    """The select list that turns texts into the contract's types; what cannot be turned, or is absent, is NULL."""
    return ", ".join(
        f"{value_sql(c) if c.name in present else f'CAST(NULL AS {c.duckdb_type})'} AS {identifier(c.name)}"
        for c in columns
    )


def unreadable_sql(columns: Sequence[Column], present: Collection[str], raw: str, row: str) -> str:
    """A query over the raw table: (row, reason) for each value that is not of its column's type."""
    parts = [
        f"SELECT {row} AS row, {literal(unreadable(c))} AS reason FROM {raw} "
        f"WHERE {identifier(c.name)} IS NOT NULL AND {value_sql(c)} IS NULL"
        for c in columns
        if c.name in present and c.type != "string"
    ]
    return " UNION ALL ".join(parts) if parts else "SELECT 0 AS row, '' AS reason WHERE false"


def unreadable(column: Column) -> str:
    """The reason that holds back a row whose value is not of its column's type."""
    article = "an" if column.type == "integer" else "a"
    return f"{column.name} is not {article} {column.type}" + (f" written as {column.format}" if column.format else "")


def value_sql(column: Column, text: str | None = None) -> str:
    """The value of a column's text, as SQL; NULL where the text is none of its type.

    `text` is the SQL of the text, which is the column itself if left out. A required text of blanks says nothing.
    """
    text = identifier(column.name) if text is None else text
    match column.type:
        case "string":
            return rf"CASE WHEN regexp_matches({text}, '\S') THEN {text} END" if column.required else text
        case "boolean":
            return _cast(f"trim({text})", column)
        case "number":
            return _if(text, NUMBER, _cast(text, column))
        case "integer":
            whole = _cast(text, column)
            # The cast alone would round 1.5 to 2.
            return _if(text, NUMBER, f"CASE WHEN {whole} = TRY_CAST({text} AS DOUBLE) THEN {whole} END")
        case "date":
            day = f"regexp_extract({text}, {literal(DATE)}, 1)"
            iso = _if(text, _PLAIN_DAY, _cast(text, column), _if(text, DATE, _cast(day, column)))
            return _or_formatted(column, text, iso)
        case "timestamp":
            iso = _if(text, _PLAIN_MOMENT, _cast(text, column), _if(text, MOMENT, _cast(_iso(text), column)))
            return _or_formatted(column, text, iso)


def _if(text: str, looks: str, value: str, other: str = "NULL") -> str:
    return f"CASE WHEN regexp_full_match({text}, {literal(looks)}) THEN {value} ELSE {other} END"


def _cast(text: str, column: Column) -> str:
    return f"TRY_CAST({text} AS {column.duckdb_type})"


def _iso(text: str) -> str:
    """A moment as DuckDB reads it: the offset right after the time, with its colon."""
    day, time, offset = (f"regexp_extract({text}, {literal(MOMENT)}, {group})" for group in (1, 2, 3))
    offset = f"upper({offset})"
    utc = f"CASE WHEN {offset} IN ('', 'Z', 'UTC') THEN '+00' ELSE {offset} END"
    colon = f"regexp_replace({utc}, '^([+-][0-9]{{2}})([0-9]{{2}})$', '\\1:\\2')"
    return f"{day} || ' ' || coalesce(nullif({time}, ''), '00:00') || {colon}"


def _or_formatted(column: Column, text: str, iso: str) -> str:
    """Of a column with a format, what is written so comes first; a Parquet file has dates of its own, read as ISO."""
    written = _format_of(column)
    if written is None:
        return iso
    plain = f"regexp_replace({text}, 'Z$', '+00')" if "%z" in written.strptime else text
    moment = f"try_strptime({plain}, {literal(written.strptime)})"
    if "%y" in written.strptime:
        # Java's two digits are a year from 2000 to 2099; DuckDB's, as POSIX has it, one from 1969 to 2068.
        moment = f"{moment} + INTERVAL (CASE WHEN year({moment}) < 2000 THEN 100 ELSE 0 END) YEAR"
    value = f"CAST({moment} AS {column.duckdb_type})"
    return f"coalesce({_if(text, written.looks, value)}, {iso})"


def _format_of(column: Column) -> DateFormat | None:
    """None also for a format that an earlier build froze, and nobody kept."""
    if column.format is None:
        return None
    try:
        return date_format(column.format, with_time=column.type == "timestamp")
    except ValueError:
        return None
