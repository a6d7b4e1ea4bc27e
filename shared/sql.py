"""Quoting for DuckDB, where a name or a path cannot be a bind parameter."""

from __future__ import annotations


def identifier(name: str) -> str:
    """A column's or table's name."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text, such as a file's path."""
    return "'" + text.replace("'", "''") + "'"
