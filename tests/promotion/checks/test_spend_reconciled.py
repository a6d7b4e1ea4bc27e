import json

import pytest

from shared.state.chain import GENESIS, Head
from shared.trust.candidate import write_json
from shared.trust.excerpt import excerpt
from tests.promotion.cases import chained

PILOT = "spring-email"
START = Head(0, GENESIS)
COST = {"id": "s0", "money": {"amount": "8.00", "currency": "USD"}, "purpose": "letters"}
LAUNCHED = ("launched", {})


def lab(*said, start=START, pilot=PILOT, subject=PILOT):
    """A hand that puts another Lab's chain into the candidate; it names the head that the manifest has to name."""
    chain = chained(subject, *said, after=start)
    shown = excerpt(chain, start, Head(chain[-1].seq, chain[-1].hash), pilot)
    return {"alter": lambda folder: write_json(folder / "ledger.json", shown.as_json()), "ledger": shown.end.as_json()}


def test_costs_agree_with_the_ledger_entry_by_entry(stage, ask):
    [found] = ask("spend_reconciled", stage.case(costs=[("3.00", "USD"), ("4.50", "USD")]))
    assert found.outcome == "passed"
    assert found.reason == "2 costs, 7.50 USD in all, entry by entry as in the Lab's ledger"


def test_a_pilot_that_cost_nothing_agrees_with_a_ledger_that_says_nothing(stage, ask):
    [found] = ask("spend_reconciled", stage.case(costs=[]))
    assert (found.outcome, found.reason[:8]) == ("passed", "no costs")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ([], "`s0` is not in the Lab's ledger and 8.00 USD (letters) in the candidate"),
        ([("spent", COST), ("spent", COST | {"id": "s1"})], "`s1` is 8.00 USD (letters) in the Lab's ledger and not"),
        ([("spent", COST | {"money": {"amount": "8.01", "currency": "USD"}})], "`s0` is 8.01 USD (letters) in the"),
        ([("spent", COST | {"money": {"amount": "8.00", "currency": "EUR"}})], "`s0` is 8.00 EUR (letters) in the"),
        ([("spent", COST | {"purpose": "a dinner"})], "`s0` is 8.00 USD (a dinner) in the Lab's ledger"),
        ([("spent", COST), ("spent", COST)], "`s0` is twice in the Lab's ledger"),
    ],
)
def test_a_cost_that_differs_fails_and_is_named(stage, ask, said, told):
    [found] = ask("spend_reconciled", stage.case(**lab(LAUNCHED, *said)))
    assert (found.outcome, told in found.reason) == ("failed", True)


def test_costs_of_other_pilots_are_not_counted(stage, ask):
    chain = chained("autumn", ("spent", COST))
    mine = chained(PILOT, ("spent", COST), after=Head(1, chain[0].hash))
    shown = excerpt([*chain, *mine], START, Head(2, mine[-1].hash), PILOT)
    found = stage.case(alter=lambda f: write_json(f / "ledger.json", shown.as_json()), ledger=shown.end.as_json())
    assert [one.outcome for one in ask("spend_reconciled", found)] == ["passed"]


HELD = ("reserved", COST)
SETTLED = ("settled", COST | {"held": {"amount": "9.00", "currency": "USD"}})
RELEASED = ("released", {"id": "s9", "held": {"amount": "1.00", "currency": "USD"}})
OTHER = ("reserved", COST | {"id": "s9"})


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ([HELD, SETTLED], "passed"),
        ([("spent", COST), OTHER, RELEASED], "passed"),
        ([("spent", COST), OTHER], "unevaluable"),
        ([HELD], "failed"),
    ],
)
def test_a_reservation_is_settled_released_or_told(stage, ask, said, outcome):
    [found] = ask("spend_reconciled", stage.case(**lab(LAUNCHED, *said)))
    assert found.outcome == outcome
    if outcome == "unevaluable":
        assert "still held: 8.00 USD for `s9`" in found.reason


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda it: it["links"][1]["body"]["money"].update(amount="7.00"), "entry 2 (spent) is not the one"),
        (lambda it: it["links"][1].update(digest=GENESIS), "entry 2 (spent) is not the one"),
        (lambda it: it["links"][0].update(at="2026-01-01T00:00:00Z"), "entry 1 (launched) is not the one"),
        (lambda it: it["links"][0].update(subject="autumn"), "entry 1 (launched) is not the one"),
        (lambda it: it["links"].pop(0), "entry 1 is missing"),
        (lambda it: it["links"].reverse(), "entry 1 is missing"),
        (lambda it: it["links"][1]["body"].update(amount=float("inf")), "entry 2 (spent) is not the one"),
    ],
)
def test_an_altered_ledger_fails_and_names_the_entry(stage, ask, change, told):
    def alter(folder):
        content = json.loads((folder / "ledger.json").read_text())
        change(content)
        (folder / "ledger.json").write_text(json.dumps(content))

    [found] = ask("spend_reconciled", stage.case(alter=alter))
    assert (found.outcome, told in found.reason) == ("failed", True)


def test_another_chain_than_the_witnessed_one_fails_however_consistent_it_is(stage, ask):
    # The gate's ledger holds that the Lab's began with GENESIS; this one began elsewhere.
    elsewhere = Head(0, "sha256:" + "5" * 64)
    [found] = ask("spend_reconciled", stage.case(**lab(LAUNCHED, ("spent", COST), start=elsewhere)))
    assert (found.outcome, found.threshold) == ("failed", GENESIS)
    assert found.reason == "entry 0 of the Lab's ledger is not the one that the gate witnessed"


def test_a_chain_that_begins_after_the_witnessed_head_is_unevaluable(stage, ask):
    [found] = ask("spend_reconciled", stage.case(**lab(LAUNCHED, ("spent", COST), start=Head(3, GENESIS))))
    assert (found.outcome, "from entry 4 on, and the gate witnessed entry 0" in found.reason) == ("unevaluable", True)


def test_a_chain_that_ends_elsewhere_than_the_manifest_is_unevaluable(stage, ask):
    [found] = ask("spend_reconciled", stage.case(ledger={"seq": 9, "hash": GENESIS}))
    assert (found.outcome, "up to entry 2, and its manifest names another" in found.reason) == ("unevaluable", True)


def test_a_cost_whose_content_is_left_out_is_unevaluable(stage, ask):
    [found] = ask("spend_reconciled", stage.case(**lab(LAUNCHED, ("spent", COST), pilot="autumn")))
    assert (found.outcome, "entry 2 of the Lab's ledger says" in found.reason) == ("unevaluable", True)


def test_without_a_ledger_or_a_registration_it_is_unevaluable(stage, ask):
    [found] = ask("spend_reconciled", stage.case(alter=lambda folder: (folder / "ledger.json").unlink()))
    assert (found.outcome, found.remedy) == ("unevaluable", "submit the pilot again")
    [found] = ask("spend_reconciled", stage.case(registered=None, charter={"pilot": "other"}))
    assert (found.outcome, "never took in this charter" in found.reason) == ("unevaluable", True)
