"""Corrections of a clock: only two persons who decide can sign one, and it dates nothing earlier."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
import yaml

from factory.releases.releases import stop_all
from factory.releases.trust import trust
from factory.state.room import open_factory
from lab.state import open_lab
from pilotplant.witnesses import verify
from promotion.keys.clock_correction import correct, countersign_clock, ends
from promotion.keys.enrolment import enrol
from promotion.keys.revocation import revoke
from promotion.state import open_promotion
from shared.core.clock import rfc3339
from shared.core.digests import canonical
from shared.core.errors import BadInput, PilotPlantError, Refused
from shared.state.order import CORRECTED, OutOfOrder
from shared.state.workspace import create, open_workspace
from shared.trust.clock_correction import Correction, corrections_folder
from shared.trust.keys import GATE
from tests.makers import PASSPHRASE

BEGAN = datetime(2026, 3, 2, 8, tzinfo=UTC)
WRONG = datetime(2031, 7, 1, 12, tzinfo=UTC)
RIGHT = BEGAN + timedelta(days=2)
ONE, OTHER, CLERK = "owner@example.com", "second@example.com", "requester@example.com"
ROOMS = {"lab": open_lab, "promotion": open_promotion, "factory": open_factory}
WHY = "the time server of the new rack stood at 2031"


class Team:
    """A live workspace whose clock went to 2031 and back."""

    def __init__(self, workspace, wrong=tuple(ROOMS)):
        self.workspace = workspace
        for name, at in (*((name, BEGAN) for name in ROOMS), *((name, WRONG) for name in wrong)):
            self.write(name, at)

    def write(self, name, clock, kind="made", **options):
        with time_machine.travel(clock, tick=False):
            room = ROOMS[name](self.workspace)
            with room.transaction() as connection:
                return room.write(connection, kind, "a", {}, **options)

    def sign(self, who, clock=RIGHT, reason=WHY, gate_passphrase=PASSPHRASE):
        with time_machine.travel(clock, tick=False):
            found, unread = ends(self.workspace)
            assert unread == {}
            return correct(self.workspace, who, reason, found, passphrase=PASSPHRASE, gate_passphrase=gate_passphrase)

    def countersign(self, clock=RIGHT):
        with time_machine.travel(clock, tick=False):
            return countersign_clock(self.workspace, ends(self.workspace)[0], PASSPHRASE)

    def corrected(self, name):
        return [entry for entry in ROOMS[name](self.workspace).entries() if entry.kind == CORRECTED]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A live workspace in which three people have keys, and two of them decide; made once, and copied."""
    folder = tmp_path_factory.mktemp("clock")
    with pytest.MonkeyPatch.context() as patch, time_machine.travel(BEGAN - timedelta(days=1)):
        patch.setenv("PILOTPLANT_KEYS", str(folder / "keys"))
        workspace = create(folder / "workspace", "live")[0]
        path = workspace.configs / "people.yaml"
        people = yaml.safe_load(path.read_text())
        people["people"].append({"email": OTHER, "decides": {"tiers": ["low", "standard"]}})
        path.write_text(yaml.safe_dump(people))
        for name in (GATE, ONE, OTHER, CLERK):
            enrol(workspace, name, passphrase=PASSPHRASE)
        for name in (GATE, ONE, OTHER):
            trust(workspace, name)
    return folder


@pytest.fixture
def prepared(template, tmp_path, monkeypatch):
    monkeypatch.setenv("PILOTPLANT_KEYS", str(template / "keys"))
    shutil.copytree(template / "workspace", tmp_path / "workspace")
    return open_workspace(tmp_path / "workspace")


@pytest.fixture
def team(prepared):
    return Team(prepared)


@pytest.mark.parametrize("name", ROOMS)
def test_after_a_step_forward_a_room_writes_nothing_until_two_persons_have_signed(team, name):
    with pytest.raises(OutOfOrder):
        team.write(name, RIGHT)
    assert team.sign(ONE).state == "proposed"
    with pytest.raises(OutOfOrder):
        team.write(name, RIGHT + timedelta(minutes=1))
    assert team.sign(OTHER, RIGHT + timedelta(minutes=2)).state == "signed"
    later = RIGHT + timedelta(minutes=3)
    team.write(name, later)
    room = ROOMS[name](team.workspace)
    assert room.entries()[-1].at == rfc3339(later)
    assert [entry.at for entry in room.entries() if entry.kind == "made"] == [
        rfc3339(at) for at in (BEGAN, WRONG, later)
    ]
    assert len(team.corrected(name)) == 1
    assert room.problems() == []


def test_every_room_takes_the_correction_once_and_verifies(team):
    team.sign(ONE)
    team.sign(OTHER)
    for minutes in (1, 2):
        for name in ROOMS:
            team.write(name, RIGHT + timedelta(minutes=minutes))
    assert {name: len(team.corrected(name)) for name in ROOMS} == dict.fromkeys(ROOMS, 1)
    found = verify(team.workspace)
    assert found.problems == []
    told = f"its clock was corrected at {rfc3339(RIGHT)} by {ONE} and {OTHER}: {WHY}"
    assert f"the promotion ledger: {told}" in found.verified
    assert sum("its clock was corrected" in line for line in found.verified) == len(ROOMS)


@pytest.mark.parametrize("spelt", [ONE.upper(), "Owner@Example.com", "owner@EXAMPLE.com"])
def test_whoever_writes_their_address_in_capitals_signs_as_the_same_person(team, spelt):
    assert team.sign(spelt).persons == (ONE,)
    again = team.sign(ONE)
    assert (again.state, again.persons, again.repeated) == ("proposed", (ONE,), True)
    assert team.sign(OTHER.upper()).persons == (ONE, OTHER)


def test_only_the_rooms_that_are_ahead_are_corrected(prepared):
    team = Team(prepared, wrong=("factory",))
    assert set(team.sign(ONE).correction.ledgers) == {"factory"}
    team.sign(OTHER)
    for name in ROOMS:
        team.write(name, RIGHT + timedelta(minutes=1))
    assert {name: len(team.corrected(name)) for name in ROOMS} == {"lab": 0, "promotion": 0, "factory": 1}


def test_where_the_gates_key_does_not_open_for_the_second_person_ops_sign_for_it(team):
    team.sign(ONE, gate_passphrase=None)
    assert team.countersign() is None
    agreed = team.sign(OTHER, gate_passphrase=None)
    again = team.sign(OTHER, gate_passphrase=None)
    assert (agreed.state, agreed.persons, agreed.repeated, again.repeated) == ("agreed", (ONE, OTHER), False, True)
    with pytest.raises(OutOfOrder):
        team.write("lab", RIGHT + timedelta(minutes=1))
    assert (team.countersign().state, team.countersign()) == ("signed", None)
    for name in ROOMS:
        team.write(name, RIGHT + timedelta(minutes=2))
    assert verify(team.workspace).problems == []


def test_one_person_twice_is_one_person(team):
    team.sign(ONE)
    again = team.sign(ONE)
    assert (again.state, again.repeated, again.persons) == ("proposed", True, (ONE,))
    with pytest.raises(OutOfOrder):
        team.write("lab", RIGHT + timedelta(minutes=1))


def test_somebody_who_decides_nothing_does_not_sign(team):
    with pytest.raises(Refused, match="is not entitled to decide anything"):
        team.sign(CLERK)
    with pytest.raises(BadInput, match="nobody is known"):
        team.sign("stranger@example.com")


def test_without_a_reason_nobody_signs(team):
    with pytest.raises(BadInput, match="why was the clock wrong"):
        team.sign(ONE, reason=None)
    assert not list(corrections_folder(team.workspace).glob("*"))


def test_where_no_ledger_is_ahead_there_is_nothing_to_correct(prepared):
    with pytest.raises(Refused, match="nothing to correct"):
        Team(prepared, wrong=()).sign(ONE)


def test_a_correction_dates_nothing_before_it_was_signed(team):
    """With a correction of today in hand, a clock that is set back by three weeks writes nothing."""
    team.sign(ONE)
    team.sign(OTHER)
    for back in (timedelta(weeks=3), timedelta(days=1)):
        with pytest.raises(OutOfOrder):
            team.write("lab", RIGHT - back)
    team.write("lab", RIGHT + timedelta(minutes=1))
    with pytest.raises(OutOfOrder):
        team.write("lab", RIGHT - timedelta(weeks=3))


def test_a_correction_serves_one_wrong_step_only(team):
    team.sign(ONE)
    team.sign(OTHER)
    team.write("lab", RIGHT + timedelta(minutes=1))
    team.write("lab", WRONG)
    with pytest.raises(OutOfOrder):
        team.write("lab", RIGHT + timedelta(hours=1))
    team.sign(ONE, RIGHT + timedelta(hours=1))
    team.sign(OTHER, RIGHT + timedelta(hours=1))
    team.write("lab", RIGHT + timedelta(hours=2))
    assert len(team.corrected("lab")) == 2
    assert ROOMS["lab"](team.workspace).problems() == []


def test_what_ran_ahead_again_since_it_was_signed_needs_another_one(team):
    team.sign(ONE)
    team.sign(OTHER)
    team.write("lab", WRONG + timedelta(days=1))
    with pytest.raises(OutOfOrder):
        team.write("lab", RIGHT + timedelta(minutes=1))


def test_a_proposal_lapses_after_a_day(team):
    team.sign(ONE)
    late = team.sign(OTHER, RIGHT + timedelta(days=1, minutes=1))
    assert (late.state, late.persons) == ("proposed", (OTHER,))


def test_a_stop_is_recorded_while_the_clock_is_wrong_and_the_correction_still_counts(team):
    team.sign(ONE)
    team.sign(OTHER)
    with time_machine.travel(RIGHT - timedelta(days=1), tick=False):
        assert stop_all(team.workspace, reason="the clock is wrong").state == "stopped"
    team.write("factory", RIGHT + timedelta(minutes=1))
    assert open_factory(team.workspace).problems() == []


def test_a_key_is_revoked_from_the_clocks_own_time_on_while_the_ledger_is_ahead(team):
    """The ledger's own moment, 2031, would let it count for five years more."""
    with time_machine.travel(RIGHT, tick=False):
        held = list(team.workspace.promotion.glob(f"keys/{CLERK}.yaml"))
        key_id = yaml.safe_load(held[0].read_text())["key_id"]
        done = revoke(team.workspace, key_id, "the laptop was stolen")
    assert done.key.revoked_since == rfc3339(RIGHT)


def laid_out(workspace):
    [path] = corrections_folder(workspace).glob("[!.]*.json")
    return path


@pytest.mark.parametrize("drop", ["gate", "a person"])
def test_a_correction_without_one_of_its_signatures_is_not_taken(team, drop):
    team.sign(ONE)
    done = team.sign(OTHER)
    path = laid_out(team.workspace)
    envelope = json.loads(path.read_text())
    keys = {name: yaml.safe_load((team.workspace.promotion / f"keys/{name}.yaml").read_text())["key_id"]
            for name in (GATE, ONE)}  # fmt: skip
    gone = keys[GATE if drop == "gate" else ONE]
    envelope["signatures"] = [each for each in envelope["signatures"] if each["keyid"] != gone]
    assert len(envelope["signatures"]) == 2
    path.write_bytes(canonical(envelope))
    assert done.state == "signed"
    for name in ("lab", "factory"):
        with pytest.raises(OutOfOrder):
            team.write(name, RIGHT + timedelta(minutes=1))


def test_a_factory_takes_no_correction_by_keys_that_it_has_not_pinned(team):
    (team.workspace.configs / "trusted_keys" / f"{OTHER}.yaml").unlink()
    team.sign(ONE)
    team.sign(OTHER)
    team.write("lab", RIGHT + timedelta(minutes=1))
    with pytest.raises(OutOfOrder):
        team.write("factory", RIGHT + timedelta(minutes=1))


def test_a_changed_correction_is_not_taken(team):
    team.sign(ONE)
    team.sign(OTHER)
    path = laid_out(team.workspace)
    path.write_bytes(path.read_bytes()[:-2] + b"}}")
    with pytest.raises(OutOfOrder):
        team.write("lab", RIGHT + timedelta(minutes=1))


def test_a_correction_of_another_workspace_is_none(team):
    said = Correction(workspace="0" * 16, mode="live", at=rfc3339(RIGHT), reason=WHY,
                      ledgers={"lab": {"seq": 1, "hash": "sha256:" + "1" * 64}})  # fmt: skip
    from shared.trust.clock_correction import distrust, parse_correction
    from shared.trust.keys import KeyStore
    from shared.trust.signed import sign

    store = KeyStore(team.workspace, PASSPHRASE)
    raw = sign("clock-correction", said.model_dump(mode="json"), [store.signer(name) for name in (GATE, ONE, OTHER)])
    why = distrust(parse_correction(raw, where="it"), team.workspace, [])
    assert why == "it is of another workspace: 0000000000000000 (live)"


def test_a_rehearsal_has_nothing_to_correct(tmp_path):
    workspace = create(tmp_path / "rehearsal", "rehearsal")[0]
    with pytest.raises(PilotPlantError, match="may be set"):
        correct(workspace, ONE, WHY, {}, passphrase=None, gate_passphrase=None)


def test_a_correction_outlives_the_key_that_signed_it(team):
    """The key was revoked after the ledger had what it signed; for a further correction it counts no more."""
    team.sign(ONE)
    team.sign(OTHER)
    team.write("lab", RIGHT + timedelta(minutes=1))
    with time_machine.travel(RIGHT + timedelta(hours=1), tick=False):
        key_id = yaml.safe_load((team.workspace.promotion / f"keys/{ONE}.yaml").read_text())["key_id"]
        revoke(team.workspace, key_id, "the laptop was stolen")
    assert ROOMS["lab"](team.workspace).problems() == []
    team.write("lab", WRONG)
    with pytest.raises(Refused, match="is revoked since"):
        team.sign(ONE, RIGHT + timedelta(hours=2))


def test_a_damaged_proposal_is_proposed_anew(team):
    team.sign(ONE)
    (corrections_folder(team.workspace) / ".proposed.json").write_text("{")
    assert team.sign(OTHER).persons == (OTHER,)
