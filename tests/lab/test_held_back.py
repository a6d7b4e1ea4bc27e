"""What a row that is held back said is kept beside why, so that nobody has to guess what was lost."""

from __future__ import annotations

import json
from functools import partial

import duckdb
import pytest

from lab.analysis.analysis import analyse
from lab.intake.intake import parts, record
from lab.launch import launch as launching
from lab.launch.launch import launch
from lab.pilots.assignment import assign
from lab.pilots.pilot import get_pilot
from lab.pilots.promise import freeze
from lab.state import open_lab
from shared.experiment.draw import AFTER_ENROLMENT
from tests.lab_makers import CARD, INSIDE, PILOT, draft, exposures_only, outcomes_only, results, write_csv

OUTSIDE = "2025-01-07T09:00:00Z"


@pytest.fixture
def inside(launched):
    """An hour before the end."""
    launched.clock.set(INSIDE)
    return launched


def held(workspace, columns='kind, reason, arm, assigned, "at", said'):
    room = open_lab(workspace)
    [path] = parts(room, get_pilot(room, PILOT), "conflicts")
    return duckdb.execute(f"SELECT {columns} FROM '{path}' ORDER BY event_id, kind").fetchall()


def test_a_combined_row_keeps_its_arm_its_time_and_its_values(inside, tmp_path):
    [line] = [line for line in results(inside) if line["event_id"] == "letter-0"]
    record(inside, PILOT, write_csv(tmp_path / "one.csv", [line | {"at": OUTSIDE}]))
    [(kind, reason, arm, assigned, at, said)] = held(inside)
    assert (kind, reason, arm, assigned) == ("outcomes", "outside the time box", "letter", "letter")
    assert at == "2025-01-07 09:00:00+00"
    assert json.loads(said) == {"visit": "1", "conversion": "1", "spend": "10.0"}


def test_an_exposure_in_another_arm_keeps_both_the_one_it_names_and_the_one_that_was_drawn(inside, tmp_path):
    [line] = [line for line in exposures_only(results(inside)) if line["event_id"] == "letter-0"]
    record(inside, PILOT, write_csv(tmp_path / "one.csv", [line | {"arm": "card"}]))
    assert held(inside, "kind, arm, assigned, said") == [("exposures", "card", "letter", None)]


def test_an_outcome_without_an_arm_has_the_one_that_was_drawn(inside, tmp_path):
    record(inside, PILOT, write_csv(tmp_path / "exposures.csv", exposures_only(results(inside))[:1]))
    [line] = outcomes_only(results(inside)[:1])
    write_csv(tmp_path / "one.csv", [line | {"visit": 7}])
    record(inside, PILOT, tmp_path / "one.csv")
    room = open_lab(inside)
    path = parts(room, get_pilot(room, PILOT), "conflicts")[-1]
    [(arm, assigned, said)] = duckdb.execute(f"SELECT arm, assigned, said FROM '{path}'").fetchall()
    assert (arm, assigned, json.loads(said)["visit"]) == (None, results(inside)[0]["arm"], "7")


def test_what_cannot_be_read_is_not_kept_and_no_more_is_an_arm_that_is_none(inside, tmp_path):
    """It may be anything, like a name in the wrong column; an address would already be refused."""
    [line] = results(inside)[:1]
    line |= {"arm": "Planted One", "at": "Planted Two", "spend": "Planted Three"}
    record(inside, PILOT, write_csv(tmp_path / "one.csv", [line]))
    assert "Planted" not in repr(held(inside, "*"))
    assert json.loads(held(inside, "said")[-1][0])["spend"] is None


def test_of_an_unknown_unit_the_arm_is_kept_and_the_id_is_not(inside, tmp_path):
    [line] = exposures_only(results(inside))[:1]
    record(inside, PILOT, write_csv(tmp_path / "one.csv", [line | {"unit": "C000001"}]))
    assert held(inside, "unit, arm, assigned") == [(None, line["arm"], None)]


def test_what_was_lost_is_told_by_arm_in_the_evidence_and_on_the_report(inside, tmp_path):
    """Ten of the control's outcomes are late: they are counted in, and told."""
    content = results(inside)
    late = [line | {"at": OUTSIDE} if line["arm"] == "control" and int(line["event_id"][8:]) < 10 else line
            for line in content]  # fmt: skip
    record(inside, PILOT, write_csv(tmp_path / "all.csv", late))
    found = analyse(inside, PILOT)
    told = found.evidence.completeness
    assert [(loss.what, loss.units) for loss in told.losses] == [("outcomes: outside the time box", {"control": 10})]
    assert sum(told.assigned.values()) == 600
    [whole] = [effect for effect in told.everything if (effect.arm, effect.metric) == ("letter", "visit")]
    arms = {arm: [line["visit"] for line in content if line["arm"] == arm] for arm in ("control", "letter")}
    letter, control = (sum(visits) / len(visits) for visits in (arms["letter"], arms["control"]))
    assert whole.estimate == pytest.approx(letter - control)
    page = found.report.read_text()
    assert "Did not count (outcomes: outside the time box): control 10." in page
    assert "Arm by arm" in page


def test_under_the_rules_of_an_earlier_build_only_the_reason_is_sealed(loaded, tmp_path, monkeypatch):
    monkeypatch.setattr(launching, "freeze", partial(freeze, rules=1))
    monkeypatch.setattr("promotion.registry.register.RULES", 1)
    launch(loaded, PILOT)
    loaded.clock.set(INSIDE)
    assign(loaded, PILOT, tmp_path / "arms.parquet")
    drawn = dict(duckdb.execute(f"SELECT unit, arm FROM '{tmp_path / 'arms.parquet'}'").fetchall())
    content = [line | {"arm": drawn[line["unit"]]} for line in results(loaded)]
    record(loaded, PILOT, write_csv(tmp_path / "all.csv", [content[0] | {"visit": 7}, *content[1:]]))
    found = analyse(loaded, PILOT)
    path = found.folder / "data" / "conflicts.parquet"
    columns = [name for name, *_ in duckdb.execute(f"DESCRIBE FROM '{path}'").fetchall()]
    assert columns == ["kind", "event_id", "unit", "reason"]
    assert (found.evidence.schema_version, "completeness" in found.evidence.as_json()) == (2, False)


ENROLLING = ("end: 2026-01-19}", "end: 2026-01-19, enrol_until: 2026-01-12}")


def test_after_the_enrolment_no_unit_begins_and_one_that_had_begun_may_go_on(loaded, tmp_path):
    draft(loaded, PILOT, (CARD, ""), ENROLLING)
    launch(loaded, PILOT)
    loaded.clock.set(INSIDE)
    [one, other] = [line for line in exposures_only(results(loaded)) if line["event_id"] in {"control-1", "control-2"}]
    assign(loaded, PILOT, tmp_path / "arms.parquet")
    drawn = dict(duckdb.execute(f"SELECT unit, arm FROM '{tmp_path / 'arms.parquet'}'").fetchall())
    rows = [
        one | {"arm": drawn[one["unit"]], "at": "2026-01-11T23:59:59Z", "event_id": "begins"},
        one | {"arm": drawn[one["unit"]], "at": "2026-01-14T09:00:00Z", "event_id": "again"},
        other | {"arm": drawn[other["unit"]], "at": "2026-01-12T00:00:00Z", "event_id": "late"},
    ]
    done = record(loaded, PILOT, write_csv(tmp_path / "exposures.csv", rows))
    assert (done.exposures, done.conflicts) == (2, {AFTER_ENROLMENT: 1})


def test_who_went_on_after_the_enrolment_counts_once_the_file_comes_again_after_its_beginning(loaded, tmp_path):
    draft(loaded, PILOT, (CARD, ""), ENROLLING)
    launch(loaded, PILOT)
    loaded.clock.set(INSIDE)
    assign(loaded, PILOT, tmp_path / "arms.parquet")
    [(unit, arm)] = duckdb.execute(f"SELECT unit, arm FROM '{tmp_path / 'arms.parquet'}' LIMIT 1").fetchall()
    begins, goes_on = (
        {"event_id": event, "unit": unit, "arm": arm, "at": at}
        for event, at in (("begins", "2026-01-11T23:59:59Z"), ("goes-on", "2026-01-14T09:00:00Z"))
    )
    file = write_csv(tmp_path / "second.csv", [goes_on])
    assert record(loaded, PILOT, file).conflicts == {AFTER_ENROLMENT: 1}
    record(loaded, PILOT, write_csv(tmp_path / "first.csv", [begins]))
    again = record(loaded, PILOT, file)
    assert (again.repeated, again.exposures, again.conflicts) == (False, 1, {})
