import json

import pytest

from factory.releases import receipts
from factory.releases.admission import admit
from factory.state.room import open_factory
from shared.core.errors import BadInput, Refused
from shared.trust.receipt import read_receipt, receipt_path, receipts_folder
from tests.makers import RELEASE, make_charter, make_package


def digest_of(package):
    return f"sha256:{package.name}"


def test_an_admitted_package_has_a_receipt_that_names_release_attestation_and_ledger_head(workspace):
    package = make_package(workspace)
    admit(workspace)
    entry = open_factory(workspace).entries(RELEASE)[-1]
    found = read_receipt(workspace, digest_of(package))
    assert (found.outcome, found.release, found.attestation) == ("admitted", RELEASE, entry.body["attestation"])
    assert (found.ledger.seq, found.ledger.hash, found.at) == (entry.seq, entry.hash, entry.at)
    assert (found.schema_version, found.workspace, found.mode) == (1, workspace.id, "rehearsal")


def test_a_refused_package_has_a_receipt_with_every_reason(workspace):
    package = make_package(workspace, verdict="undecided")
    admit(workspace)
    found = read_receipt(workspace, digest_of(package))
    assert (found.outcome, found.release) == ("refused", None)
    assert found.reasons == ("the gate's verdict was undecided, not admit",)


def test_a_package_of_the_inbox_that_is_refused_by_name_has_one_too(workspace):
    package = make_package(workspace, verdict="undecided")
    with pytest.raises(Refused):
        admit(workspace, package)
    assert read_receipt(workspace, digest_of(package)).outcome == "refused"


def test_a_receipt_says_the_last_word_and_admission_is_the_last(workspace):
    package = make_package(workspace)
    promise = package / "candidate" / "promise.json"
    sound = promise.read_bytes()
    promise.write_text("{}")
    admit(workspace)
    assert read_receipt(workspace, digest_of(package)).outcome == "refused"
    promise.write_bytes(sound)
    assert admit(workspace).admitted == (RELEASE,)
    assert read_receipt(workspace, digest_of(package)).outcome == "admitted"


def test_when_the_reasons_come_back_the_receipt_says_so_again(workspace):
    package = make_package(workspace, verdict="undecided")
    template = package / "candidate" / "files" / "message.txt"
    sound = template.read_bytes()
    for content, reasons in ((sound, 1), (b"other", 2), (sound, 1)):
        template.write_bytes(content)
        admit(workspace)
        assert len(read_receipt(workspace, digest_of(package)).reasons) == reasons


def test_a_lost_or_damaged_receipt_is_written_again_by_the_same_command(workspace):
    package = make_package(workspace)
    admit(workspace)
    path, room = receipt_path(workspace, digest_of(package)), open_factory(workspace)
    sound, entries = path.read_bytes(), room.entries()
    path.write_bytes(sound.replace(b"admitted", b"refused "))
    assert receipts.problems(room) == [
        f"receipt {package.name[:12]}: it was changed after it was written ({package.name}.json)"
    ]
    assert admit(workspace).already == (RELEASE,)
    assert path.read_bytes() == sound
    path.unlink()
    assert "is missing" in receipts.problems(room)[0]
    assert admit(workspace, package).already == (RELEASE,)
    assert (path.read_bytes(), room.entries(), receipts.problems(room)) == (sound, entries, [])


def test_a_receipt_that_the_ledger_knows_nothing_of_is_named(workspace):
    make_package(workspace)
    admit(workspace)
    stranger = receipts_folder(workspace) / f"{'0' * 64}.json"
    stranger.write_text("{}")
    assert receipts.problems(open_factory(workspace)) == [
        f"receipt {stranger.name}: the Factory's ledger knows nothing of it"
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said | {"outcome": "refused"},
        lambda said: said | {"release": None},
        lambda said: said | {"schema_version": 2},
        lambda said: said | {"workspace": "another"},
        lambda said: said | {"package": "sha256:" + "0" * 64},
        lambda said: said | {"at": "yesterday"},
        lambda said: said | {"more": 1},
    ],
)
def test_a_receipt_that_says_something_else_is_not_read(workspace, change):
    package = make_package(workspace)
    admit(workspace)
    path = receipt_path(workspace, digest_of(package))
    path.write_text(json.dumps(change(json.loads(path.read_text())), separators=(",", ":"), sort_keys=True))
    with pytest.raises(BadInput, match="damaged"):
        read_receipt(workspace, digest_of(package))


def test_where_nothing_was_said_there_is_no_receipt(workspace):
    package = make_package(workspace, charter=make_charter("autumn-email"))
    assert read_receipt(workspace, digest_of(package)) is None
