"""Health: what is wrong is named, and nothing analysed is never good."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from lab.analysis.analysis import analyse, latest
from lab.analysis.health import Counts, health
from lab.budget.accounts import Account
from lab.overview.portfolio import lines
from lab.pilots.pilot import get_pilot
from lab.state import open_lab
from shared.core.money import Money
from shared.experiment.charter import KillCriterion
from tests.lab_makers import AFTER, PILOT, STARTS


def usd(amount):
    return Money(amount=Decimal(amount), currency="USD")


ACCOUNT = Account(usd("100.00"), usd("40.00"), usd("0.00"))
COUNTS = Counts(exposures=600, outcomes=600)


def of(workspace):
    [line] = lines(open_lab(workspace))
    return line.health


def test_a_pilot_is_unknown_until_it_is_analysed_and_its_health_is_forgotten_once_it_is_decided(recorded):
    assert (of(recorded).condition, of(recorded).findings) == ("unknown", ())
    recorded.clock.set(AFTER)
    folder = analyse(recorded, PILOT).folder
    assert (of(recorded).condition, of(recorded).as_of) == ("good", pytest.approx(AFTER, abs=timedelta(minutes=5)))
    evidence = folder / "evidence.json"
    evidence.write_bytes(evidence.read_bytes().replace(b'"outcomes":600', b'"outcomes":601'))
    assert of(recorded).condition == "unknown"


def test_each_trouble_is_named(submitted):
    room = open_lab(submitted)
    pilot = get_pilot(room, PILOT)
    evidence = latest(room, pilot).evidence

    def found(evidence=evidence, account=ACCOUNT, counts=COUNTS, pilot=pilot, *, ended=False):
        return health(pilot, account, counts, evidence, as_of=None, ended=ended)

    def sick(**changes):
        return evidence.model_copy(update={"health": evidence.health.model_copy(update=changes)})

    assert found().condition == "good"
    assert found(None).condition == "unknown"
    ratio = evidence.health.sample_ratio.model_copy(update={"p": 0.0009})
    assert found(sick(sample_ratio=ratio)).findings == ("arms of the wrong size",)
    assert found(sick(multiple_frac=0.02)).findings == ("2.0% of the units in two arms",)
    # 64 of 1,264 rows are 5.06 %; 63 of 1,263 are 4.99 %.
    assert found(None, counts=Counts(600, 600, 64)).findings == ("5% of the rows held back",)
    assert found(counts=Counts(600, 600, 63)).condition == "good"
    assert found(account=Account(usd("100.00"), usd("90.00"), usd("10.01"))).findings == ("over budget",)
    # Three arms of 150 are planned.
    assert found(counts=Counts(449, 449), ended=True).findings == ("449 of 450 units",)
    assert found(counts=Counts(450, 450), ended=True).condition == "good"
    assert found(counts=Counts(449, 449)).condition == "good"
    old = health(pilot, ACCOUNT, Counts(600, 600, 0, "2026-01-08T00:00:00Z"), evidence, as_of=STARTS, ended=False)
    assert (old.behind, str(old)) == (True, "good, as of 01-05")
    assert not health(
        pilot, ACCOUNT, Counts(600, 600, 0, "2026-01-04T00:00:00Z"), evidence, as_of=STARTS, ended=False
    ).behind
    kill = KillCriterion(metric="visit", worse_than=0.5)
    killed = pilot.promise.model_copy(update={"charter": pilot.charter.model_copy(update={"kill_criteria": (kill,)})})
    harmed = replace(pilot, promise=killed)
    assert found(pilot=harmed).findings == ("kill criterion met on visit",)
    # There is nothing left to close once the time box is over.
    assert all("lab end" in told for told in found(pilot=harmed).killed)
    assert not any("lab end" in told for told in found(pilot=harmed, ended=True).killed)
