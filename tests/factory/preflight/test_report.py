"""The report: bound to what was tried, signed by the Factory, and written without anything else being touched."""

from __future__ import annotations

import shutil

import pytest
import sqlalchemy as sa

from factory.preflight.report import preflight
from factory.releases.enrolment import find_key
from factory.state.room import open_factory
from factory.warehouse.warehouse import open_warehouse
from shared.core.digests import digest_bytes, digest_file
from shared.core.errors import BadInput, Refused
from shared.state.workspace import create
from shared.trust.keys import FACTORY, KeyStore
from shared.trust.preflight import parse_report, report_path
from tests.makers import RELEASE


def files(folder):
    return {str(path.relative_to(folder)): digest_file(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def rows(workspace):
    """Everything in the Factory's database but its ledger."""
    room = open_factory(workspace)
    with room.transaction() as connection:
        names = [name for name in sa.inspect(connection).get_table_names() if name != "ledger"]
        return {name: connection.execute(sa.text(f"SELECT * FROM {name}")).fetchall() for name in names}


def warehouse(workspace):
    with open_warehouse(workspace, read_only=True) as connection:
        names = connection.execute("SELECT table_schema, table_name FROM information_schema.tables").fetchall()
        return {
            name: connection.execute('SELECT * FROM "{}"."{}" ORDER BY ALL'.format(*name)).fetchall() for name in names
        }


def test_the_report_says_what_was_tried_and_who_did_and_the_ledger_has_its_digest(factory, submit):
    candidate = submit()
    room = open_factory(factory)
    with room.transaction() as connection:
        head = room.head(connection)
    done = preflight(factory, "spring-email")
    report, signed = parse_report(report_path(factory, candidate.digest).read_bytes(), "here")
    assert report == done.report
    assert (report.candidate, report.pilot) == (candidate.digest, "spring-email")
    assert (report.workspace, report.mode, report.at[:16]) == (factory.id, "rehearsal", "2026-02-02T09:10")
    assert report.factory == head.as_json()
    assert signed.verified_by([find_key(factory)]) == [find_key(factory)]
    [entry] = [each for each in open_factory(factory).entries("spring-email") if each.kind == "preflighted"]
    assert entry.body == {"candidate": candidate.digest, "report": done.digest}
    assert done.digest == digest_bytes(done.file.read_bytes())


def test_a_preflight_writes_its_report_and_one_entry_and_nothing_else(factory, submit):
    submit()
    before, data, state = files(factory.root), warehouse(factory), rows(factory)
    entries = len(open_factory(factory).entries())
    done = preflight(factory, "spring-email")
    assert done.report.shadow_runs[0].messages > 0
    after = files(factory.root)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    databases = {name for name in changed if name.startswith("var/factory/factory.db")}
    assert changed - databases == {str(done.file.relative_to(factory.root))}
    assert (warehouse(factory), rows(factory)) == (data, state)
    assert len(open_factory(factory).entries()) == entries + 1
    assert not (factory.factory / "outgoing").exists()
    assert list((factory.factory / "scratch").iterdir()) == []
    assert open_factory(factory).problems() == []


def test_the_same_candidate_is_found_by_its_digest_and_a_later_report_takes_the_place(factory, submit):
    candidate = submit()
    first = preflight(factory, candidate.digest)
    second = preflight(factory, candidate.folder.name[:12])
    assert first.file == second.file
    assert parse_report(second.file.read_bytes(), "here")[0].at > first.report.at


def test_without_a_key_nothing_is_tried_and_the_remedy_names_both_steps(factory, submit):
    candidate = submit()
    (factory.factory / "keys" / "factory.yaml").unlink()
    with pytest.raises(Refused, match="no key to sign") as error:
        preflight(factory, candidate.digest)
    assert "factory enrol" in error.value.remedy
    assert "promote enrol factory" in error.value.remedy
    assert not report_path(factory, candidate.digest).exists()


def test_another_private_key_signs_nothing(factory, submit):
    candidate = submit()
    KeyStore(factory).create(FACTORY, "factory")
    with pytest.raises(Refused, match="not the one of its public record"):
        preflight(factory, candidate.digest)
    assert not report_path(factory, candidate.digest).exists()


@pytest.mark.parametrize("name", ["files/message.txt", "promise.json", "evidence.json"])
def test_a_candidate_that_was_changed_is_not_tried(factory, submit, name):
    candidate = submit()
    (candidate.folder / name).write_text("{}")
    with pytest.raises(Refused, match="changed after it was sealed"):
        preflight(factory, candidate.digest)
    assert not report_path(factory, candidate.digest).exists()


def test_a_candidate_of_another_workspace_is_not_tried(factory, submit, tmp_path):
    candidate = submit()
    other, _ = create(tmp_path / "other", "rehearsal")
    shutil.copytree(factory.promotion / "intake", other.promotion / "intake", dirs_exist_ok=True)
    with pytest.raises(Refused, match="another workspace"):
        preflight(other, candidate.digest)


def test_a_name_that_nobody_submitted_is_bad_input(factory):
    with pytest.raises(BadInput, match="no candidate of `winter`"):
        preflight(factory, "winter")


def test_each_arm_is_tried_under_the_name_that_it_would_have(tried):
    [run] = tried().report.shadow_runs
    assert (run.arm, run.release) == ("letter", RELEASE)


def test_where_an_arm_does_not_run_its_contacts_are_not_told_and_the_rest_is(tried):
    report = tried(audience="SELECT nothing AS unit FROM customers").report
    assert report.shadow_runs[0].refusals
    assert report.contacts[0].problem
    assert (report.quality[0].report.outcome, report.kill_switch.stops) == ("passed", True)
