"""Succession: the draft of a successor is its predecessor's charter, comments and all, with what is different."""

from datetime import date

import pytest
import yaml

from lab.charters.successors import with_comments
from shared.experiment.charter import Charter
from tests.makers import make_charter

WRITTEN = """\
# yaml-language-server: $schema=../../configs/schemas/charter.schema.json
schema_version: 1
pilot: spring-email  # how it is called
hypothesis:
  because: they wrote
  we_believe: a letter
  will: bring visits
requester: requester@example.com
owner: owner@example.com
population: customers
# Who gets what.
arms:
  - name: control  # nothing
  - name: letter
    play:
      kind: campaign
      audience: audience.sql
      subject: 'Hello'
      template: message.txt
      schedule: {cron: "0 9 * * 1"}
  - name: card  # dearer
    play:
      kind: campaign
      audience: audience.sql
      subject: Hello
      template: message.txt
      schedule: {cron: "0 9 * * 1"}
primary: {metric: visit, minimum_effect: 0.01}
guardrails:
  - {metric: spend, margin: -0.1}  # ten cents
sample: {units_per_arm: 100}
time_box: {start: 2026-01-05, end: 2026-01-19}
decide_by: 2026-01-31
budget: {media: 12.50, currency: USD}
"""


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "charter.yaml"
    found.write_text(WRITTEN, encoding="utf-8")
    return found


def contents(path):
    charter = Charter.model_validate(yaml.safe_load(path.read_text()))
    before = charter.model_dump(mode="json", exclude_none=True)
    return charter, before, charter.model_dump(mode="json", exclude_none=True)


def read(text):
    return Charter.model_validate(yaml.safe_load(text))


def test_what_differs_is_changed_and_every_comment_stays(path):
    charter, before, after = contents(path)
    after["pilot"] = "spring-email-2"
    after["sample"]["units_per_arm"] = 400
    after["time_box"] |= {"start": date(2026, 2, 2), "end": date(2026, 2, 16)}
    after["decide_by"] = date(2026, 2, 28)
    after["follows"] = {"pilot": "spring-email", "change": "more of them", "alpha_spent": 0.05}
    text = with_comments(path, charter, before, after)
    assert [line for line in WRITTEN.splitlines() if "#" in line and line.split("#")[1] not in text] == []
    found = read(text)
    assert (found.pilot, found.sample.units_per_arm, found.time_box.start) == ("spring-email-2", 400, date(2026, 2, 2))
    assert found.line.pilot == "spring-email"
    # What the charter did not say it does not say now: defaults stay defaults.
    assert "risk_tier" not in text
    assert "'Hello'" in text


def test_an_arm_that_was_scaled_goes_and_the_comments_of_the_others_stay(path):
    charter, before, after = contents(path)
    after["arms"] = [arm for arm in after["arms"] if arm["name"] != "letter"]
    text = with_comments(path, charter, before, after)
    assert [arm.name for arm in read(text).arms] == ["control", "card"]
    assert "# nothing" in text
    assert "# dearer" in text


def test_a_list_that_changes_is_written_anew(path):
    charter, before, after = contents(path)
    after["guardrails"] = [{"metric": "spend", "margin": -0.2}]
    assert read(with_comments(path, charter, before, after)).guardrails[0].margin == -0.2


@pytest.mark.parametrize("change", [("minimum_effect: 0.01", "minimum_effect: 0.02"), ("schema_version: 1\n", "[")])
def test_a_file_that_was_edited_since_is_not_taken_for_what_was_frozen(path, change):
    charter, before, after = contents(path)
    path.write_text(WRITTEN.replace(*change), encoding="utf-8")
    assert with_comments(path, charter, before, after) is None


def test_a_file_that_is_gone_leaves_the_plain_charter(tmp_path):
    charter = make_charter()
    content = charter.model_dump(mode="json", exclude_none=True)
    assert with_comments(tmp_path / "charter.yaml", charter, content, content) is None
