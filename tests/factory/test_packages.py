"""Packages: every reason against one is found, and none slips through."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from factory.releases.admission import admit
from factory.releases.packages import verify
from shared.core.errors import Refused
from shared.state.workspace import Workspace
from shared.trust.keys import GATE, PublicKey, write_public
from shared.trust.package import Verified
from tests.makers import OWNER, keys_of, make_charter, make_package, make_workspace


def reasons(workspace: Workspace, folder: Path) -> list[str]:
    found = verify(workspace, folder, now=workspace.clock.now())
    assert not isinstance(found, Verified)
    return found


def revoke(workspace: Workspace, what: str) -> None:
    settings = workspace.configs / "factory.yaml"
    settings.write_text(settings.read_text().replace("revoked: []", f'revoked: ["{what}"]'))


def test_a_whole_package_verifies_and_names_its_release(workspace):
    found = verify(workspace, make_package(workspace), now=workspace.clock.now())
    assert isinstance(found, Verified)
    assert (found.release, found.arm, found.play.template) == ("spring-email-letter", "letter", "message.txt")
    assert found.text("audience.sql").startswith("SELECT")


def test_one_changed_byte_in_any_file_is_found_and_named(workspace):
    package = make_package(workspace)
    names = sorted(path for path in package.rglob("*") if path.is_file())
    assert len(names) == 7
    for path in names:
        whole = path.read_bytes()
        middle = len(whole) // 2
        path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
        found = "; ".join(reasons(workspace, package))
        assert path.name in found or "signed it" in found, path
        path.write_bytes(whole)
    assert isinstance(verify(workspace, package, now=workspace.clock.now()), Verified)


def test_a_missing_an_added_and_a_linked_file_are_named(workspace):
    package = make_package(workspace)
    (package / "candidate" / "evidence.json").unlink()
    (package / "candidate" / "extra.txt").write_text("x")
    (package / "note.txt").write_text("x")
    shutil.move(package / "candidate" / "files", workspace.root / "files")
    (package / "candidate" / "files").symlink_to(workspace.root / "files")
    found = "; ".join(reasons(workspace, package))
    for name in ("evidence.json: missing", "extra.txt: not part", "note.txt: not part", "candidate/files: a link"):
        assert name in found


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"verdict": "refuse"}, "verdict was refuse"),
        ({"verdict": "undecided"}, "verdict was undecided"),
        ({"decision": {"word": "stop"}}, "decision was stop"),
        ({"decision": {"arm": None}}, "names arm `None`"),
        ({"decision": {"arm": "control"}}, "`control` is not an arm that can be scaled"),
        ({"decision": {"release": "../../etc"}}, "release `../../etc`"),
        ({"decision": {"release": "r" * 64}}, "a name of 64 characters; at most 63"),
        ({"decision": {"owner": "other@example.com"}}, "other@example.com has not signed"),
        ({"mode": "live"}, "attested in a live workspace"),
        ({"promise": "sha256:" + "0" * 64}, "its promise is"),
        ({"pilot": "autumn-email"}, "pilot autumn-email was attested"),
        ({"signers": (GATE,)}, f"{OWNER} has not signed"),
        ({"signers": (OWNER,)}, "no gate whose key is trusted"),
        ({"expires": "2026-02-02T09:09:59Z"}, "it expired"),
        ({"expires": "whenever"}, "attestation.json"),
    ],
)
def test_what_was_attested_otherwise_is_refused(workspace, changes, said):
    assert said in "; ".join(reasons(workspace, make_package(workspace, **changes)))


def test_all_reasons_are_collected(workspace):
    package = make_package(workspace, verdict="refuse", signers=(), expires="2026-01-01T00:00:00Z")
    (package / "candidate" / "files" / "audience.sql").write_text("SELECT 1")
    assert len(reasons(workspace, package)) >= 5


def test_an_envelope_that_is_no_statement_is_a_reason_and_no_crash(workspace):
    package = make_package(workspace)
    for text in ("", "{}", "[]", '{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[]}'):
        (package / "attestation.json").write_text(text)
        assert any("attestation.json" in reason for reason in reasons(workspace, package))


def test_another_keys_signature_under_a_trusted_name_does_not_count(workspace, tmp_path):
    stranger = make_workspace(tmp_path / "stranger")
    package = make_package(stranger)
    assert {"no gate whose key is trusted here has signed it"} < set(reasons(workspace, package))


def test_a_package_of_another_workspace_never_counts_even_with_its_keys_pinned(workspace, tmp_path):
    stranger = make_workspace(tmp_path / "stranger")
    package = make_package(stranger, expires="2030-01-01T00:00:00Z")
    for name, role in ((GATE, "gate"), (OWNER, "owner")):
        write_public(workspace.configs / "trusted_keys", keys_of(stranger).public(name, role))
    assert reasons(workspace, package) == [
        f"it was attested in another workspace ({stranger.id})",
        f"it was sealed in another workspace ({stranger.id})",
    ]


def test_a_live_factory_never_admits_a_rehearsals_package(workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("PILOTPLANT_KEYS", str(tmp_path / "keys"))
    live = make_workspace(tmp_path / "live", "live")
    assert isinstance(verify(live, make_package(live), now=live.clock.now()), Verified)
    shutil.copytree(workspace.configs / "trusted_keys", live.configs / "trusted_keys", dirs_exist_ok=True)
    found = "; ".join(reasons(live, make_package(workspace, expires="2030-01-01T00:00:00Z")))
    assert "attested in a rehearsal" in found
    assert "sealed in a rehearsal" in found


def test_made_up_units_are_refused_live(tmp_path, monkeypatch):
    monkeypatch.setenv("PILOTPLANT_KEYS", str(tmp_path / "keys"))
    live = make_workspace(tmp_path / "live", "live")
    assert "made up" in "; ".join(reasons(live, make_package(live, charter=make_charter(synthetic=True))))


def test_revoked_digests_and_keys_stop_a_package(workspace):
    package = make_package(workspace)
    before = (workspace.configs / "factory.yaml").read_text()
    revoke(workspace, f"sha256:{package.name}")
    assert "is revoked" in "; ".join(reasons(workspace, package))
    (workspace.configs / "factory.yaml").write_text(before)
    gate: PublicKey = keys_of(workspace).public(GATE, "gate")
    revoke(workspace, gate.key_id)
    found = "; ".join(reasons(workspace, package))
    assert f"{gate.key_id[:12]} of gate, which signed it, is revoked" in found
    assert "no gate whose key is trusted" in found


def test_expiry_is_judged_at_the_moment_asked_about(workspace):
    package = make_package(workspace)
    now = workspace.clock.now()
    assert isinstance(verify(workspace, package, now=now + timedelta(days=89)), Verified)
    assert "expired" in "; ".join(verify(workspace, package, now=now + timedelta(days=91)))


def test_a_play_file_that_changes_after_verification_is_not_read(workspace):
    package = make_package(workspace)
    found = verify(workspace, package, now=workspace.clock.now())
    (package / "candidate" / "files" / "audience.sql").write_text("SELECT 1 AS unit")
    with pytest.raises(Exception, match="changed after it was sealed"):
        found.text("audience.sql")


@pytest.mark.parametrize("damage", [lambda path: path.write_text(path.read_text().replace("a", "b")), Path.unlink])
def test_another_nonce_after_verification_draws_no_other_holdout(workspace, damage):
    package = make_package(workspace)
    found = verify(workspace, package, now=workspace.clock.now())
    damage(package / "candidate" / "registration.json")
    with pytest.raises(Refused, match=r"registration\.json"):
        _ = found.nonce


def _publish(workspace: Workspace, **dates: str) -> None:
    """The gate says of the owner's key from when on, or to when, it counts."""
    record = keys_of(workspace).public(OWNER, "owner").model_copy(update=dates)
    write_public(workspace.promotion / "keys", record)


@pytest.mark.parametrize(
    ("dates", "said"),
    [
        ({"revoked_since": "2026-02-02T09:30:00Z"}, "is revoked since 2026-02-02T09:30:00Z, and nobody witnessed"),
        ({"revoked_since": "2026-02-01T00:00:00Z"}, "is revoked since 2026-02-01T00:00:00Z"),
        ({"ends": "2026-02-02T09:00:00Z"}, "ended at 2026-02-02T09:00:00Z, when another took its place"),
    ],
)
def test_a_revoked_or_rotated_key_counts_no_longer_than_the_gate_says(workspace, dates, said):
    package = make_package(workspace)
    _publish(workspace, **dates)
    assert said in "; ".join(reasons(workspace, package))


def test_a_release_that_was_admitted_before_its_key_was_revoked_runs_on_and_no_other(workspace):
    package = make_package(workspace)
    admit(workspace, package)
    _publish(workspace, revoked_since="2026-02-02T09:30:00Z")
    assert isinstance(verify(workspace, package, now=workspace.clock.now()), Verified)
    _publish(workspace, revoked_since="2026-02-02T09:09:00Z")
    assert "and it was signed no earlier" in "; ".join(reasons(workspace, package))


def test_where_the_gates_records_of_keys_cannot_be_read_nothing_runs(workspace):
    package = make_package(workspace)
    (workspace.promotion / "keys" / f"{OWNER}.yaml").write_text("{")
    assert "records of keys cannot be read" in "; ".join(reasons(workspace, package))
