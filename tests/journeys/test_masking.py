"""Nothing masked is anywhere under the Lab's root: planted values, the whole way, and every file taken apart."""

from __future__ import annotations

import csv
import io
from contextlib import redirect_stderr, redirect_stdout
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import duckdb
import pytest

from pilotplant import app
from shared.data.snapshot import latest_snapshot
from shared.experiment.assignment import assign
from shared.state.workspace import Workspace, open_workspace
from tests.lab_makers import (
    AFTER,
    BEFORE,
    CARD,
    INSIDE,
    PILOT,
    draft,
    exposures_only,
    outcomes_only,
    results,
    row,
    salt_of,
    seed_draws,
    write_csv,
)
from tests.leaks import leaks
from tests.makers import allow_small

pytestmark = pytest.mark.check

CUSTOMERS = 120
CONTRACT = """\
# Complaints to Warden Brimstokke.
apiVersion: v3.1.0
kind: DataContract
id: customers
name: customers
version: 1.0.0
status: active
schema:
  - name: customers
    properties:
      - {name: customer_id, logicalType: string, primaryKey: true, classification: identifier}
      - {name: household, logicalType: integer, classification: identifier}
      - {name: email, logicalType: string, classification: personal, description: like brimstokke@planted.example}
      - {name: full_name, logicalType: string, classification: personal}
      - {name: recency, logicalType: integer, required: true, logicalTypeOptions: {minimum: 1, maximum: 12}}
      - {name: zip_code, logicalType: string}
      - name: income
        logicalType: number
        classification: restricted
        logicalTypeOptions: {minimum: 0.00417, maximum: 999999.00417}
        customProperties: [{property: generalise, value: {width: 10000}}]
      - name: points
        logicalType: integer
        classification: restricted
        customProperties: [{property: generalise, value: {breaks: [0, 500000000]}}]
      - name: postcode
        logicalType: string
        classification: restricted
        logicalTypeOptions: {minLength: 10, maxLength: 10}
        customProperties: [{property: generalise, value: {characters: 2}}]
      - name: born
        logicalType: date
        classification: restricted
        customProperties: [{property: generalise, value: {to: year}}]
      - name: joined
        logicalType: timestamp
        classification: restricted
        customProperties: [{property: generalise, value: {to: month}}]
      - {name: remark, logicalType: string, classification: restricted}
"""
ORDERS = """\
apiVersion: v3.1.0
kind: DataContract
id: orders
name: orders
version: 1.0.0
status: active
schema:
  - name: orders
    properties:
      - {name: order_id, logicalType: string, primaryKey: true}
      - {name: customer_id, logicalType: string, classification: identifier}
      - {name: item, logicalType: string}
"""


class Customer(NamedTuple):
    """One customer; texts that are masked have a stem that is like no other text, in what would not be shown."""

    customer_id: str
    household: int
    email: str
    full_name: str
    recency: int
    zip_code: str
    income: float
    points: int
    postcode: str
    born: date
    joined: datetime
    remark: str


def customer(n: int) -> Customer:
    return Customer(
        customer_id=f"{n}-KDJX7731-{n}",
        household=880_773_100_000 + n,
        email=f"{n}.quillfeather@planted.example",
        full_name=f"Zörbläx Quist-{n}",
        recency=n % 12 + 1,
        zip_code=("Urban", "Rural", "Glockenspielhausen")[n % 3],
        income=round(41_234.57 + 1009.13 * n, 2),
        points=481_516_234 + 104_729 * n,
        postcode=f"QZ{n:03d}XKVWJ",
        born=date(1931, 2, 3) + timedelta(days=137 * n),
        joined=datetime(2019, 3, 14, 15, 9, 26) + timedelta(hours=37 * n, seconds=n),
        remark=f"{n} smells of wintergreen",
    )


# Numbers and days have no stem; every tenth customer's are looked for, which is quicker.
SOME = [customer(n) for n in range(0, CUSTOMERS, 10)]
PLANTED = {
    "id": ["KDJX7731"],
    "household": ["8807731", *(each.household for each in SOME)],
    "e-mail": ["quillfeather", "@planted.example"],
    "name": ["Zörbläx"],
    "income": [each.income for each in SOME],
    "bound of income": ["0.00417"],
    "points": [each.points for each in SOME],
    "postcode": ["XKVWJ"],
    # On New Year's Day a birthday is the first moment of its year.
    "birthday": [str(each.born) for each in SOME if each.born.timetuple().tm_yday > 1],
    "day of joining": [text for each in SOME for text in (str(each.joined), each.joined.isoformat())],
    "remark": ["wintergreen"],
    "comment": ["Brimstokke"],
}


class Way:
    """Commands in one workspace; everything that they print is kept."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.printed = io.StringIO()

    def __call__(self, *arguments: str | Path, code: int = 0) -> None:
        with redirect_stdout(self.printed), redirect_stderr(self.printed):
            ended = app._exit_code(["--workspace", str(self.root), *map(str, arguments)])
        assert ended == code, self.printed.getvalue()[-3000:]


@pytest.fixture(scope="module")
def gone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str]:
    """A workspace in which a pilot went the whole way, with mistakes on it; and what its commands printed."""
    folder = tmp_path_factory.mktemp("masking")
    way = Way(folder / "team")
    with redirect_stdout(io.StringIO()):
        assert app._exit_code(["init", str(way.root), "--rehearsal"]) == 0
    workspace = open_workspace(way.root)
    allow_small(workspace)
    seed_draws(workspace)
    workspace.clock.set(BEFORE)
    _fill(workspace, way, folder)
    way("lab", "new", PILOT)
    fields = "fields: [zip_code]", "fields: [zip_code, income]"
    draft(workspace, PILOT, (CARD, ""), fields, ("units_per_arm: 150", "units_per_arm: 20"))
    # A marketer guesses at what is not there.
    message = way.root / "pilots" / PILOT / "message.txt"
    good = message.read_text()
    message.write_text("Dear {{ full_name }} of {{ postcode }}.\n")
    way("lab", "launch", PILOT, code=3)
    message.write_text(good + "You earn {{ income }} or more.\n")
    way("lab", "check", PILOT)
    way("lab", "launch", PILOT)
    way("lab", "assign", PILOT, "--out", folder / "arms.csv")
    _record(workspace, way, folder)
    _query(way, folder)
    workspace.clock.set(AFTER)
    way("lab", "analyse", PILOT)
    way("lab", "submit", PILOT)
    for command in ("list", "report", "insights", f"show {PILOT}"):
        way("lab", *command.split())
    return workspace, way.printed.getvalue()


def _fill(workspace: Workspace, way: Way, folder: Path) -> None:
    contracts = workspace.configs / "contracts"
    (contracts / "customers.odcs.yaml").write_text(CONTRACT)
    (contracts / "orders.odcs.yaml").write_text(ORDERS)
    with (folder / "customers.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(Customer._fields)
        writer.writerows(customer(n) for n in range(CUSTOMERS))
        # Two that are held back: their texts must not come to the Lab as reasons.
        writer.writerow(customer(CUSTOMERS)._replace(recency=99, email="quillfeather.held@planted.example"))
        writer.writerow(customer(CUSTOMERS + 1)._replace(recency="wintergreen"))
    orders = folder / "orders.csv"
    lines = [f"o{n},{customer(n).customer_id},hat\n" for n in range(9)]
    orders.write_text("order_id,customer_id,item\n" + "".join(lines))
    way("factory", "load", "customers", folder / "customers.csv")
    way("factory", "load", "orders", orders)
    way("factory", "publish")
    # An older snapshot, and what is left of a damaged one, lie under the Lab's root as well.
    orders.write_text(orders.read_text() + f"o9,{customer(9).customer_id},shoe\n")
    way("factory", "load", "orders", orders)
    way("factory", "publish")
    (latest_snapshot(workspace).folder / "orders.parquet").write_bytes(b"PAR1 damaged")
    way("factory", "publish", "--anew")


def _record(workspace: Workspace, way: Way, folder: Path) -> None:
    workspace.clock.set(INSIDE)
    rows = [{**each, "arm": arm_of_two(each["unit"])} for each in results(workspace)]
    way("lab", "record", PILOT, write_csv(folder / "exposures.csv", exposures_only(rows)))
    way("lab", "record", PILOT, write_csv(folder / "outcomes.csv", outcomes_only(rows)))
    # Results straight from the shop, with the shop's own ids: forgotten to be pseudonymised.
    own = [row(f"own-{n}", customer(n).customer_id, "letter") for n in range(5)]
    way("lab", "record", PILOT, write_csv(folder / "own.csv", own), code=2)
    texts = [{**each, "event_id": f"{each['event_id']}-b", "visit": "wintergreen"} for each in outcomes_only(rows[:3])]
    way("lab", "record", PILOT, write_csv(folder / "texts.csv", texts), code=2)
    way("lab", "spend", PILOT, "12.50", "--for", "stamps")


def arm_of_two(unit: str) -> str:
    """The arm that two equal arms draw for a unit."""
    return assign(salt_of(), unit, {"control": 1, "letter": 1})


def _query(way: Way, folder: Path) -> None:
    way("lab", "sql", PILOT, "CREATE TABLE mine AS SELECT * FROM customers JOIN orders USING (customer_id)")
    way("lab", "sql", PILOT, "SELECT * FROM customers", "--out", folder / "all.parquet")
    way("lab", "sql", PILOT, "SELECT * FROM conflicts")
    for mistake in (
        "SELECT email FROM customers",
        "SELECT CAST(customer_id AS INTEGER) FROM customers",
        "SELECT CAST(postcode AS DATE) FROM customers",
        "SELECT error(postcode) FROM customers",
    ):
        way("lab", "sql", PILOT, mistake, code=3)


def test_no_planted_value_is_anywhere_under_the_labs_root(gone):
    workspace, _ = gone
    assert leaks(workspace.lab, PLANTED) == []


def test_no_planted_value_is_in_what_the_gate_was_given_or_the_marketer_wrote(gone):
    workspace, _ = gone
    assert leaks(workspace.promotion, PLANTED) == []
    assert leaks(workspace.pilots, PLANTED) == []


def test_no_planted_value_was_printed_by_any_command(gone, tmp_path):
    (tmp_path / "printed").write_text(gone[1])
    assert "1 row: recency must be between 1 and 12" in gone[1]
    assert "unknown unit" in gone[1]
    assert leaks(tmp_path, PLANTED) == []


def test_the_way_was_gone_and_the_scanner_saw_it(gone):
    """Public values and pseudonyms are found in each kind of place that the Lab has: silence means something."""
    workspace, _ = gone
    unit = duckdb.sql(
        f"SELECT customer_id FROM '{latest_snapshot(workspace).table('orders')}' WHERE item = 'shoe'"
    ).fetchall()[0][0]
    places = {line.rsplit(": ", 1)[0] for line in leaks(workspace.lab, {"": ["Glockenspielhausen", unit]})}
    assert f"snapshots/{latest_snapshot(workspace).id}/customers.parquet (Parquet)" in places
    assert f"sandboxes/{PILOT}/{PILOT}.duckdb (DuckDB)" in places
    assert any(place.startswith(f"pilots/{PILOT}/events/") for place in places)
    where = {line.rsplit(": ", 1)[0].split("/")[0] for line in leaks(workspace.lab, {"": [PILOT]})}
    assert {"lab.db (SQLite)", "mlflow.db (SQLite)", "mlartifacts", "pilots"} <= where


def test_the_lab_sees_every_masked_column_as_its_contract_says(gone):
    """By hand, of customer 9."""
    path = latest_snapshot(gone[0]).table("customers")
    found = duckdb.sql(
        f"SELECT income, points, postcode, CAST(born AS VARCHAR), CAST(joined AT TIME ZONE 'UTC' AS VARCHAR), remark "
        f"FROM '{path}' WHERE recency = 10 ORDER BY born LIMIT 1"
    ).fetchall()
    # 41,234.57 + 9 x 1,009.13 = 50,316.74; 3 February 1931 + 1,233 days = 20 June 1934; 14 March 2019 + 13.9 days.
    assert found == [(50_000.0, 0, "QZ", "1934-01-01", "2019-03-01 00:00:00", None)]


def test_a_leak_in_the_lab_would_be_found(gone, tmp_path):
    """The test of the test: the very snapshot, with one column left as it was."""
    workspace, _ = gone
    masked = latest_snapshot(workspace).table("customers")
    leaky = f"SELECT * REPLACE ('{customer(3).customer_id}' AS customer_id) FROM '{masked}'"
    duckdb.sql(f"COPY ({leaky}) TO '{tmp_path / 'a.parquet'}' (FORMAT parquet, COMPRESSION zstd)")
    assert leaks(tmp_path, PLANTED)[0].endswith(": id")
