"""Freezing: everything that a pilot promises is under one digest, and nothing else is."""

from __future__ import annotations

import pytest

from lab.pilots.promise import freeze
from shared.core.errors import Refused
from tests.lab_makers import PILOT


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


def test_a_file_that_is_edited_between_the_promise_and_its_copy_is_not_frozen(loaded, tmp_path):
    frozen = freeze(loaded, PILOT)
    (loaded.pilots / PILOT / "message.txt").write_text("Another letter.\n")
    with pytest.raises(Refused, match=r"message\.txt was changed while it was being frozen"):
        frozen.write(tmp_path / "pilot" / "frozen")
    assert list((tmp_path / "pilot").iterdir()) == []
