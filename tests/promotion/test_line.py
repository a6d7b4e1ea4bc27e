"""A renamed successor is found at registration, and carries what its line has spent, or is not taken in."""

from __future__ import annotations

from datetime import timedelta

import pytest
import yaml

from promotion.decisions.silence import settle
from promotion.queue.summary import summarise
from promotion.registry.line import fates, line, read_line, recorded_line
from promotion.registry.register import register
from promotion.state import open_promotion
from shared.core.errors import BadInput
from shared.experiment.line import Before, Line, Uncarried
from shared.state.chain import GENESIS, Head
from tests.makers import AUDIENCE, OWNER, TEMPLATE
from tests.promotion.cases import JUDGED, LAUNCHED

LAB = Head(0, GENESIS)
OTHER = {
    "message.txt": "A card for you.\n",
    "audience.sql": "SELECT customer_id AS unit FROM customers WHERE history > 9",
}
SAME = {"message.txt": TEMPLATE, "audience.sql": AUDIENCE}
REASON = "the postman came on another day"


def take_in(stage, pilot="spring-email", texts=None, **charter):
    promise, files = stage.promise(stage.charter(pilot=pilot, **charter), {**SAME, **(texts or {})})
    register(stage.workspace, promise, LAB, texts={name: text.encode() for name, text in files.items()})
    return promise


def taken(stage):
    return [entry.subject for entry in open_promotion(stage.workspace).entries() if entry.kind == "registered"]


def recorded_of(stage, pilot):
    return read_line(open_promotion(stage.workspace).entries(pilot)[-1])


def follows(pilot, spent):
    return {"follows": {"pilot": pilot, "change": REASON, "alpha_spent": spent}}


@pytest.mark.parametrize(
    "texts",
    [
        {},
        {**OTHER, "message.txt": TEMPLATE.replace("Dear", "  DEAR ")},
        {**OTHER, "audience.sql": "select customer_id as unit from customers -- again\nwhere Recency<=6"},
    ],
)
def test_a_successor_under_a_new_name_is_not_taken_in_unless_it_carries_the_alpha(stage, texts):
    take_in(stage)
    with pytest.raises(Uncarried, match="autumn is a further attempt at what spring-email tried") as refused:
        take_in(stage, "autumn", texts)
    assert refused.value.expected == "follows: {pilot: spring-email, change: what is different, alpha_spent: 0.05}"
    assert taken(stage) == ["spring-email"]
    promise = take_in(stage, "autumn", texts, **follows("spring-email", 0.05))
    # ADR 20, by hand: .05 x 1/2.
    assert promise.charter.alpha == pytest.approx(0.025)


def test_what_the_refusal_tells_to_write_is_enough_to_be_taken_in(stage):
    for number in range(4):
        pilot = f"attempt-{number}"
        try:
            take_in(stage, pilot)
        except Uncarried as refused:
            take_in(stage, pilot, **yaml.safe_load(str(refused.expected)))
    entries = [entry for entry in open_promotion(stage.workspace).entries() if entry.kind == "registered"]
    # By hand: .05, .025, .0125, .00625.
    assert [entry.body["line"]["tested_at"] for entry in entries] == pytest.approx([0.05, 0.025, 0.0125, 0.00625])


def test_an_honest_second_pilot_on_the_same_population_and_goal_is_no_successor(stage):
    take_in(stage)
    promise = take_in(stage, "autumn", OTHER)
    assert promise.charter.alpha == 0.05
    assert recorded_of(stage, "autumn") == Line()


def test_to_say_that_it_follows_none_frees_no_successor(stage):
    take_in(stage)
    with pytest.raises(Uncarried, match="does not change that"):
        take_in(stage, "autumn", follows={"none": "another product altogether"})


@pytest.mark.parametrize(("alpha", "fine"), [(0.05, True), (0.04, True), (0.06, False), (0.2, False)])
def test_a_larger_alpha_does_not_win_back_what_the_line_has_spent(stage, alpha, fine):
    take_in(stage)
    sample = {"sample": {"units_per_arm": 10, "alpha": alpha}}
    if fine:
        take_in(stage, "autumn", **sample, **follows("spring-email", 0.05))
        return
    with pytest.raises(Uncarried, match="would be tested at"):
        take_in(stage, "autumn", **sample, **follows("spring-email", 0.05))


def test_a_line_goes_through_pilots_that_share_nothing_with_the_last(stage):
    """The second has the first's message, the third the second's audience."""
    take_in(stage, "one", {"audience.sql": OTHER["audience.sql"]})
    take_in(stage, "two", {"audience.sql": AUDIENCE}, **follows("one", 0.05))
    with pytest.raises(Uncarried, match=r"one, two: 0\.1 together"):
        take_in(stage, "three", {"message.txt": "A card.\n"}, **follows("two", 0.05))
    take_in(stage, "three", {"message.txt": "A card.\n"}, **follows("two", 0.1))
    assert [(each.pilot, each.why) for each in recorded_of(stage, "three").before] == [
        ("one", None),
        ("two", "audience"),
    ]


def test_an_attempt_that_its_author_names_counts_though_nothing_is_alike(stage):
    take_in(stage)
    with pytest.raises(Uncarried, match="its charter says so"):
        take_in(stage, "autumn", OTHER, **follows("spring-email", 0.01))
    take_in(stage, "autumn", OTHER, **follows("spring-email", 0.05))
    assert [each.why for each in recorded_of(stage, "autumn").before] == ["named"]


def test_an_amendment_into_an_earlier_pilots_message_is_a_successor_too(stage):
    take_in(stage)
    promise = take_in(stage, "autumn", OTHER)
    charter = stage.charter(pilot="autumn")
    amended, files = stage.promise(charter, SAME)
    with pytest.raises(Uncarried):
        register(stage.workspace, amended.amending(promise, REASON), LAB,
                 texts={name: text.encode() for name, text in files.items()})  # fmt: skip


def test_an_amendment_continues_nothing_that_came_after_it(stage):
    promise = take_in(stage)
    take_in(stage, "autumn", **follows("spring-email", 0.05))
    amended, files = stage.promise(stage.charter(decide_by="2026-01-30"), SAME)
    register(stage.workspace, amended.amending(promise, REASON), LAB,
             texts={name: text.encode() for name, text in files.items()})  # fmt: skip
    assert recorded_of(stage, "spring-email") == Line()


def test_the_same_promise_again_is_taken_in_once(stage):
    promise, files = stage.promise(stage.charter())
    texts = {name: text.encode() for name, text in files.items()}
    first = register(stage.workspace, promise, LAB, texts=texts)
    assert register(stage.workspace, promise, LAB, texts=texts) == first
    assert taken(stage) == ["spring-email"]


def test_to_ask_beforehand_takes_nothing_in(stage):
    take_in(stage)
    promise, files = stage.promise(stage.charter(pilot="autumn"), SAME)
    found = line(stage.workspace, promise, {name: text.encode() for name, text in files.items()})
    assert found == Line((Before("spring-email", "messages", 0.05, 0.05),))
    assert taken(stage) == ["spring-email"]


def test_files_that_were_not_promised_are_not_taken_in(stage):
    promise, _ = stage.promise(stage.charter())
    with pytest.raises(BadInput, match="not the one that was promised"):
        register(stage.workspace, promise, LAB, texts={"audience.sql": b"else"})
    assert taken(stage) == []


def test_what_became_of_each_attempt_stands_on_the_owners_page(stage):
    """One was stopped, one ended or never fed: both count, and the third is told to be the third."""
    stage.submit()
    stage.decide("stop")
    stage.workspace.clock.set(LAUNCHED)
    take_in(stage, "dropped", **follows("spring-email", 0.05))
    candidate = stage.submit(charter={"pilot": "autumn", **follows("dropped", 0.1)}, texts=SAME)
    case = stage.open(candidate)
    found = recorded_line(case.registrations, case.candidate.manifest.promise)
    assert fates(open_promotion(stage.workspace), found) == [
        "spring-email (stopped)", "dropped (no results ever came before the gate)",
    ]  # fmt: skip
    [before] = [part for part in summarise(stage.workspace, "autumn", OWNER).parts if part.title == "What came before"]
    assert before.lines == (
        f"It continues dropped; what is different: {REASON}",
        "Attempt 3 of its line, tested at 1.25 %. Before it: spring-email (stopped), "
        "dropped (no results ever came before the gate)",
    )


def lapse(stage):
    stage.workspace.clock.set(JUDGED + timedelta(days=90))
    assert [each.pilot for each in settle(open_promotion(stage.workspace))] == ["spring-email"]


FATES = {
    "scaled": lambda stage: stage.decide("scale"),
    "revised": lambda stage: stage.decide("revise", reason="mail more customers"),
    "not decided yet": lambda _: None,
    "lapsed without a decision": lapse,
}


@pytest.mark.parametrize(("told", "ends"), FATES.items(), ids=FATES)
def test_an_attempt_counts_in_the_line_and_shows_however_it_ended(stage, told, ends):
    stage.submit(texts=SAME)
    ends(stage)
    with pytest.raises(Uncarried):
        take_in(stage, "autumn")
    take_in(stage, "autumn", **follows("spring-email", 0.05))
    assert fates(open_promotion(stage.workspace), recorded_of(stage, "autumn")) == [f"spring-email ({told})"]


def test_the_reason_why_it_follows_none_stands_on_the_owners_page(stage):
    stage.submit(charter={"follows": {"none": "another product altogether"}})
    [before] = [part for part in summarise(stage.workspace, "spring-email").parts if part.title == "What came before"]
    assert before.lines == ("Its charter says that it continues no earlier pilot: another product altogether",)
