"""What all tests share."""

import os
import sys

import pytest


def pytest_collection_modifyitems(items):
    """Files that wait for Prefect begin first, so that the others fill the time (see `make test`)."""
    waiting = {item.path for item in items if item.path.name in WAITING}
    items.sort(key=lambda item: item.path not in waiting)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    session.config.stash[ENDED] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    """Ends the process before DuckDB's extension module prints pages of leak warnings below the tests' result."""
    sys.stdout.flush()
    sys.stderr.flush()
    if ENDED in config.stash:
        os._exit(config.stash[ENDED])


ENDED = pytest.StashKey[int]()
WAITING = {"test_schedule.py", "test_demo.py"}
