"""Personal data at the Lab's door: refused whole with rows and remedy, or kept as a hash; never as it came."""

from __future__ import annotations

import csv
import hashlib
import hmac
import json
import stat

import duckdb
import pytest

from lab.budget.costs import record_costs
from lab.budget.reservations import reserve
from lab.budget.spend_ledger import spend
from lab.intake.intake import parts, record
from lab.pilots.pilot import entries, get_pilot
from lab.state import open_lab
from shared.core.errors import BadInput, Refused
from shared.core.money import parse_amount
from shared.experiment.charter import RULES
from tests.lab_makers import INSIDE, PILOT, exposures_only, outcomes_only, results, row, write_csv

ADDRESSES = [f"c{n:06d}@example.com" for n in range(1, 201)]


@pytest.fixture
def inside(launched):
    launched.clock.set(INSIDE)
    return launched


def hashing(workspace):
    path = workspace.configs / "lab.yaml"
    path.write_text(path.read_text().replace("personal_data: refuse", "personal_data: hash"))
    return workspace


def kept(workspace, part):
    room = open_lab(workspace)
    paths = parts(room, get_pilot(room, PILOT), part)
    return [line for path in paths for line in duckdb.execute(f"SELECT * FROM '{path}'").fetchall()]


def bytes_below(root):
    """Everything that the Lab keeps, as one text."""
    files = [path for path in (root / "var" / "lab").rglob("*") if path.is_file()]
    return b"\n".join(
        json.dumps(duckdb.execute(f"SELECT * FROM '{path}'").fetchall(), default=str).encode()
        if path.suffix == ".parquet" else path.read_bytes()
        for path in files
    )  # fmt: skip


def with_addresses(content):
    """The file of the audit: the system that sent it named each event by the customer's address."""
    for line, address in zip(content, ADDRESSES, strict=False):
        line["event_id"] = address
    return content


def refused(workspace, file, kind=None):
    before = bytes_below(workspace.root)
    with pytest.raises(BadInput) as caught:
        record(workspace, PILOT, file, kind)
    assert kept(workspace, "exposures") == kept(workspace, "outcomes") == kept(workspace, "conflicts") == []
    after = bytes_below(workspace.root)
    assert len(after) >= len(before)
    return caught.value


@pytest.mark.parametrize(
    "shape", [lambda rows: rows, exposures_only, outcomes_only], ids=["both", "exposures", "outcomes"]
)
def test_two_hundred_addresses_in_event_ids_are_refused_whole_with_rows_and_remedy(inside, tmp_path, shape):
    """As in the audit: 200 addresses went into a sealed candidate."""
    file = write_csv(tmp_path / "all.csv", shape(with_addresses(results(inside))))
    error = refused(inside, file)
    assert error.what == "column `event_id` holds what looks like an e-mail address, in 200 rows"
    assert error.where == f"{file}, row 1, 2, 3, 4, 5 and more"
    assert "personal_data: hash" in str(error.remedy)
    assert "nothing was taken" in str(error.remedy)
    assert "@" not in str(error), "the values themselves are not told"
    assert b"c000001@example.com" not in bytes_below(inside.root)


def test_telephone_numbers_in_units_are_refused_and_the_way_to_pseudonyms_is_told(inside, tmp_path):
    content = results(inside)
    for n, line in enumerate(content[:3]):
        line["unit"] = f"+49 170 {1_000_000 + n}"
    error = refused(inside, write_csv(tmp_path / "all.csv", content))
    assert error.what == "column `unit` holds what looks like a telephone number, in 3 rows"
    assert "pilotplant factory pseudonymise" in str(error.remedy)


def test_several_columns_are_told_together(inside, tmp_path):
    content = with_addresses(results(inside))
    content[7]["unit"] = "(030) 123 45 67"
    assert "; column `unit`: 1" in refused(inside, write_csv(tmp_path / "all.csv", content)).what


def test_an_address_where_an_arm_or_a_number_should_be_is_refused_as_well(inside, tmp_path):
    """Such a row would be held back, and what is held back is kept."""
    content = results(inside)
    content[0]["arm"], content[1]["spend"] = "anna@example.com", "anna@example.com"
    assert "column `" in refused(inside, write_csv(tmp_path / "all.csv", content)).what


def test_an_address_in_a_row_that_would_be_held_back_is_refused(inside, tmp_path):
    stranger = row("anna@example.com", "nobody", "letter")
    assert "`event_id`" in refused(inside, write_csv(tmp_path / "all.csv", [*results(inside), stranger])).what


def test_a_file_without_any_is_taken(inside, tmp_path):
    done = record(inside, PILOT, write_csv(tmp_path / "all.csv", results(inside)))
    assert (done.exposures, done.outcomes, done.hashed) == (600, 600, 0)
    assert not (inside.lab / "personal.key").exists()


def test_by_the_policy_each_is_kept_as_a_keyed_hash_and_events_are_still_told_apart(inside, tmp_path):
    """HMAC-SHA-256 (RFC 2104) by Python's own hmac."""
    hashing(inside)
    content = with_addresses(results(inside))
    done = record(inside, PILOT, write_csv(tmp_path / "all.csv", content))
    assert (done.exposures, done.outcomes, done.conflicts, done.hashed) == (600, 600, {}, 200)
    key = bytes.fromhex((inside.lab / "personal.key").read_text())
    expected = {"p_" + hmac.new(key, each.encode(), hashlib.sha256).hexdigest()[:32] for each in ADDRESSES}
    for part in ("exposures", "outcomes"):
        assert expected <= {line[0] for line in kept(inside, part)}
    assert b"@example.com" not in b"".join(
        path.read_bytes() for path in (inside.lab).rglob("*.parquet") if "snapshots" not in path.parts
    )
    again = record(inside, PILOT, write_csv(tmp_path / "again.csv", content[:300]))
    assert (again.exposures, again.outcomes, again.duplicates) == (0, 0, 600)


def test_a_unit_that_is_a_number_is_held_back_under_its_hash_or_none(inside, tmp_path):
    hashing(inside)
    done = record(inside, PILOT, write_csv(tmp_path / "all.csv", [*results(inside), row("e1", "0170-1234567", "card")]))
    assert done.conflicts == {"unknown unit": 2}
    assert "1234567" not in str(kept(inside, "conflicts"))


def test_the_key_is_its_owners_alone_and_the_ledger_knows_it(inside, tmp_path):
    hashing(inside)
    record(inside, PILOT, write_csv(tmp_path / "all.csv", with_addresses(results(inside))))
    path = inside.lab / "personal.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    told = [entry.kind for entry in open_lab(inside).entries()]
    assert told.count("personal_key_drawn") == 1
    [body] = [entry.body for entry in open_lab(inside).entries() if entry.kind == "recorded"]
    assert body["hashed"] == 200


def test_with_a_key_that_is_gone_nothing_is_taken_since_every_hash_would_be_another(inside, tmp_path):
    hashing(inside)
    content = with_addresses(results(inside))
    record(inside, PILOT, write_csv(tmp_path / "some.csv", content[:10]))
    (inside.lab / "personal.key").unlink()
    with pytest.raises(Refused, match="the pseudonym key is missing"):
        record(inside, PILOT, write_csv(tmp_path / "all.csv", content))
    assert len(kept(inside, "exposures")) == 10


def costs(path, rows):
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("event_id", "amount", "purpose"), *rows])
    return path


@pytest.mark.parametrize(
    ("line", "column"),
    [(("anna@example.com", "5.00", "stamps"), "event_id"), (("i-1", "5.00", "for anna@example.com"), "purpose"),
     (("i-1", "5.00", "call +49 170 1234567"), "purpose")],
)  # fmt: skip
def test_a_file_of_costs_is_asked_as_well(inside, tmp_path, line, column):
    file = costs(tmp_path / "costs.csv", [("i-0", "1.00", "paper"), line])
    with pytest.raises(BadInput, match=f"column `{column}` holds") as caught:
        record_costs(inside, PILOT, file)
    assert caught.value.where == f"{file}, row 2"
    hashing(inside)
    assert record_costs(inside, PILOT, file).hashed == 1
    room = open_lab(inside)
    pilot = get_pilot(room, PILOT)
    with room.transaction() as connection:
        told = str(entries(connection, pilot))
    assert "@" not in told
    assert "1234567" not in told


@pytest.mark.parametrize("policy", [lambda workspace: workspace, hashing], ids=["refuse", "hash"])
def test_what_a_cost_was_for_names_nobody_whatever_the_policy_is(inside, policy):
    policy(inside)
    amount = parse_amount("5.00")
    with pytest.raises(BadInput, match="holds what looks like an e-mail address"):
        spend(inside, PILOT, amount, "a gift for anna@example.com")
    with pytest.raises(BadInput, match="holds what looks like a telephone number"):
        spend(inside, PILOT, amount, "a gift", key="+49 170 1234567")
    with pytest.raises(BadInput, match="holds what looks like a telephone number"):
        reserve(inside, PILOT, amount, "call 0170/1234567")
    assert spend(inside, PILOT, amount, "a gift").spent.amount == 5


def test_a_pilot_of_an_earlier_build_takes_what_it_took(inside, tmp_path, monkeypatch):
    """New rules bind promises from this build on: nobody's daily file is refused in the middle of a running pilot."""
    monkeypatch.setattr("lab.pilots.personal_data.SINCE", RULES + 1)
    done = record(inside, PILOT, write_csv(tmp_path / "all.csv", with_addresses(results(inside))))
    assert (done.exposures, done.hashed) == (600, 0)
