import pytest

WEEKDAYS = {part: f'SELECT * FROM {part} WHERE isodow("at") <= 5' for part in ("exposures", "outcomes")}
HALF = "2026-01-12T00:00:00Z"
LOOKS = {"sample": {"units_per_arm": 10, "looks": {"method": "group_sequential", "at": [0.5, 1]}}}


def test_a_week_with_all_its_days_passes(stage, ask):
    [found] = ask("weekdays_complete", stage.case())
    assert (found.outcome, found.measured, found.threshold) == ("passed", 7, 7)


def test_a_day_that_never_was_fails_unless_the_policy_knows_it(stage, ask):
    case = stage.case(**WEEKDAYS)
    [found] = ask("weekdays_complete", case)
    assert (found.outcome, found.measured) == ("failed", 5)
    assert found.reason == "nothing was ever recorded on a Saturday, Sunday"
    assert ask("weekdays_complete", case, missing_max=2)[0].outcome == "passed"


def test_before_the_end_it_is_unevaluable_unless_a_boundary_is_crossed(stage, ask):
    [found] = ask("weekdays_complete", stage.case(covers_until=HALF))
    assert (found.outcome, found.reason) == ("unevaluable", "the time box is not over")
    crossed = stage.case(covers_until=HALF, charter=LOOKS)
    assert crossed.crossed_early
    assert ask("weekdays_complete", crossed)[0].outcome == "passed"


def test_nothing_at_all_is_unevaluable(stage, ask):
    assert ask("weekdays_complete", stage.case(arms={}))[0].outcome == "unevaluable"


ONCE = {"exposure": "once"}


def test_a_mail_that_goes_out_on_one_day_is_asked_for_no_weekday(stage, ask):
    [found] = ask("weekdays_complete", stage.case(charter=ONCE, days=1))
    assert found.outcome == "passed"
    assert found.measured == {"exposures_per_unit": 1.0, "days": pytest.approx(199 / 86_400, abs=1e-9)}


NUMBER = "CAST(split_part(unit, '-', 2) AS INTEGER)"
# What it brings comes in from Tuesday on, and on no weekend.
SINCE = f"[0, 1, 2, 3, 6, 7, 8, 9, 10][1 + {NUMBER} % 9]"
BROUGHT = f"SELECT * REPLACE (TIMESTAMPTZ '2026-01-06 20:00:00+00' + to_days({SINCE}) AS \"at\") FROM outcomes"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"days": 2},
        # It had bounced for one in twenty.
        {
            "exposures": f"""SELECT * FROM exposures UNION ALL SELECT event_id || '-again', unit, arm,
                          "at" + INTERVAL 1 HOUR FROM exposures WHERE {NUMBER} % 20 = 0"""
        },
    ],
    ids=["one day", "two days", "bounced"],
)
def test_a_mail_that_goes_out_once_is_admitted_where_it_says_so(stage, changes):
    stage.settings()
    once, often = (stage.judge(charter=charter, outcomes=BROUGHT, **{"days": 1, **changes}) for charter in (ONCE, {}))
    assert (once.verdict, often.verdict) == ("admit", "refuse")
    refused = {each.check for each in often.findings if (each.level, each.outcome) == ("block", "failed")}
    assert refused == {"weekdays_complete"}


@pytest.mark.parametrize(
    "changes",
    [
        {},  # exposures go on for thirteen days
        {"days": 4},
        {"days": 1, "exposures": """SELECT * FROM exposures UNION ALL
                                    SELECT event_id || '-again', unit, arm, "at" + INTERVAL 1 HOUR FROM exposures"""},
        # In one arm alone they go on.
        {"days": 1, "exposures": """SELECT * REPLACE (CASE WHEN unit = 'letter-7' THEN "at" + INTERVAL 3 DAY
                                    ELSE "at" END AS "at") FROM exposures"""},
    ],
    ids=["thirteen days", "four days", "twice", "one unit"],
)  # fmt: skip
def test_whoever_says_once_is_held_to_it(stage, ask, changes):
    [found] = ask("weekdays_complete", stage.case(charter=ONCE, **changes))
    assert (found.outcome, found.remedy) == ("failed", "revise without `exposure: once`, over whole weeks")


def test_of_nobody_it_cannot_be_told(stage, ask):
    [found] = ask("weekdays_complete", stage.case(charter=ONCE, arms={}))
    assert found.outcome == "unevaluable"
