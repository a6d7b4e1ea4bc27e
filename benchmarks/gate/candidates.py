"""Simulated pilots before the real gate: their rows become sealed candidates, and every check is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.gate.classes import OPENS, Held, Pilot, Retold
from benchmarks.gate.shop import ARM, CONTROL, DAY_S, MARGIN, MINIMUM, PLACES, POWER, Customers, units_planned
from promotion.gate.gate import judge
from promotion.gate.policy import read_settings
from shared.core.errors import PilotPlantError
from shared.trust.candidate import Candidate
from shared.trust.finding import Level, Verdict
from tests.makers import make_charter
from tests.promotion.cases import LAUNCHED, Stage, audience_of, known_before

CHARTER = {
    "assignment": "pilotplant",
    "primary": {"metric": "visit", "minimum_effect": MINIMUM},
    "guardrails": [{"metric": "conversion", "margin": MARGIN}],
    "segments": ["zip_code"],
    "sample": {"units_per_arm": units_planned(), "power": POWER},
}
# A subject without a tag, like the message.
ARMS = make_charter(play={"subject": "For our customers", "fields": []}).model_dump(mode="json")["arms"]
INVALID = 7
AGAIN_S = DAY_S
AT = pa.timestamp("us", tz="UTC")
LEVELS: tuple[Level, Level] = ("block", "warn")
AGAINST = {"failed", "unevaluable"}
HELD = [field.name for field in fields(Held)]
MESSAGE = "message.txt"
CUSTOMERS = "contracts/customers.odcs.yaml"
# Two columns more than the shop's usual eight.
MORE = {"orders": "n % 9", "age": "n % 50 + 20"}


@dataclass(frozen=True, slots=True)
class Judged:
    """What the gate said of a pilot's arm, which blocking checks stood against it, and which only warned of it."""

    verdict: Verdict
    against: tuple[str, ...]
    warned: tuple[str, ...] = ()


def judged(stage: Stage, name: str, pilot: Pilot) -> Judged:
    """Seals the pilot's candidate in the stage's workspace, and asks the gate; what it does not register is refused."""
    try:
        case = stage.open(submitted(stage, name, pilot))
    except PilotPlantError:
        return Judged("refuse", ("registration",))
    judgement = judge(case, read_settings(stage.workspace).policy(case.charter.risk_tier))
    stood = {
        level: [f.check for f in judgement.of_arm(ARM) if f.level == level and f.outcome in AGAINST] for level in LEVELS
    }
    return Judged(judgement.verdict_on(ARM), *(tuple(dict.fromkeys(stood[level])) for level in LEVELS))


def submitted(stage: Stage, name: str, pilot: Pilot) -> Candidate:
    """The pilot's sealed candidate in the gate's intake.

    Raises PilotPlantError where the gate does not register it.
    """
    charter = {**CHARTER, "pilot": name, "arms": ARMS, **pilot.charter}
    texts, more = {MESSAGE: _message(name)}, {}
    if pilot.retold is not None:
        texts |= _retold(stage, charter, pilot.retold)
    if pilot.ten_columns:
        columns = "".join(f"      - {{name: {column}, logicalType: integer}}\n" for column in MORE)
        texts[CUSTOMERS] = (stage.workspace.configs / CUSTOMERS).read_text() + columns
        more["pre_period"] = known_before(**MORE)
    return stage.submit(
        charter=charter, recorded=lambda folder: _write(folder, pilot), texts=texts, **more, **pilot.submitted
    )


def _retold(stage: Stage, charter: Mapping[str, Any], retold: Retold) -> dict[str, str]:
    """Has the gate register a pilot of another name; what the pilot has from it."""
    first = f"{charter['pilot']}-before"
    promise, texts = stage.promise(stage.charter(**{**charter, "pilot": first}), {MESSAGE: _message(first)})
    stage.workspace.clock.set(LAUNCHED)
    stage.register(promise, {file: text.encode() for file, text in texts.items()})
    said = {MESSAGE: _message(first)} if retold.message else {}
    return {**said, "audience.sql": audience_of(first)} if retold.audience else said


def _message(name: str) -> str:
    """What a pilot says, and no other; without a tag, so that it is read without being rendered."""
    return f"A letter for you, called {name}.\n"


def _write(folder: Path, pilot: Pilot) -> None:
    folder.mkdir()
    for name, table in _tables(pilot.customers, pilot.until, pilot.wrong_rows, pilot.held).items():
        pq.write_table(table, folder / f"{name}.parquet")


def _tables(customers: Customers, until: float, wrong_rows: int, held: Sequence[Held]) -> dict[str, pa.Table]:
    visitors = customers.kept(np.isfinite(customers.visited))
    visit = np.ones(len(visitors), dtype=np.int64)
    visit[:wrong_rows] = INVALID
    # Everybody sees it twice, so that the novelty of it can wear off.
    again = customers.exposed + AGAIN_S
    in_time = again < until
    exposures = {
        "event_id": [f"x-{number}" for number in range(len(customers) + int(in_time.sum()))],
        "unit": [*customers.unit, *customers.unit[in_time]],
        "arm": [*_arms(customers.treated), *_arms(customers.treated[in_time])],
        "at": _moments(np.concatenate([customers.exposed, again[in_time]])),
    }
    outcomes = {
        "event_id": [f"o-{number}" for number in range(len(visitors))],
        "unit": visitors.unit.tolist(),
        "at": _moments(visitors.visited),
        "visit": visit,
        "conversion": visitors.bought.astype(np.int64),
        "spend": np.where(visitors.bought, 50.0, 0.0),
    }
    conflicts = {name: pa.array([getattr(row, name) for row in held], pa.string()) for name in HELD}
    traits = {"unit": customers.unit.tolist(), "zip_code": np.array(PLACES)[customers.place].tolist()}
    tables = {"exposures": exposures, "outcomes": outcomes, "conflicts": conflicts, "traits": traits}
    return {name: pa.table(columns) for name, columns in tables.items()}


def _arms(treated: np.ndarray) -> list[str]:
    return [ARM if each else CONTROL for each in treated]


def _moments(seconds: np.ndarray) -> pa.Array:
    opened = int(OPENS.timestamp() * 1e6)
    return pa.array((opened + seconds * 1e6).astype(np.int64), pa.int64()).cast(AT)
