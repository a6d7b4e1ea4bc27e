from shared.trust.candidate import MANIFEST, open_candidate, write_json


def test_an_untouched_candidate_passes(stage, ask):
    [found] = ask("candidate_sealed", stage.case())
    assert (found.outcome, found.measured, found.reason) == ("passed", [], "all 14 files are as sealed")


def test_a_changed_byte_fails_and_its_file_is_named(stage, ask):
    case = stage.case()
    path = case.candidate.file("message.txt")
    path.write_bytes(path.read_bytes() + b" ")
    [found] = ask("candidate_sealed", case)
    assert (found.outcome, found.measured) == ("failed", ["files/message.txt: changed after it was sealed"])
    assert "submit the pilot again" in found.remedy


def test_a_missing_file_and_a_stranger_fail(stage, ask):
    case = stage.case()
    case.candidate.file("message.txt").rename(case.candidate.file("other.txt"))
    [found] = ask("candidate_sealed", case)
    assert found.outcome == "failed"
    assert found.measured == ["files/message.txt: missing", "files/other.txt: not part of what was sealed"]


def test_a_manifest_that_was_written_anew_fails_although_it_agrees_with_the_files(stage, ask):
    candidate = stage.submit()
    edited = candidate.manifest.model_copy(update={"requester": "somebody@example.com"})
    write_json(candidate.folder / MANIFEST, edited.model_dump(mode="json"))
    [found] = ask("candidate_sealed", stage.open(open_candidate(candidate.folder)))
    assert found.outcome == "failed"
    assert found.measured[0].startswith("manifest.json: its digest is")


def test_a_file_that_cannot_be_read_is_unevaluable(stage, ask):
    case = stage.case()
    (case.candidate.folder / MANIFEST).unlink()
    [found] = ask("candidate_sealed", case)
    assert found.outcome == "unevaluable"
    assert found.reason.startswith("the check could not be made: FileNotFoundError")
