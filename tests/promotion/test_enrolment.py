import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from factory.releases.enrolment import enrol_factory
from pilotplant.app import _exit_code
from promotion.keys.enrolment import enrol, enrolled_key, find_key
from promotion.keys.keyring import KEY_KINDS, keyring, keys_folder
from promotion.state import open_promotion
from shared.core.errors import BadInput, Refused
from shared.trust.keys import FACTORY, GATE, KeyStore, write_public
from tests.makers import OWNER

SECRET = "a long and winding phrase"


@pytest.fixture
def fresh(make_stage):
    """A rehearsal workspace in which nobody is enrolled."""
    return make_stage("rehearsal").workspace


@pytest.fixture
def live(make_stage, tmp_path, monkeypatch):
    """A live workspace, whose private keys go to a folder of their own."""
    monkeypatch.setenv("PILOTPLANT_KEYS", str(tmp_path / "keys"))
    return make_stage("live").workspace


def enrolled_ids(room):
    held = keyring(room.entries(kinds=KEY_KINDS), room.workspace).keys
    return {name: records[-1].key_id for name, records in held.items()}


def kinds(workspace):
    return [entry.kind for entry in open_promotion(workspace).entries()]


def test_an_owner_gets_a_pair_a_public_record_and_an_entry(fresh):
    done = enrol(fresh, OWNER)
    assert (done.repeated, done.key.role, done.key.mode) == (False, "owner", "rehearsal")
    assert find_key(fresh, OWNER) == done.key == enrolled_key(fresh, OWNER)
    assert enrolled_ids(open_promotion(fresh)) == {OWNER: done.key.key_id}
    assert KeyStore(fresh).signer(OWNER).public_key.keyid == done.key.key_id


def test_the_gate_has_a_key_of_its_own_role(fresh):
    assert enrol(fresh, GATE).key.role == "gate"


def test_the_factorys_key_is_taken_from_where_the_factory_laid_it_out(fresh):
    made = enrol_factory(fresh).key
    first, again = enrol(fresh, FACTORY), enrol(fresh, FACTORY)
    assert (first.key.key_id, first.repeated, again.repeated) == (made.key_id, False, True)
    assert enrolled_key(fresh, FACTORY) == first.key
    assert enrolled_ids(open_promotion(fresh)) == {FACTORY: made.key_id}


def test_the_key_of_a_factory_on_another_machine_is_taken_by_its_file(fresh, tmp_path):
    made = enrol_factory(fresh)
    record = made.file.rename(tmp_path / "factory.yaml")
    assert enrol(fresh, FACTORY, public=record).key.key_id == made.key.key_id


def test_the_gate_makes_no_key_for_the_factory(fresh):
    with pytest.raises(Refused, match="has made no key yet") as error:
        enrol(fresh, FACTORY)
    assert "pilotplant factory enrol" in error.value.remedy
    assert (kinds(fresh), KeyStore(fresh).has(FACTORY)) == (["opened"], False)


def test_an_owners_key_is_not_taken_for_the_factorys(fresh, tmp_path):
    record = write_public(tmp_path, KeyStore(fresh).create(OWNER, "owner"))
    with pytest.raises(BadInput, match=f"this is the key of {OWNER}"):
        enrol(fresh, FACTORY, public=record)


def test_somebody_unknown_is_bad_input_and_leaves_nothing(fresh):
    with pytest.raises(BadInput, match="nobody is known as stranger@"):
        enrol(fresh, "stranger@example.com")
    assert (kinds(fresh), KeyStore(fresh).has("stranger@example.com")) == (["opened"], False)


def test_twice_is_a_no_op_that_says_so(fresh):
    first, again = enrol(fresh, OWNER), enrol(fresh, OWNER)
    assert (again.key, again.repeated) == (first.key, True)
    assert kinds(fresh) == ["opened", "enrolled"]


def test_a_public_record_made_elsewhere_is_taken(fresh, make_stage, tmp_path):
    key = KeyStore(fresh).create(OWNER, "owner")
    record = write_public(tmp_path / "elsewhere", key)
    KeyStore(fresh)._path(OWNER).unlink()
    assert enrol(fresh, OWNER, public=record).key.public == key.public
    assert enrol(fresh, OWNER, public=record).repeated
    with pytest.raises(Refused, match="is not on this machine"):
        KeyStore(fresh).signer(OWNER)


@pytest.mark.parametrize("name", [GATE, "requester@example.com"])
def test_a_public_record_of_somebody_else_is_bad_input(fresh, tmp_path, name):
    record = write_public(tmp_path, KeyStore(fresh).create(name, "gate" if name == GATE else "owner"))
    with pytest.raises(BadInput, match=f"this is the key of {name}"):
        enrol(fresh, OWNER, public=record)
    assert find_key(fresh, OWNER) is None


def test_a_rehearsals_record_is_no_live_key(fresh, live, tmp_path):
    record = write_public(tmp_path, KeyStore(fresh).create(OWNER, "owner"))
    with pytest.raises(BadInput, match="rehearsal"):
        enrol(live, OWNER, public=record)


def test_a_record_whose_id_is_not_its_keys_is_bad_input(fresh, tmp_path):
    key = KeyStore(fresh).create(OWNER, "owner")
    record = write_public(tmp_path, key.model_copy(update={"key_id": "0" * 64}))
    with pytest.raises(BadInput, match="does not match its key_id"):
        enrol(fresh, OWNER, public=record)


def other_record(workspace, tmp_path):
    store = KeyStore(workspace)
    kept = store._path(OWNER).read_bytes()
    record = write_public(tmp_path / "other", store.create(OWNER, "owner"))
    store._path(OWNER).write_bytes(kept)
    return record


def test_another_key_for_the_same_person_is_refused(fresh, tmp_path):
    first = enrol(fresh, OWNER)
    with pytest.raises(Refused, match="another key is enrolled"):
        enrol(fresh, OWNER, public=other_record(fresh, tmp_path))
    assert find_key(fresh, OWNER) == first.key


def test_another_key_is_refused_even_where_the_first_ones_record_was_removed(fresh, tmp_path):
    first = enrol(fresh, OWNER)
    record = other_record(fresh, tmp_path)
    first.file.unlink()
    with pytest.raises(Refused, match="another key is enrolled"):
        enrol(fresh, OWNER, public=record)
    assert enrol(fresh, OWNER).key == first.key, "and the same command brings the record back"
    assert find_key(fresh, OWNER) == first.key


def test_a_pair_that_was_made_before_the_power_went_is_taken(fresh):
    made = KeyStore(fresh).create(OWNER, "owner")
    assert enrol(fresh, OWNER).key.public == made.public


def test_a_record_that_was_exchanged_counts_no_more(fresh, tmp_path):
    enrol(fresh, OWNER)
    (keys_folder(fresh) / f"{OWNER}.yaml").write_bytes(other_record(fresh, tmp_path).read_bytes())
    with pytest.raises(Refused, match="was changed after it was enrolled"):
        enrolled_key(fresh, OWNER)


def test_nobody_enrolled_is_refused_with_the_command_that_enrols(fresh):
    with pytest.raises(Refused) as refused:
        enrolled_key(fresh, OWNER)
    assert refused.value.remedy == f"pilotplant promote enrol {OWNER}"


def test_a_live_private_key_is_encrypted_and_outside_the_workspace(live, tmp_path):
    enrol(live, OWNER, passphrase=SECRET)
    [path] = (tmp_path / "keys").rglob("*.pem")
    assert not path.is_relative_to(live.root)
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"ENCRYPTED" in path.read_bytes()
    assert not [found for found in live.root.rglob("*") if found.is_file() and b"PRIVATE KEY" in found.read_bytes()]
    assert load_pem_private_key(path.read_bytes(), SECRET.encode())


def test_a_wrong_passphrase_is_refused(live):
    enrol(live, OWNER, passphrase=SECRET)
    with pytest.raises(Refused, match="does not open"):
        KeyStore(live, "guess").signer(OWNER)


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_live_key_without_a_passphrase_is_bad_input(live, nothing):
    with pytest.raises(BadInput, match="need a passphrase"):
        enrol(live, OWNER, passphrase=nothing)
    assert kinds(live) == ["opened"]


def test_two_workspaces_do_not_share_their_live_keys(live, tmp_path):
    from shared.state.workspace import create

    other, _ = create(tmp_path / "other", "live")
    keys = {enrol(workspace, OWNER, passphrase=SECRET).key.key_id for workspace in (live, other)}
    assert len(keys) == 2


@pytest.mark.parametrize("name", [OWNER, GATE])
@pytest.mark.parametrize("rotate", [False, True])
def test_a_short_passphrase_enrols_nobody(live, name, rotate):
    held = [enrol(live, name, passphrase=SECRET).key.key_id] if rotate else []
    before = kinds(live)
    with pytest.raises(BadInput, match="the passphrase has 7 characters"):
        enrol(live, name, passphrase="hunter2", rotate=rotate)
    assert list(enrolled_ids(open_promotion(live)).values()) == held
    assert kinds(live) == before


def test_the_factory_makes_no_key_with_a_short_passphrase_either(live):
    with pytest.raises(BadInput, match="the passphrase has 7 characters"):
        enrol_factory(live, passphrase="hunter2")
    assert not KeyStore(live).has(FACTORY)


@pytest.mark.parametrize(("words", "name"), [([OWNER], OWNER), ([GATE], GATE), ([OWNER, "--rotate"], OWNER)])
@pytest.mark.parametrize("mode", ["live", "rehearsal"])
def test_whoever_is_enrolled_reads_where_their_private_key_lies(
    make_stage, tmp_path, monkeypatch, capsys, mode, words, name
):
    monkeypatch.setenv("PILOTPLANT_KEYS", str(tmp_path / "keys"))
    for variable in ("PILOTPLANT_PASSPHRASE", "PILOTPLANT_GATE_PASSPHRASE"):
        monkeypatch.setenv(variable, SECRET)
    workspace = make_stage(mode).workspace
    if "--rotate" in words:
        enrol(workspace, name, passphrase=SECRET)
    assert _exit_code(["--workspace", str(workspace.root), "promote", "enrol", *words]) == 0
    told = capsys.readouterr().out
    [place] = re.findall(r"Its private half is (.+\.pem)", told)
    signer = load_pem_private_key(Path(place).read_bytes(), SECRET.encode() if mode == "live" else None)
    raw = signer.public_key().public_bytes_raw().hex()
    assert raw == enrolled_key(workspace, name).public
    assert ("opens with the passphrase alone" in told) == (mode == "live")


def test_of_a_key_that_was_made_elsewhere_no_place_is_told(fresh, tmp_path, capsys):
    record = write_public(tmp_path / "elsewhere", KeyStore(fresh).create(OWNER, "owner"))
    KeyStore(fresh).path(OWNER).unlink()
    assert _exit_code(["--workspace", str(fresh.root), "promote", "enrol", OWNER, "--public", str(record)]) == 0
    assert "private half" not in capsys.readouterr().out
