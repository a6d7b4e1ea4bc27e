"""The A/A certificate: from a snapshot's history or a pilot's control arm to what the gate is shown."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import duckdb
import numpy as np
import pytest
from scipy import stats

from lab.analysis.aa import CERTIFIED, certificates, certify
from lab.analysis.analysis import analyse, latest
from lab.analysis.submission import submit
from lab.intake.intake import record
from lab.launch.launch import launch
from lab.pilots.pilot import get_pilot
from lab.state import open_lab
from pilotplant import app
from shared.core.errors import BadInput, Refused
from shared.data.snapshot import latest_snapshot
from shared.stats.rerandomisation import coins
from shared.trust.candidate import AA
from tests.lab_makers import (
    AFTER,
    CUSTOMERS,
    INSIDE,
    PILOT,
    Step,
    copy_of,
    draft,
    results,
    run_child,
    write_csv,
)

QUICK = 1_000


def history(workspace, **columns):
    """Names the history of metrics in the catalogue."""
    path = workspace.configs / "metrics.yaml"
    text = path.read_text()
    for name, column in columns.items():
        text = text.replace(f"    column: {name}\n", f"    column: {name}\n    history: {column}\n")
    path.write_text(text)


def found(certificate):
    return {each.metric: each for each in certificate.metrics}


def entries(workspace):
    return [entry for entry in open_lab(workspace).entries() if entry.kind == CERTIFIED]


@pytest.mark.check
def test_a_snapshots_history_is_certified_and_the_rate_is_that_of_scipys_test(loaded):
    history(loaded, spend="history", visit="recency")
    done = certify(loaded, None, times=QUICK)
    asked = done.certificate.asked
    assert (asked.source.kind, asked.source.name, asked.source.table) == (
        "snapshot", latest_snapshot(loaded).id, "customers"
    )  # fmt: skip
    assert asked.source.columns == {"visit": "recency", "spend": "history"}
    spend = found(done.certificate)["spend"]
    assert (spend.units, spend.verdict, sum(spend.p_counts)) == (CUSTOMERS, "holds", QUICK)
    path = latest_snapshot(loaded).table("customers")
    values = np.array(duckdb.execute(f"SELECT history FROM '{path}'").fetchall(), dtype=float).ravel()
    treated = coins(QUICK, 0.5, asked.seed)(CUSTOMERS).astype(bool)
    p = [stats.ttest_ind(values[t], values[~t], equal_var=False).pvalue for t in treated.T]
    assert spend.false_positives == sum(each <= 0.05 for each in p)
    assert spend.p_counts == tuple(np.histogram(p, 20, (0, 1))[0])
    # Everybody's recency is above zero, so as a share it does not vary.
    visit = found(done.certificate)["visit"]
    assert (visit.verdict, visit.reason, visit.rate) == ("unevaluable", "it is 1 for every unit", None)


def test_a_cap_holds_in_history_as_it_does_in_evidence(loaded):
    history(loaded, spend="history")
    path = loaded.configs / "metrics.yaml"
    path.write_text(path.read_text().replace("    history: history\n", "    history: history\n    cap: 10\n"))
    [spend] = certify(loaded, None, times=QUICK).certificate.metrics
    assert spend.reason == "it is 10 for every unit"  # customers_csv: every history is above 10


def test_without_a_history_it_says_what_to_do(loaded):
    with pytest.raises(Refused, match="holds no history of any metric") as refusal:
        certify(loaded, None)
    assert "pilotplant lab aa PILOT" in refusal.value.remedy
    history(loaded, spend="history")
    with pytest.raises(BadInput, match="no table `orders`"):
        certify(loaded, None, table="orders")
    launch(loaded, PILOT)
    with pytest.raises(Refused, match="has not been analysed"):
        certify(loaded, PILOT)


def test_a_pilots_control_arm_is_certified_by_its_own_promise(submitted):
    done = certify(submitted, PILOT, times=QUICK)
    room = open_lab(submitted)
    pilot = get_pilot(room, PILOT)
    asked = done.certificate.asked
    assert asked.source.data == latest(room, pilot).evidence.data
    assert asked.definitions == {name: metric.definition for name, metric in pilot.promise.metrics.items()}
    [control] = [arm for arm in latest(room, pilot).evidence.arms if arm.arm == "control"]
    for name, metric in found(done.certificate).items():
        assert (name, metric.units, metric.verdict) == (name, control.units, "holds")
        assert metric.rate < 0.08


def test_asking_again_is_a_no_op_that_says_so(submitted, capsys):
    first = certify(submitted, PILOT, times=QUICK)
    submitted.clock.set(AFTER + timedelta(days=1))
    again = certify(submitted, PILOT, times=QUICK)
    assert (first.repeated, again.repeated) == (False, True)
    assert (again.certificate, again.folder) == (first.certificate, first.folder)
    assert len(entries(submitted)) == 1
    words = ["--workspace", str(submitted.root), "lab", "aa", PILOT, "--times", str(QUICK)]
    assert app._exit_code(words) == 0
    said = capsys.readouterr()
    assert "The same was asked of the same data before; nothing was done." in said.out
    assert re.search(r"visit +\d+ +[\d.]+ % +\[", said.out)
    other = certify(submitted, PILOT, times=QUICK, seed=2)
    assert not other.repeated
    assert other.certificate.metrics != first.certificate.metrics


def test_a_json_answer_has_every_number(submitted, capsys):
    words = ["--workspace", str(submitted.root), "lab", "aa", PILOT, "--times", str(QUICK), "--json"]
    assert app._exit_code(words) == 0
    said = json.loads(capsys.readouterr().out)
    [made] = certificates(submitted)
    assert said["certificate"] == made.digest
    assert said["metrics"] == made.as_json()["metrics"]
    page = (submitted.lab / "aa" / made.digest.removeprefix("sha256:") / "certificate.html").read_text()
    assert page.count("<figure") == 1
    assert "https://" not in page.replace("https://www.w3.org", "").replace("http://www.w3.org", "")


def test_a_rare_metric_in_a_small_arm_has_no_certificate(loaded, tmp_path):
    """Nine in ten get the letter: of 200 control units some twenty stand for the smaller arm, of whom two visit."""
    draft(
        loaded,
        PILOT,
        ("assignment: pilotplant", "assignment: source"),
        ("  - name: letter\n", "  - name: letter\n    weight: 9\n"),
        ("units_per_arm: 150", "units_per_arm: 50"),
    )
    launch(loaded, PILOT)
    loaded.clock.set(INSIDE)
    record(loaded, PILOT, write_csv(tmp_path / "results.csv", results(loaded)))
    loaded.clock.set(AFTER)
    analyse(loaded, PILOT)
    done = certify(loaded, PILOT)
    assert done.certificate.asked.treated_frac == 0.9
    visit = found(done.certificate)["visit"]
    # In one split of eight nobody of the smaller arm visits, and nothing can be compared.
    assert (visit.verdict, visit.rate) == ("unevaluable", None)
    assert "splits the test has no answer" in visit.reason
    candidate = submit(loaded, PILOT).candidate
    assert candidate.certificate() == done.certificate


def test_an_outcome_without_a_value_leaves_its_metric_without_a_certificate(loaded, tmp_path):
    catalogue = loaded.configs / "metrics.yaml"
    catalogue.write_text(catalogue.read_text().replace("    column: spend\n", "    expression: spend / visit\n"))
    draft(loaded)
    launch(loaded, PILOT)
    loaded.clock.set(INSIDE)
    record(loaded, PILOT, write_csv(tmp_path / "results.csv", results(loaded)))
    loaded.clock.set(AFTER)
    gaps = sum(not line["visit"] for line in results(loaded))
    analyse(loaded, PILOT)
    answers = found(certify(loaded, PILOT, times=QUICK).certificate)
    assert answers["visit"].verdict == "holds"
    assert (answers["spend"].verdict, answers["spend"].reason) == (
        "unevaluable", f"{gaps} outcomes have no value of it"
    )  # fmt: skip


def test_a_candidate_has_the_certificate_that_covers_it_and_only_a_new_one_changes_it(submitted):
    before = submit(submitted, PILOT)
    assert before.candidate.certificate() is None
    done = certify(submitted, PILOT, times=QUICK)
    after = submit(submitted, PILOT)
    assert not after.repeated
    assert after.candidate.certificate() == done.certificate
    assert AA in after.candidate.manifest.files
    # The gate takes the one whose place in the Lab's ledger is the later one.
    assert after.candidate.manifest.ledger["seq"] > before.candidate.manifest.ledger["seq"]
    [entry] = entries(submitted)
    assert after.candidate.manifest.ledger == {"seq": entry.seq, "hash": entry.hash}
    certify(submitted, PILOT, times=QUICK)
    again = submit(submitted, PILOT)
    assert (again.repeated, again.candidate.digest) == (True, after.candidate.digest)


def test_a_certificate_on_other_definitions_or_another_alpha_is_not_taken(submitted):
    history(submitted, spend="history")
    certify(submitted, None, times=QUICK)  # of spend alone, which is not all that decides
    assert submit(submitted, PILOT).repeated
    assert submit(submitted, PILOT).candidate.certificate() is None


def test_a_certificate_that_was_changed_is_none_and_is_made_again(submitted):
    done = certify(submitted, PILOT, times=QUICK)
    path = done.folder / "certificate.json"
    path.write_text(path.read_text().replace('"units":', '"units": '))
    assert len(certificates(submitted)) == 1  # the same content, if not the same bytes
    path.write_text(path.read_text().replace('"seed":', '"seed":1'))
    assert certificates(submitted) == []
    assert submit(submitted, PILOT).candidate.certificate() is None
    again = certify(submitted, PILOT, times=QUICK)
    assert (again.repeated, again.certificate.metrics) == (False, done.certificate.metrics)


def do_certify(root):
    from shared.state.workspace import open_workspace

    certify(open_workspace(root), PILOT, times=QUICK)


def test_killed_at_any_step_the_next_try_finishes_it(submitted, tmp_path):
    whole = copy_of(submitted, tmp_path / "whole")
    code, steps = run_child(do_certify, whole.root)
    assert (code, steps[-1]) == (0, "commit")
    for number in range(steps.index("rename"), len(steps) + 1):
        cut = copy_of(submitted, tmp_path / f"cut-{number}")
        assert run_child(do_certify, cut.root, die=Step(number, after=True))[0] == -9
        done = certify(cut, PILOT, times=QUICK)
        assert [entry.body["certificate"] for entry in entries(cut)] == [done.certificate.digest]
        assert certificates(cut) == [done.certificate]
