"""Quoting for DuckDB, where a name or a path cannot be a bind parameter."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

# What a column may be called, in contracts and wherever one is named.
COLUMN = r"^[A-Za-z_][A-Za-z0-9_]{0,62}$"
# How much of a table of any size DuckDB holds in memory; what is larger goes to the disk.
MEMORY = "512MiB"


def identifier(name: str) -> str:
    """A column's or table's name."""
    return '"' + name.replace('"', '""') + '"'


def plain_identifier(name: str) -> str:
    """The same as people write it: in quotes only where DuckDB would take it for something else."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) and name not in _keywords() else identifier(name)


@cache
def _keywords() -> frozenset[str]:
    import duckdb

    return frozenset(word for (word,) in duckdb.sql("SELECT keyword_name FROM duckdb_keywords()").fetchall())


def file_literal(path: Path) -> str:
    """A file to read, under exactly that name: DuckDB takes `*`, `?` and `[` in it for a pattern."""
    return literal("".join(f"[{sign}]" if sign in "*?[" else sign for sign in str(path)))


def json_path(name: str) -> str:
    """The path of a member of a JSON object, whose name has no quotes of its own."""
    return f'$."{name}"'


def literal(text: str) -> str:
    """A text, such as a file's path."""
    return "'" + text.replace("'", "''") + "'"
