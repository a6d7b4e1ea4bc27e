"""Admission: what verifies and fits becomes a release, once; what does not leaves everything as it was."""

from __future__ import annotations

import json
import shutil
from base64 import b64decode, b64encode

import pytest

from factory.releases.admission import admit
from factory.releases.releases import list_releases
from factory.state.room import open_factory
from factory.state.settings import inbox
from shared.core.digests import canonical
from shared.core.errors import PilotPlantError, Refused
from tests.makers import OWNER, RELEASE, make_charter, make_package, set_factory


def kinds(workspace):
    return [entry.kind for entry in open_factory(workspace).entries()]


def test_the_inbox_is_admitted_with_its_witnesses_on_the_ledger(workspace):
    package = make_package(workspace)
    result = admit(workspace)
    assert result.admitted == ("spring-email-letter",)
    (release,) = list_releases(workspace)
    assert (release.state, release.epoch, release.package) == ("live", 1, f"sha256:{package.name}")
    entry = open_factory(workspace).entries("spring-email-letter")[-1]
    assert entry.kind == "admitted"
    assert entry.body["ledgers"]["lab"]["seq"] == 1
    assert entry.body["attestation"] == release.attestation


def test_admitting_again_says_so_and_writes_nothing(workspace):
    package = make_package(workspace)
    admit(workspace)
    before = kinds(workspace)
    assert admit(workspace).already == ("spring-email-letter",)
    assert admit(workspace, package).already == ("spring-email-letter",)
    assert kinds(workspace) == before


def test_a_package_from_elsewhere_is_copied_in_whole(workspace, tmp_path):
    package = make_package(workspace, into=tmp_path / "elsewhere")
    assert admit(workspace, package).admitted == ("spring-email-letter",)
    shutil.rmtree(package)
    assert (inbox(workspace) / package.name / "candidate" / "promise.json").exists()


def test_a_refused_package_from_elsewhere_leaves_nothing_behind(workspace, tmp_path):
    package = make_package(workspace, into=tmp_path / "elsewhere", verdict="refuse", signers=())
    before = kinds(workspace)
    with pytest.raises(Refused) as refusal:
        admit(workspace, package)
    assert "verdict was refuse" in refusal.value.what
    assert f"{OWNER} has not signed" in refusal.value.what
    assert list(inbox(workspace).glob("*")) + list(inbox(workspace).glob(".*")) == []
    assert kinds(workspace) == before
    assert list_releases(workspace) == []


def test_the_sweep_goes_on_past_a_refusal_and_records_it_once(workspace):
    bad = make_package(workspace, charter=make_charter("autumn-email"), verdict="undecided")
    make_package(workspace)
    result = admit(workspace)
    assert result.admitted == ("spring-email-letter",)
    assert result.refused == {bad.name: ("the gate's verdict was undecided, not admit",)}
    admit(workspace)
    assert kinds(workspace).count("refused_package") == 1
    (bad / "candidate" / "promise.json").write_text("{}")
    admit(workspace)
    assert kinds(workspace).count("refused_package") == 2


def test_half_written_folders_of_the_inbox_are_left_alone(workspace):
    package = make_package(workspace)
    package.rename(package.with_name(".scratch.x"))
    assert admit(workspace).admitted == ()
    assert admit(workspace).refused == {}


def test_a_folder_under_another_digests_name_is_refused(workspace):
    package = make_package(workspace)
    package.rename(package.with_name("0" * 64))
    assert "its folder is named" in admit(workspace).refused["0" * 64][0]


def test_a_name_that_is_taken_is_refused(workspace):
    make_package(workspace)
    admit(workspace)
    other = make_package(workspace, template="Something else for {{ zip_code }}.")
    assert "is there already" in admit(workspace).refused[other.name][0]


def test_the_same_candidate_under_another_attestation_is_refused(workspace, tmp_path):
    make_package(workspace)
    again = make_package(workspace, into=tmp_path / "again", decision={"reason": "once more"})
    with pytest.raises(Refused, match="another attestation"):
        admit(workspace, again)
    admit(workspace)
    with pytest.raises(Refused, match="release spring-email-letter is there already"):
        admit(workspace, again)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"audience": "SELECT * FROM read_parquet('/etc/passwd')"}, "read_parquet"),
        ({"audience": "DROP TABLE customers"}, "audience"),
        ({"audience": "SELECT unit FROM elsewhere"}, "elsewhere"),
        ({"template": "Dear {{ email }}"}, "email"),
        ({"charter": make_charter(play={"fields": ["email"]})}, "`email` of table `customers` is personal"),
        (
            {"charter": make_charter(play={"fields": ["customer_id"]})},
            "`customer_id` of table `customers` is an identifier",
        ),
        ({"charter": make_charter(play={"fields": ["shoe_size"]})}, "`shoe_size` of table `customers` is not in"),
        ({"charter": make_charter(population="prospects")}, "`prospects` has not been loaded"),
    ],
)
def test_the_factorys_own_policy_refuses_what_verified(workspace, changes, said):
    package = make_package(workspace, **changes)
    assert said in "; ".join(admit(workspace).refused[package.name])


def test_a_redacted_field_is_refused_and_a_coarse_one_is_not(workspace):
    """`history` is restricted: alone it is empty for everybody, in bands it says as much here as in the Lab."""
    package = make_package(workspace)
    contract = workspace.configs / "contracts" / "customers.odcs.yaml"
    text = contract.read_text()
    number = "name: history\n        logicalType: number\n"
    redacted = text.replace(number, number + "        classification: restricted\n")
    contract.write_text(redacted)
    [refused] = admit(workspace).refused[package.name]
    assert refused.endswith("`customers` is restricted without `generalise`, so every value is redacted")
    coarse = "        customProperties: [{property: generalise, value: {width: 100}}]\n"
    contract.write_text(redacted.replace("classification: restricted\n", "classification: restricted\n" + coarse))
    assert admit(workspace).admitted == (RELEASE,)


def test_a_channel_that_is_not_allowed_is_refused(workspace):
    set_factory(workspace, channels=[])
    package = make_package(workspace)
    assert "channel `file`" in admit(workspace).refused[package.name][0]


def test_a_replay_of_a_nonce_under_another_package_is_refused(workspace):
    set_factory(workspace, contacts_per_week=14)
    admit(workspace, make_package(workspace, nonce="ab" * 16))
    again = make_package(workspace, charter=make_charter("autumn-email", cron="1 9 * * *"), nonce="ab" * 16)
    with pytest.raises(Refused, match=f"its nonce {'ab' * 16} was admitted before, with release spring-email-letter"):
        admit(workspace, again)
    admit(workspace, make_package(workspace, charter=make_charter("winter-email", cron="1 9 * * *"), nonce="cd" * 16))


def test_a_replay_to_another_release_of_the_same_candidate_is_refused(workspace):
    """Only the bytes that were signed count: another release's name in them needs the gate's signature anew."""
    package = make_package(workspace)
    path = package / "attestation.json"
    envelope = json.loads(path.read_bytes())
    statement = json.loads(b64decode(envelope["payload"]))
    for part in ("decision", "scope"):
        statement["predicate"][part]["release"] = "autumn-email-letter"
    envelope["payload"] = b64encode(canonical(statement)).decode()
    path.write_bytes(canonical(envelope))
    with pytest.raises(Refused, match="no gate whose key is trusted here has signed it"):
        admit(workspace, package)
    statement["predicate"]["scope"]["release"] = "spring-email-letter"
    envelope["payload"] = b64encode(canonical(statement)).decode()
    path.write_bytes(canonical(envelope))
    with pytest.raises(PilotPlantError, match="damaged"):
        admit(workspace, package)
