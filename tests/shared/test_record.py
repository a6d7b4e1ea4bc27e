"""The record: decisions as the gate's attestation files have them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.state.workspace import create
from shared.trust.attestation import Predicate, attest
from shared.trust.keys import GATE, KeyStore
from shared.trust.record import attestation_path, decisions
from tests.makers import signed_for

CANDIDATE, OTHER = "sha256:" + "ab" * 32, "sha256:" + "cd" * 32


@pytest.fixture
def workspace(tmp_path):
    made = create(tmp_path / "team", "rehearsal")[0]
    KeyStore(made).create(GATE, "gate")
    return made


def decided(workspace, candidate=CANDIDATE, pilot="spring-mail"):
    said = {"word": "stop", "owner": "o@example.com", "reason": "no", "at": "2026-02-02T09:00:00+01:00", "insight": "x"}
    predicate = Predicate(
        verifier="pilotplant", time_verified="2026-02-02T08:00:00Z", pilot=pilot, promise="sha256:1", policy="sha256:2",
        mode="rehearsal", verdict="admit", findings=(), evidence="sha256:3",
        cost={"amount": "1.00", "currency": "USD"}, expires="2026-03-02T09:00:00Z", ledgers={},
        **signed_for(workspace.id, said),
    )  # fmt: skip
    path = attestation_path(workspace, candidate)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(attest(candidate, predicate, [KeyStore(workspace).signer(GATE)]))


def test_nothing_decided_is_an_empty_record(workspace):
    assert decisions(workspace) == {}


def test_a_decision_is_found_under_its_pilot(workspace):
    decided(workspace)
    assert decisions(workspace)["spring-mail"].decision.word == "stop"


def test_a_decision_names_the_candidate_and_promise_it_stands_on(workspace):
    decided(workspace)
    found = decisions(workspace)["spring-mail"]
    assert (found.candidate, found.promise) == (CANDIDATE, "sha256:1")


def test_a_decision_was_made_at_a_moment_in_utc(workspace):
    decided(workspace)
    assert decisions(workspace)["spring-mail"].at == datetime(2026, 2, 2, 8, tzinfo=UTC)


def test_each_pilot_has_its_own_decision(workspace):
    decided(workspace)
    decided(workspace, OTHER, "autumn-mail")
    assert set(decisions(workspace)) == {"spring-mail", "autumn-mail"}


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[" * 100_000])
def test_a_damaged_attestation_hides_no_other_decision(workspace, content):
    decided(workspace)
    attestation_path(workspace, OTHER).write_bytes(content)
    assert set(decisions(workspace)) == {"spring-mail"}


def test_an_attestation_lies_under_its_candidates_digest(workspace):
    assert attestation_path(workspace, CANDIDATE).name == "ab" * 32 + ".json"
