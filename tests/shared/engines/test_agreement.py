"""Every engine says the same of the same rows: DuckDB against plain Python, on random small pilots."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.engines.by_arm import Scope
from shared.engines.duckdb import DuckDB
from shared.engines.protocol import EARLY, IN_TWO_ARMS, NOT_ASSIGNED, Question
from shared.experiment.draw import HELD_OUT
from shared.experiment.metrics import Metric
from tests.shared.engines.agreement import assert_agree
from tests.shared.engines.reference import Reference
from tests.shared.engines.rows import moment, write_rows

UNITS = [f"u{n}" for n in range(12)]
units = st.sampled_from(UNITS)
moments = st.tuples(st.integers(1, 20), st.sampled_from(["00:00", "11:30", "23:00", "23:59:59.999999"])).map(
    lambda parts: f"2026-03-{parts[0]:02} {parts[1]}"
)
spends = st.one_of(st.none(), st.floats(-1e3, 1e6), st.sampled_from([0.0, 9.99, 25.0, 1e9 + 0.25, 1e200, float("nan")]))
arms = st.sampled_from(["control", "letter", "letter", "card"])
traits = st.fixed_dictionaries(
    {
        "before": st.one_of(st.none(), st.floats(-1e3, 1e3), st.sampled_from([0.0, 7.5, float("inf")])),
        "history": st.one_of(st.none(), st.integers(0, 5).map(float)),
        "zone": st.sampled_from(["Urban", "Rural", "", None]),
        "channel": st.sampled_from(["web", "phone"]),
        "household": st.one_of(st.none(), st.sampled_from(["h1", "h2", "h3", "h4", "h5"])),
    }
)


def metric(kind, **content):
    return Metric.model_validate({"kind": kind, "unit": "-", **content})


METRICS = {
    "visit": metric("proportion", column="visit"),
    "orders": metric("count", column="spend"),
    "answers": metric("count", window_days=3),
    "spend": metric("mean", column="spend"),
    "capped": metric("mean", column="spend", cap=30.0, window_days=5),
    "winsorised": metric("mean", column="spend", cap_quantile=0.8),
    "net": metric("mean", expression="spend - visit"),
    "price": metric("mean", expression="spend / visit"),
    "per_visit": metric("ratio", column="spend", denominator="visit"),
    "rating": metric("mean", column="spend", no_outcome="left_out"),
    "satisfied": metric("proportion", column="visit", no_outcome="left_out", window_days=4),
    "high": metric("quantile", column="spend", quantile=0.5),
}


REASONS = st.sampled_from([IN_TWO_ARMS, NOT_ASSIGNED, EARLY, HELD_OUT, "late"])


@st.composite
def held_back(draw):
    """A row that was held back, with what it said."""
    unit, kind = draw(st.one_of(st.none(), units)), draw(st.sampled_from(["exposures", "outcomes"]))
    reason = draw(REASONS)
    said = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "visit": st.sampled_from(["0", "1", "many", None]),
                "spend": st.sampled_from(["9.99", "1e9", "-5", "", None]),
            },
        )
    )
    arm, assigned = draw(st.one_of(st.none(), arms, st.just("nobody's"))), draw(st.one_of(st.none(), arms))
    return unit, reason, kind, arm, assigned, draw(st.one_of(st.none(), moments)), json.dumps(said)


@st.composite
def scopes(draw, names):
    """What is asked by arm; its end lies within the time box, or at its end."""
    starts, closes = moment("2026-03-03 00:00"), moment("2026-03-17 00:00")
    windows = tuple(dict.fromkeys(METRICS[name].window_days for name in names))
    ends = draw(st.sampled_from([closes, moment("2026-03-10 12:00")]))
    return Scope(("control", "letter", "card"), draw(st.booleans()), starts, closes, ends, tuple(names), windows)


@st.composite
def pilots(draw):
    exposed = draw(st.lists(st.tuples(units, moments), max_size=20))
    usual = {unit: draw(arms) for unit in UNITS}
    exposures = [(unit, draw(arms) if draw(st.integers(0, 9)) == 0 else usual[unit], at) for unit, at in exposed]
    visits = st.one_of(st.none(), st.integers(0, 3))
    outcomes = draw(st.lists(st.tuples(units, moments, visits, spends), max_size=25))
    conflicts = draw(st.lists(st.tuples(st.one_of(st.none(), units), REASONS), max_size=2))
    if draw(st.booleans()):
        conflicts = draw(st.lists(held_back(), max_size=12))
    known = draw(st.dictionaries(units, traits, max_size=12)) if draw(st.booleans()) else None
    return exposures, outcomes, conflicts, known or None


@st.composite
def questions(draw):
    names = draw(st.lists(st.sampled_from(sorted(METRICS)), min_size=1, max_size=4, unique=True))
    novel = tuple(name for name in names if not (METRICS[name].divided or METRICS[name].quantile))
    return Question(
        metrics={name: METRICS[name] for name in names},
        covariates=tuple(draw(st.lists(st.sampled_from(["before", "history"]), unique=True))),
        segments=tuple(draw(st.lists(st.sampled_from(["zone", "channel"]), unique=True))),
        strata=draw(st.sampled_from([None, "zone", "channel"])),
        cluster=draw(st.sampled_from([None, None, "household"])),
        timezone=draw(st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"])),
        until=draw(st.one_of(st.none(), moments.map(moment))),
        novelty=draw(st.sampled_from([None, (novel, dt.timedelta(days=2, hours=1))])) if novel else None,
        scope=draw(st.one_of(st.none(), scopes(names))),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pilots(), questions())
def test_duckdb_says_what_plain_python_says(rows, question):
    with tempfile.TemporaryDirectory() as folder:
        data = write_rows(Path(folder), *rows)
        assert_agree(DuckDB().summarise(data, question), Reference().summarise(data, question))
        if question.scope is not None:
            whole = dataclasses.replace(question, everything=True)
            assert_agree(DuckDB().summarise(data, whole), Reference().summarise(data, whole))
