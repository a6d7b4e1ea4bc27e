import signal
import time
from datetime import timedelta

import pytest
import yaml

from factory.warehouse.load import load
from factory.warehouse.snapshots import publish
from lab.charters.drafts import check
from promotion.audit.verification import verify
from promotion.decisions.decision import decide
from promotion.decisions.draft import Asked, require_word
from promotion.gate.checks import CHECKS
from promotion.keys.enrolment import enrol
from promotion.keys.keyring import keys_folder
from promotion.registry.succession import successor_name
from promotion.state import open_promotion
from shared.core.clock import parse_rfc3339
from shared.core.errors import BadInput, Refused, Undecided
from shared.core.yamlfile import read_yaml
from shared.experiment.charter import Charter
from shared.trust.attestation import read_attestation
from shared.trust.keys import KeyStore, read_public
from shared.trust.record import attestation_path
from tests.lab_makers import Step, run_child, start_child
from tests.makers import OWNER, customers_csv, moment
from tests.promotion.cases import GOOD, INSIGHT, JUDGED, REASON, Recorded, do_decide

WEAK = {**GOOD, "letter": Recorded(visits=24)}
DEADLINE = moment("2026-02-01 00:00")
REQUESTER = "requester@example.com"


def entries(stage):
    return [entry.kind for entry in open_promotion(stage.workspace).entries("spring-email")]


def packages(stage):
    inbox = stage.workspace.factory / "inbox"
    return [path for path in inbox.glob("*") if not path.name.startswith(".")]


def nothing_happened(stage):
    return (
        "decided" not in entries(stage)
        and not packages(stage)
        and not (stage.workspace.promotion / "attestations").exists()
        and not list(stage.workspace.pilots.iterdir())
    )


def test_scale_signs_the_verdict_and_hands_over(stage):
    candidate = stage.submit()
    done = stage.decide("scale")
    attestation = read_attestation(attestation_path(stage.workspace, candidate.digest))
    predicate = attestation.predicate
    assert (done.repeated, done.attestation.digest) == (False, attestation.digest)
    assert (predicate.verdict, predicate.pilot, predicate.mode) == ("admit", "spring-email", "rehearsal")
    assert (predicate.decision.word, predicate.decision.arm, predicate.decision.release) == (
        "scale", "letter", "spring-email-letter",
    )  # fmt: skip
    assert predicate.cost == {"amount": "8.00", "currency": "USD"}
    assert parse_rfc3339(predicate.expires) - parse_rfc3339(predicate.decision.at) == timedelta(days=180)
    assert attestation.candidate == candidate.digest
    assert attestation.distrust(read_public(keys_folder(stage.workspace)), now=JUDGED) == []
    [package] = packages(stage)
    assert (package / "attestation.json").read_bytes() == attestation_path(
        stage.workspace, candidate.digest
    ).read_bytes()
    assert entries(stage) == ["registered", "decided"]
    assert verify(stage.workspace).problems == []


def test_what_is_signed_holds_every_finding_and_those_on_authority(stage):
    stage.submit()
    findings = stage.decide("scale").attestation.predicate.findings
    authority = {"charter_known", "decider_is_owner", "decided_in_time"}
    assert {finding.check for finding in findings} == {check.name for check in CHECKS} | authority
    # The stage's arms come from the source, of which its policy only warns.
    assert {finding.check for finding in findings if finding.outcome != "passed"} == {"randomised"}


def test_the_same_again_is_a_no_op_that_says_so(stage):
    stage.submit()
    first, again = stage.decide("scale"), stage.decide("scale")
    assert (again.repeated, again.attestation.digest) == (True, first.attestation.digest)
    assert entries(stage) == ["registered", "decided"]
    assert len(packages(stage)) == 1


def test_the_same_again_brings_back_what_is_missing(stage):
    candidate = stage.submit()
    stage.decide("scale")
    path, [package] = attestation_path(stage.workspace, candidate.digest), packages(stage)
    before = path.read_bytes()
    path.unlink()
    package.rename(stage.workspace.root / "lost")
    assert stage.decide("scale").repeated
    assert path.read_bytes() == before
    assert [found.name for found in packages(stage)] == [package.name]
    assert verify(stage.workspace).problems == []


def test_the_same_again_is_a_no_op_past_the_deadline_too(stage):
    stage.submit()
    stage.decide("stop")
    stage.workspace.clock.set(DEADLINE + timedelta(days=1))
    assert stage.decide("stop").repeated


@pytest.mark.parametrize(
    "asked", [{"word": "revise"}, {"word": "scale"}, {"reason": "for quite another reason"}, {"insight": "other"}]
)
def test_another_decision_is_refused_and_the_first_stands(stage, asked):
    stage.submit()
    stage.decide("stop")
    with pytest.raises(Refused, match="it was decided before: stop by owner@"):
        stage.decide(**{"word": "stop", **asked})
    assert entries(stage) == ["registered", "decided"]


def test_a_decision_stands_when_another_candidate_of_the_pilot_comes(stage):
    stage.submit(later=1)
    stage.decide("stop")
    stage.submit(costs=[], later=3)
    assert stage.decide("stop").repeated
    with pytest.raises(Refused, match="it was decided before"):
        stage.decide("scale")


def test_somebody_else_does_not_decide_however_good_their_key(stage):
    enrol(stage.workspace, REQUESTER)
    stage.submit()
    with pytest.raises(Refused, match="does not own this decision"):
        stage.decide("scale", who=REQUESTER)
    assert nothing_happened(stage)


def test_an_owner_without_a_key_does_not_decide(stage):
    stage.people({"email": "other@example.com", "decides": {"tiers": ["standard"]}}, {"email": REQUESTER})
    stage.submit(charter={"owner": "other@example.com"})
    with pytest.raises(Refused, match="no key is enrolled for other@"):
        stage.decide("stop", who="other@example.com")
    assert nothing_happened(stage)


def test_a_private_key_that_is_not_the_enrolled_one_does_not_sign(stage):
    KeyStore(stage.workspace).create(OWNER, "owner")
    stage.submit()
    with pytest.raises(Refused, match="is not the one that is enrolled"):
        stage.decide("scale")
    assert nothing_happened(stage)


def test_the_last_second_is_in_time_and_the_deadline_is_not(stage):
    stage.submit()
    stage.submit(charter={"pilot": "autumn-email"})
    stage.workspace.clock.set(DEADLINE - timedelta(seconds=60))
    said = Asked("stop", OWNER, REASON, insight=INSIGHT)
    assert not decide(stage.workspace, "autumn-email", said).repeated
    stage.workspace.clock.set(DEADLINE)
    with pytest.raises(Refused, match="silence was"):
        stage.decide("stop")
    assert "decided" not in entries(stage)


@pytest.mark.parametrize("insight", ["", "  "])
def test_stop_needs_an_insight(stage, insight):
    stage.submit()
    with pytest.raises(BadInput, match="stopped with an insight"):
        stage.decide("stop", insight=insight)
    assert nothing_happened(stage)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"reason": "good"}, "needs a reason"),
        ({"reason": " " * 20}, "needs a reason"),
        ({"word": "stop", "arm": "letter"}, "--arm goes with"),
        ({"arm": "control"}, "`control` is not an arm that can be scaled"),
        ({"arm": "card"}, "`card` is not an arm that can be scaled"),
    ],
)
def test_a_decision_that_is_not_complete_is_bad_input(stage, asked, said):
    stage.submit()
    with pytest.raises(BadInput, match=said):
        stage.decide(**asked)
    assert nothing_happened(stage)


def test_there_are_three_words():
    assert [require_word(word) for word in ("scale", "revise", "stop")] == ["scale", "revise", "stop"]
    with pytest.raises(BadInput, match="`ship` is not a decision"):
        require_word("ship")


def test_scale_is_refused_where_the_gate_refuses_and_says_which_check(stage):
    stage.submit(arms=WEAK)
    with pytest.raises(Refused, match="does not admit arm `letter`: refuse") as refused:
        stage.decide("scale")
    assert refused.value.exit_code == 3
    assert "primary_effect" in refused.value.where
    assert "more units" in refused.value.remedy
    assert nothing_happened(stage)


def test_scale_is_undecided_where_the_gate_cannot_say(stage):
    stage.submit(charter={"guardrails": []})
    with pytest.raises(Undecided, match="does not admit arm `letter`: undecided") as undecided:
        stage.decide("scale")
    assert (undecided.value.exit_code, "guardrails" in undecided.value.where) == (4, True)
    assert nothing_happened(stage)


@pytest.mark.parametrize("word", ["stop", "revise"])
def test_what_the_gate_refuses_may_be_stopped_or_revised_and_nothing_crosses(stage, word):
    stage.submit(arms=WEAK)
    predicate = stage.decide(word).attestation.predicate
    assert (predicate.verdict, predicate.decision.word) == ("refuse", word)
    assert packages(stage) == []


def test_of_two_arms_the_one_that_is_meant_must_be_named_and_admitted(stage):
    stage.submit(charter={"arms": stage.three_arms()}, arms={**GOOD, "card": Recorded(visits=10)})
    with pytest.raises(BadInput, match="which arm") as which:
        stage.decide("scale")
    assert which.value.expected == "--arm with one of: letter, card"
    with pytest.raises(Refused, match="does not admit arm `card`"):
        stage.decide("scale", arm="card")
    predicate = stage.decide("scale", arm="letter").attestation.predicate
    assert predicate.verdict == "admit"
    assert {finding.arm for finding in predicate.findings} == {None, "letter"}


@pytest.mark.parametrize("word", ["scale", "revise", "stop"])
def test_nobody_decides_on_a_candidate_that_was_changed(stage, word):
    candidate = stage.submit()
    candidate.file("message.txt").write_text("something else\n")
    with pytest.raises(Refused, match="changed after it was sealed"):
        stage.decide(word)
    assert nothing_happened(stage)


@pytest.mark.parametrize("word", ["scale", "revise", "stop"])
def test_nobody_decides_by_a_charter_that_the_gate_never_took_in(stage, word):
    enrol(stage.workspace, REQUESTER)
    stage.submit(charter={"owner": REQUESTER, "requester": OWNER}, registered=None)
    with pytest.raises(Refused, match="never took in this charter"):
        stage.decide(word, who=REQUESTER)
    assert nothing_happened(stage)


def test_a_candidate_that_carries_another_pilots_charter_is_bad_input(stage):
    stage.submit(charter={"pilot": "autumn-email"}, pilot="spring-email")
    with pytest.raises(BadInput, match="its charter of autumn-email"):
        stage.decide("stop")
    assert open_promotion(stage.workspace).entries("autumn-email")[-1].kind == "registered"


def test_a_candidate_without_evidence_is_bad_input(stage):
    stage.submit(alter=lambda folder: (folder / "evidence.json").unlink())
    with pytest.raises(BadInput, match="holds no evidence"):
        stage.decide("stop")
    assert nothing_happened(stage)


def test_revise_opens_a_successor_with_lineage_and_the_alpha_spent(stage):
    load(stage.workspace, "customers", customers_csv(stage.workspace.root / "customers.csv"))
    publish(stage.workspace)
    candidate = stage.submit(charter={"sample": {"alpha": 0.04, "units_per_arm": 10}})
    done = stage.decide("revise", reason="ask more units, and mail on Mondays")
    draft = stage.workspace.pilots / "spring-email-2"
    charter = read_yaml(draft / "charter.yaml", Charter)
    assert (done.decision.successor, charter.pilot) == ("spring-email-2", "spring-email-2")
    assert charter.follows.model_dump() == {
        "pilot": "spring-email",
        "candidate": candidate.digest,
        "change": "ask more units, and mail on Mondays",
        "alpha_spent": 0.04,
    }
    assert (charter.time_box.start.isoformat(), charter.time_box.end.isoformat()) == ("2026-01-21", "2026-02-04")
    assert charter.decide_by.isoformat() == "2026-02-16"
    assert sorted(path.name for path in draft.iterdir()) == ["audience.sql", "charter.yaml", "message.txt"]
    found = check(stage.workspace, "spring-email-2")
    assert [str(problem) for problem in found.problems] == []


def test_a_successors_successor_carries_all_the_alpha(stage):
    follows = {"pilot": "spring-email", "candidate": "sha256:0", "change": "more", "alpha_spent": 0.05}
    stage.submit(charter={"pilot": "spring-email-2", "follows": follows})
    decide(stage.workspace, "spring-email-2", Asked("revise", OWNER, "once more, with feeling"))
    charter = read_yaml(stage.workspace.pilots / "spring-email-3" / "charter.yaml", Charter)
    assert (charter.follows.pilot, charter.follows.alpha_spent) == ("spring-email-2", pytest.approx(0.1))


def test_a_reason_of_many_lines_does_not_break_out_of_the_drafts_comment(stage):
    stage.submit()
    stage.decide("revise", reason="first this\nowner: somebody@example.com\n# and: that")
    charter = read_yaml(stage.workspace.pilots / "spring-email-2" / "charter.yaml", Charter)
    assert (charter.owner, charter.follows.change.count("\n")) == (OWNER, 2)


def test_a_successors_draft_that_was_edited_stays_as_it_is(stage):
    stage.submit()
    stage.decide("revise")
    path = stage.workspace.pilots / "spring-email-2" / "charter.yaml"
    path.write_text(path.read_text() + "# my own\n")
    assert stage.decide("revise").repeated
    assert path.read_text().endswith("# my own\n")


def test_revise_is_refused_where_the_successors_name_is_another_pilots(stage):
    other = stage.workspace.pilots / "spring-email-2"
    other.mkdir()
    charter = stage.charter(pilot="spring-email-2").model_dump(mode="json", exclude_none=True)
    (other / "charter.yaml").write_text(yaml.safe_dump(charter))
    stage.submit()
    with pytest.raises(Refused, match="there is such a pilot already"):
        stage.decide("revise")
    assert "decided" not in entries(stage)


@pytest.mark.parametrize(
    ("pilot", "successor"),
    [("spring", "spring-2"), ("spring-2", "spring-3"), ("a-9", "a-10"), ("q4-mail", "q4-mail-2")],
)
def test_successors_are_counted(pilot, successor):
    assert successor_name(pilot) == successor


# From the commit of the decision on, these steps outlive a crash: that commit, a later one, the attestation's rename,
# the package's (or the draft's), and the removal of scratch: of the parcel, and where the draft was written.
LAST_STEPS = {
    "scale": ["commit", "commit", "replace", "rename", "rmtree"],
    "revise": ["commit", "commit", "replace", "rename", "rmtree", "rmtree"],
}


@pytest.mark.proof
@pytest.mark.parametrize(("word", "last"), [("scale", 5), ("revise", 3)])
def test_killed_at_any_of_its_last_steps_a_decision_is_finished_by_the_same_command(stage, tmp_path, word, last):
    stage.submit()
    code, steps = run_child(do_decide, stage.copy(tmp_path / "whole").workspace.root, word)
    expected = LAST_STEPS[word]
    assert (code, steps[-len(expected) :]) == (0, expected)
    commit = len(steps) - len(expected) + 1
    for at in range(len(steps) - last + 1, len(steps) + 1):
        killed = stage.copy(tmp_path / f"killed-{at}")
        code, _ = run_child(do_decide, killed.workspace.root, word, die=Step(at))
        assert code == -signal.SIGKILL
        assert ("decided" in entries(killed)) == (at > commit)
        assert len(crossed(killed, word)) == (at > commit + expected.index("rename"))
        killed.decide(word)
        assert len(crossed(killed, word)) == 1
        assert entries(killed) == ["registered", "decided"]
        assert verify(killed.workspace).problems == []


def crossed(stage, word):
    """What the decision brings about: a package, or a successor's draft."""
    home = stage.workspace.factory / "inbox" if word == "scale" else stage.workspace.pilots
    return [path for path in home.glob("*") if not path.name.startswith(".")]


def test_of_two_who_decide_at_once_exactly_one_wins(stage):
    stage.submit(arms=WEAK)
    root = stage.workspace.root
    (root / "wait").touch()
    children = [start_child(do_decide, root, word) for word in ("stop", "revise")]
    time.sleep(0.5)
    (root / "wait").unlink()
    for child in children:
        child.join(timeout=60)
    codes = [child.exitcode for child in children]
    assert sorted(codes) == [0, 3]
    [decided] = [e for e in open_promotion(stage.workspace).entries("spring-email") if e.kind == "decided"]
    assert decided.body["decision"]["word"] == ("stop", "revise")[codes.index(0)]
    assert len(list((stage.workspace.promotion / "attestations").iterdir())) == 1
    assert (stage.workspace.pilots / "spring-email-2").exists() == (codes == [3, 0])
    assert verify(stage.workspace).problems == []
