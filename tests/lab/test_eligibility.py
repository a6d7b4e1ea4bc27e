"""Who may take part: one SELECT of the charter, which a play's audience may share, and a list frozen at the launch."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from fractions import Fraction

import duckdb
import pytest
from pydantic import ValidationError

from factory.warehouse.load import load
from factory.warehouse.snapshots import publish
from lab.analysis.analysis import analyse
from lab.analysis.submission import submit
from lab.charters.drafts import check
from lab.intake.intake import record
from lab.launch.amendment import amend
from lab.launch.launch import launch
from lab.pilots import eligibility
from lab.pilots.assignment import assign
from lab.pilots.pilot import get_pilot
from lab.pilots.promise import freeze
from lab.pilots.sample import sampled_frac
from lab.state import open_lab
from lab.synthetic.synthetic import synthesise
from pilotplant import app
from promotion.queue.judgements import judge_named
from shared.core.errors import BadInput, Contained, Refused
from shared.data.snapshot import latest_snapshot
from shared.doors.requests import Register
from shared.engines.placement import place
from shared.engines.protocol import PilotData
from shared.engines.uncaused import uncaused
from shared.experiment.charter import Promise
from shared.experiment.draw import redrawn
from shared.experiment.eligibility import ELIGIBLE
from tests.lab_makers import (
    AFTER,
    CARD,
    INSIDE,
    OWNER,
    PILOT,
    customers_csv,
    door_fails,
    draft,
    outcomes_only,
    row,
    units,
    write_csv,
)

FEWER = ("units_per_arm: 150", "units_per_arm: 100")
SHARED = ("population: customers", "population: customers\neligible: audience.sql")
REASON = "the plan was made for fewer customers"


def played(workspace, out):
    """Exposes everybody in their arm until the pilot is over; returns the arms."""
    _, arms = arms_of(workspace, out)
    workspace.clock.set(INSIDE)
    rows = [row(f"e{n}", unit, arm) for n, (unit, arm) in enumerate(arms.items())]
    record(workspace, PILOT, write_csv(out / "results.csv", rows))
    workspace.clock.set(AFTER)
    return arms


@pytest.fixture
def drafted(loaded):
    """A workspace whose draft takes only those whom its play's own audience selects."""
    draft(loaded, PILOT, SHARED, FEWER, (CARD, ""))
    return loaded


@pytest.fixture
def launched(drafted):
    launch(drafted, PILOT)
    return drafted


def recent(workspace):
    """Whom the audience selects, asked of the snapshot without the box."""
    path = latest_snapshot(workspace).table("customers")
    return {unit for (unit,) in duckdb.execute(f"SELECT customer_id FROM '{path}' WHERE recency <= 6").fetchall()}


def arms_of(workspace, out, *more):
    done = assign(workspace, PILOT, out / "arms.csv", *more)
    with (out / "arms.csv").open(newline="") as stream:
        return done, {line["unit"]: line["arm"] for line in csv.DictReader(stream)}


def test_only_they_get_an_arm_and_all_of_them_do(launched, tmp_path):
    done, arms = arms_of(launched, tmp_path)
    draw = get_pilot(open_lab(launched), PILOT).draw(launched)
    assert 0 < len(recent(launched)) < len(units(launched))
    assert arms == {unit: draw.arm(unit) for unit in recent(launched)}
    assert done.left_out == {"not eligible": len(units(launched)) - len(arms)}


def test_of_units_that_a_file_names_those_who_are_not_eligible_are_left_out(launched, tmp_path):
    some = units(launched)[:50]
    done, arms = arms_of(launched, tmp_path, write_csv(tmp_path / "some.csv", [{"unit": unit} for unit in some]))
    assert set(arms) == recent(launched) & set(some)
    assert done.left_out == {"not eligible": len(set(some) - recent(launched))}


def test_the_check_counts_on_nobody_else_and_does_not_warn_of_another_audience(drafted):
    found = check(drafted, PILOT)
    assert found.forecast.sample.population == found.forecast.sample.available == len(recent(drafted))
    assert not [note for note in found.notes if "audience_tested" in note]


def test_a_plan_for_more_than_are_eligible_does_not_launch(loaded):
    draft(loaded, PILOT, SHARED, ("units_per_arm: 150", "units_per_arm: 151"), (CARD, ""))
    assert len(recent(loaded)) == 300
    [problem] = check(loaded, PILOT).problems
    assert problem.what == "the plan needs 151 units per arm, and the smallest can get 150"


def test_a_bounded_sample_is_a_share_of_them(loaded):
    draft(loaded, PILOT, SHARED, ("units_per_arm: 150", "units_per_arm: 40, attrition: 0.1"), (CARD, ""))
    promise = freeze(loaded, PILOT).promise
    assert promise.sampled_frac == sampled_frac(promise.charter, float(Fraction(len(recent(loaded)))), 1.0)


def test_what_was_expected_of_a_metric_is_read_from_them_alone(loaded):
    metrics = loaded.configs / "metrics.yaml"
    metrics.write_text(metrics.read_text().replace("    column: spend\n", "    column: spend\n    history: history\n"))
    draft(loaded, PILOT, SHARED, FEWER, (CARD, ""))
    path = latest_snapshot(loaded).table("customers")
    query = f"SELECT avg(history), stddev_samp(history) FROM '{path}' WHERE recency <= 6"
    [spend] = [each for each in check(loaded, PILOT).forecast.metric_powers if each.metric == "spend"]
    mean, sd = duckdb.execute(query).fetchone()
    assert (spend.as_json()["mean"], spend.as_json()["sd"]) == (pytest.approx(mean), pytest.approx(sd))


def test_an_exposure_of_anybody_else_is_held_back_with_its_unit(launched, tmp_path):
    stranger = next(unit for unit in units(launched) if unit not in recent(launched))
    known = next(iter(sorted(recent(launched))))
    arm = get_pilot(open_lab(launched), PILOT).draw(launched).arm(known)
    launched.clock.set(INSIDE)
    rows = [row("e1", stranger, "control"), row("e2", known, arm)]
    done = record(launched, PILOT, write_csv(tmp_path / "results.csv", rows))
    assert (done.exposures, done.conflicts["not eligible"]) == (1, 1)


def test_the_gate_takes_such_a_pilot_like_any_other(launched, tmp_path):
    played(launched, tmp_path)
    analyse(launched, PILOT)
    submit(launched, PILOT)
    [(_, judgement)] = judge_named(launched, PILOT)
    found = {finding.check: finding.outcome for finding in judgement.findings}
    asked = ("charter_frozen", "randomised", "units_assigned", "sample_planned", "losses_by_arm")
    assert {name: found[name] for name in asked} == dict.fromkeys(asked, "passed")


def test_the_list_is_sealed_and_another_one_is_found(launched, tmp_path):
    played(launched, tmp_path)
    data = analyse(launched, PILOT).folder / "data"
    found = duckdb.execute(f"SELECT unit FROM '{data / ELIGIBLE}'").fetchall()
    assert {unit for (unit,) in found} == recent(launched)
    pilot = get_pilot(open_lab(launched), PILOT)
    draw = pilot.draw(launched)
    assert place(PilotData.in_folder(data), draw, pilot.charter).outside == {"not eligible": 0}
    # Ten who were exposed are on the sealed list no more.
    fewer = [unit for (unit,) in found][10:]
    duckdb.execute(f"COPY (SELECT unnest({fewer!r}) AS unit) TO '{data / ELIGIBLE}' (FORMAT parquet)")
    assert place(PilotData.in_folder(data), draw, pilot.charter).outside == {"not eligible": 10}


def test_outcomes_of_others_do_not_drown_what_became_of_the_unexposed(launched, tmp_path):
    """As an adversary tried: exposures of visitors of one arm are left out, among the outcomes of all customers."""
    _, arms = arms_of(launched, tmp_path)
    hidden = [unit for unit, arm in arms.items() if arm == "control"][:20]
    launched.clock.set(INSIDE)
    rows = [row(f"e{n}", unit, arm) for n, (unit, arm) in enumerate(arms.items()) if unit not in hidden]
    record(launched, PILOT, write_csv(tmp_path / "r.csv", rows))
    others = [unit for unit in units(launched) if unit not in arms]
    visits = [row(f"v{n}", unit, "", visit=1) for n, unit in enumerate([*hidden, *others])]
    record(launched, PILOT, write_csv(tmp_path / "o.csv", outcomes_only(visits)))
    launched.clock.set(AFTER)
    data = PilotData.in_folder(analyse(launched, PILOT).folder / "data")
    pilot = get_pilot(open_lab(launched), PILOT)
    asked = (pilot.draw(launched), {"visit": pilot.promise.metrics["visit"]})
    assert uncaused(data, *asked).unexposed.units == {"control": len(hidden)}
    everybody = uncaused(replace(data, eligible=None), *asked).unexposed.units
    assert sum(everybody.values()) == len(hidden) + len(others)


@pytest.mark.parametrize("cut", ["the same day", "another snapshot"])
def test_a_launch_that_was_cut_off_goes_on_with_the_list_that_was_registered(drafted, cut):
    with door_fails(Register, KeyboardInterrupt(), answered=True), pytest.raises(KeyboardInterrupt):
        launch(drafted, PILOT)
    registered = json.loads((drafted.lab / "pilots" / PILOT / "frozen" / "promise.json").read_text())["eligible"]
    # As if the SELECT asked for a date: it selects others now.
    frozen = drafted.lab / "pilots" / PILOT / "frozen" / ELIGIBLE
    shutil.rmtree(drafted.lab / "eligible")
    before = select_others(drafted) if cut == "another snapshot" else None
    if before is not None:
        with pytest.raises(Refused, match="another draw"):
            launch(drafted, PILOT)
        return
    assert frozen.exists()
    assert launch(drafted, PILOT).pilot.promise.eligible.digest == registered["digest"]
    assert not (drafted.lab / "eligible" / PILOT).exists()


def select_others(workspace):
    """Publishes a table of which fewer customers are eligible."""
    rows = list(csv.DictReader(customers_csv(workspace.root.parent / "c.csv").open(newline="")))
    for line in rows[:100]:
        line["recency"] = "9"
    load(workspace, "customers", write_csv(workspace.root.parent / "later.csv", rows))
    publish(workspace)
    return len(rows)


def test_a_launch_again_does_not_ask_the_select_again(launched):
    select_others(launched)
    first = get_pilot(open_lab(launched), PILOT).promise
    done = launch(launched, PILOT)
    assert (done.repeated, done.pilot.promise.digest) == (True, first.digest)
    assert check(launched, PILOT).forecast.sample.population == first.eligible.units


def test_a_select_that_is_changed_while_it_runs_is_not_the_one_that_is_frozen(drafted, monkeypatch):
    path = drafted.pilots / PILOT / "audience.sql"
    ran = eligibility.select

    def and_edited(*words, **more):
        found = ran(*words, **more)
        path.write_text(path.read_text().replace("<= 6", "<= 7"))
        return found

    monkeypatch.setattr(eligibility, "select", and_edited)
    with pytest.raises(BadInput, match=r"audience\.sql that was shown to the gate is not the one that was promised"):
        launch(drafted, PILOT)


def test_a_wider_audience_than_was_eligible_is_told_before_the_launch(loaded):
    draft(loaded, PILOT, ("population: customers", "population: customers\neligible: who.sql"), FEWER, (CARD, ""))
    (loaded.pilots / PILOT / "who.sql").write_text("SELECT customer_id AS unit FROM customers WHERE recency <= 4")
    selected = freeze(loaded, PILOT).promise.eligible.units
    [note] = [note for note in check(loaded, PILOT).notes if "audience_tested" in note]
    assert f"selects 300 units, and {selected} are eligible" in note


def test_a_play_for_others_than_those_who_are_eligible_is_told_though_it_is_as_large(loaded):
    """Sizes alone would not tell: an audience of as many, of whom few may take part."""
    draft(loaded, PILOT, ("population: customers", "population: customers\neligible: who.sql"), FEWER, (CARD, ""))
    (loaded.pilots / PILOT / "who.sql").write_text("SELECT customer_id AS unit FROM customers WHERE recency > 6")
    [note] = [note for note in check(loaded, PILOT).notes if "audience_tested" in note]
    assert "selects 0 of them today" in note


@pytest.mark.parametrize("without", ["eligible", "files"])
def test_a_promise_has_the_select_and_its_list_or_neither(launched, without):
    content = get_pilot(open_lab(launched), PILOT).promise.as_json()
    if without == "eligible":
        del content["eligible"]
    else:
        del content["files"]["audience.sql"]
    with pytest.raises(ValidationError, match="promised with its SELECT, and with their list"):
        Promise.model_validate(content)


@pytest.mark.check
def test_a_successor_takes_the_select_along(loaded, tmp_path):
    draft(loaded, PILOT, (SHARED[0], "population: customers\neligible: who.sql"), FEWER, (CARD, ""))
    sql = "SELECT customer_id AS unit FROM customers WHERE recency <= 6"
    (loaded.pilots / PILOT / "who.sql").write_text(sql)
    launch(loaded, PILOT)
    arms = played(loaded, tmp_path)
    analyse(loaded, PILOT)
    submit(loaded, PILOT)
    words = ["promote", "decide", PILOT, "revise", "--as", OWNER, "--reason", "a shorter letter to the same customers"]
    assert app._exit_code(["--workspace", str(loaded.root), *words]) == 0
    assert freeze(loaded, f"{PILOT}-2").promise.eligible.units == len(arms)
    assert (loaded.pilots / f"{PILOT}-2" / "who.sql").read_text() == sql


def test_all_else_is_amended_and_the_list_stays(launched, tmp_path):
    _, before = arms_of(launched, tmp_path)
    draft(launched, PILOT, SHARED, FEWER, (CARD, ""), ("will: bring visits", "will: bring more visits"))
    amend(launched, PILOT, REASON)
    pilot = get_pilot(open_lab(launched), PILOT)
    assert (pilot.promise.version, pilot.promise.eligible.units) == (2, len(before))
    assert arms_of(launched, tmp_path)[1] == before


@pytest.mark.parametrize("change", ["another SELECT", "none", "one where there was none"])
def test_who_is_eligible_is_not_amended_once_the_draw_is_known(loaded, change):
    after = () if change == "none" else (SHARED,)
    draft(loaded, PILOT, *(() if change == "one where there was none" else (SHARED,)), FEWER, (CARD, ""))
    launch(loaded, PILOT)
    draft(loaded, PILOT, *after, FEWER, (CARD, ""))
    if change == "another SELECT":
        path = loaded.pilots / PILOT / "audience.sql"
        path.write_text(path.read_text().replace("<= 6", "<= 7"))
    with pytest.raises(Refused, match=r"draw anew: eligible"):
        amend(loaded, PILOT, REASON)


def test_a_launch_that_was_cut_off_does_not_go_on_with_other_units(launched):
    """Whoever knows the nonce could else choose the units by their arms: the SELECT may ask for today's date."""
    promise = get_pilot(open_lab(launched), PILOT).promise
    other = promise.model_copy(
        update={"eligible": promise.eligible.model_copy(update={"digest": "sha256:" + "0" * 64})}
    )
    assert redrawn(promise, other) == ["eligible"]


def test_a_list_that_was_changed_is_refused_wherever_it_is_read(launched, tmp_path):
    path = get_pilot(open_lab(launched), PILOT).frozen / ELIGIBLE
    stranger = next(unit for unit in units(launched) if unit not in recent(launched))
    duckdb.execute(f"COPY (SELECT '{stranger}' AS unit) TO '{path}' (FORMAT parquet)")
    with pytest.raises(Refused, match="the list of who is eligible was changed"):
        assign(launched, PILOT, tmp_path / "arms.csv")
    launched.clock.set(INSIDE)
    with pytest.raises(Refused, match="the list of who is eligible was changed"):
        record(launched, PILOT, write_csv(tmp_path / "r.csv", [row("e1", stranger, "control")]))
    words = ["factory", "messages", PILOT, "--out", str(tmp_path / "messages.csv")]
    assert app._exit_code(["--workspace", str(launched.root), *words]) == 3
    assert not (tmp_path / "messages.csv").exists()


@pytest.mark.parametrize(
    ("sql", "error", "said"),
    [
        ("SELECT customer_id AS unit FROM customers WHERE recency < 0", Refused, "`eligible: who.sql` selects nobody"),
        ("SELECT 'nobody' AS unit", BadInput, "`eligible: who.sql` selects 1 unit not of table `customers`"),
        ("DROP TABLE customers", Contained, "exactly one SELECT"),
        ("SELECT customer_id AS unit FROM customers WHERE random() < 0.5", Contained, "random"),
        ("SELECT customer_id AS unit FROM customers USING SAMPLE 10%", Contained, "draws rows by chance"),
        ("SELECT customer_id AS unit FROM customers TABLESAMPLE reservoir(9)", Contained, "draws rows by chance"),
    ],
)
def test_a_select_that_names_no_units_is_refused_by_check_and_launch(loaded, sql, error, said):
    draft(loaded, PILOT, ("population: customers", "population: customers\neligible: who.sql"), FEWER, (CARD, ""))
    (loaded.pilots / PILOT / "who.sql").write_text(sql)
    for command in (lambda: check(loaded, PILOT), lambda: launch(loaded, PILOT)):
        with pytest.raises(error, match=said):
            command()


def test_a_select_that_is_not_there_is_named(loaded):
    draft(loaded, PILOT, ("population: customers", "population: customers\neligible: who.sql"), (CARD, ""))
    with pytest.raises(BadInput) as caught:
        launch(loaded, PILOT)
    assert "who.sql" in caught.value.where


def test_messages_are_written_to_nobody_else(launched, tmp_path, capsys):
    _, arms = arms_of(launched, tmp_path)
    capsys.readouterr()
    out = tmp_path / "messages.csv"
    words = ["factory", "messages", PILOT, "--out", str(out), "--json"]
    assert app._exit_code(["--workspace", str(launched.root), *words]) == 0
    assert json.loads(capsys.readouterr().out)["messages"] == sum(arm == "letter" for arm in arms.values())
    with out.open(newline="", encoding="utf-8") as stream:
        assert {line["unit"] for line in csv.DictReader(stream)} == {u for u, arm in arms.items() if arm == "letter"}


@pytest.mark.parametrize("assignment", ["pilotplant", "source"])
def test_made_up_results_are_of_them_alone(loaded, tmp_path, assignment):
    assumed = (
        "sample: {",
        "sample: {assume: {visit: {mean: 0.2}, spend: {mean: 5, sd: 10}, conversion: {mean: 0.1}}, ",
    )
    draft(loaded, PILOT, (SHARED[0], SHARED[1] + "\nsynthetic: true"), FEWER, (CARD, ""), assumed,
          ("assignment: pilotplant", f"assignment: {assignment}"))  # fmt: skip
    launch(loaded, PILOT)
    synthesise(loaded, PILOT, tmp_path / "made-up.csv")
    with (tmp_path / "made-up.csv").open(newline="") as stream:
        assert {line["unit"] for line in csv.DictReader(stream)} == recent(loaded)
    too_many = len(recent(loaded)) + 1
    with pytest.raises(BadInput, match="cannot be drawn"):
        synthesise(loaded, PILOT, tmp_path / "more.csv", units=too_many)
