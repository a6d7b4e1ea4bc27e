from datetime import timedelta

import pytest
import sqlalchemy as sa
import time_machine

from promotion.registry.register import register
from promotion.state import open_promotion, promises
from shared.core.errors import Refused
from shared.experiment.charter import RULES, Source
from shared.state.chain import GENESIS, Head
from shared.state.order import OutOfOrder
from tests.promotion.cases import LAUNCHED

LAB = Head(7, "sha256:" + "7" * 64)


def test_a_promise_is_stamped_by_the_gates_clock_and_witnesses_the_labs_ledger(stage):
    promise, _ = stage.promise(stage.charter())
    stage.workspace.clock.set(LAUNCHED)
    receipt = register(stage.workspace, promise, LAB)
    entry = open_promotion(stage.workspace).entries("spring-email")[-1]
    assert LAUNCHED <= receipt.at < LAUNCHED + timedelta(minutes=1)
    assert (entry.kind, entry.seq, entry.hash) == ("registered", receipt.ledger.seq, receipt.ledger.hash)
    assert entry.body["promise"] == promise.digest
    assert entry.body["lab"] == LAB.as_json()


def test_the_first_stamp_stands(stage):
    promise, _ = stage.promise(stage.charter())
    stage.workspace.clock.set(LAUNCHED)
    first = register(stage.workspace, promise, LAB)
    stage.workspace.clock.set(LAUNCHED - timedelta(days=30))
    again = register(stage.workspace, promise, Head(0, GENESIS))
    assert again == first
    assert len(open_promotion(stage.workspace).entries("spring-email")) == 1


def test_another_promise_of_the_same_pilot_has_a_stamp_of_its_own(stage):
    promises_of = [stage.promise(stage.charter(decide_by=day))[0] for day in ("2026-01-30", "2026-01-31")]
    receipts = [register(stage.workspace, promise, LAB) for promise in promises_of]
    assert receipts[0].at < receipts[1].at
    assert receipts[0].ledger.seq + 1 == receipts[1].ledger.seq


def test_record_and_ledger_agree(stage):
    promise, _ = stage.promise(stage.charter())
    receipt = register(stage.workspace, promise, LAB)
    room = open_promotion(stage.workspace)
    with room.transaction() as connection:
        row = connection.execute(sa.select(promises)).one()
    assert (row.digest, row.pilot, row.ledger_seq) == (promise.digest, "spring-email", receipt.ledger.seq)
    assert row.at == room.entries("spring-email")[0].at


def test_a_pilot_that_the_gate_has_not_heard_of_is_bound_by_the_rules_of_today(stage):
    promise, _ = stage.promise(stage.charter())
    with pytest.raises(Refused, match=f"under the gate's rules 1, and rules {RULES} bind it"):
        register(stage.workspace, promise.model_copy(update={"rules": 1}), LAB)
    assert open_promotion(stage.workspace).entries("spring-email") == []


def test_a_pilot_keeps_the_rules_of_its_first_promise(stage):
    """As an earlier release has registered it, without a word of rules."""
    room = open_promotion(stage.workspace)
    earlier = stage.promise(stage.charter())[0].model_copy(update={"rules": 1})
    with room.transaction() as connection:
        room.write(connection, "registered", "spring-email", {"promise": earlier.digest, "lab": LAB.as_json()})
    amended = stage.promise(stage.charter(decide_by="2026-01-31"))[0].amending(earlier, "the owner is on holiday")
    with pytest.raises(Refused, match=f"under the gate's rules {RULES}, and rules 1 bind it"):
        register(stage.workspace, amended, LAB)
    register(stage.workspace, amended.model_copy(update={"rules": 1}), LAB)
    assert room.entries("spring-email")[-1].body["rules"] == 1


@pytest.fixture
def live(make_stage):
    """A live gate that has begun its record a year before the launch."""
    with time_machine.travel(LAUNCHED - timedelta(days=500), tick=False):
        stage = make_stage("live")
        open_promotion(stage.workspace)
    return stage


def published(stage, at):
    promise, _ = stage.promise(stage.charter())
    source = None if at is None else Source(id="0" * 16, published=at)
    return promise.model_copy(update={"source": source})


@pytest.mark.parametrize("back", [timedelta(days=1), timedelta(weeks=3), timedelta(days=365)])
def test_a_promise_that_would_be_older_than_its_snapshot_is_not_taken_in(live, back):
    promise = published(live, LAUNCHED)
    with time_machine.travel(LAUNCHED - back, tick=False), pytest.raises(Refused, match="one of the two clocks"):
        register(live.workspace, promise, LAB)
    assert open_promotion(live.workspace).entries("spring-email") == []
    with time_machine.travel(LAUNCHED, tick=False):
        assert register(live.workspace, promise, LAB).at == LAUNCHED


def test_a_promise_that_names_no_snapshot_is_not_taken_in(live):
    with time_machine.travel(LAUNCHED, tick=False), pytest.raises(Refused, match="does not say when the snapshot"):
        register(live.workspace, published(live, None), LAB)


def test_the_gates_clock_set_back_takes_nothing_in(live):
    """Its record goes on from what it took in last, whatever a promise says of its own snapshot."""
    with time_machine.travel(LAUNCHED, tick=False):
        register(live.workspace, published(live, LAUNCHED - timedelta(weeks=9)), LAB)
    later = live.promise(live.charter(pilot="other"))[0].model_copy(
        update={"source": Source(id="0" * 16, published=LAUNCHED - timedelta(weeks=9))}
    )
    with time_machine.travel(LAUNCHED - timedelta(weeks=3), tick=False), pytest.raises(OutOfOrder):
        register(live.workspace, later, LAB)
    assert open_promotion(live.workspace).entries("other") == []


def test_in_a_rehearsal_a_promise_may_be_older_than_its_snapshot(stage):
    stage.workspace.clock.set(LAUNCHED - timedelta(weeks=3))
    assert register(stage.workspace, published(stage, LAUNCHED), LAB).at < LAUNCHED
