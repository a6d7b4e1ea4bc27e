"""The pilots of an earlier workspace: what each charter says, what became of its units, and how far it has come.

The archives that there are were made from what stands here: add to it, change none of it.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

OWNER, REQUESTER, WARDEN = "owner@example.com", "requester@example.com", "warden@example.com"
CUSTOMERS, HOUSEHOLD = 600, 3
LAUNCH = datetime(2026, 3, 2, 8, tzinfo=UTC)
START, LOOK, END = (datetime(2026, 3, day, tzinfo=UTC) for day in (3, 10, 17))
# What runs on after the archive was made.
LATER_END = datetime(2026, 3, 31, tzinfo=UTC)
COLUMNS = ("event_id", "unit", "arm", "exposed_at", "at", "visit", "conversion", "spend")
SHORT = {"start": START.date(), "end": END.date(), "timezone": "UTC"}
LONG = {**SHORT, "end": LATER_END.date()}
LOOKS = {"method": "group_sequential", "at": [0.5, 1]}
KILL = [{"metric": "conversion", "worse_than": -0.02}]
TRAITS = {"covariates": ["history", "recency"], "strata": "zip_code", "segments": ["zip_code"]}
VALUE = {"worth": "2.00", "units_per_month": 10_000, "running": {"media": "100.00"}}

Row = dict[str, Any]


@dataclass(frozen=True)
class Pilot:
    """One pilot.

    Attributes:
        cron: when its play would go out; another day for each, so that no two meet.
        charter: what its charter says besides what every one says.
        units_per_arm: its plan.
        visits: by arm, every which unit visits; other arms are as the control.
        buys: likewise for conversions.
        spoil: what is wrong with its rows.
        third_arm: whether it has a second treatment, a letter.
    """

    cron: str
    charter: Mapping[str, Any] = field(default_factory=dict)
    units_per_arm: int = 200
    visits: Mapping[str, int] = field(default_factory=lambda: {"control": 5, "email": 2})
    buys: Mapping[str, int] = field(default_factory=lambda: {"control": 10})
    spoil: Callable[[list[Row]], list[Row]] = list
    third_arm: bool = False

    @property
    def box(self) -> tuple[datetime, datetime]:
        """From when to when it runs."""
        return START, LATER_END if self.charter.get("time_box") == LONG else END


def strayed(rows: list[Row]) -> list[Row]:
    """One unit seen in the other arm as well, and one event each of what an intake holds back."""
    first, stranger, late, broken, before = (dict(row) for row in rows[:5])
    first |= {"event_id": "second", "arm": "email" if first["arm"] == "control" else "control"}
    stranger |= {"event_id": "stranger", "unit": "u_nobody"}
    late |= {"event_id": "late", "at": (END + timedelta(days=1)).isoformat()}
    broken |= {"event_id": "broken", "spend": -1}
    before |= {"event_id": "early", "at": (START + timedelta(seconds=1)).isoformat()}
    return [*rows, first, stranger, late, broken, before]


def cut_short(rows: list[Row]) -> list[Row]:
    """Fewer units than were planned, and what `strayed` says."""
    return strayed(rows[: len(rows) * 9 // 10])


PILOTS = {
    "draft-mail": Pilot("0 9 * * 1", {"time_box": LONG}),
    "unfed-mail": Pilot(
        "10 9 * * 1",
        {"time_box": LONG, "cluster": "household", "layer": {"name": "mail", "start": 0, "end": 0.5}},
        units_per_arm=60,
    ),
    "running-mail": Pilot(
        "20 9 * * 1",
        {"time_box": LONG, "kill_criteria": KILL, "sample": {"looks": LOOKS}},
        units_per_arm=120,
        third_arm=True,
        spoil=strayed,
    ),
    "ended-mail": Pilot("0 9 * * 5", {**TRAITS, "sample": {"looks": LOOKS}}),
    # The number of units is waived.
    "sealed-mail": Pilot("0 9 * * 4", {"value": VALUE}, units_per_arm=265, spoil=cut_short),
    "sealed-source": Pilot("0 9 * * 6", {"assignment": "source", "sample": {"looks": LOOKS}}, spoil=strayed),
    # It collapses by what it was to be ended for; at the end the build asks no more about that.
    "sealed-killed": Pilot("0 9 * * 0", {**TRAITS, "kill_criteria": KILL}, buys={"control": 3, "email": 20}),
    "sealed-null": Pilot("30 9 * * 4", {"cluster": "household"}, visits={"control": 4}),
    "stopped-mail": Pilot(
        "30 9 * * 5",
        {"cluster": "household", "layer": {"name": "mail", "start": 0.5, "end": 1}},
        units_per_arm=100,
        visits={"control": 3, "email": 5},
    ),
    "revised-mail": Pilot("30 9 * * 6", visits={"control": 5, "email": 4}),
    "scaled-mail": Pilot("0 9 * * 2"),
}


def customers(path: Path) -> Path:
    """The Factory's customers as a file; three in a row share a household."""
    places, columns = ("Urban", "Surburban", "Rural"), ("customer_id", "email", "household", "recency", "history")
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow((*columns, "zip_code", "channel"))
        for n in range(CUSTOMERS):
            home = f"h{n // HOUSEHOLD:04}"
            writer.writerow((f"c{n:05}", f"c{n}@example.com", home, n % 12 + 1, n / 10, places[n % 3], "Web"))
    return path


def write_charter(path: Path, pilot: Pilot) -> None:
    """Makes a new draft what the pilot's charter says."""
    charter = yaml.safe_load(path.read_text())
    own = dict(pilot.charter)
    charter["sample"] |= {"units_per_arm": pilot.units_per_arm, **own.pop("sample", {})}
    charter["primary"]["minimum_effect"] = 0.15
    charter |= {"time_box": SHORT, "decide_by": datetime(2026, 4, 14).date(), **own}
    charter["budget"]["media"] = "100.00"
    play = charter["arms"][1]["play"]
    play["schedule"] = {"cron": pilot.cron, "timezone": "UTC", "grace_minutes": 60}
    if pilot.third_arm:
        charter["arms"].append({"name": "letter", "play": {**play, "subject": "A letter for you"}})
    path.write_text(yaml.safe_dump(charter, sort_keys=False))


def results(pilot: Pilot, arms: Mapping[str, str]) -> list[Row]:
    """One row for each unit: exposed within the first five sixths of the time box, an outcome a day or two later."""
    starts, ends = pilot.box
    step = (ends - starts) * 5 / 6 / max(len(arms), 1)
    seen = dict.fromkeys(arms.values(), 0)
    rows = []
    for n, (unit, arm) in enumerate(sorted(arms.items())):
        exposed, index = starts + n * step, seen[arm]
        seen[arm] += 1
        happened = exposed + timedelta(hours=20 + n % 7)
        bought = index % pilot.buys.get(arm, pilot.buys["control"]) == 0
        visit = index % pilot.visits.get(arm, pilot.visits["control"]) == 0
        numbers = (int(visit), int(bought), 3 + (n % 7) / 100)
        values = (f"e{n}", unit, arm, exposed.isoformat(), happened.isoformat(), *numbers)
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    return pilot.spoil(rows)


def write_rows(path: Path, rows: Iterable[Row]) -> Path:
    """Rows as a file to record."""
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


def read_arms(path: Path) -> dict[str, str]:
    """What `lab assign` has written: each unit's arm."""
    with path.open(newline="") as stream:
        return {row["unit"]: row["arm"] for row in csv.DictReader(stream)}
