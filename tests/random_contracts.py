"""Contracts made at random over everything of the Open Data Contract Standard that is read here, with rows that fit.

Columns have names that occur in our own SQL, words of SQL, and names in any capitals: none of them may matter.
"""

from __future__ import annotations

import csv
import io
import re
import string
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import duckdb

ROOT = Path(__file__).parent.parent
# What of our SQL is found in these folders.
SOURCES = ("shared", "lab", "promotion", "factory")
SQL = re.compile(r"\b(SELECT|FROM|WHERE|JOIN|GROUP BY|ORDER BY|OVER|FILTER|WITH|USING|AS)\b")
# Names that are put together: columns of the table of units.
NUMBERED = tuple(f"{letter}{number}" for letter in "vdelgxs" for number in (0, 1))
# What a file of results and a table of customers have for themselves.
FIXED = {"event_id", "unit", "at", "arm", "exposed_at", "customer_id", "email"}
CUSTOMERS = 240
# By type: options of it, and valid values; of the two one at most.
_RULES: dict[str, list[tuple[dict[str, Any], list[Any]]]] = {
    "string": [
        ({"minLength": 2, "maxLength": 20}, []),
        ({"pattern": "^[A-Z]{2}[0-9]+$"}, []),
        ({"format": "uuid"}, []),
        ({}, ["Urban", "O'Neill", 'say "x"', "a, b"]),
    ],
    "integer": [({"minimum": -5, "maximum": 500}, []), ({}, [0, 1]), ({}, [1, 2, 3])],
    "number": [({"minimum": 0}, []), ({"minimum": -1.5, "maximum": 2.5}, []), ({}, [0.5, 1.5])],
    "date": [({"format": written}, []) for written in ("dd.MM.yyyy", "M/d/yy", "yyyyMMdd", "d MMM yyyy")],
    "timestamp": [({"format": written}, []) for written in ("dd.MM.yyyy HH:mm", "yyyy-MM-dd'T'HH:mm:ssX")],
}


@dataclass(frozen=True, slots=True)
class Made:
    """A workspace's two contracts, and what fits them.

    Attributes:
        population, outcomes: documents of contracts.
        customers: the population's file, as text.
        metrics: for configs/metrics.yaml, each reading a column of the outcomes.
        said: of the charter: covariates and segments.
        outcome: what a row of results says of the metrics' and other columns, by the columns' names in files.
    """

    population: dict[str, Any]
    outcomes: dict[str, Any]
    customers: str
    metrics: dict[str, dict[str, Any]]
    said: dict[str, list[str]]
    outcome: Callable[[Random], dict[str, str]]


@cache
def own_names() -> tuple[str, ...]:
    """Every word of our SQL that could be a column's name."""
    lines = (
        line
        for folder in SOURCES
        for path in (ROOT / folder).rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if SQL.search(line)
    )
    found = {word for line in lines for word in re.findall(r"\b[a-z][a-z0-9_]{0,30}\b", line)}
    return tuple(sorted({*found, *NUMBERED} - FIXED))


@cache
def sql_words() -> tuple[str, ...]:
    """Every word that means something to DuckDB."""
    words = duckdb.sql("SELECT keyword_name FROM duckdb_keywords()").fetchall()
    return tuple(sorted({word for (word,) in words} - FIXED))


def made(seed: int) -> Made:
    """The contracts of a seed."""
    rng = Random(seed)
    taken = set(FIXED)
    told = [_column(rng, _name(rng, taken)) for _ in range(rng.randint(4, 12))]
    spoken = [_column(rng, _name(rng, taken), outcome=True) for _ in range(rng.randint(3, 9))]
    whole = rng.random() < 0.3
    key = {"name": "customer_id", "logicalType": "integer" if whole else "string", "required": True, "unique": True,
           "primaryKey": True, "classification": "identifier"}  # fmt: skip
    mail = {"name": "email", "logicalType": "string", "classification": "personal"}
    rng.shuffle(told)
    ids = [str(1_000 + n) if whole else f"C{n:05d}" for n in range(CUSTOMERS)]
    rows = [{"customer_id": own, "email": f"c{n}@example.com", **{_called(c): _value(c, rng) for c in told}}
            for n, own in enumerate(ids)]  # fmt: skip
    metrics = {f"m_{n}": metric for n, metric in enumerate(_metrics(rng, spoken))}
    public = [c for c in told if c.get("classification", "public") == "public"]
    return Made(
        population=_document("customers", [key, mail, *told], rng),
        outcomes=_document("outcomes", [*_fixed_outcomes(), *spoken], rng),
        customers=_text(rows, rng),
        metrics=metrics,
        said={
            "covariates": [c["name"] for c in public if c["logicalType"] in {"integer", "number"}][:2],
            "segments": [c["name"] for c in public if "quality" in c or c["logicalType"] == "boolean"][:2],
        },
        outcome=lambda each: {_called(c): _value(c, each) for c in spoken},
    )


def _name(rng: Random, taken: set[str]) -> str:
    while True:
        name = rng.choice(
            [
                rng.choice(own_names()),
                rng.choice(sql_words()),
                rng.choice(NUMBERED),
                "".join(rng.choices(string.ascii_letters, k=rng.randint(1, 12))),
                rng.choice(string.ascii_lowercase) * 63,
            ]
        )
        name = name.title() if rng.random() < 0.1 else name
        if name.lower() not in {each.lower() for each in taken}:
            taken.add(name)
            return name


def _column(rng: Random, name: str, *, outcome: bool = False) -> dict[str, Any]:
    kind = rng.choice(["string", "integer", "number", "boolean", "date", "timestamp"])
    column: dict[str, Any] = {"name": name, "logicalType": kind}
    if outcome or rng.random() < 0.5:
        column["required"] = True
    if rng.random() < 0.2:
        column["physicalName"] = f"{name} ({rng.choice(['shop', 'brutto €', 'x;y', 'a, b'])})"
    if rng.random() < 0.3:
        column["description"] = "What it means: 'quoted', \"twice\", 5 %."
    options, listed = _rules(rng, kind)
    if options:
        column["logicalTypeOptions"] = options
    if listed:
        column["quality"] = [{"metric": "invalidValues", "arguments": {"validValues": listed}, "mustBe": 0}]
    if not outcome and rng.random() < 0.25:
        column |= _hidden(rng, kind)
    return column


def _rules(rng: Random, kind: str) -> tuple[dict[str, Any], list[Any]]:
    """Options of the type, and valid values; of the two one at most."""
    nothing: tuple[dict[str, Any], list[Any]] = ({}, [])
    return nothing if rng.random() < 0.4 else rng.choice(_RULES.get(kind, [nothing]))


def _hidden(rng: Random, kind: str) -> dict[str, Any]:
    """How a column is kept from the Lab."""
    forms: dict[str, Any] = {
        "string": {"characters": 2}, "integer": rng.choice([{"width": 10}, {"breaks": [0, 100]}]),
        "number": {"width": 0.5}, "date": {"to": "month"}, "timestamp": {"to": "year"},
    }  # fmt: skip
    rule = {"property": "generalise", "value": forms.get(kind)}
    coarse = {"classification": "restricted", "customProperties": [rule]}
    return rng.choice(
        [{"classification": "personal"}, {"classification": "restricted"}, {"classification": "identifier"},
         *([coarse] if kind in forms else [])]
    )  # fmt: skip


def _value(column: dict[str, Any], rng: Random) -> str:
    """A text of a value that keeps the column's rules, in one of the spellings that its type has."""
    if not column.get("required") and rng.random() < 0.1:
        return ""
    options = column.get("logicalTypeOptions", {})
    if "quality" in column:
        return str(rng.choice(column["quality"][0]["arguments"]["validValues"]))
    moment = datetime(2025, 1, 1, 9, 30, tzinfo=UTC) + timedelta(hours=rng.randrange(9_000))
    whole = rng.randint(int(options.get("minimum", -900)), int(options.get("maximum", 900)))
    number = rng.uniform(options.get("minimum", -1e3), options.get("maximum", 1e3))
    spelt = rng.choice(["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S +0000", "%Y-%m-%d %H:%M+00"])
    return {
        "string": _text_value(options, rng),
        "integer": rng.choice([f"{whole}", f"{whole}.0", f" {whole} "]),
        "number": rng.choice([f"{number:.6f}", f"{number!r}", f"{number:.6e}"]),
        "boolean": rng.choice(["true", "false", "TRUE", "0", "1"]),
        "date": _written(moment, options.get("format")) or str(moment.date()),
        "timestamp": _written(moment, options.get("format")) or moment.strftime(spelt),
    }[column["logicalType"]]


def _text_value(options: dict[str, Any], rng: Random) -> str:
    if options.get("format") == "uuid":
        return "-".join("".join(rng.choices("0123456789abcdef", k=k)) for k in (8, 4, 4, 4, 12))
    if "pattern" in options:
        return "".join(rng.choices(string.ascii_uppercase, k=2)) + str(rng.randrange(999))
    return rng.choice(["Zürich", "two words", "a,b;c", 'quo"te', "ab", "007", "=1+1", "-5"]) + str(rng.randrange(9))


def _written(moment: datetime, pattern: str | None) -> str:
    """A moment by the JDK's patterns that are used above; written here once more, apart from the product."""
    day: date = moment.date()
    return {
        "dd.MM.yyyy": f"{day:%d.%m.%Y}", "M/d/yy": f"{day.month}/{day.day}/{day:%y}", "yyyyMMdd": f"{day:%Y%m%d}",
        "d MMM yyyy": f"{day.day} {day:%b %Y}", "dd.MM.yyyy HH:mm": f"{moment:%d.%m.%Y %H:%M}",
        "yyyy-MM-dd'T'HH:mm:ssX": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
    }.get(pattern or "", "")  # fmt: skip


def _metrics(rng: Random, columns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Metrics over the columns that are numbers."""
    found: list[dict[str, Any]] = []
    for column in columns:
        name, kind = column["name"], column["logicalType"]
        if kind not in {"integer", "number", "boolean"}:
            continue
        of = rng.choice(["proportion", "mean", "count"])
        found.append({"kind": of, "column": name, "unit": "x", "direction": rng.choice(["increase", "decrease"])})
    return found


def _fixed_outcomes() -> list[dict[str, Any]]:
    flag = [{"metric": "invalidValues", "arguments": {"validValues": [0, 1]}, "mustBe": 0}]
    return [
        {"name": "event_id", "logicalType": "string", "required": True, "unique": True, "primaryKey": True},
        {"name": "unit", "logicalType": "string", "required": True},
        {"name": "at", "logicalType": "timestamp", "required": True},
        {"name": "visit", "logicalType": "integer", "required": True, "quality": flag},
        {"name": "conversion", "logicalType": "integer", "required": True, "quality": flag},
        {"name": "spend", "logicalType": "number", "required": True, "logicalTypeOptions": {"minimum": 0}},
    ]


def _document(table: str, columns: list[dict[str, Any]], rng: Random) -> dict[str, Any]:
    document: dict[str, Any] = {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": f"random-{table}", "name": table, "version": "1.0.0",
        "status": "active",
        "schema": [{"name": table, "logicalType": "object", "properties": columns}],
    }  # fmt: skip
    if rng.random() < 0.5:
        document["schema"][0]["quality"] = [{"metric": "rowCount", "mustBeGreaterOrEqualTo": rng.randint(1, 50)}]
    if table == "customers" and rng.random() < 0.5:
        document["slaProperties"] = [{"property": "frequency", "value": rng.choice([7, 0.5]), "unit": "d"}]
    return document


def _called(column: dict[str, Any]) -> str:
    return str(column.get("physicalName", column["name"]))


def _text(rows: list[dict[str, str]], rng: Random) -> str:
    """A file of the rows, in one of the ways that tools write CSV."""
    out = io.StringIO()
    delimiter = rng.choice([",", "\t", "|"])
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter, lineterminator=rng.choice(["\n", "\r\n"]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
