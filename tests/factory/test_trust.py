"""Trust: a key counts once someone has pinned it, and is not exchanged in silence."""

from __future__ import annotations

import pytest

from factory.releases.trust import trust
from shared.core.errors import BadInput, Refused
from shared.trust.keys import GATE, read_public, write_public
from tests.makers import OWNER, keys_of


def test_pinning_twice_is_a_no_op(workspace):
    (workspace.configs / "trusted_keys" / f"{OWNER}.yaml").unlink()
    key, fresh = trust(workspace, OWNER)
    assert fresh
    assert trust(workspace, OWNER) == (key, False)
    assert key in read_public(workspace.configs / "trusted_keys")


def test_another_key_under_the_same_name_needs_replace(workspace):
    old = trust(workspace, OWNER)[0]
    write_public(workspace.promotion / "keys", keys_of(workspace).create(OWNER, "owner"))
    with pytest.raises(Refused, match=old.key_id):
        trust(workspace, OWNER)
    new, fresh = trust(workspace, OWNER, replace=True)
    assert fresh
    assert new != old


def test_a_key_of_the_other_mode_and_an_unknown_name_are_refused(workspace):
    record = keys_of(workspace).public(OWNER, "owner").model_copy(update={"mode": "live"})
    write_public(workspace.promotion / "keys", record)
    with pytest.raises(Refused, match="made in a live workspace"):
        trust(workspace, OWNER)
    with pytest.raises(BadInput, match="no key of nobody"):
        trust(workspace, "nobody@example.com")


def test_a_key_that_is_trusted_under_another_name_is_refused(workspace):
    gate = trust(workspace, GATE)[0]
    write_public(workspace.promotion / "keys", gate.model_copy(update={"name": OWNER, "role": "owner"}))
    with pytest.raises(Refused, match="trusted already as the one of gate"):
        trust(workspace, OWNER, replace=True)
