"""The shadow run: the run's own numbers, without the run; and what its messages must not say."""

from __future__ import annotations

import csv
import re
from fractions import Fraction

import pytest

from factory.preflight.report import preflight
from factory.releases.admission import admit
from factory.runtime.campaign import run_occurrence
from factory.warehouse.load import load
from factory.warehouse.mask import pseudonym_key
from factory.warehouse.masked_contract import masked_contract
from shared.data.pseudonym import pseudonym
from shared.experiment.assignment import held_out
from tests.makers import NONCE, OCCURRENCE, RELEASE, make_candidate, make_charter, make_package, set_factory


def test_it_counts_what_the_run_itself_then_writes(factory, shadowed):
    run = shadowed()
    make_package(factory)
    admit(factory)
    real = run_occurrence(factory, RELEASE, OCCURRENCE)
    assert (run.audience, run.held_out, run.messages) == (real.audience, real.held_out, real.messages)
    assert (run.strangers, run.holdout_touched, run.ran) == (0, 0, True)


def test_its_counts_follow_from_the_table(factory, shadowed):
    """customers_csv: recency is the number modulo 12, plus 1; the audience asks for at most 6."""
    key = pseudonym_key(factory)
    audience = {pseudonym(key, f"c{number:05}") for number in range(200) if number % 12 < 6}
    kept = {unit for unit in audience if held_out(RELEASE, unit, Fraction(1, 20), NONCE)}
    run = shadowed()
    assert (run.audience, run.held_out, run.messages) == (len(audience), len(kept), len(audience - kept))
    # "For our Surburban customers"; the body's longest names the same place and a price of five characters.
    assert run.subject_max == len("For our Surburban customers")
    assert run.body_max == len("Dear customer from a Surburban place,\n\nyou spent 59.75.")


def test_those_that_were_tested_are_looked_for_in_the_audience(factory, shadowed):
    """Of 200 units those of six months in twelve are in the audience; one is exposed twice, and one is nobody."""
    key = pseudonym_key(factory)
    units = {number: pseudonym(key, f"c{number:05}") for number in range(200)}
    audience = [unit for number, unit in units.items() if number % 12 < 6]
    run = shadowed(exposed=[*units.values(), units[0], "nobody"])
    assert (run.tested, run.tested_selected) == (201, len(audience))
    # Whom the release's holdout leaves alone is in its audience all the same. (Of a smaller one nobody may be here.)
    run = shadowed(exposed=audience, charter=make_charter(play={"holdout_frac": 0.5}))
    assert (run.tested, run.tested_selected, run.held_out > 0) == (len(audience), len(audience), True)


@pytest.mark.parametrize(
    ("months", "reached"),
    # Of 200 customers 17 have each of the first eight recencies, and 16 each of the last four; six are in the audience.
    [(range(6, 12), 0), (range(12), 102), (range(5, 8), 17)],
)
def test_of_those_that_were_tested_outside_the_audience_none_is_reached(factory, shadowed, months, reached):
    key = pseudonym_key(factory)
    run = shadowed(exposed=[pseudonym(key, f"c{number:05}") for number in range(200) if number % 12 in months])
    assert (run.tested, run.tested_selected) == (sum(number % 12 in months for number in range(200)), reached)


def test_exposures_that_cannot_be_read_say_nothing(shadowed, tmp_path):
    assert shadowed().tested is None
    (tmp_path / "exposures.parquet").write_text("not Parquet")
    run = shadowed()
    assert (run.tested, run.tested_selected, run.ran) == (None, None, True)


def test_units_that_are_nobody_are_counted(shadowed):
    run = shadowed(audience="SELECT unit FROM (VALUES ('nobody'), ('no one')) t(unit)")
    assert (run.audience, run.strangers + run.held_out, run.messages) == (2, 2, 0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"audience": "SELECT * FROM read_csv('/etc/passwd')"}, "audience.sql"),
        ({"audience": "SELECT nothing AS unit FROM customers"}, "nothing"),
        ({"template": "{{ ''.__class__ }}{{ email }}"}, "email"),
        ({"template": "{{ zip_code * 99 }}"}, "numbers only"),
        ({"charter": make_charter(play={"fields": ["email"], "subject": "Hello"}), "template": "Hi"}, "personal"),
    ],
)
def test_what_the_factory_or_the_box_refuses_is_told_and_nothing_is_counted(shadowed, changes, said):
    run = shadowed(**changes)
    assert not run.ran
    assert said in " ".join(run.refusals)
    assert run.messages == 0


def test_a_missing_value_that_a_template_prints_is_a_refusal(shadowed):
    charter = make_charter(play={"fields": ["channel"], "subject": "Hello"})
    run = shadowed(charter=charter, template="You came by {{ channel }}.")
    assert not run.ran
    assert run.refusals


@pytest.mark.parametrize("share", ["0", "0.005"])
def test_a_play_without_the_holdout_that_the_policy_asks_for_is_refused_before_anybody_decides(
    factory, shadowed, share
):
    set_factory(factory, release_holdout_frac_min="0.01")
    run = shadowed(charter=make_charter(play={"holdout_frac": share}))
    assert not run.ran
    [said] = run.refusals
    assert said.startswith(f"it leaves a share of {share} of its audience alone")


def test_the_printed_columns_are_named_with_their_classification(shadowed):
    personal = shadowed().personal
    assert personal.fields == {"zip_code": "public", "history": "public"}
    assert personal.looked_for == {"customer_id": "identifier", "email": "personal"}
    assert (personal.pseudonyms, personal.addresses, personal.values) == (0, 0, {})


def test_pseudonyms_in_messages_are_found(shadowed):
    run = shadowed(template="Your number is {{ unit }}.")
    assert run.personal.pseudonyms == run.messages > 0


def test_an_address_in_the_data_is_found_and_the_template_s_own_is_not(factory, shadowed):
    run = shadowed(template="Write to shop@example.com.")
    assert run.personal.addresses == 0
    run = shadowed(template="Write to {{ zip_code }}@example.com.")
    assert run.personal.addresses == run.messages > 0


def test_a_personal_value_that_hides_in_a_public_column_is_found(factory, tmp_path):
    """history_segment is public; here somebody has put each customer's own address and id into it."""

    path = tmp_path / "leaky.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("customer_id", "email", "recency", "history", "zip_code", "history_segment"))
        for n in range(60):
            hidden = (f"of C{n:05}!", f"C{n} [@] Example.COM", "nobody")[n % 3]
            writer.writerow((f"c{n:05}", f"c{n}@example.com", 1, 10, "Urban", hidden))
    load(factory, "customers", path)
    contract = masked_contract(factory.configs / "contracts" / "customers.odcs.yaml")
    charter = make_charter(play={"fields": ["history_segment"], "subject": "Hello", "holdout_frac": 0})
    audience = "SELECT customer_id AS unit FROM customers WHERE history_segment IS NOT NULL"
    candidate = make_candidate(
        factory, factory.promotion / "intake", charter=charter, audience=audience,
        template="You: {{ history_segment }}", contracts={"customers": contract},
    )  # fmt: skip
    [run] = preflight(factory, candidate.digest).report.shadow_runs
    assert run.messages == 60
    assert run.personal.values == {"customer_id": 20, "email": 20}
    assert run.personal.addresses == 0  # spelt apart, so only the comparison with the unit's own address finds it


def test_a_unit_in_the_workspaces_holdout_is_left_alone_here_too(factory, shadowed):
    settings = factory.configs / "factory.yaml"
    settings.write_text(re.sub("holdout_frac: .*", "holdout_frac: 0.5", settings.read_text()))
    run = shadowed()
    assert run.held_out > run.audience // 4
    assert run.holdout_touched == 0
