"""What was lost of one arm makes no effect: as it was found, and as it might be done otherwise."""

from __future__ import annotations

import duckdb
import pytest
from scipy.stats import binomtest, mannwhitneyu

from promotion.gate.checks.data.data_quality import DataQualityRule
from promotion.registry.nonces import drawn_nonce
from shared.engines.protocol import EARLY
from shared.experiment.draw import AFTER_ENROLMENT, HELD_OUT, Draw
from tests.promotion.cases import GOOD, Recorded
from tests.promotion.held_back import NUMBER, held_back

# Of 6,400 customers in each arm 640 visit, whatever they were sent: 25,600 rows, of which 243 are 0.95 %.
NOTHING = {"control": Recorded(6_400, 640), "letter": Recorded(6_400, 640)}
LARGE = {"sample": {"units_per_arm": 6_000}, "primary": {"metric": "visit", "minimum_effect": 0.02}}
CONVERSIONS = f"starts_with(unit, 'control') AND {NUMBER} < 243"
# And of 800 in each arm 80.
FEW = {"control": Recorded(800, 80), "letter": Recorded(800, 80)}
SOME = f"starts_with(unit, 'control') AND {NUMBER} < 40"
# A tenth of each arm spends 5, and its last 127 (0.99 % of all customers) 60.
SPENDERS = {arm: Recorded(6_400, 640, (5.0,) * 640 + (0.0,) * 5_633 + (60.0,) * 127) for arm in NOTHING}
TOP = f"arm = 'control' AND {NUMBER} >= 6273"
SPEND = {
    "sample": {"units_per_arm": 6_000},
    "primary": {"metric": "spend", "minimum_effect": 0.2},
    "guardrails": [{"metric": "visit", "margin": -0.05}],
}
SMALL = f"{NUMBER} < 12 AND starts_with(unit, '{{}}')"


def p_of(units):
    """That all of so many are one arm's of two, by scipy."""
    return binomtest(units, units, 0.5).pvalue


def by_number(found):
    return next(each for each in found if each.arm is None)


def by_effect(found):
    return next(each for each in found if each.arm == "letter")


def test_the_controls_243_conversions_that_were_held_back_make_no_effect(stage, ask):
    """0.95 % of the rows: too few for the bound on their share, and 3.8 points of visits."""
    case = stage.case(
        charter=LARGE, recorded=held_back({"which": CONVERSIONS, "reason": "visit must be at most 1"}, arms=NOTHING)
    )
    assert ask("primary_effect", case)[0].outcome == "passed"
    assert 243 / (case.evidence.exposures + case.evidence.outcomes + 243) < DataQualityRule().held_back_frac_max
    found = ask("losses_by_arm", case)
    lost = by_number(found).measured["outcomes: visit must be at most 1"]
    assert (by_number(found).outcome, lost["units"]) == ("failed", {"control": 243})
    assert lost["p"] == pytest.approx(p_of(243))
    # With its 640 visits each arm shows the same.
    assert (by_effect(found).outcome, by_effect(found).measured["everything"]) == ("failed", pytest.approx(0))


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("outside the time box", {"at": "TIMESTAMPTZ '2026-01-19 08:00:00+00'"}),
        ("event id used again with other content", {"visit": "7"}),
        ("at is not a timestamp", {"at": "NULL"}),
    ],
)
def test_the_controls_conversions_make_no_effect_for_whatever_reason_they_are_missing(stage, ask, reason, said):
    case = stage.case(charter=LARGE, recorded=held_back({"which": SOME, "reason": reason, **said}, arms=FEW))
    assert ask("primary_effect", case)[0].outcome == "passed"
    found = ask("losses_by_arm", case)
    assert by_number(found).measured[f"outcomes: {reason}"]["p"] == pytest.approx(p_of(40))
    assert (by_effect(found).outcome, by_effect(found).measured["everything"]) == ("failed", pytest.approx(0))


def test_values_that_cannot_be_read_in_one_arm_fail_by_their_number(stage, ask):
    """Nobody can count them in, and all of them might be visits."""
    move = {"which": SOME, "reason": "visit is not an integer", "visit": "'yes'"}
    found = ask("losses_by_arm", stage.case(charter=LARGE, recorded=held_back(move, arms=FEW)))
    assert by_number(found).outcome == "failed"
    assert by_number(found).measured["outcomes: visit is not an integer"]["p"] == pytest.approx(p_of(40))
    assert (by_effect(found).outcome, by_effect(found).measured["at_worst"]) == ("unevaluable", pytest.approx(0))


IDLE = f"starts_with(unit, 'letter') AND {NUMBER} >= 760"


@pytest.mark.parametrize("said", ["'n/a'", "'1,0'", "''"])
def test_as_many_values_that_cannot_be_read_in_each_arm_may_be_of_other_customers(stage, ask, said):
    """40 visitors of the control, and 40 customers of the letter who did nothing: no number tells them apart."""
    moves = [{"which": which, "reason": "visit is not an integer", "visit": said} for which in (SOME, IDLE)]
    case = stage.case(charter=LARGE, recorded=held_back(*moves, arms=FEW))
    assert ask("primary_effect", case)[0].outcome == "passed"
    [found] = ask("losses_by_arm", case)
    # At worst the control's 40 visited, and so did none of the letter's: 80 of 800 in each arm.
    assert (found.arm, found.outcome, found.measured["at_worst"]) == ("letter", "unevaluable", pytest.approx(0))


def test_few_conversions_of_nobody_among_many_rows_may_still_be_many_of_the_conversions(stage, ask):
    """A fifth of the control's visits lose their unit: 1 % of 12,800 rows, most of which say that nobody came."""
    arms = {"control": Recorded(6_400, 640), "letter": Recorded(6_400, 640)}
    move = {"which": f"starts_with(unit, 'control') AND {NUMBER} < 128", "reason": "unknown unit", "unit": "NULL"}
    case = stage.case(charter={**LARGE, "primary": {"metric": "visit", "minimum_effect": 0.01}},
                      recorded=held_back(move, arms=arms))  # fmt: skip
    assert ask("primary_effect", case)[0].outcome == "passed"
    [found] = ask("losses_by_arm", case)
    assert (found.arm, found.outcome, found.measured["frac"]) == ("letter", "unevaluable", pytest.approx(0.01))
    assert found.measured["at_worst"] == pytest.approx(0)


@pytest.mark.parametrize("assignment", ["seen", "held back"])
def test_127_top_spenders_of_the_control_seen_in_both_arms_make_no_effect(stage, ask, assignment):
    """Whether both exposures were taken in, or the second one was held back."""
    twice = f"""SELECT event_id || '-2', unit, 'letter', "at" + INTERVAL 1 MINUTE FROM exposures WHERE {TOP}"""
    if assignment == "seen":
        given = {"arms": SPENDERS, "exposures": f"FROM exposures UNION ALL ({twice})"}
    else:
        move = {"part": "exposures", "which": TOP, "reason": "unit in two arms"}
        given = {"recorded": held_back(move, arms=SPENDERS)}
    case = stage.case(charter=SPEND, **given)
    assert ask("primary_effect", case)[0].outcome == "passed"
    assert ask("multiple_exposure", case)[0].outcome == "passed"
    found = ask("losses_by_arm", case)
    lost = by_number(found).measured["units seen in two arms"]
    assert (by_number(found).outcome, lost["units"]) == ("failed", {"control": 127})
    assert lost["p"] == pytest.approx(p_of(127))
    assert (by_effect(found).outcome, by_effect(found).measured["everything"]) == ("failed", pytest.approx(0))


# In each arm as many visit, or are paid back, until 127 of one arm (0.99 % of all) are seen in the other as well.
REFUNDS = {arm: Recorded(6_400, 640, (5.0,) * 640 + (0.0,) * 5_633 + (-60.0,) * 127) for arm in NOTHING}
ANY_VISIT = {**LARGE, "primary": {"metric": "visit", "minimum_effect": 0.01}}
CROSSED = {
    "the control's visitors": (NOTHING, ANY_VISIT, "control", f"{NUMBER} < 127"),
    "the arm's refunds": (REFUNDS, SPEND, "letter", f"{NUMBER} >= 6273"),
}


@pytest.mark.parametrize(("arms", "charter", "arm", "whose"), CROSSED.values(), ids=CROSSED)
def test_others_of_one_arm_seen_in_both_arms_make_no_effect_either(stage, ask, arms, charter, arm, whose):
    [other] = {"control", "letter"} - {arm}
    twice = f"""SELECT event_id || '-2', unit, '{other}', "at" + INTERVAL 1 MINUTE FROM exposures
            WHERE arm = '{arm}' AND {whose}"""
    case = stage.case(charter=charter, arms=arms, exposures=f"FROM exposures UNION ALL ({twice})")
    assert ask("primary_effect", case)[0].outcome == "passed"
    assert ask("multiple_exposure", case)[0].outcome == "passed"
    found = ask("losses_by_arm", case)
    lost = by_number(found).measured["units seen in two arms"]
    assert (by_number(found).outcome, lost["units"]) == ("failed", {arm: 127})
    assert lost["p"] == pytest.approx(p_of(127))
    assert (by_effect(found).outcome, by_effect(found).measured["everything"]) == ("failed", pytest.approx(0))


def test_visits_that_the_controls_clock_dates_before_its_letters_make_no_effect(stage, ask):
    """Each outcome comes five hours after its exposure, and 40 of the control's are dated six hours before that."""
    early = f"""SELECT * REPLACE (CASE WHEN {SOME} THEN "at" - INTERVAL 6 HOUR ELSE "at" END AS "at") FROM outcomes"""
    case = stage.case(charter=LARGE, arms=FEW, outcomes=early)
    assert ask("primary_effect", case)[0].outcome == "passed"
    found = ask("losses_by_arm", case)
    assert by_number(found).measured[EARLY]["units"] == {"control": 40}
    assert (by_number(found).outcome, by_number(found).measured[EARLY]["p"]) == ("failed", pytest.approx(p_of(40)))


def test_as_many_lost_in_each_arm_but_the_better_ones_of_one_change_the_conclusion(stage, ask):
    """40 visitors of the control and 40 customers of the letter who did nothing: no number tells them apart."""
    idle = f"starts_with(unit, 'letter') AND {NUMBER} >= 760"
    recorded = held_back(*({"which": which, "reason": "spend is missing"} for which in (SOME, idle)), arms=FEW)
    [found] = ask("losses_by_arm", stage.case(charter=LARGE, recorded=recorded))
    assert (found.arm, found.outcome, found.measured["everything"]) == ("letter", "failed", pytest.approx(0))
    assert found.measured["counted"] == pytest.approx(80 / 800 - 40 / 800)


def test_a_guardrail_that_was_kept_only_because_the_arms_losses_were_held_back_fails(stage, ask):
    """The arm's customers who spent nothing are missing; with them spending fell by 0.67."""
    arms = {"control": Recorded(600, 60, (1.0, 3.0)), "letter": Recorded(600, 180, (0.0, 1.0, 3.0))}
    recorded = held_back(
        {"part": "exposures", "which": f"arm = 'letter' AND {NUMBER} % 3 = 0", "reason": "outside the time box",
         "at": "TIMESTAMPTZ '2025-01-07 08:00:00+00'"}, arms=arms)  # fmt: skip
    found = ask("losses_by_arm", stage.case(recorded=recorded))
    [rail] = [each for each in found if each.arm == "letter" and "spend" in each.reason]
    assert (rail.outcome, rail.measured["everything"]) == ("failed", pytest.approx(-2 / 3))


def test_rows_of_unknown_units_in_one_arm_fail_by_the_arm_they_name(stage, ask):
    """A customer's own id that the snapshot does not know is not kept, and the arm that the row names is."""
    move = {
        "part": "exposures",
        "which": f"arm = 'control' AND {NUMBER} < 30",
        "reason": "unknown unit",
        "unit": "NULL",
    }
    found = by_number(ask("losses_by_arm", stage.case(recorded=held_back(move))))
    assert (found.outcome, found.measured["exposures: unknown unit"]["units"]) == ("failed", {"control": 30})
    assert found.measured["exposures: unknown unit"]["p"] == pytest.approx(p_of(30))


def test_conversions_of_nobody_leave_undecided_what_they_could_undo(stage, ask):
    """40 outcomes (2.5 %) name no unit that is known, and no arm: had they been the control's, nothing were left."""
    move = {"which": SOME, "reason": "unknown unit", "unit": "NULL"}
    case = stage.case(charter=LARGE, recorded=held_back(move, arms=FEW))
    [found] = ask("losses_by_arm", case)
    assert (found.arm, found.outcome) == ("letter", "unevaluable")
    assert found.measured["frac"] == pytest.approx(40 / 1_600)
    assert found.measured["at_worst"] == pytest.approx(0)


def test_losses_that_are_alike_in_both_arms_pass(stage, ask):
    """Held back, late, early and in two arms: an untidy winner."""
    moves = [
        {"which": SMALL.format(arm), "reason": "spend is not a number", "spend": "'n/a'"} for arm in GOOD
    ] + [
        {"which": f"starts_with(unit, '{arm}') AND {NUMBER} BETWEEN 100 AND 109", "reason": "outside the time box",
         "at": "TIMESTAMPTZ '2026-01-19 08:00:00+00'"} for arm in GOOD
    ] + [
        {"part": "exposures", "which": f"arm = '{arm}' AND {NUMBER} IN (120, 121)", "reason": "unit in two arms"}
        for arm in GOOD
    ]  # fmt: skip
    [found] = ask("losses_by_arm", stage.case(recorded=held_back(*moves)))
    assert (found.outcome, found.measured["all together"]["units"]) == ("passed", {"control": 24, "letter": 24})
    assert found.measured["all together"]["p"] == 1.0


def test_an_arm_with_more_outcomes_may_lose_more_of_them(stage, ask):
    """A tenth of each arm's outcomes is late, 40 of 400 and 120 of 1,200; by units alone (scipy) p is below 1e-9."""
    arms = {"control": Recorded(1_200, 120), "letter": Recorded(1_200, 360)}
    late = {"reason": "outside the time box", "at": "TIMESTAMPTZ '2026-01-19 08:00:00+00'"}
    which = [f"starts_with(unit, 'control') AND {NUMBER} BETWEEN 120 AND 159",
             f"starts_with(unit, 'letter') AND {NUMBER} BETWEEN 360 AND 479"]  # fmt: skip
    moves, silent = [{"which": each, **late} for each in which], f"starts_with(unit, 'control') AND {NUMBER} >= 400"
    assert binomtest(40, 160, 0.5).pvalue < 1e-9
    # That of silent customers were no outcomes of theirs at all.
    moves.append({"which": silent, "reason": HELD_OUT})
    [found] = ask("losses_by_arm", stage.case(recorded=held_back(*moves, arms=arms)))
    assert (found.outcome, found.measured["outcomes: outside the time box"]["units"]) == (
        "passed", {"control": 40, "letter": 120})  # fmt: skip


def test_nothing_lost_passes(stage, ask):
    [found] = ask("losses_by_arm", stage.case())
    assert (found.outcome, found.measured) == ("passed", {})


def test_an_arm_drawn_otherwise_than_a_row_that_was_held_back_says_fails(stage, ask):
    """A Lab that writes its control's losses to the other arm's account is found by the draw itself."""
    move = {"which": SMALL.format("control"), "reason": "spend is missing", "assigned": "'letter'"}
    case = stage.case(charter={"assignment": "pilotplant"}, recorded=held_back(move))
    [found] = ask("losses_by_arm", case)
    assert found.outcome == "failed"
    assert 0 < found.measured["misattributed"] <= 12


def test_what_was_held_back_without_what_it_said_is_unevaluable(stage, ask):
    def forgotten(folder):
        held_back({"which": SMALL.format("control"), "reason": "spend is missing"})(folder)
        path = folder / "conflicts.parquet"
        with duckdb.connect() as connection:
            rows = f"SELECT kind, event_id, unit, reason FROM '{path}'"
            connection.execute(f"CREATE TABLE kept AS {rows}")
            connection.execute(f"COPY kept TO '{path}' (FORMAT parquet)")

    [found] = ask("losses_by_arm", stage.case(recorded=forgotten))
    assert (found.outcome, found.measured) == ("unevaluable", {"untold": 12})


def test_what_could_not_be_compared_with_all_counted_in_is_unevaluable(stage, ask):
    """All 200 of the control visited, and 160 of them are held back: with these nothing varies in it."""
    arms = {"control": Recorded(200, 200), "letter": Recorded(200, 150)}
    move = {"which": f"starts_with(unit, 'control') AND {NUMBER} < 160", "reason": "spend is missing"}
    case = stage.case(recorded=held_back(move, arms=arms))
    assert ask("primary_effect", case)[0].outcome == "passed"
    found = [each for each in ask("losses_by_arm", case) if each.arm == "letter" and "visit" in each.reason]
    assert [(each.outcome, each.measured["everything"]) for each in found] == [("unevaluable", None)]
    assert "visit cannot be compared: " in found[0].reason


@pytest.mark.parametrize("check", ["losses_by_arm", "loss_bounds", "outages_by_arm", "time_at_risk"])
def test_evidence_that_tells_nothing_by_arm_is_unevaluable(stage, ask, check):
    case = stage.case()
    case.__dict__["evidence"] = case.evidence.model_copy(update={"completeness": None})
    found = ask(check, case)
    assert {each.outcome for each in found} == {"unevaluable"}
    assert "the evidence tells nothing by arm" in found[0].reason


def test_nobody_exposed_is_unevaluable(stage, ask):
    assert ask("losses_by_arm", stage.case(arms={}))[0].outcome == "unevaluable"


def test_losses_of_nobody_are_held_against_the_arm(stage, ask):
    """40 refunds of 60 dollars each were the letter's, then: 6,400 units, so that it spends 0.375 less."""
    move = {"which": SOME, "reason": "unknown unit", "unit": "NULL", "spend": "-60"}
    case = stage.case(charter=SPEND, recorded=held_back(move, arms=REFUNDS))
    told = case.evidence.completeness
    [counted] = [effect for effect in case.evidence.effects if effect.metric == "spend"]
    [worst] = [effect for effect in told.worst if effect.metric == "spend"]
    assert worst.estimate - counted.estimate == pytest.approx(-40 * 60 / 6_400)


def test_of_what_does_not_add_up_nothing_is_known_where_outcomes_are_nobodys(stage, ask, left_out):
    left_out("visit")
    move = {"which": SOME, "reason": "unknown unit", "unit": "NULL"}
    found = ask("losses_by_arm", stage.case(charter=LARGE, recorded=held_back(move, arms=FEW)))
    assert [each.outcome for each in found if "cannot be told" in each.reason] == ["unevaluable"]
    few = ask("losses_by_arm", stage.case(charter=LARGE, recorded=held_back(move, arms=FEW)), nobodys_frac_max=0.03)
    assert not any("cannot be told" in each.reason for each in few)


def test_values_that_nobody_can_read_pass_where_none_of_them_could_change_anything(stage, ask):
    """Spend goes round between 1 and 3 dollars: at worst the control's 12 spent 3 and the letter's 1, of 200 each."""
    moves = [{"which": SMALL.format(arm), "reason": "spend is not a number", "spend": "'n/a'"} for arm in GOOD]
    case = stage.case(recorded=held_back(*moves))
    [found] = ask("losses_by_arm", case)
    assert (found.outcome, "attribute or read" in found.reason) == ("passed", True)
    told = case.evidence.completeness
    assert told.unread == {"spend": {"control": 12, "letter": 12}}
    [whole] = [effect for effect in told.everything if effect.metric == "spend"]
    [worst] = [effect for effect in told.worst if effect.metric == "spend"]
    assert worst.estimate - whole.estimate == pytest.approx((12 * 1 - 12 * 3) / 200)


DRAWN = {"assignment": "pilotplant"}
FIRST = {"control": 600, "letter": 600}


def strangers(stage, visited, many=FIRST):
    """Outcomes of so many units of each arm that were never exposed; `visited` says of which the value is 1."""
    stage.seed("one")
    promise, _ = stage.promise(stage.charter(**DRAWN))
    draw = Draw.of(promise, stage.workspace.id, drawn_nonce("spring-email", "one"))
    found = {arm: [] for arm in many}
    for number in range(4 * sum(many.values())):
        arm = draw.arm(f"stranger-{number}")
        if len(found[arm]) < many[arm]:
            found[arm].append(f"stranger-{number}")
    rows = [(unit, int(visited(arm, place))) for arm, units in found.items() for place, unit in enumerate(units)]
    values = ", ".join(f"('{unit}', {visit})" for unit, visit in rows)
    return (
        "FROM outcomes UNION ALL SELECT 'of-' || unit, unit, TIMESTAMPTZ '2026-01-07 09:00:00+00', visit, 0, 2.0 "
        f"FROM (VALUES {values}) t(unit, visit)"
    )


@pytest.mark.parametrize(
    "visited", [lambda arm, _: arm == "control", lambda arm, place: place % 10 < (3 if arm == "control" else 1)]
)
def test_exposures_that_were_left_out_by_what_their_units_did_are_found_by_their_outcomes(stage, ask, visited):
    """As many of each arm, so that no ratio tells; but nobody who was sent nothing visits more for it."""
    case = stage.case(charter=DRAWN, outcomes=strangers(stage, visited))
    assert case.uncaused.unexposed.units == FIRST
    [found] = [each for each in ask("losses_by_arm", case) if each.arm == "letter"]
    rows = {arm: [int(visited(arm, place)) for place in range(600)] for arm in FIRST}
    assert (found.outcome, found.measured["p"]) == (
        "failed", pytest.approx(mannwhitneyu(rows["letter"], rows["control"], method="asymptotic").pvalue))  # fmt: skip
    assert "differ between letter and control in visit" in found.reason


def test_exposures_that_one_arm_alone_has_not_recorded_are_found_by_the_outcomes(stage, ask):
    """90 and 30: by scipy's exact test p is below 1e-7."""
    many = {"control": 90, "letter": 30}
    assert binomtest(90, 120, 0.5).pvalue < 1e-7
    found = ask("losses_by_arm", stage.case(charter=DRAWN, outcomes=strangers(stage, lambda *_: False, many)))
    assert [(each.arm, each.outcome) for each in found] == [(None, "failed")]
    assert found[0].measured["units"] == many


def test_outcomes_of_units_that_nobody_meant_to_expose_pass(stage, ask):
    """An export of all customers' visits, of whom some were exposed: a tenth of each arm visits anyway."""
    case = stage.case(charter=DRAWN, outcomes=strangers(stage, lambda _, place: place % 10 == 0))
    [found] = ask("losses_by_arm", case)
    assert found.outcome == "passed"


IDLE_LETTERS = f"starts_with(unit, 'letter') AND {NUMBER} >= 6272"
CHOSEN = f"(starts_with(unit, 'control') AND {NUMBER} < 128) OR ({IDLE_LETTERS})"


@pytest.mark.parametrize(("part", "moved"), [("outcomes", "- INTERVAL 6 HOUR"), ("exposures", "+ INTERVAL 6 HOUR")])
def test_visits_of_one_arm_and_idleness_of_the_other_dated_before_the_exposure_make_no_effect(stage, ask, part, moved):
    """128 of the control's 640 visitors, and 128 customers of the letter who did nothing: by number they are alike."""
    query = f"""SELECT * REPLACE (CASE WHEN {CHOSEN} THEN "at" {moved} ELSE "at" END AS "at") FROM {part}"""
    case = stage.case(charter=ANY_VISIT, arms=NOTHING, **{part: query})
    assert ask("primary_effect", case)[0].outcome == "passed"  # 640 of 6,400 against 512: 2 points of nothing
    [found] = [each for each in ask("losses_by_arm", case) if each.arm == "letter"]
    ones, zeros = [1] * 128, [0] * 128
    assert found.outcome == "failed"
    assert found.measured["p"] == pytest.approx(mannwhitneyu(zeros, ones, method="asymptotic").pvalue)
    assert "from before the exposure (control 128, letter 128)" in found.reason


def test_early_outcomes_that_were_set_aside_with_what_they_said_count_alike(stage, ask):
    """So the Lab seals them."""
    early = {"reason": EARLY, "at": "TIMESTAMPTZ '2026-01-05 08:00:00+00'"}
    moves = [{"which": f"starts_with(unit, 'control') AND {NUMBER} < 128", **early}, {"which": IDLE_LETTERS, **early}]
    case = stage.case(charter=ANY_VISIT, recorded=held_back(*moves, arms=NOTHING))
    assert case.uncaused.early.units == {"control": 128, "letter": 128}
    assert [each.outcome for each in ask("losses_by_arm", case) if each.arm == "letter"] == ["failed"]


def test_early_outcomes_that_are_alike_pass_and_none_of_them_is_said_to_be_counted_in(stage, ask):
    chosen = f"{NUMBER} % 50 = 0"
    query = f"""SELECT * REPLACE (CASE WHEN {chosen} THEN "at" - INTERVAL 6 HOUR ELSE "at" END AS "at") FROM outcomes"""
    [found] = ask("losses_by_arm", stage.case(charter=ANY_VISIT, arms=NOTHING, outcomes=query))
    assert (found.outcome, "counted in" in found.reason) == ("passed", False)


@pytest.mark.parametrize("until", [None, "2026-01-18"])
def test_rows_that_only_say_that_their_unit_came_after_the_enrolment_are_losses(stage, ask, until):
    """A reason is the Lab's word: it counts of exposures, in a pilot whose enrolment ends, and by their time."""
    box = {"time_box": {"start": "2026-01-05", "end": "2026-01-19", "enrol_until": until}} if until else {}
    recorded = held_back({"which": SOME, "reason": AFTER_ENROLMENT}, arms=FEW)
    found = ask("losses_by_arm", stage.case(recorded=recorded, charter=LARGE | box))
    assert by_number(found).measured[f"outcomes: {AFTER_ENROLMENT}"]["p"] == pytest.approx(p_of(40))
