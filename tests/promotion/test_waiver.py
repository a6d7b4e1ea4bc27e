"""Waivers: a named check, a person who is entitled, a reason, an end; signed, for one candidate, and always shown."""

from __future__ import annotations

import json
import shlex
from datetime import timedelta
from importlib import resources
from pathlib import Path

import pytest
import yaml

from factory.releases.packages import verify as factory_verify
from factory.releases.trust import trust
from pilotplant.app import run
from promotion.audit.verification import verify
from promotion.decisions.waiver import Wish, waive
from promotion.gate.gate import judge
from promotion.gate.policy import read_settings
from promotion.keys.enrolment import enrol, enrolled_key
from promotion.keys.keyring import keys_folder
from promotion.keys.revocation import revoke
from promotion.state import open_promotion
from shared.core.clock import parse_rfc3339, rfc3339
from shared.core.errors import BadInput, Refused
from shared.trust.attestation import attest, parse_attestation
from shared.trust.finding import Finding
from shared.trust.keys import GATE, KeyStore, read_public
from shared.trust.waiver import SignedWaiver
from tests.makers import OWNER, moment
from tests.promotion.cases import GOOD, JUDGED, REASON, Recorded, Stage
from tests.promotion.shown import measures

REQUESTER, WARDEN = "requester@example.com", "warden@example.com"
RIGHT = [{"checks": ["sample_planned", "budget_kept", "guardrails", "charter_frozen"], "tiers": ["standard"]}]
WHY = "two hundred units an arm show it as well"
UNTIL = moment("2026-01-25 00:00")
# 200 units came to each arm.
UNDERSIZED = {"sample": {"units_per_arm": 300}}


@pytest.fixture(scope="module")
def made(prepared, tmp_path_factory):
    stage = Stage(prepared).copy(tmp_path_factory.mktemp("made") / "workspace")
    decides = {"tiers": ["low", "standard", "high"]}
    stage.people(
        {"email": REQUESTER, "waives": RIGHT},
        {"email": OWNER, "decides": decides},
        {"email": WARDEN, "waives": RIGHT},
    )
    for who in (WARDEN, REQUESTER):
        enrol(stage.workspace, who)
    stage.submit(charter=UNDERSIZED)
    return stage


@pytest.fixture
def short(made, tmp_path):
    """A pilot with too few units before the gate, and a warden who may waive that."""
    return made.copy(tmp_path / "short")


def give(stage, who=WARDEN, *, check="sample_planned", reason=WHY, until=UNTIL, arm=None):
    return waive(stage.workspace, "spring-email", Wish(check, who, reason, until, arm))


def kinds(stage):
    return [entry.kind for entry in open_promotion(stage.workspace).entries("spring-email")]


def planned(stage, now=JUDGED, check="sample_planned"):
    from shared.trust.candidates import find_candidate

    case = stage.open(find_candidate(stage.workspace, "spring-email"), now=now)
    judgement = judge(case, read_settings(stage.workspace).policy("standard"))
    return judgement, [finding for finding in judgement.findings if finding.check == check]


def test_without_a_waiver_the_gate_refuses(short):
    judgement, found = planned(short)
    assert (judgement.verdict, {one.outcome for one in found}) == ("refuse", {"failed"})


def test_a_waived_finding_says_by_whom_until_when_why_and_what_was_really_found(short):
    _, before = planned(short)
    done = give(short)
    judgement, found = planned(short, JUDGED + timedelta(hours=1))
    assert (judgement.verdict, done.repeated) == ("admit", False)
    for was, now in zip(before, found, strict=True):
        assert (now.outcome, now.measured, now.threshold) == ("waived", was.measured, was.threshold)
        assert now.reason == f"{was.reason}; waived by {WARDEN} until 2026-01-25T00:00:00Z: {WHY}"
        said = now.waived
        assert (said.by, said.until, said.reason) == (WARDEN, "2026-01-25T00:00:00Z", WHY)
        assert (said.outcome, said.found, said.waiver) == ("failed", was.reason, done.waiver.signed.digest)
    assert kinds(short) == ["registered", "waived"]
    assert verify(short.workspace).problems == []


def test_what_is_decided_on_a_waiver_carries_it_and_runs_no_longer(short):
    give(short)
    attestation = short.decide("scale").attestation
    predicate = attestation.predicate
    assert (predicate.verdict, predicate.expires, len(predicate.waivers)) == ("admit", rfc3339(UNTIL), 1)
    assert {one.check for one in predicate.findings if one.outcome == "waived"} == {"sample_planned"}
    assert attestation.distrust(read_public(keys_folder(short.workspace)), now=JUDGED) == []
    for name in (GATE, OWNER):
        trust(short.workspace, name)
    [package] = (short.workspace.factory / "inbox").glob("[!.]*")
    later = JUDGED + timedelta(hours=1)
    found = "; ".join(factory_verify(short.workspace, package, now=later))
    assert "sample_planned was waived, and no waiver of it that stood is signed with a key trusted here" in found
    trust(short.workspace, WARDEN)
    assert not isinstance(factory_verify(short.workspace, package, now=later), list)
    assert "it expired at 2026-01-25T00:00:00Z" in factory_verify(short.workspace, package, now=UNTIL)


def test_a_finding_that_only_says_it_was_waived_is_not_believed(short):
    give(short)
    attestation, keys = short.decide("scale").attestation, read_public(keys_folder(short.workspace))
    signers = [KeyStore(short.workspace).signer(name) for name in (GATE, OWNER)]
    bare = attestation.predicate.model_copy(update={"waivers": ()})
    forged = parse_attestation(attest(attestation.candidate, bare, signers), where="here")
    assert any("sample_planned was waived, and no waiver" in reason for reason in forged.distrust(keys, now=JUDGED))
    other = parse_attestation(attest("sha256:" + "0" * 64, attestation.predicate, signers), where="here")
    assert any("sample_planned was waived, and no waiver" in reason for reason in other.distrust(keys, now=JUDGED))


def test_a_waiver_that_has_ended_does_nothing_and_is_told_of(short):
    give(short)
    judgement, found = planned(short, UNTIL)
    assert (judgement.verdict, {one.outcome for one in found}) == ("refuse", {"failed"})
    assert all(f"(a waiver by {WARDEN} ended at 2026-01-25T00:00:00Z)" in one.reason for one in found)
    assert planned(short, UNTIL - timedelta(seconds=1))[0].verdict == "admit"


def test_a_waiver_of_another_candidate_does_nothing_and_is_told_of(short):
    give(short)
    short.submit(charter=UNDERSIZED, later=9, costs=[("7.00", "USD")])
    judgement, found = planned(short)
    assert judgement.verdict == "refuse"
    assert all(f"(a waiver by {WARDEN} was for another candidate)" in one.reason for one in found)


def test_a_waiver_whose_key_was_revoked_before_it_does_nothing(short):
    give(short)
    revoke(short.workspace, enrolled_key(short.workspace, WARDEN).key_id, "stolen", since=moment("2026-01-19 00:00"))
    assert planned(short)[0].verdict == "refuse"


def test_a_policy_that_lets_nobody_waive_undoes_what_was_waived(short):
    give(short)
    short.settings(standard={"sample_planned": {"waivable": False}})
    judgement, found = planned(short)
    assert judgement.verdict == "refuse"
    assert all("the policy lets nobody waive this check" in one.reason for one in found)


def test_for_one_arm_it_waives_no_other(short):
    waiver = give(short).waiver
    of_arm = SignedWaiver(waiver.waiver.model_copy(update={"arm": "letter"}), waiver.signed)
    findings = [Finding(check="sample_planned", arm=arm, outcome="failed", reason="few") for arm in ("letter", "card")]
    assert [waiver.concerns(one) for one in findings] == [True, True]
    assert [of_arm.concerns(one) for one in findings] == [True, False]
    assert not waiver.concerns(findings[0].model_copy(update={"check": "time_box"}))


def test_what_is_found_about_the_pilot_is_not_waived_for_one_arm(short):
    with pytest.raises(Refused, match="there is nothing to waive") as refused:
        give(short, arm="letter")
    assert refused.value.remedy.startswith("leave --arm away")


def test_the_same_waiver_twice_is_a_no_op_and_another_is_refused_while_it_stands(short):
    first, again = give(short), give(short)
    assert (again.repeated, again.waiver.signed.digest) == (True, first.waiver.signed.digest)
    with pytest.raises(Refused, match="is waived already, by warden@"):
        give(short, until=UNTIL + timedelta(days=9))
    assert kinds(short) == ["registered", "waived"]
    short.workspace.clock.set(UNTIL)
    assert not give(short, until=UNTIL + timedelta(days=1)).repeated


@pytest.mark.parametrize(
    "check", ["guardrails", "charter_frozen", "owner_entitled", "evidence_recomputed", "primary_effect"]
)
def test_some_checks_are_waived_by_nobody_whatever_people_yaml_says(short, check):
    with pytest.raises(Refused, match=f"nobody may waive `{check}`"):
        give(short, check=check)
    assert kinds(short) == ["registered"]


@pytest.mark.parametrize("check", ["guardrails", "candidate_sealed", "primary_effect"])
def test_no_policy_makes_them_waivable(stage, check):
    stage.settings(standard={check: {"waivable": True}})
    with pytest.raises(BadInput, match="waivable"):
        read_settings(stage.workspace)


@pytest.mark.parametrize(
    ("who", "check", "said"),
    [
        (OWNER, "sample_planned", f"{OWNER} may not waive `sample_planned` at standard risk"),
        ("stranger@example.com", "sample_planned", "stranger@example.com may not waive"),
        (WARDEN, "time_box", f"{WARDEN} may not waive `time_box`"),
        (REQUESTER, "sample_planned", f"{REQUESTER} would waive a check of their own request"),
        (WARDEN, "budget_kept", "there is nothing to waive: `budget_kept` passed"),
    ],
)
def test_who_may_not_or_has_nothing_to_waive_is_refused_and_told_who_may(short, who, check, said):
    with pytest.raises(Refused, match=said) as refused:
        give(short, who, check=check)
    assert refused.value.remedy
    assert kinds(short) == ["registered"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"check": "no_such"}, "there is no check `no_such`"),
        ({"reason": "why not"}, "a reason that others understand"),
        ({"until": JUDGED - timedelta(days=1)}, "a waiver ends in the future"),
        ({"arm": "control"}, "there is no arm `control`"),
    ],
)
def test_a_waiver_that_says_nothing_certain_is_bad_input(short, asked, said):
    with pytest.raises(BadInput, match=said):
        give(short, **asked)
    assert kinds(short) == ["registered"]


def test_it_is_shown_on_the_command_line_from_then_on(short, capsys):
    where = ["--workspace", str(short.workspace.root)]
    words = ["promote", "waive", "spring-email", "sample_planned", "--as", WARDEN, "--reason", WHY]
    run([*where, *words, "--until", "2026-01-24", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (told["waiver"]["until"], told["repeated"]) == ("2026-01-25T00:00:00Z", False)
    run([*where, "promote", "check", "spring-email"])
    assert "Waived: sample_planned" in capsys.readouterr().out
    page = short.workspace.root / "page.html"
    run([*where, "promote", "summary", "spring-email", "--html", str(page)])
    assert f"; waived by {WARDEN} until 2026-01-25T00:00:00Z: {WHY}\n" in capsys.readouterr().out
    assert "<h3>Waived</h3>" in page.read_text(encoding="utf-8")
    run([*where, "promote", "decide", "spring-email", "scale", "--as", OWNER, "--reason", REASON])
    assert f"waived by {WARDEN} until 2026-01-25T00:00:00Z: {WHY}" in capsys.readouterr().out
    run([*where, "promote", "log", "spring-email"])
    assert f"sample_planned by {WARDEN}" in capsys.readouterr().out
    [standing] = measures(short.workspace)["waivers"]
    assert (standing["pilot"], standing["check"], standing["by"]) == ("spring-email", "sample_planned", WARDEN)
    run([*where, "status"])
    assert f"Waived: sample_planned of spring-email, by {WARDEN}" in capsys.readouterr().out
    short.workspace.clock.set(parse_rfc3339(standing["until"]))
    assert measures(short.workspace)["waivers"] == []


def three_arms(charter):
    [control, letter] = charter["arms"]
    return {"arms": [control, letter, {**letter, "name": "card"}]}


# What another system has drawn: units, households, and three arms.
ELSEWHERE = {
    "units": {},
    "households": {"of": lambda _: {"cluster": "household"}, "traits": "SELECT unit, unit AS household FROM exposures"},
    "three arms": {"of": three_arms, "arms": GOOD | {"card": Recorded(visits=60)}},
}


@pytest.mark.parametrize("tier", ["standard", "high"])
@pytest.mark.parametrize("elsewhere", ELSEWHERE)
def test_arms_drawn_elsewhere_are_admitted_only_where_somebody_waives_that_by_name(stage, tier, elsewhere):
    """Under what the settings of a new workspace say of it."""
    stage.people(
        {"email": REQUESTER},
        {"email": OWNER, "decides": {"tiers": ["low", "standard", "high"]}},
        {"email": WARDEN, "waives": [{"checks": ["randomised"], "tiers": ["standard", "high"]}]},
    )
    enrol(stage.workspace, WARDEN)
    new = yaml.safe_load(resources.files("configs").joinpath("gate.yaml").read_text())["tiers"]
    stage.settings(**{name: {"randomised": said.get("randomised", {})} for name, said in new.items()})
    changes = dict(ELSEWHERE[elsewhere])
    charter = stage.charter(risk_tier=tier).model_dump(mode="json")
    candidate = stage.submit(charter={"risk_tier": tier, **changes.pop("of", lambda _: {})(charter)}, **changes)

    def judged(now):
        judgement = judge(stage.open(candidate, now=now), read_settings(stage.workspace).policy(tier))
        blocking = [one for one in judgement.findings if one.level == "block" and one.outcome != "passed"]
        return judgement.verdict, {one.check: one for one in blocking}

    verdict, found = judged(JUDGED)
    assert (verdict, {name: one.outcome for name, one in found.items()}) == ("undecided", {"randomised": "unevaluable"})
    give(stage, check="randomised")
    verdict, found = judged(JUDGED + timedelta(hours=1))
    assert (verdict, {name: one.outcome for name, one in found.items()}) == ("admit", {"randomised": "waived"})
    assert f"waived by {WARDEN}" in found["randomised"].reason


def test_at_low_risk_arms_drawn_elsewhere_are_warned_of(stage):
    judgement = stage.judge(tier="low", charter={"risk_tier": "low"})
    assert judgement.verdict == "admit"
    assert [(one.outcome, one.level) for one in judgement.findings if one.check == "randomised"] == [
        ("unevaluable", "warn")
    ]


def test_who_vouches_for_arms_that_another_system_drew_does_it_as_the_guide_says(made, tmp_path):
    """The stage's arms are the source's word."""
    stage = made.copy(tmp_path / "elsewhere")
    guide = (Path(__file__).parents[2] / "docs" / "drawn-elsewhere.md").read_text(encoding="utf-8")
    [command] = [line for line in guide.splitlines() if line.startswith("pilotplant promote waive")]
    stage.people(
        {"email": REQUESTER},
        {"email": OWNER, "decides": {"tiers": ["low", "standard", "high"]}},
        {"email": WARDEN, "waives": [{"checks": ["randomised"], "tiers": ["standard"]}]},
    )
    stage.settings(standard={"randomised": {"level": "block"}})
    said = {"NAME": "spring-email", "PERSON": WARDEN, "DAY": f"{UNTIL:%Y-%m-%d}"}
    run(["--workspace", str(stage.workspace.root), *(said.get(word, word) for word in shlex.split(command)[1:])])
    _, [finding] = planned(stage, check="randomised")
    assert finding.outcome == "waived"
