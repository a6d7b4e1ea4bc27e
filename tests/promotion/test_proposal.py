"""Two signatures: the owner proposes, a second person signs the same, and each only what still stands."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from datetime import timedelta

import pytest

from factory.releases.packages import verify as factory_verify
from factory.releases.trust import trust
from pilotplant.app import run
from promotion.audit.verification import verify
from promotion.decisions.decision import Decided
from promotion.decisions.proposal import Proposed
from promotion.keys.enrolment import enrol, enrolled_key
from promotion.keys.keyring import keys_folder
from promotion.keys.revocation import revoke
from promotion.state import open_promotion
from shared.core.digests import canonical
from shared.core.errors import Refused
from shared.trust.attestation import attest, parse_attestation
from shared.trust.keys import GATE, KeyStore, read_public
from tests.makers import OWNER, moment
from tests.promotion.cases import GOOD, JUDGED, REASON, Recorded, Stage

REQUESTER, SECOND, THIRD = "requester@example.com", "second@example.com", "third@example.com"
DECIDES = {"tiers": ["low", "standard", "high"]}
PERSONS = [{"email": who, "decides": DECIDES} for who in (REQUESTER, OWNER, SECOND)]
OTHER = "we may gladly do this"


@pytest.fixture(scope="module")
def made(prepared, tmp_path_factory):
    stage = Stage(prepared).copy(tmp_path_factory.mktemp("made") / "workspace")
    stage.people(*PERSONS)
    for who in (REQUESTER, SECOND):
        enrol(stage.workspace, who)
    return stage, stage.submit(charter={"risk_tier": "high"}).digest


@pytest.fixture
def high(made, tmp_path):
    """A pilot of high risk before the gate, and three persons who may decide such ones, the requester among them."""
    stage = made[0].copy(tmp_path / "high")
    stage.digest = made[1]
    return stage


def kinds(stage):
    return [entry.kind for entry in open_promotion(stage.workspace).entries("spring-email")]


def packages(stage):
    return list((stage.workspace.factory / "inbox").glob("[!.]*"))


def signed(stage):
    """The attestation after both have signed, and the keys that one would trust."""
    stage.decide("scale")
    done = stage.decide("scale", who=SECOND, reason=OTHER)
    return done.attestation, read_public(keys_folder(stage.workspace))


def test_the_owners_word_on_high_risk_is_a_proposal_and_hands_nothing_over(high):
    found = high.decide("scale")
    assert isinstance(found, Proposed)
    assert (found.others, found.lapses, found.repeated) == ((SECOND,), "2026-02-01T00:00:00Z", False)
    assert (kinds(high), packages(high)) == (["registered", "proposed"], [])
    assert verify(high.workspace).problems == []


def test_the_same_proposal_again_is_a_no_op_that_says_so(high):
    first, again = high.decide("scale"), high.decide("scale")
    assert (again.repeated, again.digest) == (True, first.digest)
    assert kinds(high) == ["registered", "proposed"]


def test_a_second_persons_signature_makes_the_decision(high):
    proposed = high.decide("scale")
    high.workspace.clock.set(JUDGED + timedelta(hours=3))
    done = high.decide("scale", who=SECOND, reason=OTHER)
    predicate = done.attestation.predicate
    assert isinstance(done, Decided)
    assert (kinds(high), len(packages(high))) == (["registered", "proposed", "decided"], 1)
    assert [(one.name, one.reason) for one in predicate.signatories] == [(GATE, None), (OWNER, REASON), (SECOND, OTHER)]
    assert (predicate.decision.owner, predicate.decision.reason) == (OWNER, REASON)
    assert predicate.signatures_required == 2
    assert proposed.decision.same_as(predicate.decision)
    assert "second_signature" in {finding.check for finding in predicate.findings}
    assert done.attestation.distrust(read_public(keys_folder(high.workspace)), now=JUDGED) == []
    assert verify(high.workspace).problems == []


@pytest.mark.parametrize("who", [OWNER, SECOND])
def test_both_may_repeat_what_they_decided(high, who):
    signed(high)
    assert high.decide("scale", who=who).repeated
    assert kinds(high) == ["registered", "proposed", "decided"]


def test_a_stop_needs_two_as_well_and_the_second_need_not_repeat_the_insight(high):
    high.decide("stop")
    done = high.decide("stop", who=SECOND, insight=None)
    assert (done.decision.word, done.decision.insight is not None, packages(high)) == ("stop", True, [])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"word": "stop", "who": SECOND}, f"{OWNER} has proposed scale --arm letter on "),
        ({"who": REQUESTER}, f"{REQUESTER} would decide on their own request"),
        ({"who": "stranger@example.com"}, "stranger@example.com is not in configs/people.yaml"),
    ],
)
def test_who_may_not_sign_or_says_something_else_is_refused(high, asked, said):
    high.decide("scale")
    with pytest.raises(Refused, match=said) as refused:
        high.decide(**{"word": "scale", **asked})
    assert refused.value.remedy
    assert kinds(high) == ["registered", "proposed"]


def test_the_second_person_does_not_propose(high):
    with pytest.raises(Refused, match=f"{SECOND} does not own this decision"):
        high.decide("scale", who=SECOND)
    assert kinds(high) == ["registered"]


def test_who_proposed_may_propose_something_else_and_only_that_is_signed(high):
    high.decide("scale")
    high.decide("stop")
    with pytest.raises(Refused, match=f"{OWNER} has proposed stop"):
        high.decide("scale", who=SECOND)
    assert high.decide("stop", who=SECOND).decision.word == "stop"
    assert kinds(high) == ["registered", "proposed", "proposed", "decided"]


def _other_candidate(stage):
    stage.submit(charter={"risk_tier": "high"}, later=9, costs=[("7.00", "USD")])


def _revoked_key(stage):
    revoke(stage.workspace, enrolled_key(stage.workspace, OWNER).key_id, "the laptop was stolen")


def _no_longer_entitled(stage):
    stage.people(PERSONS[0], {"email": OWNER, "decides": {"tiers": ["low"]}}, PERSONS[2])


@pytest.mark.parametrize(
    ("happens", "said"),
    [
        (_other_candidate, "it was made for another candidate"),
        (_revoked_key, f"the key with which {OWNER} signed it does not count"),
        (_no_longer_entitled, f"{OWNER} may decide low risk, this is high"),
    ],
)
def test_a_proposal_lapses_and_the_second_person_is_told_why(high, happens, said):
    high.decide("scale")
    happens(high)
    with pytest.raises(Refused, match=said):
        high.decide("scale", who=SECOND)
    assert "decided" not in kinds(high)


def test_past_the_deadline_nobody_signs(high):
    high.decide("scale")
    high.workspace.clock.set(moment("2026-02-01 00:00"))
    with pytest.raises(Refused, match="deadline has passed"):
        high.decide("scale", who=SECOND)


def test_a_changed_verdict_lapses_the_proposal(stage):
    """The owner proposes to stop what the gate refuses; a policy that lets it pass makes that another decision."""
    stage.people(*PERSONS)
    enrol(stage.workspace, SECOND)
    stage.submit(charter={"risk_tier": "high"}, arms={**GOOD, "letter": Recorded(units=300, visits=90)})
    stage.decide("stop")
    stage.settings(high={"sample_ratio": {"level": "warn"}})
    with pytest.raises(Refused, match="the gate's verdict was refuse then, and is admit now"):
        stage.decide("stop", who=SECOND)


def rebuilt(attestation, stage, *signers, **changes):
    predicate = attestation.predicate.model_copy(update=changes)
    keys = [KeyStore(stage.workspace).signer(name) for name in signers]
    return parse_attestation(attest(attestation.candidate, predicate, keys), where="here")


def test_a_missing_second_signature_is_refused(high):
    attestation, keys = signed(high)
    [reason] = rebuilt(attestation, high, GATE, OWNER, proposal=None).distrust(keys, now=JUDGED)
    assert reason.startswith("high risk needs the signatures of 2 persons")
    assert rebuilt(attestation, high, GATE).distrust(keys, now=JUDGED) == [reason]


def test_one_signature_does_not_suffice_because_the_attestation_says_so(high):
    attestation, keys = signed(high)
    alone = rebuilt(attestation, high, GATE, OWNER, proposal=None, signatures_required=1, tier="low")
    assert alone.distrust(keys, now=JUDGED) == []
    assert "needs the signatures of 2 persons" in alone.distrust(keys, now=JUDGED, signatures_min=2)[0]


def test_the_same_person_with_two_keys_signs_once(high):
    attestation, keys = signed(high)
    other = KeyStore(high.workspace).create(THIRD, "owner")
    twice = [*keys, other.model_copy(update={"name": OWNER})]
    found = rebuilt(attestation, high, GATE, THIRD)
    assert "needs the signatures of 2 persons" in found.distrust(twice, now=JUDGED)[0]
    # Nor does one key sign for two persons.
    owner = next(key for key in keys if key.name == OWNER)
    both = [*keys, owner.model_copy(update={"name": THIRD})]
    assert "needs the signatures of 2 persons" in rebuilt(attestation, high, GATE, OWNER).distrust(both, now=JUDGED)[0]


def test_swapped_signatures_do_not_count(high):
    attestation, keys = signed(high)
    envelope, proposal = attestation.envelope.to_dict(), attestation.predicate.proposal
    second = enrolled_key(high.workspace, SECOND).key_id
    # The owner's signature under the proposal, put where the second person's was.
    swapped = [one for one in envelope["signatures"] if one["keyid"] != second] + proposal["signatures"]
    found = parse_attestation(canonical({**envelope, "signatures": swapped}), where="here")
    assert "needs the signatures of 2 persons" in found.distrust(keys, now=JUDGED)[0]


def test_a_proposal_of_another_candidate_or_decision_counts_for_nothing(high):
    attestation, keys = signed(high)
    proposal = json.loads(canonical(attestation.predicate.proposal))
    content = json.loads(b64decode(proposal["payload"]))
    content["candidate"] = "sha256:" + "0" * 64
    forged = {**proposal, "payload": b64encode(canonical(content)).decode()}
    reasons = rebuilt(attestation, high, GATE, SECOND, proposal=forged).distrust(keys, now=JUDGED)
    assert reasons[0] == "its proposal is of another candidate, workspace or verdict"
    decision = attestation.predicate.decision.model_copy(update={"reason": "for quite another reason"})
    reasons = rebuilt(attestation, high, GATE, SECOND, decision=decision).distrust(keys, now=JUDGED)
    assert reasons[0] == "its proposal is of another decision"


def test_the_factory_asks_for_its_own_number_of_signatures_by_the_charters_tier(high):
    """Whatever the gate's policy: one that asks for one signature of everybody does not let high risk in."""
    path = high.workspace.configs / "gate.yaml"
    path.write_text(path.read_text().replace("high: 2", "high: 1"))
    high.decide("scale")
    for name in (GATE, OWNER):
        trust(high.workspace, name)
    [package] = packages(high)
    found = factory_verify(high.workspace, package, now=JUDGED + timedelta(hours=1))
    [reason] = [one for one in found if "signatures" in one]
    assert reason.startswith("high risk needs the signatures of 2 persons")
    assert reason.endswith(f"signed by {OWNER}")


def test_the_factory_believes_both_only_if_both_are_pinned(high):
    signed(high)
    [package] = packages(high)
    for name in (GATE, OWNER):
        trust(high.workspace, name)
    assert "signatures of 2 persons" in "; ".join(
        factory_verify(high.workspace, package, now=JUDGED + timedelta(hours=1))
    )
    trust(high.workspace, SECOND)
    assert not isinstance(factory_verify(high.workspace, package, now=JUDGED + timedelta(hours=1)), list)


def test_the_command_line_says_who_else_may_sign_and_what_to_type(high, capsys):
    words = ["--workspace", str(high.workspace.root), "promote", "decide", "spring-email", "scale", "--as", OWNER]
    assert run([*words, "--reason", REASON, "--json"]) == 4
    told = json.loads(capsys.readouterr().out)
    assert (told["others"], told["proposed"]["word"], told["repeated"]) == ([SECOND], "scale", False)
    assert run([*words, "--reason", REASON]) == 4
    out = capsys.readouterr().out
    assert "was proposed before" in out
    assert "pilotplant promote decide spring-email scale --arm letter --as PERSON" in out


def queued(stage, capsys, *words):
    run(["--workspace", str(stage.workspace.root), "promote", "queue", *words])
    return capsys.readouterr().out


def test_the_queue_shows_a_proposal_to_whoever_may_sign_second_with_what_they_type(high, capsys):
    assert json.loads(queued(high, capsys, "--as", SECOND, "--json"))["candidates"] == []
    high.decide("scale")
    [found] = json.loads(queued(high, capsys, "--as", SECOND, "--json"))["candidates"]
    proposed = found["proposed"]
    assert (proposed["word"], proposed["by"], proposed["others"]) == ("scale --arm letter", OWNER, [SECOND])
    words = f"promote decide spring-email scale --arm letter --as {SECOND} --reason"
    assert proposed["next"].startswith(f"pilotplant {words}")
    out = queued(high, capsys, "--as", SECOND)
    assert f"scale --arm letter is proposed by {OWNER} ({REASON})" in out
    assert words in out
    # And what is typed so does it.
    assert isinstance(run(["--workspace", str(high.workspace.root), *words.split(), OTHER]), Decided)
    capsys.readouterr()
    assert json.loads(queued(high, capsys, "--as", SECOND, "--json"))["candidates"] == []


def test_the_queue_shows_no_proposal_to_the_requester(high, capsys):
    high.decide("scale")
    assert json.loads(queued(high, capsys, "--as", REQUESTER, "--json"))["candidates"] == []


@pytest.mark.parametrize("happens", [_other_candidate, _revoked_key, _no_longer_entitled])
def test_the_queue_shows_no_proposal_that_has_lapsed(high, capsys, happens):
    high.decide("scale")
    happens(high)
    [found] = json.loads(queued(high, capsys, "--json"))["candidates"]
    assert found["proposed"] is None
    assert json.loads(queued(high, capsys, "--as", SECOND, "--json"))["candidates"] == []


def test_the_queue_says_that_nobody_may_sign_second(high, capsys):
    high.decide("scale")
    high.people(*PERSONS[:2])
    out = queued(high, capsys)
    assert "nobody yet: have configs/people.yaml entitle a second person" in out
    assert "They type" not in out
