"""Briefs: what was said is what the charter reads, and what was not said is proposed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from importlib import resources
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.charters.briefs import TEMPLATES, brief, filled, flow_scalar
from lab.charters.drafts import CHARTER, charter_text, check, new
from lab.pilots.promise import read_charter
from shared.core.errors import BadInput
from shared.core.printable import hidden
from shared.core.yamlfile import read_yaml
from shared.experiment.charter import Charter

# What nobody can see is refused where it is typed and where a file is read.
TEXTS = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=60).filter(
    lambda text: text.strip() and not hidden(text)
)
ODD = [
    "a: b", "# no", "it's", '"quoted"', "- item", "{a}", "{{ pilot }}", "{% raw %}", "yes", "null", "12", "2026-01-01",
    "~", "a\nb\n", " a ", "tab\there", "🙂", "!!python/object", "&a *b", "%",
]  # fmt: skip


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(because=TEXTS, believe=TEXTS, will=TEXTS, effect=st.floats(1e-12, 1e12), media=st.decimals(0, 10**6, places=2))
def test_what_was_said_is_what_the_charter_reads(loaded, because, believe, will, effect, media):
    said = brief(because=because, believe=believe, will=will, minimum_effect=effect, media=media)
    charter = written(loaded, said)
    assert (charter.hypothesis.because, charter.hypothesis.we_believe, charter.hypothesis.will) == (
        because, believe, will,
    )  # fmt: skip
    assert (charter.primary.minimum_effect, charter.budget.media) == (effect, media)


def test_what_yaml_would_read_as_something_else_stays_a_text(loaded):
    assert [written(loaded, brief(because=text)).hypothesis.because for text in ODD] == ODD


@pytest.mark.parametrize("text", ["a\u2028b", "a\x85b", "\x7f", "\ufeff", "a\u202eb"])
def test_what_nobody_can_see_is_not_read(loaded, text):
    with pytest.raises(BadInput, match="a character that nobody can see"):
        written(loaded, brief(because=text))


@given(TEXTS)
def test_a_text_between_braces_stays_one(text):
    assert yaml.safe_load(f"{{metric: {flow_scalar(text)}, more: [{flow_scalar(text)}]}}") == {
        "metric": text, "more": [text],
    }  # fmt: skip


def written(workspace, said) -> Charter:
    path = Path(workspace.root) / "charter.yaml"
    path.write_text(charter_text(workspace, "autumn", filled(workspace, said)), encoding="utf-8")
    return read_yaml(path, Charter)


def test_every_template_is_a_folder_and_every_folder_a_template():
    folder = resources.files("lab") / "templates"
    assert sorted(each.name for each in folder.iterdir() if each.is_dir()) == sorted(TEMPLATES)


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_templates_draft_would_launch_in_a_shop_that_is_large_enough(loaded, template):
    new(loaded, "autumn", brief(template=template, units_per_arm=20))
    found = check(loaded, "autumn")
    # Of a journey a unit gets a step when its day comes: its audience is never everybody.
    notes = [note for note in found.notes if template != "journey" or "audience_tested" not in note]
    assert (found.problems, notes) == ([], [])
    assert all(found.audiences.values())


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_draft_holds_its_own_files_and_none_of_the_templates_own(loaded, template):
    folder = new(loaded, "autumn", brief(template=template)).charter.parent
    named = {file for arm in read_charter(loaded, "autumn").treatments for file in arm.play.files}
    assert {file.name for file in folder.iterdir()} == {"charter.yaml", *named}


def test_comments_are_kept_and_the_schema_is_named_first(loaded):
    lines = new(loaded, "autumn").charter.read_text().splitlines()
    assert lines[0] == "# yaml-language-server: $schema=../../configs/schemas/charter.schema.json"
    assert sum(line.startswith("#") for line in lines) > 10
    assert "# Without a decision by the end of this day the pilot is stopped." in lines


def test_a_metric_that_becomes_primary_is_no_guardrail_any_more(loaded):
    charter = written(loaded, brief(metric="spend"))
    assert charter.primary.metric == "spend"
    assert [(rail.metric, rail.margin) for rail in charter.guardrails] == [("conversion", -0.01)]
    assert charter.secondary == ("visit",)


def test_a_margin_lies_on_the_bad_side_of_its_metric(loaded):
    path = loaded.configs / "metrics.yaml"
    rising = "unit: USD per customer\n    direction: increase"
    path.write_text(path.read_text().replace(rising, rising.replace("increase", "decrease")))
    [rail] = written(loaded, brief()).guardrails
    assert (rail.metric, rail.margin) == ("spend", 0.10)


def test_a_team_with_metrics_of_its_own_gets_a_draft_that_names_no_others(loaded):
    (loaded.configs / "metrics.yaml").write_text(
        "schema_version: 1\nmetrics:\n  'odd, name':\n    {kind: count, column: conversion, unit: orders}\n"
    )
    charter = written(loaded, brief())
    assert (charter.measured, charter.primary.minimum_effect) == (("odd, name",), 0.1)


def test_weeks_and_units_are_the_charters(loaded):
    charter = written(loaded, brief(weeks=3, units_per_arm=77, media="12.50"))
    assert (charter.time_box.end - charter.time_box.start).days == 21
    assert (charter.sample.units_per_arm, charter.budget.media) == (77, Decimal("12.50"))


@pytest.mark.parametrize(
    ("said", "where", "told"),
    [
        ({"template": "tv-spot"}, "--template", "there is no template `tv-spot`"),
        ({"because": " "}, "--because", "this says nothing"),
        ({"believe": "\udcff"}, "--believe", "no text"),
        ({"minimum_effect": 0}, "--minimum-effect", "greater than 0"),
        ({"minimum_effect": "nan"}, "--minimum-effect", "finite"),
        ({"weeks": 0}, "--weeks", "greater than or equal to 1"),
        ({"weeks": 53}, "--weeks", "less than or equal to 52"),
        ({"units_per_arm": 1}, "--units-per-arm", "greater than or equal to 2"),
        ({"media": "-1"}, "--media", "greater than or equal to 0"),
        ({"media": "1.234"}, "--media", "two decimals"),
        ({"media": "much"}, "--media", "decimal"),
    ],
)
def test_what_cannot_be_is_refused_by_its_flag(said, where, told):
    with pytest.raises(BadInput) as error:
        brief(**said)
    assert error.value.where == where
    assert told in error.value.what


def test_an_unknown_metric_is_refused_and_leaves_nothing_behind(loaded):
    before = sorted(loaded.pilots.rglob("*"))
    with pytest.raises(BadInput, match="there is no metric `clicks`"):
        new(loaded, "autumn", brief(metric="clicks"))
    assert sorted(loaded.pilots.rglob("*")) == before


def test_the_template_of_charters_is_no_template_of_pilots():
    assert (resources.files("lab") / "templates" / CHARTER).is_file()


def test_a_draft_begins_on_the_next_day_of_its_own_time_zone(loaded):
    # Half past eleven at night in UTC is the day after in Berlin, an hour ahead in winter.
    loaded.clock.set(datetime(2026, 1, 4, 23, 30, tzinfo=UTC))
    assert read_yaml(new(loaded, "autumn").charter, Charter).time_box.start == date(2026, 1, 6)
