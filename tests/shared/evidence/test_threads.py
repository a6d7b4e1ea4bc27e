"""The same files give the same evidence, to the last bit, on however many threads DuckDB adds up."""

from __future__ import annotations

from dataclasses import replace

import duckdb
import pytest

from shared.engines.duckdb import DuckDB
from shared.engines.files import connect
from shared.engines.protocol import PilotData, per_of, value_of
from shared.evidence.compute import compute
from shared.experiment.metrics import Metric
from tests.shared.pilot_data import promised

# Four computations each: on a busy machine they take longer than other tests may.
pytestmark = [pytest.mark.check, pytest.mark.timeout(900)]

UNITS = 300_000
METRICS = {
    "visit": Metric(kind="proportion", column="visit", unit="share"),
    "spend": Metric(kind="mean", column="spend", cap_quantile=0.99, unit="EUR"),
    "first_week": Metric(kind="mean", expression="spend * 1.19", window_days=3, unit="EUR"),
    "clicks": Metric(kind="count", expression="clicks - 1", unit="clicks"),
    "basket": Metric(kind="ratio", column="spend", denominator="clicks / 3", unit="EUR per click"),
    "large": Metric(kind="quantile", column="spend", quantile=0.9, unit="EUR"),
    "rating": Metric(kind="mean", expression="spend / clicks", no_outcome="left_out", unit="stars"),
}
KNOWN = {"covariates": ["before", "age"], "segments": ["zone", "plan"], "strata": "plan"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Units with several outcomes each, in files that are in no order; of some, rows were held back."""
    folder = tmp_path_factory.mktemp("threads")
    data = PilotData(*(folder / f"{name}.parquet" for name in ("exposures", "outcomes", "conflicts", "traits")))
    of_unit = f"FROM (SELECT i, 'u' || i AS unit, i // 3 AS home, hash(i) AS h FROM range({UNITS}) t(i))"
    outcome = f"{of_unit}, range(3) o(j) WHERE hash(i, j) % 5 < 2"
    arm = "CASE WHEN hash(home, 1) % 2 = 0 THEN 'control' ELSE 'letter' END"
    start = "TIMESTAMPTZ '2026-01-05 00:00:00+00'"
    with duckdb.connect() as connection:
        for path, query in (
            (
                data.exposures,
                f"SELECT 'e' || i AS event_id, unit, {arm} AS arm, "
                f"""{start} + to_seconds((h % 800000)::BIGINT) AS "at" {of_unit}""",
            ),
            (
                data.outcomes,
                f"SELECT 'o' || i || '-' || j AS event_id, unit, (hash(i, j, 1) % 2)::BIGINT AS visit, "
                "exp((hash(i, j, 2) % 1000003) / 1e5) / 7 AS spend, (1 + hash(i, j, 3) % 9)::BIGINT AS clicks, "
                f"""{start} + to_seconds((h % 800000 + hash(i, j, 4) % 400000)::BIGINT) AS "at" {outcome}""",
            ),
            (
                data.conflicts,
                "SELECT 'outcomes' AS kind, 'c' || i AS event_id, unit, 'spend is too large' AS reason, "
                f"NULL::VARCHAR AS arm, {arm} AS assigned, '2026-01-17 00:00:00+00' AS \"at\", "
                "json_object('visit', 1, 'clicks', 2, 'spend', (h % 1000003) / 7e3)::VARCHAR AS said "
                f"{of_unit} WHERE h % 50 = 0",
            ),
            (
                data.traits,
                "SELECT unit, 'h' || home AS household, 'z' || hash(i, 5) % 7 AS zone, "
                "'p' || hash(home, 6) % 3 AS plan, "
                "CASE WHEN h % 11 > 0 THEN ln(1 + hash(i, 7) % 997) END AS before, "
                f"(hash(i, 8) % 60)::INTEGER AS age {of_unit}",
            ),
        ):
            connection.execute(f"COPY ({query} ORDER BY hash(i, 9)) TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 20480)")
    return data


@pytest.fixture
def threads():
    """Sets how many threads the engine has."""
    connection = connect()
    yield lambda count: connection.execute(f"SET GLOBAL threads = {count}")
    connection.execute("RESET GLOBAL threads")


def found_on(threads, data, metrics, **changes):
    """The evidence on one thread, and what is written of it on 1, 2, 4 and 8."""
    primary, secondary = {"metric": "spend", "minimum_effect": 0.01}, [name for name in metrics if name != "spend"]
    promise = promised({name: METRICS[name] for name in metrics}, primary=primary, secondary=secondary, **changes)
    found = {}
    for count in (1, 2, 4, 8):
        threads(count)
        found[count] = compute(promise, data)
    return found[1], [each.as_json() for each in found.values()]


def without_held_back(data, folder):
    nothing = folder / "conflicts.parquet"
    duckdb.sql(f"FROM '{data.conflicts}' LIMIT 0").write_parquet(str(nothing))
    return replace(data, conflicts=nothing)


def test_evidence_is_equal_to_the_last_bit_on_any_number_of_threads(data, threads, tmp_path):
    evidence, said = found_on(threads, without_held_back(data, tmp_path), METRICS, **KNOWN)
    assert sum(arm.units for arm in evidence.arms) == UNITS
    assert {effect.problem for effect in evidence.effects} == {None}
    assert evidence.segments
    assert evidence.days
    assert said[1:] == said[:1] * 3


@pytest.mark.proof
def test_so_is_that_of_clusters_at_their_second_look(data, threads, tmp_path):
    looks = {"units_per_arm": 100_000, "looks": {"method": "group_sequential", "at": [0.5, 1]}}
    known = without_held_back(data, tmp_path)
    evidence, said = found_on(threads, known, ["spend", "basket"], cluster="household", sample=looks, **KNOWN)
    assert sum(arm.clusters for arm in evidence.arms) == UNITS // 3
    assert len(evidence.looks) == 2
    assert said[1:] == said[:1] * 3


@pytest.mark.proof
def test_so_is_what_is_told_of_rows_that_were_held_back(data, threads):
    evidence, said = found_on(threads, data, ["spend"])
    assert evidence.completeness.everything
    assert said[1:] == said[:1] * 3


def test_so_are_the_units_that_an_aa_test_splits(data, threads):
    metrics = {name: METRICS[name] for name in ("spend", "basket", "clicks")}
    columns = [value_of("spend"), per_of("basket"), value_of("clicks")]
    found = []
    for count in (1, 2, 4, 8):
        threads(count)
        with DuckDB().unit_values(data, metrics, "control") as values:
            batches = [batch[name].tolist() for batch in values.batches(columns, 50_000) for name in columns]
            found.append((values.described(columns), batches))
    assert found[0][0][0] > 100_000
    assert found[1:] == found[:1] * 3
