"""Tracking: one finished MLflow run per analysis, written in one batch, and exported as it was."""

from __future__ import annotations

import json
import logging
import shutil
from datetime import timedelta

import pytest

from lab.analysis.analysis import analyse, latest
from lab.analysis.tracking import store_uri
from lab.pilots.pilot import get_pilot
from lab.state import open_lab
from shared.core.digests import digest_file
from tests.lab_makers import AFTER, OWNER, PILOT, copy_of, fingerprint, staged


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The stage's analysis and the run that MLflow has of it; look, and change nothing."""
    from mlflow.tracking import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    workspace = staged(tmp_path_factory.getbasetemp(), "submitted")
    room = open_lab(workspace)
    analysis = latest(room, get_pilot(room, PILOT))
    client = MlflowClient(store_uri(workspace))
    [experiment] = [e for e in client.search_experiments() if e.name == PILOT]
    runs = client.search_runs([experiment.experiment_id])
    return analysis, client, runs


def test_there_is_one_finished_run(found):
    analysis, _, runs = found
    assert [(run.info.run_id, run.info.status) for run in runs] == [(analysis.mlflow_run, "FINISHED")]


def test_its_parameters_are_the_promise(found):
    params = found[2][0].data.params
    assert params["arms"] == "control, letter, card"
    assert params["control"] == "control"
    assert params["primary"] == "visit"
    assert params["guardrails"] == "spend -0.9"
    assert params["time_box"] == "2026-01-05 to 2026-01-19"
    assert params["units_per_arm"] == "150"
    assert params["hypothesis"].startswith("Because they came back")


def test_its_metrics_are_the_evidence(found):
    analysis, _, [run] = found
    metrics, evidence = run.data.metrics, analysis.evidence
    assert metrics["cost"] == 40.0
    assert metrics["exposures"] == metrics["outcomes"] == 600.0
    for arm in evidence.arms:
        assert metrics[f"{arm.arm}/units"] == arm.units
        assert metrics[f"{arm.arm}/spend/mean"] == arm.moments["spend"].mean
    effect = evidence.effect("letter", "visit")
    assert metrics["letter/visit/estimate"] == effect.estimate
    assert metrics["letter/visit/p_adjusted"] == effect.p_adjusted
    assert metrics["letter/spend/bound"] == evidence.effect("letter", "spend").bound
    assert metrics["health/sample_ratio_p"] == evidence.health.sample_ratio.p


def test_its_tags_say_whose_it_is(found):
    analysis, _, [run] = found
    tags = run.data.tags
    assert (tags["evidence"], tags["promise"]) == (analysis.evidence.digest, analysis.evidence.promise)
    assert (tags["interim"], tags["mode"], tags["owner"]) == ("false", "rehearsal", OWNER)


def test_its_artifacts_are_the_files_of_the_analysis(found, tmp_path):
    analysis, client, [run] = found
    names = sorted(entry.path for entry in client.list_artifacts(run.info.run_id))
    assert names == ["effects.svg", "evidence.json", "report.html"]
    for name in names:
        copy = client.download_artifacts(run.info.run_id, name, str(tmp_path))
        assert digest_file(tmp_path / name) == digest_file(analysis.folder / name), copy


def test_the_export_says_what_mlflow_says(found):
    analysis, _, [run] = found
    exported = json.loads((analysis.folder / "mlflow_run.json").read_bytes())
    assert exported["run_id"] == run.info.run_id
    assert exported["params"] == run.data.params
    assert exported["metrics"] == run.data.metrics
    assert exported["tags"].items() <= run.data.tags.items()
    assert exported["artifacts"] == {name: digest_file(analysis.folder / name) for name in exported["artifacts"]}


def test_everything_is_logged_in_one_batch(recorded, monkeypatch):
    from mlflow.tracking import MlflowClient

    calls: list[str] = []
    for name in ("log_batch", "log_metric", "log_param", "set_tag"):
        real = getattr(MlflowClient, name)

        def spy(*arguments, name=name, real=real, **named):
            calls.append(name)
            return real(*arguments, **named)

        monkeypatch.setattr(MlflowClient, name, spy)
    analyse(recorded, PILOT)
    assert calls == ["log_batch"]


def test_an_analysis_that_was_cut_off_before_it_was_recorded_leaves_one_run(recorded, monkeypatch):
    from mlflow.tracking import MlflowClient

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("lab.analysis.analysis._remember", cut)
        with pytest.raises(KeyboardInterrupt):
            analyse(recorded, PILOT)
    done = analyse(recorded, PILOT)
    client = MlflowClient(store_uri(recorded))
    [experiment] = [e for e in client.search_experiments() if e.name == PILOT]
    [run] = client.search_runs([experiment.experiment_id])
    assert (run.info.run_id, run.info.status) == (done.mlflow_run, "FINISHED")


def test_a_copied_workspace_writes_nothing_into_the_original(tmp_path_factory, tmp_path):
    original = staged(tmp_path_factory.getbasetemp(), "submitted")
    before = fingerprint(original.lab)
    copy = copy_of(original, tmp_path / "copy")
    copy.clock.set(AFTER + timedelta(hours=1))  # another report: it tells the minute
    shutil.rmtree(copy.lab / "pilots" / PILOT / "analyses")
    again = analyse(copy, PILOT)
    assert again.repeated is False
    assert fingerprint(original.lab) == before
    [artifacts] = (copy.lab / "mlartifacts" / PILOT).glob(f"{again.mlflow_run}/artifacts")
    assert digest_file(artifacts / "report.html") == digest_file(again.report)
