"""A loaded workspace whose Factory has a key, and candidates before the gate that are tried in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from factory.delivery.messages import select
from factory.preflight.report import Preflight, preflight
from factory.preflight.shadow import shadow_run
from factory.releases.contacts import contacts_of, neighbours
from factory.releases.enrolment import enrol_factory
from factory.releases.packages import open_arms
from factory.warehouse.masked_contract import masked_contract
from factory.warehouse.snapshots import publish
from shared.core.files import scratch_in
from shared.state.workspace import Workspace
from shared.trust.candidate import Candidate
from shared.trust.preflight import Contacts, ShadowRun
from tests.makers import at_work, make_candidate


@pytest.fixture(scope="session")
def published(loaded: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = at_work(loaded, tmp_path_factory.mktemp("published") / "workspace")
    enrol_factory(made)
    publish(made)
    return made


@pytest.fixture
def factory(published: Workspace, tmp_path: Path) -> Workspace:
    """Customers are loaded and published, and the Factory can sign."""
    return at_work(published, tmp_path / "workspace")


@pytest.fixture
def submit(factory: Workspace) -> Callable[..., Candidate]:
    """Puts a candidate before the gate; keywords as for `make_candidate`."""

    def submitted(**changes: Any) -> Candidate:
        contracts = factory.configs / "contracts"
        sealed = {
            "customers": masked_contract(contracts / "customers.odcs.yaml"),
            "outcomes": (contracts / "outcomes.odcs.yaml").read_text(),
            **changes.pop("contracts", {}),
        }
        return make_candidate(factory, factory.promotion / "intake", contracts=sealed, **changes)

    return submitted


@pytest.fixture
def tried(factory: Workspace, submit: Callable[..., Candidate]) -> Callable[..., Preflight]:
    """Submits a candidate and tries it."""

    def tried_out(**changes: Any) -> Preflight:
        return preflight(factory, submit(**changes).digest)

    return tried_out


@pytest.fixture
def shadowed(factory: Workspace, submit: Callable[..., Candidate], tmp_path: Path) -> Callable[..., ShadowRun]:
    """Submits a candidate and runs its one arm in the shadow, without the other parts of a report."""

    def run(exposed: Sequence[str] | None = None, **changes: Any) -> ShadowRun:
        candidate, exposures = submit(**changes), tmp_path / "exposures.parquet"
        if exposed is not None:
            pq.write_table(pa.table({"unit": list(exposed)}), exposures)
        [arm] = open_arms(factory, candidate, candidate.digest)
        with scratch_in(tmp_path / "shadow") as scratch:
            return shadow_run(factory, arm, scratch, exposures)[0]

    return run


@pytest.fixture
def contacted(factory: Workspace, submit: Callable[..., Candidate], tmp_path: Path) -> Callable[..., Contacts]:
    """Submits a candidate and counts its one arm's contacts."""

    def counted(**changes: Any) -> Contacts:
        candidate, now = submit(**changes), factory.clock.now()
        [arm] = open_arms(factory, candidate, candidate.digest)
        with scratch_in(tmp_path / "contacts") as scratch:
            around = neighbours(factory, candidate.digest, now, scratch / "neighbours")
            return contacts_of(factory, arm, select(factory, arm, scratch).rows, now, around)

    return counted
