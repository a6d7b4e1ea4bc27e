"""The demo's shop: 64,000 customers, and what they do when they get a mail.

Without a data file, customers are synthetic: what they do is drawn with a fixed seed from the published cell figures
of the e-mail test that Kevin Hillstrom gave out in 2008 (MineThatData, "The MineThatData E-Mail Analytics And Data
Mining Challenge", 20 March 2008): per arm the rates of visit and conversion and the mean spend over two weeks. Who the
customers are (recency, channel and so on) is made up. With the data file, both are the test's own rows.

Exposure times, outcome times and costs are declared inputs of the demo in either case: the test published none.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from numpy.typing import NDArray

from shared.core.clock import rfc3339
from shared.core.errors import BadInput

CUSTOMERS = 64_000
SEED = 2008
# The spread of a basket is not among the published figures: a gamma of this shape is the demo's own choice.
BASKET_SHAPE = 2.0
SEGMENTS = {"control": "No E-Mail", "mens": "Mens E-Mail", "womens": "Womens E-Mail"}
COLUMNS = ["recency", "history_segment", "history", "mens", "womens", "zip_code", "newbie", "channel"]
OUTCOMES = ["visit", "conversion", "spend"]
# Upper ends of the published history segments, in USD.
HISTORY_BOUNDS = [100, 200, 350, 500, 750, 1000]
MAIL_HOUR, MAILS_PER_SECOND, OUTCOME_DAYS = 9, 10, 12


@dataclass(frozen=True, slots=True)
class Cell:
    """The published figures of one arm over two weeks: rates of visit and conversion, and mean spend in USD."""

    visit: float
    conversion: float
    spend: float


CELLS = {
    "control": Cell(visit=0.1062, conversion=0.00573, spend=0.6528),
    "mens": Cell(visit=0.1828, conversion=0.01253, spend=1.4226),
    "womens": Cell(visit=0.1514, conversion=0.00884, spend=1.0772),
}


@dataclass(frozen=True, slots=True)
class Shop:
    """The shop.

    Attributes:
        customers: one row per customer: customer_id, email and what the shop knows of them.
        test: for the real test: customer_id, arm and outcomes, one row per customer; None where they are synthetic.
    """

    customers: pa.Table
    test: pa.Table | None

    @property
    def synthetic(self) -> bool:
        """Whether nobody of them exists."""
        return self.test is None


def open_shop(data: Path | None) -> Shop:
    """The synthetic shop, or the one in a file of the real test; raises BadInput where that is another file."""
    if data is None:
        return Shop(_with_ids(_made_up()), None)
    found = _read(data)
    arms = {segment: arm for arm, segment in SEGMENTS.items()}
    named = _with_ids(found.select(COLUMNS))
    segments = found.column("segment").to_pylist()
    test = pa.table(
        {"customer_id": named.column("customer_id"), "arm": [arms[s] for s in segments]}
        | {name: found.column(name) for name in OUTCOMES}
    )
    return Shop(named, test)


def write_customers(shop: Shop, path: Path) -> None:
    """Writes the shop's export, with three broken rows at its end such as exports have."""
    broken = shop.customers.slice(0, 3).to_pylist()
    for number, (row, (column, value)) in enumerate(
        zip(broken, [("recency", 99), ("channel", "Fax"), ("history", -1.0)], strict=True)
    ):
        row["customer_id"] = f"X{number:06d}"
        row[column] = value
    table = pa.concat_tables([shop.customers, pa.Table.from_pylist(broken, schema=shop.customers.schema)])
    pyarrow.csv.write_csv(table, path)


def write_results(
    shop: Shop, arms: Path | None, wanted: list[str], lost: str | None, start: datetime, path: Path
) -> None:
    """Writes what the shop reports of a pilot with the arms `wanted`, under its own customer ids.

    These are exposures with their outcomes, from `start` on, of which a quarter of one arm's gets `lost`, if any. The
    real test has its own `arms`; else they are a file of `id` and `arm` from `factory resolve`.
    """
    rng = np.random.default_rng(SEED + len(wanted))
    test = shop.test
    if test is None:
        if arms is None:
            raise BadInput("a synthetic shop needs the arms that were assigned")
        test = _behaviour(pyarrow.csv.read_csv(arms).sort_by("id"), rng)
    test = test.filter(pc.is_in(test.column("arm"), pa.array(wanted))).sort_by("customer_id")
    if lost is not None:
        dropped = (np.array(test.column("arm").to_pylist()) == lost) & (rng.random(test.num_rows) < 0.25)  # noqa: PLR2004 - the quarter
        test = test.filter(pa.array(~dropped))
    pyarrow.csv.write_csv(_reported(test, rng, start), path)


def _reported(test: pa.Table, rng: np.random.Generator, start: datetime) -> pa.Table:
    """Adds the declared times: mails go out in the morning of the first day, outcomes follow within twelve days."""
    order = np.arange(test.num_rows)
    mailed = [start + timedelta(hours=MAIL_HOUR, seconds=int(s)) for s in order // MAILS_PER_SECOND]
    delays = rng.uniform(60, OUTCOME_DAYS * 86_400, test.num_rows)
    return pa.table(
        {
            "event_id": [f"mail-{i:06d}" for i in order],
            "customer_id": test.column("customer_id"),
            "arm": test.column("arm"),
            "exposed_at": [rfc3339(at) for at in mailed],
            "at": [rfc3339(at + timedelta(seconds=int(d))) for at, d in zip(mailed, delays, strict=True)],
        }
        | {name: test.column(name) for name in OUTCOMES}
    )


def _behaviour(arms: pa.Table, rng: np.random.Generator) -> pa.Table:
    """Draws visit, conversion and spend of each customer from the cell of their arm."""
    names = np.array(arms.column("arm").to_pylist())
    rates = {field: np.array([getattr(CELLS[arm], field) for arm in names]) for field in OUTCOMES}
    visit = rng.random(len(names)) < rates["visit"]
    conversion = visit & (rng.random(len(names)) < rates["conversion"] / rates["visit"])
    basket = rates["spend"] / rates["conversion"]
    spend = np.where(conversion, rng.gamma(BASKET_SHAPE, basket / BASKET_SHAPE), 0.0)
    return pa.table(
        {
            "customer_id": arms.column("id"),
            "arm": arms.column("arm"),
            "visit": visit.astype(np.int64),
            "conversion": conversion.astype(np.int64),
            "spend": np.round(spend, 2),
        }
    )


def _made_up() -> pa.Table:
    rng = np.random.default_rng(SEED)
    history = np.round(30 + rng.gamma(1.2, 180, CUSTOMERS), 2)
    mens = rng.random(CUSTOMERS) < 0.55  # noqa: PLR2004 - made up, as the module says
    return pa.table(
        {
            "recency": rng.integers(1, 13, CUSTOMERS),
            "history_segment": _segments(history),
            "history": history,
            "mens": mens.astype(np.int64),
            "womens": (~mens | (rng.random(CUSTOMERS) < 0.1)).astype(np.int64),  # noqa: PLR2004 - made up
            "zip_code": rng.choice(["Urban", "Surburban", "Rural"], CUSTOMERS, p=[0.4, 0.45, 0.15]),
            "newbie": rng.integers(0, 2, CUSTOMERS),
            "channel": rng.choice(["Web", "Phone", "Multichannel"], CUSTOMERS, p=[0.44, 0.44, 0.12]),
        }
    )


def _segments(history: NDArray[np.float64]) -> list[str]:
    edges = [0, *HISTORY_BOUNDS]
    labels = [
        f"{i + 1}) ${low:,} - ${high:,}" for i, (low, high) in enumerate(zip(edges, HISTORY_BOUNDS, strict=False))
    ]
    labels.append(f"{len(edges)}) ${HISTORY_BOUNDS[-1]:,} +")
    return [labels[i] for i in np.searchsorted(HISTORY_BOUNDS, history, side="right")]


def _with_ids(customers: pa.Table) -> pa.Table:
    numbers = range(1, customers.num_rows + 1)
    ids = pa.array([f"C{number:06d}" for number in numbers])
    emails = pa.array([f"c{number:06d}@example.com" for number in numbers])
    return customers.add_column(0, "customer_id", ids).add_column(1, "email", emails)


def _read(path: Path) -> pa.Table:
    try:
        found = pyarrow.csv.read_csv(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise BadInput(
            "the e-mail test's file cannot be read", where=str(path), expected="its CSV, as published"
        ) from error
    missing = [name for name in [*COLUMNS, "segment", *OUTCOMES] if name not in found.column_names]
    if missing:
        raise BadInput(
            f"this is not the e-mail test: it lacks {', '.join(missing)}",
            where=str(path),
            expected="columns " + ", ".join([*COLUMNS, "segment", *OUTCOMES]),
        )
    strange = set(found.column("segment").unique().to_pylist()) - set(SEGMENTS.values())
    if strange:
        raise BadInput(f"unknown segments: {', '.join(sorted(map(str, strange)))}", where=str(path))
    return found
