"""A promise is known by the bytes that were stored: a build that knows more fields changes none made before.

An earlier build is one that did not write some fields of today's, whose defaults a promise then has all the same.
"""

from __future__ import annotations

import json

import pytest

from lab.analysis.analysis import analyse
from lab.analysis.submission import submit
from lab.intake.intake import record
from lab.launch.amendment import amend
from lab.launch.launch import launch
from lab.pilots.pilot import get_pilot
from lab.state import open_lab
from pilotplant.app import _exit_code
from promotion.gate.case import Case
from promotion.queue.judgements import judge_named
from shared.core.digests import canonical, digest_bytes, digest_json
from shared.experiment.charter import Promise
from shared.trust.candidate import AMENDMENTS, PROMISE
from tests.lab_makers import AFTER, INSIDE, PILOT, REASON, draft, results, stage_copy, write_csv
from tests.makers import make_charter

UNKNOWN = ("synthetic", "layer", "kill_criteria", "co_primary")


def written_before(promise):
    """A promise's bytes as a build wrote them that did not know some fields."""
    content = promise.model_dump(mode="json")
    charter = {name: value for name, value in content["charter"].items() if name not in UNKNOWN}
    metrics = {
        name: {field: value for field, value in metric.items() if field != "cap_quantile"}
        for name, metric in content["metrics"].items()
    }
    return canonical(content | {"charter": charter, "metrics": metrics})


@pytest.fixture
def loaded(request, tmp_path):
    return stage_copy(request, tmp_path / "workspace", "loaded")


@pytest.fixture
def an_earlier_build(monkeypatch):
    """The build that writes promises so, until it is undone."""
    with monkeypatch.context() as patch:
        patch.setattr(Promise, "content", property(lambda promise: promise._stored or written_before(promise)))
        yield patch


def test_a_promise_has_the_digest_of_its_bytes_whatever_a_build_would_write():
    before = written_before(Promise(charter=make_charter(), metrics={}, files={}))
    promise = Promise.stored(before)
    assert promise.digest == digest_bytes(before) != digest_json(promise.model_dump(mode="json"))
    assert promise.content == before
    assert promise.as_json() == json.loads(before)
    assert promise.charter.layer is None


def test_another_reading_of_the_same_fields_is_another_promise():
    """Spaces count: whoever may write them could write anything else."""
    before = Promise(charter=make_charter(), metrics={}, files={})
    spaced = Promise.stored(json.dumps(before.as_json(), indent=1).encode())
    assert spaced.same_as(before)
    assert spaced.digest != before.digest


def test_what_is_changed_of_a_stored_promise_is_a_new_one():
    before = Promise.stored(written_before(Promise(charter=make_charter(), metrics={}, files={})))
    after = before.model_copy(update={"files": {"audience.sql": "sha256:1"}})
    assert after.digest == digest_json(after.model_dump(mode="json"))
    assert before.model_copy().digest == before.digest
    assert after.amending(before, REASON).amends.before == before.digest


@pytest.mark.parametrize("amended_by", ["the earlier build", "this build"])
def test_what_an_earlier_build_launched_goes_the_whole_way(loaded, an_earlier_build, amended_by, capsys):
    draft(loaded, PILOT)
    launched = launch(loaded, PILOT).pilot.promise.digest
    if amended_by == "this build":
        an_earlier_build.undo()
    text = (loaded.pilots / PILOT / "charter.yaml").read_text()
    (loaded.pilots / PILOT / "charter.yaml").write_text(text.replace("media: 100.00", "media: 120.00"))
    amended = amend(loaded, PILOT, REASON)
    assert [change["path"] for change in amended.changes] == ["budget.media"]
    an_earlier_build.undo()
    pilot = get_pilot(open_lab(loaded), PILOT)
    assert [promise.digest for promise in pilot.earlier()] == [launched]
    assert set(UNKNOWN).isdisjoint(json.loads((pilot.folder / "frozen" / PROMISE).read_bytes())["charter"])
    # The same charter once more is the same promise, though this build would write it otherwise.
    assert amend(loaded, PILOT, REASON).outcome == "same"
    loaded.clock.set(INSIDE)
    record(loaded, PILOT, write_csv(loaded.root.with_name("results.csv"), results(loaded)))
    loaded.clock.set(AFTER)
    analyse(loaded, PILOT)
    candidate = submit(loaded, PILOT).candidate
    assert [promise.digest for promise in candidate.earlier()] == [launched]
    assert launched == digest_json(json.loads((candidate.folder / AMENDMENTS).read_bytes())["versions"][0])
    [(case, judgement)] = judge_named(loaded, PILOT)
    assert isinstance(case, Case)
    frozen = {f.check: f.outcome for f in judgement.findings if f.check in {"charter_frozen", "evidence_recomputed"}}
    assert set(frozen.values()) == {"passed"}
    assert _exit_code(["--workspace", str(loaded.root), "promote", "verify"]) == 0
    capsys.readouterr()
