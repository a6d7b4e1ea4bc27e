"""Messages of a running pilot: to whom the arms say them, with their addresses, by what the gate registered."""

import csv
import json
import shutil

import pytest

from factory.delivery.pilot_messages import WRITTEN
from factory.state.room import open_factory
from lab.launch.launch import launch
from lab.pilots.pilot import get_pilot
from lab.state import open_lab
from pilotplant.app import _exit_code
from shared.trust.record import receipt_path
from tests.lab_makers import AFTER, AUDIENCE, CARD, PILOT, customers_csv, draft, stage_copy


@pytest.fixture
def loaded(request, tmp_path):
    return stage_copy(request, tmp_path / "workspace", "loaded")


@pytest.fixture
def launched(loaded):
    draft(loaded, PILOT)
    launch(loaded, PILOT)
    return loaded


def written(workspace, out, capsys, *words):
    capsys.readouterr()
    code = _exit_code(
        ["--workspace", str(workspace.root), "factory", "messages", PILOT, "--out", str(out), *words, "--json"]
    )
    found = json.loads(capsys.readouterr().out)
    rows = list(csv.DictReader(out.open(encoding="utf-8"))) if out.exists() else []
    return code, found, rows


def drawn(workspace, tmp_path):
    """Unit and arm of everybody, as the Lab says it to whoever exposes."""
    path = tmp_path / "arms.csv"
    assert _exit_code(["--workspace", str(workspace.root), "lab", "assign", PILOT, "--out", str(path)]) == 0
    return {row["unit"]: row["arm"] for row in csv.DictReader(path.open(encoding="utf-8"))}


def test_every_unit_of_an_arm_and_its_audience_gets_its_words_at_its_address(launched, tmp_path, capsys):
    code, found, rows = written(launched, tmp_path / "m.csv", capsys)
    arms = drawn(launched, tmp_path)
    assert code == 0
    assert (found["address"], found["messages"]) == ("email", len(rows))
    customers = customers_csv(tmp_path / "customers.csv")
    table = {row["customer_id"]: row for row in csv.DictReader(customers.open(encoding="utf-8"))}
    assert "recency <= 6" in AUDIENCE
    for row in rows:
        own = table[row["id"]]
        assert (row["email"], row["arm"]) == (own["email"], arms[row["unit"]])
        assert int(own["recency"]) <= 6
        assert row["subject"]
        assert row["body"]
    reached = {row["unit"] for row in rows}
    treated = [unit for unit, arm in arms.items() if arm != "control"]
    assert len(reached) == len(rows) < len(treated)
    assert sum(found["outside_audience"].values()) == len(treated) - len(rows)
    assert {arm for unit, arm in arms.items() if unit in reached} == {"letter", "card"}


def test_one_arm_alone(launched, tmp_path, capsys):
    _, found, rows = written(launched, tmp_path / "m.csv", capsys, "--arm", "card")
    assert ({row["arm"] for row in rows}, found["per_arm"].keys()) == ({"card"}, {"card"})


def test_a_bounded_sample_writes_to_nobody_else(loaded, tmp_path, capsys):
    draft(loaded, PILOT, ("units_per_arm: 150", "units_per_arm: 40, attrition: 0.1"), (CARD, ""))
    launch(loaded, PILOT)
    _, _, rows = written(loaded, tmp_path / "m.csv", capsys)
    arms = drawn(loaded, tmp_path)
    assert 0 < len(rows) < 150
    assert {row["unit"] for row in rows} <= {unit for unit, arm in arms.items() if arm == "letter"}


def test_it_is_on_record_without_a_word_of_anybody(launched, tmp_path, capsys):
    _, found, _ = written(launched, tmp_path / "m.csv", capsys)
    [entry] = [each for each in open_factory(launched).entries(PILOT) if each.kind == WRITTEN]
    assert entry.body["messages"] == found["per_arm"]
    assert "@example.com" not in json.dumps(entry.body)


@pytest.mark.parametrize(
    ("words", "told"),
    [(("--arm", "control"), "it is the control"), (("--arm", "nobody"), "says nothing"),
     (("--address", "fax"), "no personal column `fax`"), (("--address", "recency"), "no personal column `recency`")],
)  # fmt: skip
def test_what_is_not_there_is_named_and_nothing_is_written(launched, tmp_path, capsys, words, told):
    code, found, rows = written(launched, tmp_path / "m.csv", capsys, *words)
    assert (code, rows, told in found["error"]["what"]) == (2, [], True)


def test_a_draft_has_no_messages_to_send(loaded, tmp_path, capsys):
    draft(loaded, PILOT)
    code, found, _ = written(loaded, tmp_path / "m.csv", capsys)
    assert (code, "has not been launched" in found["error"]["what"]) == (2, True)


def test_after_its_end_a_pilot_says_nothing_more(launched, tmp_path, capsys):
    launched.clock.set(AFTER)
    code, found, rows = written(launched, tmp_path / "m.csv", capsys)
    assert (code, rows, "ended" in found["error"]["what"]) == (3, [], True)


def test_words_that_were_changed_after_the_launch_do_not_go_out(launched, tmp_path, capsys):
    pilot = get_pilot(open_lab(launched), PILOT)
    template = pilot.frozen_file(pilot.charter.play("letter").template)
    template.chmod(0o600)
    template.write_text("Buy everything!\n")
    code, found, rows = written(launched, tmp_path / "m.csv", capsys)
    assert (code, rows, "was changed" in found["error"]["what"]) == (3, [], True)


def test_what_the_gate_has_not_signed_does_not_go_out(launched, tmp_path, capsys):
    path = receipt_path(launched, get_pilot(open_lab(launched), PILOT).promise.digest)
    kept = tmp_path / "receipt.json"
    shutil.move(path, kept)
    code, found, rows = written(launched, tmp_path / "m.csv", capsys)
    assert (code, rows, "has signed no receipt" in found["error"]["what"]) == (3, [], True)
    shutil.copy(kept, path)
    (launched.configs / "trusted_keys" / "gate.yaml").unlink()
    code, found, rows = written(launched, tmp_path / "m.csv", capsys)
    assert (code, rows, "not signed by a gate that this Factory trusts" in found["error"]["what"]) == (3, [], True)


def test_arms_that_another_system_draws_are_said_by_that_system(loaded, tmp_path, capsys):
    draft(loaded, PILOT, ("assignment: pilotplant", "assignment: source"))
    launch(loaded, PILOT)
    code, found, rows = written(loaded, tmp_path / "m.csv", capsys)
    assert (code, rows, "assignment: source" in found["error"]["what"]) == (3, [], True)


def test_lines_of_a_message_stay_lines(launched, tmp_path, capsys):
    _, _, rows = written(launched, tmp_path / "m.csv", capsys)
    assert {row["body"] for row in rows} == {f"Dear customer from a {zone} place." for zone in
                                             {row["body"].split()[4] for row in rows}}  # fmt: skip
    code, _, _ = written(launched, tmp_path / "m.jsonl", capsys)
    lines = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text(encoding="utf-8").splitlines()]
    assert (code, [line["id"] for line in lines]) == (0, [row["id"] for row in rows])


def test_nothing_is_written_while_everything_is_stopped(launched, tmp_path, capsys):
    assert _exit_code(["--workspace", str(launched.root), "factory", "stop-all", "--reason", "wrong prices"]) == 0
    code, found, rows = written(launched, tmp_path / "m.csv", capsys)
    assert (code, rows, "everything is stopped: wrong prices" in found["error"]["what"]) == (3, [], True)
    assert _exit_code(["--workspace", str(launched.root), "factory", "resume", "--all"]) == 0
    assert written(launched, tmp_path / "m.csv", capsys)[0] == 0


@pytest.mark.parametrize("place", ["var/lab/m.csv", "pilots/m.csv", "configs/m.csv"])
def test_no_address_is_written_into_another_room(launched, capsys, place):
    code, found, rows = written(launched, launched.root / place, capsys)
    assert (code, rows, "for the Factory alone" in found["error"]["what"]) == (2, [], True)


def test_a_text_that_a_sheet_would_compute_goes_into_no_sheet(loaded, tmp_path, capsys):
    draft(loaded, PILOT, ("subject: For our {{ zip_code }} customers", "subject: =HYPERLINK(1)"), (CARD, ""))
    launch(loaded, PILOT)
    code, found, rows = written(loaded, tmp_path / "m.csv", capsys)
    assert (code, rows, "begins like a formula" in found["error"]["what"]) == (2, [], True)
    assert not list(tmp_path.glob(".m.csv*"))
    assert written(loaded, tmp_path / "m.jsonl", capsys)[0] == 0


def test_a_body_of_several_lines_is_written_as_it_will_be_sent(loaded, tmp_path, capsys):
    draft(loaded, PILOT)
    (loaded.pilots / PILOT / "message.txt").write_text(
        "Dear customer,\n\nwe are near {{ zip_code }}.\nCome, and see.\n"
    )
    launch(loaded, PILOT)
    _, _, rows = written(loaded, tmp_path / "m.csv", capsys)
    written(loaded, tmp_path / "m.jsonl", capsys)
    whole = {line["unit"]: line["body"] for line in map(json.loads, (tmp_path / "m.jsonl").read_text().splitlines())}
    assert {row["unit"]: row["body"] for row in rows} == whole
    assert {body.split("\n")[0] for body in whole.values()} == {"Dear customer,"}
    assert {len(body.split("\n")) for body in whole.values()} == {4}
