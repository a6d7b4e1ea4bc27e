"""Contacts: what units would receive in a week, counted unit by unit over all that may run."""

from __future__ import annotations

import json

import pytest

from factory.delivery.channels.file import outgoing
from factory.releases.admission import admit
from factory.releases.releases import list_releases, pause
from factory.runtime.campaign import run_now
from shared.core.errors import BadInput
from tests.makers import OCCURRENCE, make_charter, make_package

# customers_csv: recency goes round from 1 to 12, so that n twelfths of the customers have one of at most n.
RECENT, ALL = (
    "SELECT customer_id AS unit FROM customers WHERE recency <= 6",
    "SELECT customer_id AS unit FROM customers",
)


def release(workspace, pilot, cron="0 9 * * 1", audience=ALL):
    charter = make_charter(pilot, cron=cron, play={"holdout_frac": 0})
    make_package(workspace, charter=charter, audience=audience)
    admit(workspace)
    return charter.release("letter")


def mine(cron="0 9 * * *"):
    return {"charter": make_charter(cron=cron, play={"holdout_frac": 0})}


def test_alone_every_unit_gets_the_plays_own_messages(contacted):
    found = contacted(**mine())
    assert (found.per_week, found.units, found.neighbours, found.above_cap) == (7, {"7": 102}, (), 0)


def test_messages_of_other_releases_come_on_top_for_the_units_they_share(factory, contacted):
    """Mondays at nine, to those with a recency of at most 3: 51 of the 102 units of this play."""
    other = release(factory, "birthday", audience="SELECT customer_id AS unit FROM customers WHERE recency <= 3")
    found = contacted(**mine())
    assert found.units == {"7": 51, "8": 51}
    assert (found.above_cap, found.most) == (51, 8)
    [neighbour] = found.neighbours
    assert (neighbour.release, neighbour.per_week, neighbour.units, neighbour.shared) == (other, 1, 51, 51)
    assert neighbour.simultaneous == 51  # both write on Monday at nine


def test_another_hour_is_no_clash(factory, contacted):
    release(factory, "birthday", cron="0 10 * * 1")
    [neighbour] = contacted(**mine()).neighbours
    assert (neighbour.shared, neighbour.simultaneous) == (102, 0)


def test_a_release_for_others_adds_nothing(factory, contacted):
    release(factory, "winback", audience="SELECT customer_id AS unit FROM customers WHERE recency > 6")
    found = contacted(**mine())
    assert found.units == {"7": 102}
    assert found.neighbours[0].shared == 0


def test_a_paused_release_counts_and_one_that_does_not_run_is_named_with_its_reason(factory, contacted):
    paused, expired = release(factory, "birthday"), release(factory, "winback", cron="0 10 * * 1")
    pause(factory, paused, reason="a typo")
    settings = factory.configs / "factory.yaml"
    package = next(r.package for r in list_releases(factory) if r.name == expired)
    settings.write_text(settings.read_text().replace("revoked: []", f"revoked: ['{package}']"))
    found = contacted(**mine())
    assert [neighbour.release for neighbour in found.neighbours] == [paused]
    assert "revoked" in found.silent[expired]


def test_the_cap_is_the_factorys(factory, contacted):
    settings = factory.configs / "factory.yaml"
    settings.write_text(settings.read_text().replace("contacts_per_week: 7", "contacts_per_week: 6"))
    found = contacted(**mine())
    assert (found.cap, found.above_cap) == (6, 102)
    settings.write_text(settings.read_text().replace("contacts_per_week: 6", "contacts_per_week: 0"))
    with pytest.raises(BadInput):
        contacted(**mine())


def test_a_name_that_another_package_has_is_told(factory, contacted):
    make_package(factory)
    admit(factory)
    found = contacted(template="Other words.\n")
    assert found.taken_by is not None
    assert found.taken_by.removeprefix("sha256:") in {path.name for path in (factory.factory / "inbox").iterdir()}


def test_units_are_those_that_the_run_then_writes_to(factory, contacted):
    found = contacted()
    make_package(factory)
    admit(factory)
    run_now(factory, "spring-email-letter")
    lines = outgoing(factory, "spring-email-letter", OCCURRENCE).read_text().splitlines()
    assert sum(found.units.values()) == len({json.loads(line)["unit"] for line in lines})
