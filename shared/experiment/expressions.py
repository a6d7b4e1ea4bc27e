"""Expressions of metrics: a small part of SQL, read by DuckDB and written anew, so that nothing else gets in.

The gate computes evidence by expressions that it was handed. None of their own text reaches a query: the tree that
DuckDB parsed is walked, each node that is on the list is written again with its names quoted, and any other is refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from shared.core.sql import identifier, literal

ALLOWED = "columns, numbers, texts, + - * / %, comparisons, AND, OR, NOT, IN, BETWEEN, CASE, abs, least, greatest"
CHARACTERS_MAX = 500
_OPERATORS = frozenset({"+", "-", "*", "/", "%"})
_FUNCTIONS = frozenset({"abs", "least", "greatest"})
_COMPARISONS = {
    "COMPARE_EQUAL": "=",
    "COMPARE_NOTEQUAL": "<>",
    "COMPARE_LESSTHAN": "<",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_LESSTHANOREQUALTO": "<=",
    "COMPARE_GREATERTHANOREQUALTO": ">=",
}
Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression that may run.

    Attributes:
        sql: its canonical text, every name quoted.
        columns: the columns that it reads, in the order of the alphabet.
    """

    sql: str
    columns: tuple[str, ...]


@lru_cache(maxsize=512)
def parse_expression(text: str) -> Expression:
    """The expression in `text`; raises ValueError where it is anything but a value of one row."""
    if len(text) > CHARACTERS_MAX:
        raise ValueError(f"an expression has at most {CHARACTERS_MAX} characters, this one has {len(text)}")
    columns: set[str] = set()
    try:
        sql = _written(_parsed(text), columns)
    except RecursionError:
        raise ValueError("this expression is nested too deeply") from None
    if not columns:
        raise ValueError("this expression reads no column")
    return Expression(sql, tuple(sorted(columns)))


def _parsed(text: str) -> Node:
    """The one value of a SELECT that has nothing else."""
    import duckdb

    with duckdb.connect() as connection:
        row = connection.execute("SELECT json_serialize_sql(?)", [f"SELECT {text}\n"]).fetchone()
    tree: Node = json.loads(row[0]) if row else {"error": True}
    if tree["error"]:
        raise ValueError(f"this is not an expression: {tree.get('error_message', 'it cannot be read')}")
    selects = [statement["node"] for statement in tree["statements"]]
    if len(selects) == 1 and _is_bare(selects[0]):
        return cast("Node", selects[0]["select_list"][0])
    raise ValueError(f"an expression is one value of one row, made of {ALLOWED}")


def _is_bare(select: Node) -> bool:
    """Whether a SELECT is one value and nothing more: no table, condition, group, order, name or second value."""
    empty = ("modifiers", "where_clause", "group_expressions", "group_sets", "having", "sample", "qualify")
    return (
        select["type"] == "SELECT_NODE"
        and len(select["select_list"]) == 1
        and not select["select_list"][0]["alias"]
        and select["from_table"]["type"] == "EMPTY"
        and select["aggregate_handling"] == "STANDARD_HANDLING"
        and not select["cte_map"]["map"]
        and not any(select[part] for part in empty)
    )


def _written(node: Node, columns: set[str]) -> str:
    writer = _WRITERS.get(node["class"])
    if writer is None:
        raise _refusal(node["class"])
    return writer(node, columns)


def _column(node: Node, columns: set[str]) -> str:
    if len(node["column_names"]) != 1:
        raise ValueError(f"write the column alone: `{node['column_names'][-1]}`")
    [name] = node["column_names"]
    columns.add(name)
    return identifier(name)


def _constant(node: Node, columns: set[str]) -> str:
    del columns
    kind, text = node["literal"]["kind"], node["literal"]["text"]
    if kind == "STRING":
        return literal(text)
    if kind == "BOOLEAN" and text in {"true", "false"}:
        return str(text)
    if kind == "INTEGER":
        return str(int(text))
    if kind == "NUMERIC" and math.isfinite(float(text)):
        return repr(float(text))
    raise ValueError(f"`{text or kind}` is not a value that a metric can be computed with")


def _function(node: Node, columns: set[str]) -> str:
    name = node["function_name"].lower()
    if node["schema"] or node["catalog"] or node["filter"] or node["distinct"] or node["order_bys"]["orders"]:
        raise _refusal(name)
    values = [_written(argument["expression"], columns) for argument in node["arguments"]]
    if name in _FUNCTIONS and values:
        return f"{name}({', '.join(values)})"
    if name in _OPERATORS and node["is_operator"]:
        return f"({f' {name} '.join(values)})" if len(values) > 1 else f"({name} {values[0]})"
    raise _refusal(f"{name}()")


def _operator(node: Node, columns: set[str]) -> str:
    first, *rest = [_written(child, columns) for child in node["children"]]
    match node["type"]:
        case "OPERATOR_NOT":
            return f"(NOT {first})"
        case "COMPARE_IN":
            return f"({first} IN ({', '.join(rest)}))"
        case other:
            raise _refusal(other.removeprefix("OPERATOR_"))


def _comparison(node: Node, columns: set[str]) -> str:
    if node["type"] not in _COMPARISONS:
        raise _refusal(node["type"])
    return f"({_written(node['left'], columns)} {_COMPARISONS[node['type']]} {_written(node['right'], columns)})"


def _between(node: Node, columns: set[str]) -> str:
    value, low, high = (_written(node[part], columns) for part in ("input", "lower", "upper"))
    return f"({value} BETWEEN {low} AND {high})"


def _conjunction(node: Node, columns: set[str]) -> str:
    word = node["type"].removeprefix("CONJUNCTION_")
    if word not in {"AND", "OR"}:
        raise _refusal(word)
    return "(" + f" {word} ".join(_written(child, columns) for child in node["children"]) + ")"


def _case(node: Node, columns: set[str]) -> str:
    checks = " ".join(
        f"WHEN {_written(check['when_expr'], columns)} THEN {_written(check['then_expr'], columns)}"
        for check in node["case_checks"]
    )
    otherwise = node["else_expr"]
    if otherwise["class"] == "CONSTANT" and otherwise["literal"]["kind"] == "NULL_LITERAL":
        raise ValueError("a CASE without ELSE leaves a gap; add `ELSE 0`")
    return f"(CASE {checks} ELSE {_written(otherwise, columns)} END)"


def _refusal(what: str) -> ValueError:
    return ValueError(f"an expression may not use {what}; it is made of {ALLOWED}")


_WRITERS: dict[str, Callable[[Node, set[str]], str]] = {
    "COLUMN_REF": _column,
    "CONSTANT": _constant,
    "FUNCTION": _function,
    "OPERATOR": _operator,
    "COMPARISON": _comparison,
    "BETWEEN": _between,
    "CONJUNCTION": _conjunction,
    "CASE": _case,
}
