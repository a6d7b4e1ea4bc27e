"""Dated keys: a decision counts only with a key that was valid at its time, by the gate's ledger."""

from __future__ import annotations

from datetime import timedelta

import pytest

from factory.releases.trust import trust
from promotion.audit.verification import verify
from promotion.keys.enrolment import enrol, enrolled_key
from promotion.keys.keyring import keyring, keys_folder
from promotion.keys.revocation import revoke
from promotion.state import open_promotion
from shared.core.errors import BadInput, Refused
from shared.trust.attestation import read_attestation
from shared.trust.keys import GATE, KeyStore, read_public, write_public
from shared.trust.record import attestation_path
from tests.makers import OWNER, moment
from tests.promotion.cases import JUDGED

LOST = "the laptop was stolen"
LATER = JUDGED + timedelta(days=2)


def ring(stage):
    return keyring(open_promotion(stage.workspace).entries(), stage.workspace)


def kinds(stage, name=OWNER):
    return [entry.kind for entry in open_promotion(stage.workspace).entries(name)]


def attested(stage, candidate):
    return read_attestation(attestation_path(stage.workspace, candidate.digest))


def test_a_rotated_key_ends_at_the_moment_from_which_the_next_one_counts(stage):
    old = enrolled_key(stage.workspace, OWNER)
    stage.workspace.clock.set(JUDGED)
    done = enrol(stage.workspace, OWNER, rotate=True)
    first, second = ring(stage).keys[OWNER]
    assert (first.key_id, second.key_id, done.replaces) == (old.key_id, done.key.key_id, old.key_id)
    assert first.ends == second.valid_from
    assert (first.valid_from, second.ends) == (old.valid_from, None)
    assert KeyStore(stage.workspace).signer(OWNER).public_key.keyid == done.key.key_id
    stems = sorted(path.stem for path in keys_folder(stage.workspace).glob("owner*"))
    assert stems == [OWNER, f"{OWNER}.{old.key_id[:12]}"]
    assert verify(stage.workspace).problems == []


def test_what_was_signed_before_a_rotation_still_verifies_and_the_new_key_signs_on(stage):
    stage.submit()
    stage.decide("scale")
    stage.workspace.clock.set(LATER)
    done = enrol(stage.workspace, OWNER, rotate=True)
    stage.submit(charter={"pilot": "autumn-email"})
    from promotion.decisions.decision import decide
    from promotion.decisions.draft import Asked

    stage.workspace.clock.set(LATER + timedelta(days=1))
    second = decide(stage.workspace, "autumn-email", Asked("scale", OWNER, "visits rise by far more"))
    assert [key.key_id for key in second.attestation.signed_by([done.key])] == [done.key.key_id]
    assert verify(stage.workspace).problems == []


def test_a_rotated_key_that_signs_after_its_end_is_not_believed(stage):
    candidate = stage.submit()
    stage.decide("scale")
    attestation, old = attested(stage, candidate), enrolled_key(stage.workspace, OWNER)
    keys = [key for key in read_public(keys_folder(stage.workspace)) if key.name == GATE]
    # To the moment: what was signed when the key ended is signed too late.
    at = attestation.predicate.time_verified
    reasons = attestation.distrust([*keys, old.model_copy(update={"ends": at})], now=JUDGED)
    assert (
        reasons[0]
        == f"the key {old.key_id[:12]} of {OWNER}, which signed it, ended at {at}, when another took its place"
    )
    assert attestation.distrust([*keys, old.model_copy(update={"ends": "2026-01-21T00:00:00Z"})], now=JUDGED) == []


def test_a_key_that_signs_before_it_was_enrolled_is_not_believed(stage):
    candidate = stage.submit()
    stage.decide("scale")
    attestation, key = attested(stage, candidate), enrolled_key(stage.workspace, OWNER)
    gate = enrolled_key(stage.workspace, GATE)
    late = key.model_copy(update={"valid_from": "2026-01-21T00:00:00Z"})
    assert "was enrolled only at 2026-01-21T00:00:00Z" in attestation.distrust([gate, late], now=JUDGED)[0]


def test_nobody_decides_with_a_revoked_key_and_a_new_one_may(stage):
    stage.submit()
    revoke(stage.workspace, enrolled_key(stage.workspace, OWNER).key_id, LOST)
    with pytest.raises(Refused, match=LOST) as refused:
        stage.decide("scale")
    assert refused.value.remedy == f"make another one: pilotplant promote enrol {OWNER} --rotate"
    assert "decided" not in kinds(stage, "spring-email")
    enrol(stage.workspace, OWNER, rotate=True)
    stage.decide("scale")
    assert verify(stage.workspace).problems == []


def test_what_a_key_signed_before_it_was_revoked_stands_by_the_ledger_and_promote_verify_tells_of_it(stage):
    stage.submit()
    stage.decide("scale")
    key = enrolled_key(stage.workspace, OWNER)
    stage.workspace.clock.set(LATER)
    done = revoke(stage.workspace, key.key_id[:8], LOST)
    found = verify(stage.workspace)
    assert found.problems == []
    assert f"key {key.key_id[:12]} of {OWNER}: revoked since {done.key.revoked_since} ({LOST})" in found.verified


def test_a_revocation_that_reaches_back_takes_the_decision_with_it_and_promote_verify_says_so(stage):
    stage.submit()
    stage.decide("scale")
    key = enrolled_key(stage.workspace, OWNER)
    stage.workspace.clock.set(LATER)
    revoke(stage.workspace, key.key_id, LOST, since=moment("2026-01-20 00:00"))
    said = f"the key {key.key_id[:12]} of {OWNER}, which signed it, is revoked since 2026-01-20T00:00:00Z"
    assert any(f"{said}, and it was signed no earlier" in problem for problem in verify(stage.workspace).problems)


def test_without_the_ledger_no_claim_of_the_signer_dates_a_revoked_keys_signature(stage):
    candidate = stage.submit()
    stage.decide("scale")
    stage.workspace.clock.set(LATER)
    revoke(stage.workspace, enrolled_key(stage.workspace, OWNER).key_id, LOST)
    keys, attestation = read_public(keys_folder(stage.workspace)), attested(stage, candidate)
    assert "nobody witnessed the signature before that" in attestation.distrust(keys, now=JUDGED)[0]
    assert attestation.distrust(keys, now=JUDGED, witnessed=JUDGED + timedelta(hours=1)) == []
    assert "it was signed no earlier" in attestation.distrust(keys, now=JUDGED, witnessed=LATER + timedelta(days=1))[0]


def test_revoking_twice_is_a_no_op_an_earlier_moment_counts_and_anything_else_is_refused(stage):
    key_id = enrolled_key(stage.workspace, OWNER).key_id
    stage.workspace.clock.set(JUDGED)
    assert not revoke(stage.workspace, key_id, LOST).repeated
    assert revoke(stage.workspace, key_id, LOST).repeated
    assert kinds(stage) == ["enrolled", "revoked"]
    with pytest.raises(Refused, match="is revoked already"):
        revoke(stage.workspace, key_id, "for quite another reason")
    earlier = revoke(stage.workspace, key_id, "stolen a week before", since=moment("2026-01-13 00:00"))
    assert (earlier.repeated, earlier.key.revoked_since) == (False, "2026-01-13T00:00:00Z")
    with pytest.raises(Refused, match="is revoked already"):
        revoke(stage.workspace, key_id, LOST, since=moment("2026-01-14 00:00"))
    assert kinds(stage) == ["enrolled", "revoked", "revoked"]


@pytest.mark.parametrize(
    ("key_id", "reason", "since", "said"),
    [
        ("ffffffff", LOST, None, "no enrolled key is known as ffffffff"),
        ("", LOST, None, "no enrolled key is known"),
        (None, "  ", None, "why is the key revoked"),
        (None, LOST, moment("2026-01-21 00:00"), "still to come"),
    ],
)
def test_a_revocation_that_says_nothing_certain_is_bad_input(stage, key_id, reason, since, said):
    stage.workspace.clock.set(JUDGED)
    with pytest.raises(BadInput, match=said):
        revoke(
            stage.workspace,
            enrolled_key(stage.workspace, OWNER).key_id if key_id is None else key_id,
            reason,
            since=since,
        )
    assert kinds(stage) == ["enrolled"]


def test_a_key_that_has_ended_does_not_come_back(stage, tmp_path):
    record = write_public(tmp_path, enrolled_key(stage.workspace, OWNER))
    enrol(stage.workspace, OWNER, rotate=True)
    with pytest.raises(Refused, match="was enrolled before"):
        enrol(stage.workspace, OWNER, rotate=True, public=record)


def test_nothing_is_rotated_where_nothing_was_enrolled(stage):
    with pytest.raises(Refused, match="no key is enrolled for requester@"):
        enrol(stage.workspace, "requester@example.com", rotate=True)


def test_the_factory_pins_the_key_that_took_anothers_place_and_keeps_that_with_its_end(stage):
    folder = stage.workspace.configs / "trusted_keys"
    old, _ = trust(stage.workspace, OWNER)
    new = enrol(stage.workspace, OWNER, rotate=True).key
    assert trust(stage.workspace, OWNER) == (new, True)
    held = {key.key_id: key for key in read_public(folder)}
    assert (len(held), held[old.key_id].ends, held[new.key_id].ends) == (2, new.valid_from, None)
    assert trust(stage.workspace, OWNER) == (new, False)


def test_the_factory_pins_no_key_that_is_revoked_and_none_that_it_never_trusted(stage):
    revoke(stage.workspace, enrolled_key(stage.workspace, OWNER).key_id, LOST)
    with pytest.raises(Refused, match="is revoked since"):
        trust(stage.workspace, OWNER)
    enrol(stage.workspace, OWNER, rotate=True)
    trust(stage.workspace, OWNER)
    assert [path.stem for path in (stage.workspace.configs / "trusted_keys").iterdir()] == [OWNER]
