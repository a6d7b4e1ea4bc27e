"""Late reports: until the charter's `record_until`, of what happened in the time box, and never after the last look.

And pilots of which nothing ever came: they are stopped with what that taught.
"""

from __future__ import annotations

from datetime import timedelta

import duckdb
import pytest

from factory.preflight.report import preflight
from lab.analysis.analysis import analyse
from lab.analysis.submission import submit
from lab.budget.costs import record_costs
from lab.budget.spend_ledger import spend
from lab.intake.intake import record
from lab.launch.launch import end, launch
from lab.overview.portfolio import lines
from lab.overview.reminders import reminders
from lab.sandbox.sandbox import run_sql
from lab.state import open_lab
from pilotplant.app import _exit_code
from promotion.decisions.decision import decide
from promotion.decisions.draft import Asked
from promotion.queue.judgements import judge_named
from shared.core.clock import rfc3339
from shared.core.errors import BadInput, Contained, Refused
from shared.core.money import parse_amount
from shared.core.yamlfile import read_yaml
from shared.evidence.compute import compute
from shared.experiment.charter import Charter
from shared.experiment.draw import AFTER_THE_END
from tests.lab_makers import (
    AFTER,
    DEADLINE,
    ENDS,
    INSIDE,
    OWNER,
    PILOT,
    REASON,
    STARTS,
    by_arm,
    draft,
    exposures_only,
    outcomes_only,
    results,
    row,
    units,
    write_csv,
)  # fmt: skip
from tests.shared.pilot_data import EARLY, LATE, pilot_data, promised

# The time box ends on the 19th at midnight; the systems report until the 22nd.
GRACE = ("end: 2026-01-19}", "end: 2026-01-19, record_until: 2026-01-22}")
CLOSES = ENDS + timedelta(days=3)
INSIGHT = "the letters never left the printer"


@pytest.fixture
def graced(loaded):
    """A launched pilot that takes late reports for three days; it is an hour before its end."""
    draft(loaded, PILOT, GRACE)
    launch(loaded, PILOT)
    loaded.clock.set(INSIDE)
    return loaded


def put(workspace, tmp_path, rows, name="results.csv"):
    return record(workspace, PILOT, write_csv(tmp_path / name, rows))


def test_what_comes_within_the_grace_counts_like_any_other(graced, tmp_path):
    rows = results(graced)
    assert put(graced, tmp_path, rows[:300]).outcomes == 300
    graced.clock.set(CLOSES - timedelta(minutes=1))
    assert put(graced, tmp_path, rows[300:], "late.csv").outcomes == 300
    graced.clock.set(CLOSES)
    done = analyse(graced, PILOT)
    assert (done.evidence.outcomes, done.evidence.exposures, done.interim) == (600, 600, False)


@pytest.mark.parametrize("late", [timedelta(0), timedelta(hours=1), timedelta(days=2)])
def test_what_happened_after_the_end_does_not_count_when_it_comes_in_the_grace(graced, tmp_path, late):
    put(graced, tmp_path, results(graced))
    graced.clock.set(ENDS + timedelta(days=2, hours=12))
    unit = units(graced)[0]
    after = outcomes_only([row("after", unit, "control", at=rfc3339(ENDS + late), visit=1)])
    done = put(graced, tmp_path, after, "after.csv")
    assert (done.outcomes, done.conflicts) == (0, {AFTER_THE_END: 1})
    graced.clock.set(CLOSES)
    assert analyse(graced, PILOT).evidence.outcomes == 600


def test_what_goes_on_after_the_end_is_no_loss_in_one_arm_or_in_all(graced, tmp_path):
    """A report of the third day has three days of visits that are no part of the pilot, most of them the letter's."""
    rows = results(graced)
    put(graced, tmp_path, rows[:300])
    graced.clock.set(ENDS + timedelta(days=2, hours=12))
    letter = [each for each in rows if each["arm"] == "letter"]
    went_on = [
        {**each, "event_id": f"later-{number}", "at": rfc3339(ENDS + timedelta(hours=number % 60)), "visit": 1}
        for number, each in enumerate([*letter[::2], *letter[:50:2]])
    ]
    exposed_late = row("new", units(graced)[0], "control", exposed_at=rfc3339(ENDS + timedelta(hours=1)))
    put(graced, tmp_path, rows[300:], "rest.csv")
    assert put(graced, tmp_path, outcomes_only(went_on), "later.csv").conflicts == {AFTER_THE_END: len(went_on)}
    assert put(graced, tmp_path, exposures_only([exposed_late]), "exposed.csv").conflicts == {AFTER_THE_END: 1}
    [line] = [line for line in lines(open_lab(graced)) if line.name == PILOT]
    assert not any("held back" in told for told in line.health.findings)
    graced.clock.set(CLOSES + timedelta(hours=1))
    evidence = analyse(graced, PILOT).evidence
    assert evidence.completeness.losses == ()
    submit(graced, PILOT)
    [(_, judgement)] = judge_named(graced, PILOT)
    said = {one.check: one.outcome for one in judgement.findings if one.arm in {None, "letter"}}
    asked = ("losses_by_arm", "data_quality", "outages_by_arm", "time_box")
    assert {check: said[check] for check in asked} == dict.fromkeys(asked, "passed"), [
        f.reason for f in judgement.findings if f.check == "losses_by_arm"
    ]


def _shifted(workspace, arms, of):
    """A pilot without an effect: every fourth unit visits; in some arms `of` the visits have a later time."""
    rows = []
    for arm, members in by_arm(workspace).items():
        for number, unit in enumerate(members):
            visit = int(number % 4 == 0)
            at = STARTS + timedelta(days=1 + number % 12, hours=10)
            if arm in arms and visit and of(number // 12):
                at = ENDS + timedelta(hours=1 + number % 40)
            values = {"visit": visit, "conversion": visit * int(number % 8 == 0), "spend": 10.0 * visit}
            exposed = rfc3339(STARTS + timedelta(days=1 + number % 12, hours=9))
            rows.append(row(f"{arm}-{number}", unit, arm, exposed_at=exposed, at=rfc3339(at)) | values)
    return rows


@pytest.mark.parametrize(
    ("arms", "of", "caught"),
    [
        (("control",), lambda third: third % 3, True),
        (("control", "card"), lambda third: third % 3, True),
        (("control", "letter", "card"), lambda third: third % 3 == 0, False),
    ],
)
def test_outcomes_of_an_arm_that_are_stamped_after_the_end_make_no_effect(graced, tmp_path, arms, of, caught):
    """A report that has its own time in the place of the event's takes outcomes away from one arm, or from two."""
    graced.clock.set(ENDS + timedelta(days=2))
    assert AFTER_THE_END in put(graced, tmp_path, _shifted(graced, arms, of)).conflicts
    graced.clock.set(CLOSES + timedelta(hours=1))
    analyse(graced, PILOT)
    submit(graced, PILOT)
    [(_, judgement)] = judge_named(graced, PILOT)
    found = [one for one in judgement.findings if one.check == "losses_by_arm"]
    assert [one.outcome for one in found if one.arm == "letter"] == (["failed"] if caught else [])
    assert all("no longer a win" in one.reason for one in found if one.outcome == "failed")
    assert judgement.verdict_on("letter") == "refuse"


def test_rows_that_only_say_that_they_came_after_the_end_are_losses(tmp_path):
    """A reason is the Lab's word; the time beside it says whether it is true."""
    data = pilot_data(tmp_path, [("u1", "control", EARLY), ("u2", "letter", EARLY)], [("u1", LATE, 1, 1.0)])
    held = f"""SELECT 'outcomes' AS kind, 'o' || n AS event_id, 'u2' AS unit, '{AFTER_THE_END}' AS reason,
               'letter' AS arm, 'letter' AS assigned, "at", '{{"visit": 1, "spend": 9}}' AS said
               FROM (VALUES (1, '2026-01-06T00:00:00Z'), (2, '2026-03-01T00:00:00Z')) AS t(n, "at")"""
    duckdb.execute(f"COPY ({held}) TO '{data.conflicts}' (FORMAT parquet)")
    losses = compute(promised(), data).completeness.losses
    assert [(loss.what, loss.units) for loss in losses] == [(f"outcomes: {AFTER_THE_END}", {"letter": 1})]


@pytest.mark.parametrize("part", ["outcomes", "conflicts", "OUTCOMES"])
def test_while_late_data_are_taken_nobody_queries_results(graced, tmp_path, part):
    """Whoever has seen them could choose which reports still come in; the exposures tell what is missing."""
    put(graced, tmp_path, results(graced)[:300])
    query = f"SELECT count(*) FROM {part}"
    assert run_sql(graced, PILOT, query).rows is not None
    graced.clock.set(ENDS + timedelta(hours=1))
    with pytest.raises(
        Refused, match=r"takes late data until 2026-01-22 00:00 UTC .* shows no results before"
    ) as refused:
        run_sql(graced, PILOT, query)
    assert f"pilotplant lab analyse {PILOT} --final" in refused.value.remedy
    assert run_sql(graced, PILOT, "SELECT count(*) FROM exposures").rows == [[300]]
    with pytest.raises(Contained, match="nothing_of_that_name"):
        run_sql(graced, PILOT, "SELECT * FROM nothing_of_that_name")
    analyse(graced, PILOT, final=True)
    assert run_sql(graced, PILOT, query).rows is not None


def test_after_the_grace_nothing_is_taken(graced, tmp_path):
    put(graced, tmp_path, results(graced)[:300])
    graced.clock.set(CLOSES)
    with pytest.raises(Refused, match="ended at 2026-01-22 00:00 UTC and takes no more data"):
        put(graced, tmp_path, results(graced)[300:], "late.csv")


def test_without_a_grace_nothing_is_taken_after_the_end(recorded, tmp_path):
    recorded.clock.set(ENDS)
    with pytest.raises(Refused, match="ended at 2026-01-19 00:00 UTC and takes no more data"):
        put(recorded, tmp_path, results(recorded)[:2], "late.csv")


def test_nobody_sees_the_result_while_reports_may_come(graced, tmp_path):
    put(graced, tmp_path, results(graced))
    graced.clock.set(ENDS + timedelta(hours=1))
    with pytest.raises(Refused, match="takes late data until 2026-01-22") as caught:
        analyse(graced, PILOT)
    assert "--final" in caught.value.remedy


def test_the_last_look_closes_the_pilot(graced, tmp_path):
    rows = results(graced)
    put(graced, tmp_path, rows[:300])
    graced.clock.set(ENDS + timedelta(hours=1))
    assert analyse(graced, PILOT, final=True).evidence.outcomes == 300
    with pytest.raises(Refused, match=r"was analysed after its end, at 2026-01-19T01:00:00.*Z, and takes no more"):
        put(graced, tmp_path, rows[300:], "late.csv")
    # What was held back before may not come to count either.
    assert analyse(graced, PILOT, final=True).repeated


def test_the_command_takes_the_option_and_says_what_to_do_without_it(graced, tmp_path, capsys):
    put(graced, tmp_path, results(graced))
    graced.clock.set(ENDS + timedelta(hours=1))
    here = ["--workspace", str(graced.root), "lab", "analyse", PILOT]
    assert _exit_code(here) == Refused.exit_code
    assert "lab analyse spring-mail --final" in " ".join(capsys.readouterr().err.split())
    assert _exit_code([*here, "--final"]) == 0


def test_an_amendment_and_new_costs_keep_to_their_own_ends(graced, tmp_path):
    """Bills come late as well; a charter is not amended once its time box is over."""
    put(graced, tmp_path, results(graced))
    graced.clock.set(ENDS + timedelta(days=1))
    spend(graced, PILOT, parse_amount("12.00"), "stamps")
    bill = tmp_path / "costs.csv"
    bill.write_text("event_id,amount,purpose\nb1,3.00,paper\n")
    assert record_costs(graced, PILOT, bill).accepted == 1
    graced.clock.set(CLOSES)
    with pytest.raises(Refused):
        spend(graced, PILOT, parse_amount("12.00"), "paper")


def test_a_candidate_with_late_reports_is_judged_like_any_other(graced, tmp_path):
    rows = results(graced)
    put(graced, tmp_path, rows[:300])
    graced.clock.set(ENDS + timedelta(days=1))
    put(graced, tmp_path, rows[300:], "late.csv")
    graced.clock.set(CLOSES + timedelta(hours=1))
    analyse(graced, PILOT)
    submit(graced, PILOT)
    [(_, judgement)] = judge_named(graced, PILOT)
    said = {one.check: one.outcome for one in judgement.findings if one.arm in {None, "letter"}}
    asked = ("candidate_sealed", "time_box", "evidence_recomputed", "times_in_order", "primary_effect", "data_quality")
    assert {check: said[check] for check in asked} == dict.fromkeys(asked, "passed"), [
        f.reason for f in judgement.findings if f.check == "losses_by_arm"
    ]


@pytest.mark.parametrize(
    ("until", "told"),
    [("2026-01-18", "is before the time box ends"), ("2026-01-28", "is before `record_until`"), ("soon", "date")],
)
def test_a_grace_that_cannot_be_is_refused_when_the_charter_is_read(loaded, until, told):
    draft(loaded, PILOT, (GRACE[0], GRACE[1].replace("2026-01-22", until)))
    with pytest.raises(BadInput) as caught:
        launch(loaded, PILOT)
    assert told in f"{caught.value}"


def test_a_pilot_without_data_that_is_over_is_stopped_with_what_it_taught(launched):
    launched.clock.set(AFTER)
    done = analyse(launched, PILOT)
    assert (done.evidence.exposures, done.interim) == (0, False)
    assert all(effect.estimate is None for effect in done.evidence.effects)
    submit(launched, PILOT)
    stopped = decide(launched, PILOT, Asked("stop", OWNER, REASON, insight=INSIGHT))
    assert stopped.decision.insight == INSIGHT
    [line] = [line for line in lines(open_lab(launched)) if line.name == PILOT]
    assert line.state == "decided"


def test_nothing_at_all_is_never_scaled(launched):
    launched.clock.set(AFTER)
    analyse(launched, PILOT)
    submit(launched, PILOT)
    [(_, judgement)] = judge_named(launched, PILOT)
    assert judgement.verdict != "admit"


@pytest.mark.parametrize("days", [1, 9])
def test_a_pilot_that_is_closed_early_without_data_is_stopped_at_once(launched, days):
    launched.clock.set(DEADLINE - timedelta(days=22 - days))
    with pytest.raises(Refused, match="has no exposures yet") as caught:
        analyse(launched, PILOT)
    assert f"pilotplant lab end {PILOT}" in caught.value.remedy
    end(launched, PILOT, REASON)
    analyse(launched, PILOT)
    submit(launched, PILOT)
    assert decide(launched, PILOT, Asked("stop", OWNER, REASON, insight=INSIGHT)).decision.word == "stop"


def test_nothing_is_a_result_as_well_once_nothing_more_may_come(graced, tmp_path):
    graced.clock.set(ENDS + timedelta(hours=1))
    with pytest.raises(Refused, match="takes late data until"):
        analyse(graced, PILOT)
    assert analyse(graced, PILOT, final=True).evidence.exposures == 0
    with pytest.raises(Refused, match="takes no more data"):
        put(graced, tmp_path, results(graced))


@pytest.mark.parametrize("before", [timedelta(seconds=1), timedelta(days=3)])
def test_no_look_before_the_end_is_the_last_one(graced, tmp_path, before):
    put(graced, tmp_path, results(graced)[:30])
    graced.clock.set(ENDS - before)
    with pytest.raises(Refused, match="no look before that is the last one"):
        analyse(graced, PILOT, final=True)
    assert put(graced, tmp_path, results(graced)[30:60], "more.csv").outcomes > 0


def test_a_look_that_was_cut_off_after_it_may_have_been_seen_closes_the_pilot(graced, tmp_path, monkeypatch):
    rows = results(graced)
    put(graced, tmp_path, rows[:300])
    graced.clock.set(ENDS + timedelta(hours=1))
    monkeypatch.setattr("lab.analysis.analysis._remember", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        analyse(graced, PILOT, final=True)
    monkeypatch.undo()
    with pytest.raises(Refused, match="takes no more data"):
        put(graced, tmp_path, rows[300:], "late.csv")
    # Who was cut off need not say `--final` again.
    assert analyse(graced, PILOT).evidence.outcomes == 300


def test_reminders_speak_of_late_reports_until_they_are_no_longer_taken(graced, tmp_path):
    put(graced, tmp_path, results(graced)[:300])

    def told():
        return [each.what for each in reminders(lines(open_lab(graced)), 2, graced.clock.now())]

    graced.clock.set(ENDS + timedelta(hours=1))
    assert told() == ["record what is late: it is taken until 2026-01-22 00:00 UTC"]
    graced.clock.set(CLOSES)
    assert told() == ["analyse and submit: no decision by then is *stop*"]


@pytest.mark.parametrize("word", ["revise", "scale"])
def test_a_successor_has_the_same_grace_as_many_days_later(graced, tmp_path, word):
    put(graced, tmp_path, results(graced))
    graced.clock.set(CLOSES + timedelta(hours=10))
    analyse(graced, PILOT)
    submit(graced, PILOT)
    preflight(graced, PILOT)
    asked = {"arm": "letter", "revise": True} if word == "scale" else {}
    done = decide(graced, PILOT, Asked(word, OWNER, REASON, **asked))
    box = read_yaml(graced.pilots / str(done.decision.successor) / "charter.yaml", Charter).time_box
    assert (str(box.start), str(box.end), str(box.record_until)) == ("2026-01-23", "2026-02-06", "2026-02-09")
