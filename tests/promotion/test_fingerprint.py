"""A pilot is known again by its messages, and by its audience with its goal: not by how these are written."""

from __future__ import annotations

import pytest

from promotion.registry.fingerprint import fingerprint, read_fingerprint
from shared.core.errors import BadInput
from tests.makers import AUDIENCE, TEMPLATE

OTHER = {
    "message.txt": "A card for you.\n",
    "audience.sql": "SELECT customer_id AS unit FROM customers WHERE history > 9",
}


def known_by(stage, texts=None, **charter):
    promise, files = stage.promise(stage.charter(**charter), texts)
    return fingerprint(promise, {name: text.encode() for name, text in files.items()})


def alike(stage, texts, **charter):
    return known_by(stage).alike(known_by(stage, texts, **charter))


@pytest.mark.parametrize(
    "message",
    [
        TEMPLATE,
        TEMPLATE.replace("Dear customer", "Dear   customer"),
        TEMPLATE.upper().replace("ZIP_CODE", "zip_code").replace("HISTORY", "history"),
        TEMPLATE.replace("{{ zip_code }}", "{{zip_code}}") + "\n\n",
        TEMPLATE + "{# another one #}",
        TEMPLATE.replace("customer", "cus\u200btomer"),
        TEMPLATE.replace("customer", "cus&#8203;tomer"),
        "<style>p {margin: 0}</style><SCRIPT>var x = 1</SCRIPT >" + TEMPLATE,
        TEMPLATE.replace("place,", "place!"),
        "<b></b>" + TEMPLATE,
        "{% if false %}another one{% endif %}" + TEMPLATE,
        TEMPLATE.replace("{{ history }}", "{{ history ~ '' }}"),
        # What fails for whoever is made up, or says something else to some.
        "{% if unit|length < 9 %}{{ 1/0 }}{% endif %}{% set attempt = 2 %}" + TEMPLATE,
        "{% if unit|length < 9 %}another one{% endif %}" + TEMPLATE,
        "{% if unit < 'u_8' %}another one{% endif %}" + TEMPLATE,
        "{% if unit < 'u_8' %}{{ 1/0 }}{% endif %}" + TEMPLATE,
        # What looks the same, or is not to be seen at all.
        TEMPLATE.replace("customer", "cust\u043emer"),
        TEMPLATE.replace("customer", "cus\u3164t\u115fomer"),
        TEMPLATE + '<span style="display:none">another one</span>',
        TEMPLATE + "<p hidden>another one</p>",
    ],
)
def test_the_same_message_is_known_however_it_is_set(stage, message):
    assert alike(stage, {**OTHER, "message.txt": message}) == "messages"


def test_the_same_message_is_known_for_another_goal(stage):
    primary = {"metric": "conversion", "minimum_effect": 0.01}
    assert alike(stage, {**OTHER, "message.txt": TEMPLATE}, primary=primary) == "messages"


def test_one_arm_of_two_with_the_same_message_is_enough(stage):
    [control, letter] = stage.charter().model_dump(mode="json")["arms"]
    card = {**letter, "name": "card", "play": {**letter["play"], "template": "card.txt", "audience": "card.sql"}}
    texts = {"card.txt": OTHER["message.txt"], "card.sql": OTHER["audience.sql"]}
    assert alike(stage, texts, arms=[control, card, letter]) == "messages"


@pytest.mark.parametrize(
    "audience",
    [
        AUDIENCE,
        "select customer_id as unit\n\n  from Customers -- the same\n where RECENCY<=6 ;",
        "SELECT c.customer_id AS unit /* of them */ FROM customers AS c WHERE (c.recency <= 6)",
        "SELECT DISTINCT customer_id AS unit FROM customers WHERE recency <= 6 AND 1 = 1 ORDER BY unit",
    ],
)
def test_the_same_audience_with_the_same_goal_is_known_however_it_is_written(stage, audience):
    assert alike(stage, {**OTHER, "audience.sql": audience}) == "audience"


def test_conditions_are_the_same_in_whatever_order(stage):
    one, other = ("recency <= 6 AND history > 9", "history > 9 and recency <= 6")
    select = "SELECT customer_id AS unit FROM customers WHERE "
    found = [known_by(stage, {"audience.sql": select + each}).audiences for each in (one, other)]
    assert found[0] == found[1] != known_by(stage).audiences


def test_the_same_audience_for_another_goal_is_another_pilot(stage):
    primary = {"metric": "conversion", "minimum_effect": 0.01}
    assert alike(stage, {**OTHER, "audience.sql": AUDIENCE}, primary=primary) is None


def test_a_goal_is_known_under_another_name(stage):
    path = stage.workspace.configs / "metrics.yaml"
    text = path.read_text()
    begin, end = text.index("  visit:"), text.index("  conversion:")
    path.write_text(text[:begin] + text[begin:end] + text[begin:end].replace("visit:", "visited:", 1) + text[end:])
    primary = {"metric": "visited", "minimum_effect": 0.01}
    assert alike(stage, {**OTHER, "audience.sql": AUDIENCE}, primary=primary) == "audience"


def test_another_message_to_another_audience_of_the_same_population_is_another_pilot(stage):
    assert alike(stage, OTHER) is None


def test_a_value_in_other_letters_selects_others(stage):
    select = "SELECT customer_id AS unit FROM customers WHERE zip_code = '{}'"
    found = [known_by(stage, {"audience.sql": select.format(each)}).audiences for each in ("Urban", "urban")]
    assert found[0] != found[1]


@pytest.mark.parametrize("limit", ["", " ORDER BY unit"])
def test_an_audience_that_takes_all_is_the_population_which_alone_makes_no_line(stage, limit):
    everybody = {"audience.sql": f"SELECT customer_id AS unit FROM customers{limit}"}
    assert known_by(stage, everybody).audiences == ()
    assert known_by(stage, {"audience.sql": everybody["audience.sql"] + " LIMIT 5"}).audiences != ()


def test_made_up_units_are_no_look_at_customers(stage):
    assert alike(stage, {}, synthetic=True) is None


def test_a_message_that_cannot_be_rendered_is_known_by_how_it_is_written(stage):
    broken = {**OTHER, "message.txt": "{{ 1 / 0 }} for you"}
    again = {**broken, "message.txt": "{{ 1/0 }} FOR you"}
    assert known_by(stage, broken).alike(known_by(stage, again, primary={"metric": "spend", "minimum_effect": 1},
                                                  guardrails=[])) == "messages"  # fmt: skip


def test_a_fingerprint_survives_the_ledger(stage):
    found = known_by(stage)
    assert read_fingerprint(found.as_json()) == found


@pytest.mark.parametrize("change", [lambda texts: {**texts, "message.txt": b"else"}, lambda _: {}])
def test_files_that_are_not_the_promised_ones_are_refused(stage, change):
    promise, files = stage.promise(stage.charter())
    with pytest.raises(BadInput, match="not the one that was promised"):
        fingerprint(promise, change({name: text.encode() for name, text in files.items()}))
