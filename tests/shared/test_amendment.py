"""Amendments: every difference is found, and only what is listed as free may differ after the first exposure."""

from __future__ import annotations

import copy
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.experiment.amendment import broken, changes, extends, protected
from shared.experiment.charter import Charter, Promise
from shared.experiment.metrics import Metric
from tests.makers import make_charter

METRICS = {
    name: Metric(kind="mean", column=name, unit="USD") for name in ("visit", "spend", "conversion", "returns", "orders")
}
REASON = "the printer was late"
FULL = {
    "guardrails": [{"metric": "spend", "margin": -0.5}],
    "secondary": ["conversion", "returns"],
    "kill_criteria": [{"metric": "returns", "worse_than": -0.1}],
    "covariates": ["recency"],
    "segments": ["zip_code"],
    "strata": "zip_code",
    "sources": ["orders"],
    "layer": {"name": "mail", "start": 0, "end": 0.5},
}


def promise(*, files=None, metrics=None, **changed) -> Promise:
    charter = make_charter(**{**FULL, **changed})
    known = METRICS | (metrics or {})
    return Promise(
        charter=charter,
        metrics={name: known[name] for name in charter.measured},
        files={"message.txt": "sha256:1", **(files or {})},
    )


def names(found) -> list[str]:
    return [change.name for change in found]


def test_what_says_the_same_differs_in_nothing():
    assert changes(promise(), promise()) == ()
    assert promise().same_as(promise().amending(promise(), REASON))


def test_words_of_the_catalogue_and_what_a_forecast_begins_with_are_free():
    said = {"visit": METRICS["visit"].model_copy(update={"description": "Visits.", "history": "past_visits"})}
    assert names(changes(promise(), promise(metrics=said))) == ["metrics.visit.description", "metrics.visit.history"]
    assert protected(promise(), promise(metrics=said)) == ()


@pytest.mark.parametrize(
    "changed",
    [
        {"hypothesis": {"because": "they wrote", "we_believe": "a letter", "will": "bring many visits"}},
        {"secondary": ["conversion", "returns", "orders"]},
        {"secondary": ["returns"]},
        {"budget": {"media": "11.00", "currency": "USD"}},
        {"budget": {"media": "9.00", "ai": "0.50", "infrastructure": "0.25", "currency": "USD"}},
        {"time_box": {"start": "2026-01-05", "end": "2026-01-26"}},
        {"decide_by": "2026-02-07"},
        {"metrics": {"conversion": Metric(kind="mean", column="visit", unit="USD")}},
    ],
)
def test_these_are_free_after_the_first_exposure(changed):
    assert changes(promise(), promise(**changed))
    assert protected(promise(), promise(**changed)) == ()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"primary": {"metric": "visit", "minimum_effect": 0.001}}, ["primary.minimum_effect"]),
        ({"guardrails": [{"metric": "spend", "margin": -5}]}, ["guardrails.spend.margin"]),
        ({"guardrails": []}, ["guardrails", "metrics.spend"]),
        ({"sample": {"units_per_arm": 10, "alpha": 0.2}}, ["sample.alpha"]),
        ({"sample": {"units_per_arm": 9}}, ["sample.units_per_arm"]),
        ({"owner": "friend@example.com"}, ["owner"]),
        ({"requester": "friend@example.com"}, ["requester"]),
        ({"risk_tier": "low"}, ["risk_tier"]),
        ({"population": "buyers"}, ["population"]),
        ({"outcomes": "visits"}, ["outcomes"]),
        ({"assignment": "source"}, ["assignment"]),
        ({"synthetic": True}, ["synthetic"]),
        ({"follows": {"pilot": "a", "candidate": "sha256:1", "change": "b", "alpha_spent": 0.0}}, ["follows"]),
        ({"kill_criteria": []}, ["kill_criteria"]),
        ({"covariates": []}, ["covariates"]),
        ({"segments": ["recency"]}, ["segments"]),
        ({"strata": None}, ["strata"]),
        ({"cluster": "household"}, ["cluster"]),
        ({"sources": []}, ["sources"]),
        ({"layer": None}, ["layer"]),
        ({"layer": {"name": "mail", "start": 0, "end": 0.6}}, ["layer.end"]),
        ({"play": {"subject": "Another one"}}, ["arms.letter.play.subject"]),
        ({"play": {"fields": ["zip_code"]}}, ["arms.letter.play.fields"]),
        ({"files": {"message.txt": "sha256:2"}}, ["files.message.txt"]),
        ({"files": {"contracts/outcomes.odcs.yaml": "sha256:2"}}, ["files.contracts/outcomes.odcs.yaml"]),
        ({"metrics": {"visit": Metric(kind="mean", column="spend", unit="USD")}}, ["metrics.visit.column"]),
        ({"metrics": {"spend": Metric(kind="mean", column="visit", unit="USD")}}, ["metrics.spend.column"]),
        # A secondary metric that closes the pilot early decides something after all.
        ({"metrics": {"returns": Metric(kind="mean", column="visit", unit="USD")}}, ["metrics.returns.column"]),
        ({"time_box": {"start": "2026-01-05", "end": "2026-01-12"}}, ["time_box.end"]),
        ({"time_box": {"start": "2026-01-12", "end": "2026-01-26"}}, ["time_box.start"]),
        ({"time_box": {"start": "2026-01-05", "end": "2026-01-19", "timezone": "Asia/Tokyo"}}, ["time_box.timezone"]),
        ({"decide_by": "2026-01-30"}, ["decide_by"]),
        ({"budget": {"media": "10.00", "currency": "EUR"}}, ["budget.currency"]),
    ],
)
def test_these_are_not_and_each_is_named(changed, named):
    assert names(protected(promise(), promise(**changed))) == named


def test_the_order_of_arms_decides_who_gets_which():
    arms = promise().as_json()["charter"]["arms"]
    found = protected(promise(), promise(arms=arms[::-1]))
    assert [name.split(".")[1] for name in names(found)] == ["0", "0", "1", "1"]


def test_whatever_field_a_charter_has_is_free_only_where_the_list_says_so():
    free = {"hypothesis", "secondary", "time_box", "decide_by", "budget"}
    content = promise().as_json()["charter"]
    # These are left out of a charter that does not say them.
    assert content.keys() | {"value", "exposure", "eligible"} == Charter.model_fields.keys()
    for field in Charter.model_fields.keys() - free:
        other = promise().model_copy(deep=True)
        # The type does not matter here, but for the plan, which is looked into: it is the place that is protected.
        plan = other.charter.sample.model_copy(update={"alpha": 0.2})
        changed = {field: plan if field == "sample" else "something else"}
        other = other.model_copy(update={"charter": other.charter.model_copy(update=changed)})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # pydantic's, of the type
            assert any(change.path[1] == field for change in protected(promise(), other)), field


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "owner": st.sampled_from(["owner@example.com", "friend@example.com"]),
        "secondary": st.sampled_from([["returns"], ["returns", "orders"], ["orders", "returns"]]),
        "decide_by": st.sampled_from(["2026-01-30", "2026-01-31", "2026-02-07"]),
        "budget": st.sampled_from([{"media": "9.00", "currency": "USD"}, {"ai": "1.00", "currency": "USD"}]),
        "files": st.dictionaries(st.sampled_from(["message.txt", "a.sql"]), st.sampled_from(["sha256:1", "sha256:2"])),
        "sample": st.sampled_from([{"units_per_arm": 10}, {"units_per_arm": 20, "alpha": 0.1}]),
    },
)


@given(one=FIELDS, other=FIELDS)
def test_replaying_the_changes_turns_one_promise_into_the_other(one, other):
    before, after = promise(**one), promise(**other)
    content = copy.deepcopy(before.as_json())
    for change in changes(before, after):
        place = content
        for key in change.path[:-1]:
            place = place[key]
        assert place.get(change.path[-1]) == change.before
        place[change.path[-1]] = change.after
        if change.after is None and change.path[0] != "charter":
            del place[change.path[-1]]
    assert content == after.as_json()
    assert all(change in changes(before, after) for change in protected(before, after))
    assert (changes(before, after) == ()) == before.same_as(after)


def test_a_change_says_what_was_and_what_is():
    [found] = changes(promise(), promise(decide_by="2026-02-07"))
    assert found.as_json() == {"path": "decide_by", "before": "2026-01-31", "after": "2026-02-07"}


def test_a_longer_pilot_and_a_longer_wait_are_extensions():
    assert extends(promise(), promise(time_box={"start": "2026-01-05", "end": "2026-01-26"}))
    assert extends(promise(), promise(decide_by="2026-02-01"))
    assert not extends(promise(), promise(decide_by="2026-01-30"))
    assert not extends(promise(), promise(secondary=["returns"]))


def test_a_version_names_the_one_before_it_and_its_digest_covers_the_reason():
    first = promise()
    second = promise(decide_by="2026-02-07").amending(first, REASON)
    assert (second.version, second.amends.before) == (2, first.digest)
    assert second.digest != promise(decide_by="2026-02-07").amending(first, "another reason").digest
    # What was launched keeps the digest that it had before there were amendments.
    assert "amends" not in first.as_json()
    assert Promise.model_validate(second.as_json()) == second


def test_a_line_of_versions_is_whole_or_says_where_it_breaks():
    first = promise()
    second = promise(decide_by="2026-02-07").amending(first, REASON)
    third = promise(decide_by="2026-02-14").amending(second, REASON)
    assert broken([first]) is None
    assert broken([first, second, third]) is None
    assert broken([second, third]) == "version 2 of the charter is there, and those before it are not"
    assert broken([first, third]) == "version 2 of the charter does not continue version 1"
    assert broken([first, promise()]) == "version 2 of the charter does not continue version 1"
    other = promise(decide_by="2026-02-01").amending(first, REASON)
    assert broken([first, other, third]) == "version 3 of the charter does not continue version 2"
