"""One changed byte in any file on the way to a release is found and named: package, receipt, checkpoint, keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from factory.releases.admission import admit
from factory.releases.packages import verify as verify_package
from factory.releases.trust import trust
from factory.warehouse.load import load
from lab.state import open_lab
from pilotplant.witnesses import verify as verify_all
from promotion.audit.checkpoint import heads, take
from promotion.audit.verification import verify as verify_gate
from promotion.keys.enrolment import enrol
from shared.core.errors import PilotPlantError
from shared.state.workspace import create
from shared.trust.keys import GATE
from shared.trust.receipt import receipts_folder
from tests.forgery import FLIPPED, flipped
from tests.makers import OWNER, customers_csv
from tests.promotion.cases import LAUNCHED, Stage

pytestmark = pytest.mark.proof


class Crossed:
    """A workspace after a whole promotion and its admission, with a checkpoint of that moment."""

    def __init__(self, root: Path) -> None:
        self.workspace, _ = create(root / "workspace", "rehearsal")
        self.workspace.clock.set(LAUNCHED)
        for name in (GATE, OWNER):
            enrol(self.workspace, name)
            trust(self.workspace, name)
        load(self.workspace, "customers", customers_csv(root / "customers.csv"))
        stage = Stage(self.workspace).with_factory()
        stage.settings()
        self.candidate = stage.submit(lab=open_lab(self.workspace))
        stage.decide("scale")
        admit(self.workspace)
        self.package = self.workspace.factory / "inbox" / self.candidate.folder.name
        self.checkpoint = take(self.workspace, heads(self.workspace)[0], root / "kept.json", passphrase=None).file

    def against_package(self) -> list[str]:
        """What speaks against the package, as every run asks."""
        found = verify_package(self.workspace, self.package, now=self.workspace.clock.now())
        return found if isinstance(found, list) else []

    def against_all(self) -> list[str]:
        """What `pilotplant verify --checkpoint` says; a checkpoint that is none is refused by its name."""
        try:
            return verify_all(self.workspace, self.checkpoint).problems
        except PilotPlantError as error:
            return [str(error)]

    def against_gate(self) -> list[str]:
        """What `promote verify` says."""
        return verify_gate(self.workspace).problems


@pytest.fixture(scope="module")
def crossed(tmp_path_factory):
    return Crossed(tmp_path_factory.mktemp("crossed"))


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)


def unnoticed(paths, problems, name=lambda path: path.name, *words):
    """Every file and position at which a changed byte is not found, or found without the file's name or `words`."""
    missed = []
    for path in paths:
        for position in flipped(path):
            found = problems()
            if not any(word in problem for problem in found for word in (name(path), *words)):
                missed.append((path.name, position, found))
    return missed


def test_what_nobody_touched_verifies(crossed):
    assert crossed.against_package() == crossed.against_all() == crossed.against_gate() == []


def test_a_changed_byte_in_any_file_of_the_package_keeps_it_from_running(crossed, record_property):
    """An attestation whose bytes still parse says whose signature it lacks."""
    candidate = files(crossed.package / "candidate")
    assert len(candidate) > 10
    record_property(FLIPPED, len(candidate) + 1)
    assert unnoticed(candidate, crossed.against_package) == []
    attestation = [crossed.package / "attestation.json"]
    assert unnoticed(attestation, crossed.against_package, lambda path: path.name, "has signed it") == []
    assert crossed.against_package() == []


def test_a_changed_byte_in_any_receipt_is_found_and_the_package_named(crossed, record_property):
    receipts = files(receipts_folder(crossed.workspace))
    assert [path.stem for path in receipts] == [crossed.candidate.folder.name]
    record_property(FLIPPED, len(receipts))
    assert unnoticed(receipts, crossed.against_all, lambda path: f"receipt {path.stem[:12]}") == []
    assert crossed.against_all() == []


def test_a_changed_byte_in_the_checkpoint_is_found_and_the_file_named(crossed):
    assert unnoticed([crossed.checkpoint], crossed.against_all) == []
    assert crossed.against_all() == []


def test_a_changed_byte_in_any_enrolled_key_is_found_and_its_holder_named(crossed, record_property):
    keys = files(crossed.workspace.promotion / "keys")
    assert {path.stem for path in keys} == {GATE, OWNER, "factory"}
    record_property(FLIPPED, len(keys))
    assert unnoticed(keys, crossed.against_gate, lambda path: f"key {path.stem}") == []
    assert crossed.against_gate() == []


def test_a_changed_byte_in_any_file_of_the_intake_or_the_record_is_found_and_named(crossed, record_property):
    candidate, attestations = files(crossed.candidate.folder), files(crossed.workspace.promotion / "attestations")
    record_property(FLIPPED, len(candidate) + len(attestations))
    assert unnoticed(candidate, crossed.against_gate) == []
    assert unnoticed(attestations, crossed.against_gate, lambda path: f"attestation {path.stem[:12]}") == []
    assert (len(attestations), crossed.against_gate()) == (1, [])
