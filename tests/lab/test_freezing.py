"""Freezing: everything that a pilot promises is under one digest, and nothing else is."""

from __future__ import annotations

import pytest

from lab.freezing import freeze, obstacles
from lab.state import open_lab
from shared.errors import BadInput, Refused
from tests.lab_makers import CARD, PILOT, draft


def test_the_promise_names_every_file_it_rests_on(loaded):
    frozen = freeze(loaded, PILOT)
    expected = ["audience.sql", "contracts/customers.odcs.yaml", "contracts/outcomes.odcs.yaml", "message.txt"]
    assert list(frozen.promise.files) == expected
    assert list(frozen.promise.metrics) == ["visit", "spend", "conversion"]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("pilots/spring-mail/charter.yaml", "minimum_effect: 0.05", "minimum_effect: 0.04"),
        ("pilots/spring-mail/audience.sql", "recency <= 6", "recency <= 7"),
        ("pilots/spring-mail/message.txt", "Dear", "Dearest"),
        ("configs/metrics.yaml", "column: spend", "column: visit"),
        ("configs/contracts/outcomes.odcs.yaml", "version: 1.0.0", "version: 1.0.1"),
    ],
)
def test_the_digest_changes_with_whatever_could_change_the_judgement(loaded, file, old, new):
    before, path = freeze(loaded, PILOT).promise.digest, loaded.root / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert freeze(loaded, PILOT).promise.digest != before


def test_the_digest_does_not_change_with_what_means_the_same(loaded):
    before, path = freeze(loaded, PILOT).promise.digest, loaded.pilots / PILOT / "charter.yaml"
    path.write_text("# a remark\n" + path.read_text().replace("budget: {media: 100.00,", "budget: {media: 100.0,"))
    metrics = loaded.configs / "metrics.yaml"
    unused = "\n  unused:\n    kind: mean\n    column: spend\n    unit: USD\n"
    metrics.write_text(metrics.read_text().rstrip() + unused)
    assert freeze(loaded, PILOT).promise.digest == before


def test_the_population_is_judged_by_the_contract_it_was_published_with(loaded):
    before = freeze(loaded, PILOT).promise.digest
    (loaded.configs / "contracts" / "customers.odcs.yaml").write_text("schema: changed since\n")
    assert freeze(loaded, PILOT).promise.digest == before


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (("owner: owner@", "owner: stranger@"), BadInput, "nobody is known as stranger@example.com"),
        (("owner: owner@", "owner: requester@"), Refused, "would decide on their own request"),
        (("units_per_arm: 150", "units_per_arm: 400"), Refused, "the smallest can get 300"),
        (
            ("fields: [zip_code]", "fields: [zip_code, email]"),
            BadInput,
            "uses column `email`, which table",
        ),
        (("media: 100.00", "media: 90000.00"), Refused, "the pilot asks for 90,000.00 USD"),
        (("currency: USD", "currency: EUR"), BadInput, "the pilot's budget is in EUR"),
        (
            ("start: 2026-01-05, end: 2026-01-19", "start: 2025-12-29, end: 2026-01-12"),
            Refused,
            "the time box began on 2025-12-29, and today is 2026-01-04",
        ),
    ],
)
def test_each_obstacle_is_found_and_says_what_to_do(loaded, change, error, told):
    draft(loaded, PILOT, (CARD, ""), change)
    found = obstacles(open_lab(loaded), freeze(loaded, PILOT))
    assert found
    assert {type(problem) for problem in found} == {error}
    assert told in found[0].what
    assert all(problem.where for problem in found)
    assert all(problem.remedy or problem.expected for problem in found)


def test_an_id_that_is_no_identifier_makes_no_units(loaded):
    [snapshot] = [path for path in (loaded.lab / "snapshots").iterdir() if path.is_dir()]
    contract = snapshot / "customers.odcs.yaml"
    contract.write_text(contract.read_text().replace("classification: identifier", "classification: public"))
    found = obstacles(open_lab(loaded), freeze(loaded, PILOT))
    assert "has no key that is classified as an identifier" in found[0].what


def test_outcomes_whose_contract_lacks_what_a_metric_reads_are_an_obstacle(loaded):
    metrics = loaded.configs / "metrics.yaml"
    metrics.write_text(metrics.read_text().replace("column: spend", "column: basket"))
    [problem] = obstacles(open_lab(loaded), freeze(loaded, PILOT))
    assert problem.what == "metric `spend` reads column `basket`, which the outcomes do not have as a number"
    assert problem.expected == "one of: visit, conversion, spend"
