"""The full stack against the whole catalogue: nothing is read or written outside, and the caller lives."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from shared.core.errors import Contained
from shared.sandbox import Limits, query
from tests.shared.sandbox.attacks import ATTACKS, DOES_NOT_RUN
from tests.shared.sandbox.scene import scene_in
from tests.walls import require_landlock

TIGHT = Limits(seconds=1, memory_mb=128, disk_mb=16, rows=100_000)
ROOMY = replace(TIGHT, seconds=30)  # a refusal takes a moment on a busy machine
WITHOUT_END = {"memory", "disk", "endless query"}


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    require_landlock()
    with scene_in(tmp_path_factory.mktemp("scene")) as made:
        yield made


def run(scene, sql, limits=ROOMY):
    return query(sql, scene.tables, database=scene.pilot, out=None, where="attack", limits=limits)


def test_there_are_at_least_88_attacks_of_every_family_that_is_known():
    assert len(ATTACKS) >= 88
    assert len({attack.id for attack in ATTACKS}) == len(ATTACKS)
    assert len({attack.steps for attack in ATTACKS}) == len(ATTACKS)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.id)
def test_an_attack_does_no_harm_and_is_told_so(scene, attack):
    before, fresh = scene.inventory(), scene.pilot.read_bytes()
    said, refusal = [], None
    try:
        for step in attack.steps:
            found = run(scene, scene.aimed(step), TIGHT if attack.family in WITHOUT_END else ROOMY)
            said.append(json.dumps([found.columns, found.rows]))
    except Contained as error:
        refusal = error
        said.append(str(error))
    assert scene.harm(before, "\n".join(said)) == []
    assert (refusal is None) == (attack.harmless is not None)
    if refusal is not None:
        assert attack.told is not None
        assert attack.told.casefold() in str(refusal).casefold()
        assert refusal.where.startswith("attack")
    # An attack that no word was run of has left everything, bit by bit, as the query before found it.
    if attack.told == DOES_NOT_RUN:
        assert scene.pilot.read_bytes() == fresh
    # What is the same to the byte answers the same.
    elif scene.pilot.read_bytes() != fresh:
        assert run(scene, "SELECT i, (SELECT count(*) FROM orders) FROM kept").rows == [[7, 400]]
        scene.pilot.write_bytes(fresh)
