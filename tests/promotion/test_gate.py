import itertools
import json

import pytest
import sqlalchemy as sa

import promotion.gate.gate
from promotion.gate.check import Check, Rule, finding
from promotion.gate.checks import CHECKS
from promotion.gate.gate import EXIT_CODES, Judgement, fold, judge
from promotion.gate.policy import Policy, read_settings
from shared.core.errors import BadInput, Refused, Undecided
from shared.data.quality import run_suite
from shared.experiment.charter import RULES
from shared.trust.candidate import EVIDENCE
from shared.trust.finding import Finding
from tests.promotion.cases import GOOD, JUDGED, Recorded, levels

OUTCOMES = ("passed", "failed", "unevaluable", "waived")


def found(outcome, level="block", arm=None):
    return Finding(check="c", arm=arm, level=level, outcome=outcome, reason="r")


def outcomes(judgement):
    return {finding.check: finding.outcome for finding in judgement.findings}


def expected_verdict(blocking):
    """DESIGN, outcomes and exit codes, as a table of sets."""
    if "failed" in blocking:
        return "refuse"
    return "undecided" if "unevaluable" in blocking or not blocking else "admit"


@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_every_combination_of_findings_folds_as_the_design_says(size):
    kinds = list(itertools.product(OUTCOMES, ("block", "warn")))
    for combination in itertools.product(kinds, repeat=size):
        blocking = {outcome for outcome, level in combination if level == "block"}
        assert fold([found(*kind) for kind in combination]) == expected_verdict(blocking)


def test_verdicts_have_the_exit_codes_of_the_design():
    assert EXIT_CODES == {"admit": 0, "refuse": 3, "undecided": 4}


@pytest.mark.parametrize(("since", "asked"), [(1, 2), (RULES, 2), (RULES + 1, 1)])
def test_a_check_binds_promises_from_its_rules_on(ask_only, since, asked):
    """The tests' promise is made under the rules of today."""
    judgement = ask_only(lambda *_: [finding("failed", "no")], since=since)
    assert len(judgement.findings) == asked - 1
    assert judgement.verdict == ("refuse" if asked == 2 else "undecided")


@pytest.fixture
def ask_only(stage, monkeypatch):
    """The gate's judgement with the given checks in place of its own."""

    def judged(*runs, level="block", since=1):
        rule = Rule(level=level)
        checks = tuple(
            Check(f"check{number}", "?", "nothing", Rule, run, since=since) for number, run in enumerate(runs)
        )
        monkeypatch.setattr(promotion.gate.gate, "CHECKS", checks)
        return judge(stage.case(), Policy(tier="standard", rules={check.name: rule for check in checks}))

    return judged


def crash(_case, _rule):
    raise ZeroDivisionError("by zero")


def half_way(_case, _rule):
    yield finding("passed", "so far")
    raise Undecided("and no further", remedy="look there")


def silent(_case, _rule):
    return []


def content(_case, _rule):
    return [finding("passed", "all well")]


def test_a_crashing_check_is_unevaluable_and_says_what_it_died_of(ask_only):
    judgement = ask_only(content, crash)
    assert (judgement.verdict, outcomes(judgement)) == ("undecided", {"check0": "passed", "check1": "unevaluable"})
    assert judgement.findings[1].reason == "the check could not be made: ZeroDivisionError: by zero"
    assert judgement.findings[1].remedy == "submit the pilot again; if it stays, report it with this text"


def test_a_check_that_dies_half_way_has_not_passed(ask_only):
    judgement = ask_only(half_way)
    assert outcomes(judgement) == {"check0": "unevaluable"}
    assert judgement.findings[0].reason == "the check could not be made: and no further"
    assert judgement.findings[0].remedy == "look there"


def test_a_check_that_says_nothing_is_unevaluable(ask_only):
    judgement = ask_only(content, silent)
    assert (judgement.verdict, outcomes(judgement)["check1"]) == ("undecided", "unevaluable")
    assert judgement.findings[1].reason == "the check found nothing to say"
    assert judgement.findings[1].remedy == "submit the pilot again; if it stays, report it"


def test_no_checks_at_all_are_undecided(ask_only):
    judgement = ask_only()
    assert (judgement.verdict, judgement.findings) == ("undecided", ())


def test_a_gate_that_only_warns_admits_nothing(ask_only):
    assert ask_only(content, content, level="warn").verdict == "undecided"


@pytest.mark.parametrize("outcome", ["failed", "unevaluable"])
def test_a_warning_is_listed_and_never_changes_the_verdict(stage, outcome):
    stage.settings(standard={"budget_kept": {"level": "warn"}})
    costs = {"failed": [("99.00", "USD")], "unevaluable": [("1.00", "EUR")]}[outcome]
    judgement = stage.judge(costs=costs)
    assert judgement.verdict == "admit"
    [warning] = [f for f in judgement.findings if f.check == "budget_kept"]
    assert (warning.level, warning.outcome) == ("warn", outcome)


def test_a_check_without_a_rule_is_unevaluable(stage):
    rules = dict(read_settings(stage.workspace).policy("standard").rules)
    del rules["budget_kept"]
    judgement = judge(stage.case(), Policy(tier="standard", rules=rules))
    assert (judgement.verdict, outcomes(judgement)["budget_kept"]) == ("undecided", "unevaluable")
    [found] = [found for found in judgement.findings if found.check == "budget_kept"]
    assert (found.reason, found.remedy) == (
        "the policy has no rule for this check", "name it in configs/gate.yaml",
    )  # fmt: skip


def test_a_good_candidate_is_admitted_and_every_check_is_heard(stage):
    judgement = stage.judge()
    assert (judgement.verdict, judgement.verdicts) == ("admit", {"letter": "admit"})
    # The stage's arms come from the source: whether chance drew them cannot be told, of which its policy warns.
    assert outcomes(judgement) == {check.name: "passed" for check in CHECKS} | {"randomised": "unevaluable"}


def test_one_arm_may_be_admitted_where_another_is_refused(stage):
    three = {"arms": stage.three_arms()}
    judgement = stage.judge(charter=three, arms={**GOOD, "card": Recorded(visits=10)})
    assert judgement.verdicts == {"letter": "admit", "card": "refuse"}
    assert judgement.verdict == "admit"
    assert {f.arm for f in judgement.of_arm("card")} == {None, "card"}


def test_a_second_arm_makes_the_first_one_prove_more(stage, tmp_path):
    other = stage.copy(tmp_path / "other")
    three = {"arms": stage.three_arms()}
    # 20 against 34 of 200 visits: p is .042 alone, and twice that with Holm over two arms.
    close = {**GOOD, "letter": Recorded(visits=34)}
    alone = stage.judge(arms=close)
    among = other.judge(charter=three, arms={**close, "card": Recorded()})
    p = [next(f for f in j.findings if f.check == "primary_effect").measured["p_adjusted"] for j in (alone, among)]
    assert p[1] == pytest.approx(2 * p[0])
    assert (alone.verdict_on("letter"), among.verdict_on("letter")) == ("admit", "refuse")


@pytest.mark.parametrize(
    ("verdicts", "best"),
    [
        (("refuse", "admit"), "admit"),
        (("refuse", "undecided"), "undecided"),
        (("refuse", "refuse"), "refuse"),
        (("undecided", "undecided"), "undecided"),
    ],
)
def test_the_verdict_on_a_pilot_is_the_best_on_any_arm(verdicts, best):
    word = {"admit": "passed", "refuse": "failed", "undecided": "unevaluable"}
    arms = ("a", "b")
    findings = tuple(found(word[verdict], arm=arm) for arm, verdict in zip(arms, verdicts, strict=True))
    assert Judgement(findings, arms).verdict == best


def test_an_arm_that_the_charter_does_not_have_is_undecided(stage):
    judgement = stage.judge()
    assert [judgement.verdict_on(arm) for arm in ("control", "nowhere")] == ["undecided", "undecided"]


@pytest.mark.parametrize(("outcome", "verdict"), [("passed", "undecided"), ("failed", "refuse")])
def test_without_arms_nothing_is_admitted_and_a_failure_still_refuses(outcome, verdict):
    assert Judgement((found(outcome),), ()).verdict == verdict


def test_a_charter_that_was_damaged_after_sealing_refuses(stage):
    case = stage.case()
    path = case.candidate.folder / "promise.json"
    path.write_bytes(b"[" + path.read_bytes()[1:])
    judgement = judge(case, read_settings(stage.workspace).policy("high"))
    assert (judgement.verdict, judgement.arms, outcomes(judgement)["candidate_sealed"]) == ("refuse", (), "failed")


def test_a_charter_with_numbers_beyond_json_stops_nothing(stage, edit):
    alter = edit("promise.json", lambda promise: promise["charter"]["sample"].update(units_per_arm=7))
    case = stage.case(alter=alter)
    path = case.candidate.folder / "promise.json"
    path.write_text(path.read_text().replace('"units_per_arm":7', '"units_per_arm":' + "9" * 30))
    assert judge(case, read_settings(stage.workspace).policy("standard")).verdict == "refuse"


# Traps seen in real systems (DESIGN, "The gate"), each as a candidate that must not be admitted.


def test_trap_an_empty_suite(stage):
    path = stage.workspace.configs / "contracts" / "outcomes.odcs.yaml"
    text = path.read_text()
    path.write_text(text[: text.index("    properties:")] + "    properties: []\n")
    judgement = stage.judge()
    assert judgement.verdict != "admit"
    assert outcomes(judgement)["data_quality"] != "passed"


def test_trap_a_suite_of_which_nothing_was_evaluated(stage, monkeypatch):
    monkeypatch.setattr("shared.data.quality._rules", lambda *_: ())
    monkeypatch.setattr("promotion.gate.case.run_suite", run_suite)  # whose answers other tests may remember
    judgement = stage.judge()
    assert (judgement.verdict, outcomes(judgement)["data_quality"]) == ("undecided", "unevaluable")


def test_trap_zero_rows(stage):
    stage.settings(standard={"data_quality": {"rows_min": 1}})
    judgement = stage.judge(outcomes="SELECT * FROM outcomes WHERE false")
    assert (judgement.verdict, outcomes(judgement)["data_quality"]) == ("undecided", "unevaluable")


def test_trap_no_guardrails(stage):
    judgement = stage.judge(charter={"guardrails": []})
    assert (judgement.verdict, outcomes(judgement)["guardrails"]) == ("undecided", "unevaluable")


def test_trap_one_arm(stage, edit):
    alter = edit("promise.json", lambda promise: promise["charter"]["arms"].pop())
    judgement = stage.judge(alter=alter)
    assert (judgement.verdict, judgement.arms) == ("undecided", ())


def test_trap_an_arm_without_exposures(stage):
    judgement = stage.judge(arms={"control": Recorded()})
    assert judgement.verdict == "refuse"
    assert outcomes(judgement)["primary_effect"] == "unevaluable"


def test_trap_no_exposures(stage):
    judgement = stage.judge(arms={})
    found = outcomes(judgement)
    needing = ("charter_frozen", "sample_planned", "sample_ratio", "multiple_exposure", "primary_effect", "guardrails")
    assert judgement.verdict == "undecided"
    assert {found[name] for name in needing} == {"unevaluable"}


@pytest.mark.parametrize("spend", ["1.0", "CAST(NULL AS DOUBLE)", "CAST('nan' AS DOUBLE)", "CAST('inf' AS DOUBLE)"])
def test_trap_a_guardrail_without_variance(stage, spend):
    judgement = stage.judge(outcomes=f"SELECT * REPLACE ({spend} AS spend) FROM outcomes")
    assert judgement.verdict in {"undecided", "refuse"}
    assert outcomes(judgement)["guardrails"] == "unevaluable"


def test_trap_a_primary_metric_without_variance(stage):
    judgement = stage.judge(outcomes="SELECT * REPLACE (CAST(1 AS BIGINT) AS visit) FROM outcomes")
    assert (judgement.verdict, outcomes(judgement)["primary_effect"]) == ("undecided", "unevaluable")


def test_trap_a_metric_without_data(stage):
    charter = {"primary": {"metric": "conversion", "minimum_effect": 0.01}}
    judgement = stage.judge(charter=charter)
    assert (judgement.verdict, outcomes(judgement)["primary_effect"]) == ("undecided", "unevaluable")


def test_trap_a_winner_without_significance(stage):
    judgement = stage.judge(arms={**GOOD, "letter": Recorded(visits=26)})
    assert (judgement.verdict, outcomes(judgement)["primary_effect"]) == ("refuse", "failed")


def test_trap_a_lab_that_edits_its_evidence_and_seals_it_properly(stage, edit):
    def lie(evidence):
        for effect in evidence["effects"]:
            effect.update(
                estimate=0.4, low=0.3, high=0.5, p=1e-9, p_adjusted=1e-9 if effect["part"] == "primary" else None
            )

    judgement = stage.judge(arms={**GOOD, "letter": Recorded(visits=24)}, alter=edit(EVIDENCE, lie))
    found = {f.check: f for f in judgement.findings}
    assert found["candidate_sealed"].outcome == "passed"
    assert (judgement.verdict, found["evidence_recomputed"].outcome) == ("refuse", "failed")
    assert "effects[0].estimate is 0.4, the gate computes 0.0" in found["evidence_recomputed"].reason
    assert found["primary_effect"].measured["estimate"] == pytest.approx(0.02), "judged by the gate's own numbers"


def test_trap_a_lab_that_leaves_the_evidence_out(stage):
    judgement = stage.judge(alter=lambda folder: (folder / EVIDENCE).unlink())
    assert (judgement.verdict, outcomes(judgement)["evidence_recomputed"]) == ("undecided", "unevaluable")


def test_trap_approval_where_no_policy_matches(stage):
    judgement = judge(stage.case(), Policy(tier="standard", rules={}))
    assert judgement.verdict == "undecided"
    assert set(outcomes(judgement).values()) == {"unevaluable"}


def test_trap_data_of_a_charter_that_was_never_registered(stage):
    judgement = stage.judge(registered=None)
    assert (judgement.verdict, outcomes(judgement)["charter_frozen"]) == ("refuse", "failed")


def test_trap_a_charter_that_was_made_easier_after_the_results(stage, edit):
    def easier(promise):
        promise["charter"]["primary"]["minimum_effect"] = 0.0001

    judgement = stage.judge(alter=edit("promise.json", easier))
    assert judgement.verdict == "undecided", "its digest is not the one that the manifest names"
    assert judgement.arms == ()


def test_every_finding_that_did_not_pass_says_what_would_help(stage):
    judged = [
        stage.judge(arms={}),
        stage.judge(arms={**GOOD, "letter": Recorded(units=100, visits=1, spend=(0.0,))}, costs=[("11.00", "USD")]),
        stage.judge(registered=None, alter=lambda folder: (folder / EVIDENCE).write_text("{}")),
    ]
    poor = [f for judgement in judged for f in judgement.findings if f.outcome != "passed"]
    assert len(poor) > 10
    assert all(f.remedy and f.reason for f in poor)


def test_findings_are_json(stage):
    judgement = stage.judge(now=JUDGED)
    text = json.dumps([f.model_dump(mode="json") for f in judgement.findings], allow_nan=False)
    assert [Finding.model_validate(f) for f in json.loads(text)] == list(judgement.findings)


def test_trap_silence_in_an_arm_is_not_zero(stage):
    """For a metric of which less is better, an arm without outcomes would be perfect."""
    judgement = stage.judge(outcomes="SELECT * FROM outcomes WHERE unit LIKE 'control%'")
    assert judgement.verdict != "admit"
    assert {outcomes(judgement)[name] for name in ("primary_effect", "guardrails")} == {"unevaluable"}


def test_trap_a_missing_value_is_not_zero(stage):
    query = "SELECT * REPLACE (CASE WHEN unit = 'letter-7' THEN NULL ELSE spend END AS spend) FROM outcomes"
    judgement = stage.judge(outcomes=query)
    assert outcomes(judgement)["guardrails"] == "unevaluable"


def test_trap_rows_that_intake_held_back_count_against_the_data(stage):
    """400 exposures and 400 outcomes were taken; 9 more are over one per cent of all."""
    judgement = stage.judge(conflicts={"spend must be at least 0": 9})
    assert outcomes(judgement)["data_quality"] == "failed"
    assert outcomes(stage.judge(conflicts={"spend must be at least 0": 8}))["data_quality"] == "passed"


def test_trap_exposures_in_another_arm_than_assigned_are_counted(stage):
    judgement = stage.judge(conflicts={"not the arm that was assigned": 30})
    assert outcomes(judgement)["multiple_exposure"] == "failed"


def test_trap_of_two_deposited_charters_only_the_last_counts(stage):
    first = stage.case()
    stage.submit(charter={"primary": {"metric": "visit", "minimum_effect": 0.01}})
    assert outcomes(judge(first, read_settings(stage.workspace).policy("standard")))["charter_frozen"] == "failed"


def test_trap_a_ledger_that_was_edited_makes_the_register_unevaluable(stage):
    case = stage.case()
    with case.room.transaction() as connection:
        connection.execute(sa.text("DROP TRIGGER ledger_no_update"))
        connection.execute(sa.text("UPDATE ledger SET at = '2025-01-01T00:00:00Z' WHERE kind = 'registered'"))
    assert outcomes(judge(case, read_settings(stage.workspace).policy("standard")))["charter_frozen"] == "unevaluable"


def test_trap_a_cost_below_zero_is_no_cost(stage, edit):
    def wash(spend):
        spend["entries"][0]["money"]["amount"] = "-5.00"

    assert outcomes(stage.judge(alter=edit("spend.json", wash)))["budget_kept"] == "unevaluable"


@pytest.mark.parametrize(
    "check", ["guardrails", "data_quality", "evidence_recomputed", "charter_frozen", "owner_entitled"]
)
def test_trap_a_policy_cannot_switch_off_what_everything_rests_on(stage, check):
    stage.settings(standard={check: {"level": "warn"}})
    with pytest.raises(BadInput, match="block"):
        read_settings(stage.workspace)


def test_trap_a_path_that_skips_the_checklist(stage):
    """Nobody has run `promote check`, and no screen was looked at: deciding asks every check all the same."""
    stage.submit(costs=[("99.00", "USD")])
    with pytest.raises(Refused, match="budget_kept"):
        stage.decide("scale")
    assert not list((stage.workspace.factory / "inbox").glob("[!.]*"))


def test_trap_an_override_that_leaves_no_trace_of_the_failed_check(stage):
    stage.settings(standard={"budget_kept": {"level": "warn"}})
    stage.submit(costs=[("99.00", "USD")])
    [kept] = [f for f in stage.decide("scale").attestation.predicate.findings if f.check == "budget_kept"]
    assert (kept.level, kept.outcome) == ("warn", "failed")


def test_trap_a_segment_that_is_harmed_under_a_good_average(stage):
    """Eight in ten units gain; the others, all of one place, lose."""
    harm = """SELECT * EXCLUDE (n) REPLACE (CASE WHEN n % 5 = 0 THEN
              CAST(n < CASE WHEN starts_with(unit, 'letter') THEN 20 ELSE 160 END AS BIGINT) ELSE
              CAST(n < CASE WHEN starts_with(unit, 'letter') THEN 160 ELSE 20 END AS BIGINT) END AS visit)
              FROM (SELECT *, CAST(split_part(unit, '-', 2) AS INTEGER) AS n FROM outcomes)"""
    place = levels("CASE WHEN n % 5 = 0 THEN 'Island' ELSE 'Mainland' END")
    judgement = stage.judge(
        charter={"segments": ["zip_code"], "primary": {"metric": "visit", "minimum_effect": 0.1}},
        traits=place, outcomes=harm,
    )  # fmt: skip
    assert (judgement.verdict, outcomes(judgement)["primary_effect"]) == ("refuse", "passed")
    assert {name for name, outcome in outcomes(judgement).items() if outcome == "failed"} == {"segments_unharmed"}
