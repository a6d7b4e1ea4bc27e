"""Candidates: whatever was changed after sealing is named, file by file."""

from __future__ import annotations

import json
import shutil

import pytest

from shared.core.digests import canonical, digest_bytes
from shared.core.errors import BadInput
from shared.trust.candidate import MANIFEST, Spend, open_candidate, read_json, seal, write_json
from tests.makers import seal_into

CONTENT = {
    "promise.json": b'{"schema_version":1}',
    "evidence.json": b'{"n":1}',
    "data/exposures.parquet": b"PAR1 exposures",
    "files/audience.sql": b"SELECT 1",
    "files/contracts/outcomes.odcs.yaml": b"id: x\n",
}
HEAD = {
    "workspace": "0123456789abcdef", "mode": "rehearsal", "pilot": "spring-mail", "promise": "sha256:" + "1" * 64,
    "requester": "requester@example.com", "covers_until": "2026-01-19T00:00:00Z",
    "ledger": {"seq": 7, "hash": "sha256:" + "2" * 64},
}  # fmt: skip


def sealed(root, content=None, **head):
    folder = root / "making"
    for name, data in (content or CONTENT).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    made = seal_into(root / "intake", folder, **{**HEAD, **head})
    shutil.rmtree(folder)
    return made


@pytest.fixture
def candidate(tmp_path):
    return sealed(tmp_path)


def changed(data, index):
    return data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :]


def test_a_sealed_candidate_is_untouched(candidate):
    assert candidate.tampered(candidate.digest) == []


def test_a_candidate_lies_under_its_digest(candidate):
    assert candidate.folder.name == candidate.digest.removeprefix("sha256:")


def test_the_digest_is_that_of_the_manifest_file_byte_by_byte(candidate):
    assert candidate.digest == digest_bytes((candidate.folder / MANIFEST).read_bytes())


def test_the_manifest_lists_every_other_file_with_its_digest(candidate):
    assert candidate.manifest.files == {name: digest_bytes(data) for name, data in CONTENT.items()}


def test_a_candidate_opens_as_it_was_sealed(candidate):
    assert open_candidate(candidate.folder) == candidate


def test_sealing_the_same_content_again_is_the_same_candidate(candidate, tmp_path):
    assert sealed(tmp_path) == candidate


def test_sealing_leaves_nothing_else_in_the_intake(candidate):
    assert [path.name for path in candidate.folder.parent.iterdir()] == [candidate.folder.name]


@pytest.mark.parametrize("change", [{"pilot": "other"}, {"mode": "live"}, {"covers_until": "2026-01-18T00:00:00Z"}])
def test_another_head_is_another_candidate(candidate, tmp_path, change):
    assert sealed(tmp_path, **change).digest != candidate.digest


@pytest.mark.parametrize("name", CONTENT)
def test_one_changed_byte_of_a_file_is_named(candidate, name):
    path = candidate.folder / name
    path.write_bytes(changed(path.read_bytes(), 3))
    assert candidate.tampered() == [f"{name}: changed after it was sealed"]


@pytest.mark.parametrize("name", CONTENT)
def test_one_added_byte_of_a_file_is_named(candidate, name):
    with (candidate.folder / name).open("ab") as stream:
        stream.write(b"\n")
    assert candidate.tampered() == [f"{name}: changed after it was sealed"]


@pytest.mark.parametrize("name", CONTENT)
def test_a_missing_file_is_named(candidate, name):
    (candidate.folder / name).unlink()
    assert candidate.tampered() == [f"{name}: missing"]


@pytest.mark.parametrize("name", ["extra.json", ".hidden", "data/extra.parquet", "new/folder/file"])
def test_an_extra_file_is_named(candidate, name):
    (candidate.folder / name).parent.mkdir(parents=True, exist_ok=True)
    (candidate.folder / name).write_text("")
    assert candidate.tampered() == [f"{name}: not part of what was sealed"]


def test_two_exchanged_files_are_both_named(candidate):
    one, other = candidate.folder / "promise.json", candidate.folder / "evidence.json"
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    assert len(candidate.tampered()) == 2


def test_a_link_to_a_folder_is_named(candidate, tmp_path):
    (candidate.folder / "linked").symlink_to(tmp_path)
    assert candidate.tampered() == ["linked: not part of what was sealed"]


def test_a_link_that_leads_nowhere_is_named(candidate, tmp_path):
    (candidate.folder / "linked").symlink_to(tmp_path / "none")
    assert candidate.tampered() == ["linked: not part of what was sealed"]


def test_a_file_that_became_a_folder_is_named(candidate):
    (candidate.folder / "promise.json").unlink()
    (candidate.folder / "promise.json").mkdir()
    assert candidate.tampered() == ["promise.json: missing"]


def test_a_changed_manifest_is_named_with_both_digests(candidate):
    before = candidate.digest
    content = json.loads((candidate.folder / MANIFEST).read_bytes())
    write_json(candidate.folder / MANIFEST, {**content, "pilot": "other"})
    after = open_candidate(candidate.folder)
    assert after.tampered(before) == [f"manifest.json: its digest is {after.digest}, not {before}"]


def test_a_manifest_in_other_bytes_of_the_same_meaning_is_named(candidate):
    content = json.loads((candidate.folder / MANIFEST).read_bytes())
    (candidate.folder / MANIFEST).write_text(json.dumps(content, indent=2))
    assert open_candidate(candidate.folder).tampered(candidate.digest) == ["manifest.json: not in canonical form"]


def test_any_changed_byte_of_the_manifest_is_unreadable_or_named(candidate):
    path = candidate.folder / MANIFEST
    raw, unnoticed = path.read_bytes(), []
    for index in range(len(raw)):
        path.write_bytes(changed(raw, index))
        try:
            if not open_candidate(candidate.folder).tampered(candidate.digest):
                unnoticed.append(index)
        except BadInput:
            continue
    assert unnoticed == []


def test_a_manifest_that_reaches_outside_names_what_it_cannot_have(candidate, tmp_path):
    (tmp_path / "intake" / "outside").write_text("x")
    content = json.loads((candidate.folder / MANIFEST).read_bytes())
    write_json(
        candidate.folder / MANIFEST, {**content, "files": {**content["files"], "../outside": digest_bytes(b"x")}}
    )
    assert "../outside: missing" in open_candidate(candidate.folder).tampered()


def with_ledger(candidate, text):
    path = candidate.folder / MANIFEST
    path.write_bytes(path.read_bytes().replace(canonical(HEAD["ledger"]), text.encode()))
    return open_candidate(candidate.folder)


@pytest.mark.parametrize("ledger", ['{"seq":99999999999999999999}', "7", "{"])
def test_a_manifest_that_has_no_digest_is_refused(candidate, ledger):
    with pytest.raises(BadInput, match="not a candidate"):
        with_ledger(candidate, ledger)


@pytest.mark.parametrize("ledger", ['{"seq":NaN}', '{"seq":Infinity}', '{"seq":1e999}', '{"seq":7.0}'])
def test_a_manifest_with_numbers_that_json_does_not_have_is_named(candidate, ledger):
    assert "manifest.json: not in canonical form" in with_ledger(candidate, ledger).tampered()


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"\xff", b"null"])
def test_a_manifest_that_is_none_is_refused(candidate, raw):
    (candidate.folder / MANIFEST).write_bytes(raw)
    with pytest.raises(BadInput, match="not a candidate"):
        open_candidate(candidate.folder)


def test_a_folder_without_manifest_is_no_candidate(tmp_path):
    with pytest.raises(BadInput, match="not a candidate"):
        open_candidate(tmp_path)


def test_nothing_is_sealed_without_any_file(tmp_path):
    (tmp_path / "making").mkdir()
    with pytest.raises(ValueError):
        seal(tmp_path / "making", **HEAD)


@pytest.mark.parametrize("read", ["promise", "evidence", "spend"])
def test_a_part_that_cannot_be_read_is_bad_input(candidate, read):
    with pytest.raises(BadInput, match="cannot be read"):
        getattr(candidate, read)()


def entry(amount, currency="USD"):
    money = {"amount": amount, "currency": currency}
    return {"id": "1", "at": "2026-01-05T00:00:00Z", "money": money, "purpose": "x"}


def test_costs_add_up_to_the_cent():
    spend = Spend.model_validate({"entries": [entry("0.10"), entry("0.20"), entry("99.70")]})
    assert str(spend.total("USD").amount) == "100.00"


def test_no_costs_are_nothing_in_the_budgets_currency():
    assert str(Spend(entries=()).total("EUR")) == "0.00 EUR"


def test_a_cost_in_another_currency_is_not_added():
    with pytest.raises(BadInput, match="USD and EUR"):
        Spend.model_validate({"entries": [entry("1"), entry("1", "EUR")]}).total("USD")


def test_json_is_read_back_as_it_was_written(tmp_path):
    write_json(tmp_path / "x.json", {"b": [1, None], "a": "ü"})
    assert read_json(tmp_path / "x.json") == {"b": [1, None], "a": "ü"}


def test_damaged_json_is_bad_input(tmp_path):
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(BadInput, match="cannot be read"):
        read_json(tmp_path / "x.json")


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "evidence.json").write_bytes(b"{}"),
        lambda folder: (folder / "evidence.json").unlink(),
        lambda folder: (folder / MANIFEST).write_bytes(b"{"),
        lambda folder: (folder / "extra.json").write_bytes(b"{}"),
    ],
)
def test_sealing_again_repairs_a_damaged_candidate_and_keeps_what_was_there(candidate, tmp_path, damage):
    damage(candidate.folder)
    assert sealed(tmp_path).tampered(candidate.digest) == []
    names = {path.name for path in candidate.folder.parent.iterdir()}
    assert names == {candidate.folder.name, f".damaged.1.{candidate.folder.name}"}
