"""What all tests share."""

import os
import sys

import pytest


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
