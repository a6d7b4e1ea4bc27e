from datetime import timedelta

import sqlalchemy as sa

from promotion.register import register
from promotion.state import open_promotion, promises
from shared.ledger import GENESIS, Head
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
