"""The golden suite: what any engine says of a few small pilots, with expected numbers by hand beside their rows."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import yaml

from shared.engines.duckdb import DuckDB
from shared.engines.protocol import Question
from shared.experiment.metrics import Metric
from tests.shared.engines.reference import Reference
from tests.shared.engines.rows import moment, write_rows

CASES = sorted((Path(__file__).parent / "golden").glob("*.yaml"))
COUNTS = (
    "units", "reporting", "unvalued", "untraited", "outcome_days", "multiple_units", "conflicts", "exposures",
    "outcomes", "first_exposure", "last_exposure", "clusters",
)  # fmt: skip


def asked(content):
    """A case's question; a novelty is metrics and the days of a part."""
    content = dict(content)
    metrics = {name: Metric.model_validate(each) for name, each in content.pop("metrics").items()}
    for name in ("covariates", "segments"):
        content[name] = tuple(content.get(name, ()))
    if "until" in content:
        content["until"] = moment(content["until"])
    if "novelty" in content:
        names, days = content["novelty"]
        content["novelty"] = (tuple(names), dt.timedelta(days=days))
    return Question(metrics, **content)


@pytest.mark.parametrize("engine", [DuckDB, Reference])
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_golden_case_comes_out_as_by_hand(tmp_path, engine, path):
    case = yaml.safe_load(path.read_text())
    rows = {name: case.get(name, ()) for name in ("exposures", "outcomes", "conflicts")}
    data = write_rows(tmp_path, **rows, traits=case.get("traits"))
    found, expected = engine().summarise(data, asked(case["question"])), case["expect"]
    assert {name: getattr(found, name) for name in COUNTS if name in expected} == {
        name: expected[name] for name in COUNTS if name in expected
    }
    for name in ("arms", "days", "strata", "tenure"):
        if name in expected:
            compare(getattr(found, name), expected[name])
    for name, cells in expected.get("segments", {}).items():
        compare(found.segments[name], cells)
    for arm, (units, median) in expected.get("delays", {}).items():
        assert (found.delays[arm].units, found.delays[arm].median_s) == (units, median)
    for arm, quantiles in expected.get("quantiles", {}).items():
        assert {name: each.value if each.finite else None for name, each in found.quantiles[arm].items()} == quantiles


def compare(cells, expected):
    keys = list(expected[0]["cell"])
    told = list(zip(*(cells.keys[key].tolist() for key in keys), strict=True))
    assert told == [tuple(each["cell"][key] for key in keys) for each in expected]
    for at, each in enumerate(expected):
        assert cells.n[at] == each["n"]
        for name, mean in each.get("means", {}).items():
            assert cells.means[name][at] == pytest.approx(mean, rel=1e-12), (each["cell"], name)
        for one, other, product in each.get("products", ()):
            assert cells.product(one, other)[at] == pytest.approx(product, rel=1e-12, abs=0.0), (each["cell"], one)
        for extremes, said in ((cells.least, "least"), (cells.most, "most")):
            assert {name: extremes[name][at] for name in each.get(said, {})} == each.get(said, {})


def test_there_are_golden_cases():
    assert len(CASES) >= 5
