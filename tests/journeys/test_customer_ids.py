"""Results that name customers: the Factory puts units in their place, and the Lab never keeps an id."""

import csv
import gzip
import io
import json

import pytest

from factory.state.room import open_factory
from factory.warehouse.ids import MASKED, resolve
from lab.launch.launch import launch
from lab.pilots.assignment import assign
from pilotplant.app import _exit_code
from tests.lab_makers import CARD, INSIDE, PILOT, draft, row, stage_copy

pytestmark = pytest.mark.check


@pytest.fixture
def launched(request, tmp_path):
    workspace = stage_copy(request, tmp_path / "workspace", "loaded")
    draft(workspace, PILOT, (CARD, ""))
    launch(workspace, PILOT)
    return workspace


@pytest.fixture
def customers(launched, tmp_path):
    """Customer ids with their arms, as whoever sends has them."""
    assign(launched, PILOT, tmp_path / "arms.csv")
    resolve(launched, tmp_path / "arms.csv", tmp_path / "addressed.csv", table="customers")
    launched.clock.set(INSIDE)
    with (tmp_path / "addressed.csv").open(encoding="utf-8") as file:
        return [(found["id"], found["arm"]) for found in csv.DictReader(file)]


def reported(customers):
    rows = [row(f"e{n}", customer, arm) for n, (customer, arm) in enumerate(customers)]
    return [{"customer_id" if name == "unit" else name: value for name, value in each.items()} for each in rows]


def recorded(launched, path, capsys):
    capsys.readouterr()
    code = _exit_code(["--workspace", str(launched.root), "lab", "record", PILOT, str(path), "--json"])
    return code, json.loads(capsys.readouterr().out)


def written(path, rows, delimiter=","):
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("name", ["results.csv", "results.txt", "results.csv.gz"])
def test_results_by_customer_are_taken_in_as_those_of_their_units(launched, customers, tmp_path, capsys, name):
    code, found = recorded(launched, written(tmp_path / name, reported(customers), ";"), capsys)
    assert (code, found["accepted"]) == (0, {"exposures": len(customers), "outcomes": len(customers)})
    assert (found["masked"], found["strangers"], found["quarantined"]) == ("customer_id", 0, [])
    ids = {customer for customer, _ in customers}
    held = b"".join(path.read_bytes() for path in launched.lab.rglob("*") if path.is_file())
    assert not any(customer.encode() in held for customer in ids)


def test_the_same_file_again_does_nothing(launched, customers, tmp_path, capsys):
    path = written(tmp_path / "results.csv", reported(customers))
    recorded(launched, path, capsys)
    code, found = recorded(launched, path, capsys)
    assert (code, found["repeated"]) == (0, True)


def test_strangers_are_told_and_held_back(launched, customers, tmp_path, capsys):
    rows = reported(customers)
    rows[0]["customer_id"], rows[1]["customer_id"] = "X-1", rows[1]["customer_id"].lower() + " "
    code, found = recorded(launched, written(tmp_path / "results.csv", rows), capsys)
    assert (code, found["strangers"]) == (0, 2)
    assert found["accepted"]["exposures"] == len(customers) - 2
    assert [held["reason"] for held in found["quarantined"]] == ["unknown unit"]


def test_ids_are_known_by_the_name_that_the_factorys_own_files_give_them(launched, customers, tmp_path, capsys):
    rows = [
        {{"customer_id": "id"}.get(name, name): value for name, value in each.items()} for each in reported(customers)
    ]
    _, found = recorded(launched, written(tmp_path / "by-id.csv", rows), capsys)
    assert (found["masked"], found["strangers"], found["quarantined"]) == ("id", 0, [])


def test_units_are_taken_as_they_are(launched, customers, tmp_path, capsys):
    with (tmp_path / "arms.csv").open(encoding="utf-8") as file:
        rows = [row(f"e{n}", found["unit"], found["arm"]) for n, found in enumerate(csv.DictReader(file))]
    code, found = recorded(launched, written(tmp_path / "results.csv", rows), capsys)
    assert (code, found["masked"], found["accepted"]["exposures"]) == (0, None, len(customers))


def test_a_file_without_either_is_told_what_is_missing(launched, customers, tmp_path, capsys):
    rows = [{name: value for name, value in each.items() if name != "customer_id"} for each in reported(customers)]
    code, found = recorded(launched, written(tmp_path / "results.csv", rows), capsys)
    assert (code, "neither a column of units" in found["error"]["what"]) == (2, True)
    assert "`customer_id`" in found["error"]["remedy"]


def test_no_id_comes_back_by_another_column(launched, customers, tmp_path, capsys):
    """As an adversary tried: events called after their customers, and arms that no charter has."""
    rows = [each | {"event_id": each["customer_id"]} for each in reported(customers)]
    recorded(launched, written(tmp_path / "events.csv", rows), capsys)
    rows = [each | {"arm": each["customer_id"]} for each in reported(customers)]
    code, found = recorded(launched, written(tmp_path / "arms-as-ids.csv", rows), capsys)
    assert (code, "an arm is none of the pilot's" in found["error"]["what"]) == (2, True)
    held = b"".join(path.read_bytes() for path in launched.lab.rglob("*") if path.is_file())
    assert not any(customer.encode() in held for customer, _ in customers)


def test_what_the_factory_masked_is_on_its_record(launched, customers, tmp_path, capsys):
    recorded(launched, written(tmp_path / "results.csv", reported(customers)), capsys)
    [entry] = [each for each in open_factory(launched).entries("customers") if each.kind == MASKED]
    assert (entry.body["rows"], entry.body["strangers"]) == (len(customers), 0)
