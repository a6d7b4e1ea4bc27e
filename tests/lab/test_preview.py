"""Previews: what an arm would say, over masked data, before the launch and after it."""

from __future__ import annotations

import duckdb
import pytest

from lab.launch.preview import SHOWN, preview
from shared.core.errors import BadInput, Contained, Refused
from shared.data.snapshot import latest_snapshot
from tests.lab_makers import CARD, PILOT, draft


def places(workspace):
    """The place of each unit of the audience."""
    path = latest_snapshot(workspace).table("customers")
    return dict(duckdb.execute(f"SELECT customer_id, zip_code FROM '{path}' WHERE recency <= 6").fetchall())


def test_a_draft_is_rendered_for_units_of_its_audience_and_of_equal_words_one_is_shown(loaded):
    found, known = preview(loaded, PILOT, arm="letter"), places(loaded)
    assert not found.launched
    assert {each.subject for each in found.renderings} == {
        "For our Urban customers", "For our Surburban customers", "For our Rural customers",
    }  # fmt: skip
    for each in found.renderings:
        assert each.body == f"Dear customer from a {known[each.unit]} place."


def test_without_an_arm_every_arm_that_says_something_is_shown(loaded):
    arms = [each.arm for each in preview(loaded, PILOT).renderings]
    assert arms == ["letter"] * SHOWN + ["card"] * SHOWN


def test_one_unit_may_be_asked_for(loaded):
    unit, place = max(places(loaded).items())
    [letter, card] = preview(loaded, PILOT, unit=unit).renderings
    assert (letter.arm, letter.unit, letter.subject) == ("letter", unit, f"For our {place} customers")
    assert (card.arm, card.unit, card.subject) == ("card", unit, "A card")


def test_a_launched_pilot_says_what_was_frozen(launched):
    before = preview(launched, PILOT)
    (launched.pilots / PILOT / "message.txt").write_text("Something else.\n")
    after = preview(launched, PILOT)
    assert after.launched
    assert after.renderings == before.renderings


@pytest.mark.parametrize("name", ["control", "banner"])
def test_an_arm_that_says_nothing_is_refused_with_those_that_do(loaded, name):
    with pytest.raises(BadInput, match=f"arm `{name}` says nothing") as error:
        preview(loaded, PILOT, arm=name)
    assert error.value.expected == "one of: letter, card"


def test_a_unit_outside_the_audience_is_refused(loaded):
    with pytest.raises(BadInput, match="unit `nobody' OR true --` is in no audience today"):
        preview(loaded, PILOT, unit="nobody' OR true --")


def test_an_audience_of_nobody_is_refused(loaded):
    (loaded.pilots / PILOT / "audience.sql").write_text(
        "SELECT customer_id AS unit FROM customers WHERE recency > 99\n"
    )
    with pytest.raises(Refused, match="selects nobody today"):
        preview(loaded, PILOT)


def test_a_column_that_is_not_published_is_refused(loaded):
    draft(loaded, PILOT, (CARD, ""), ("fields: [zip_code]", "fields: [zip_code, email]"))
    with pytest.raises(BadInput, match="uses column `email`, which table `customers` does not publish"):
        preview(loaded, PILOT)


def test_a_template_that_reaches_out_of_the_box_is_contained(loaded):
    (loaded.pilots / PILOT / "message.txt").write_text("{% include '/etc/passwd' %}\n")
    with pytest.raises(Contained, match="stands alone"):
        preview(loaded, PILOT)


def test_nothing_is_left_behind(loaded):
    before = sorted(loaded.lab.rglob("*"))
    preview(loaded, PILOT, arm="letter")
    assert sorted(loaded.lab.rglob("*")) == before
