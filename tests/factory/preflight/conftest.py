"""A loaded workspace whose Factory has a key, and candidates before the gate that are tried in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from factory.enrolment import enrol_factory
from factory.masked_contract import masked_contract
from factory.preflight.report import Preflight, preflight
from factory.snapshots import publish
from shared.candidate import Candidate
from shared.workspace import Workspace
from tests.makers import make_candidate


@pytest.fixture
def factory(workspace: Workspace) -> Workspace:
    """Customers are loaded and published, and the Factory can sign."""
    enrol_factory(workspace)
    publish(workspace)
    return workspace


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
