"""Simulated pilots before the real gate: their rows become sealed candidates, and every check is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.gate.classes import OPENS, Pilot
from benchmarks.gate.shop import ARM, CONTROL, DAY_S, MARGIN, MINIMUM, PLACES, POWER, Customers, units_planned
from promotion.gate import judge
from promotion.policy import read_settings
from shared.candidate import Candidate
from shared.finding import Verdict
from tests.promotion.cases import Stage

CHARTER = {
    "assignment": "pilotplant",
    "primary": {"metric": "visit", "minimum_effect": MINIMUM},
    "guardrails": [{"metric": "conversion", "margin": MARGIN}],
    "segments": ["zip_code"],
    "sample": {"units_per_arm": units_planned(), "power": POWER},
}
INVALID = 7
AGAIN_S = DAY_S
AT = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class Judged:
    """What the gate said of a pilot's arm, and which blocking checks stood against it."""

    verdict: Verdict
    against: tuple[str, ...]


def judged(stage: Stage, name: str, pilot: Pilot) -> Judged:
    """Seals the pilot's candidate in the stage's workspace, and asks the gate."""
    case = stage.open(submitted(stage, name, pilot))
    judgement = judge(case, read_settings(stage.workspace).policy(case.charter.risk_tier))
    against = [f.check for f in judgement.of_arm(ARM) if f.level == "block" and f.outcome in {"failed", "unevaluable"}]
    return Judged(judgement.verdict_on(ARM), tuple(dict.fromkeys(against)))


def submitted(stage: Stage, name: str, pilot: Pilot) -> Candidate:
    """The pilot's sealed candidate in the gate's intake."""
    return stage.submit(
        charter={**CHARTER, "pilot": name, **pilot.charter},
        recorded=lambda folder: _write(folder, pilot),
        **pilot.submitted,
    )


def _write(folder: Path, pilot: Pilot) -> None:
    folder.mkdir()
    for name, table in _tables(pilot.customers, pilot.until, pilot.wrong_rows).items():
        pq.write_table(table, folder / f"{name}.parquet")


def _tables(customers: Customers, until: float, wrong_rows: int) -> dict[str, pa.Table]:
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
    held = dict.fromkeys(("kind", "event_id", "unit", "reason"), pa.array([], pa.string()))
    traits = {"unit": customers.unit.tolist(), "zip_code": np.array(PLACES)[customers.place].tolist()}
    tables = {"exposures": exposures, "outcomes": outcomes, "conflicts": held, "traits": traits}
    return {name: pa.table(columns) for name, columns in tables.items()}


def _arms(treated: np.ndarray) -> list[str]:
    return [ARM if each else CONTROL for each in treated]


def _moments(seconds: np.ndarray) -> pa.Array:
    opened = int(OPENS.timestamp() * 1e6)
    return pa.array((opened + seconds * 1e6).astype(np.int64), pa.int64()).cast(AT)
