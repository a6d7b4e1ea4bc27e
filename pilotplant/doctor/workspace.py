"""The workspace: whose it is, its settings, databases, keys, the Factory's pulse and port, the Lab's notebook."""

from __future__ import annotations

import errno
import os
import pwd
import socket
from collections.abc import Callable
from datetime import datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import sqlalchemy as sa

import factory.state.settings
import lab.state
import promotion.gate.policy
from factory.runtime import pulse
from factory.runtime.door import HOST
from factory.runtime.server import choose_port
from factory.state.tables import releases
from pilotplant.databases import ROOMS, database_url
from pilotplant.doctor.checks import Check, Question
from pilotplant.soundness import file_problems
from shared.core.clock import parse_rfc3339
from shared.core.times import date_time
from shared.core.zones import is_everywhere
from shared.data.contracts import load_contract
from shared.experiment.metrics import read_metrics
from shared.experiment.people import read_people
from shared.state import ledger
from shared.state.access import FILE as ACCESS
from shared.state.access import exposed, group_of
from shared.state.db import NEWER_REMEDY, connect, reading, shown, sqlite_file, version_of
from shared.state.room import has_lived
from shared.state.team import read_team
from shared.state.workspace import Workspace
from shared.trust.keys import FACTORY, GATE, KeyStore, PublicKey, read_public
from shared.ui.console import counted

# How many paths a finding names.
_NAMED = 3
_SETTINGS: dict[str, Callable[[Workspace], Any]] = {
    "lab.yaml": lab.state.read_settings,
    "gate.yaml": promotion.gate.policy.read_settings,
    "factory.yaml": factory.state.settings.read_settings,
    "people.yaml": read_people,
    "metrics.yaml": read_metrics,
    "team.yaml": read_team,
    "access.yaml": group_of,
}
_RESTORE = "restore it from a backup"


def checks(workspace: Workspace) -> list[Question]:
    """What is asked of a workspace."""
    contracts = sorted((workspace.configs / "contracts").glob("*.odcs.yaml"))
    return [
        Question("account", partial(account, workspace), "work as the account that the workspace belongs to"),
        Question("file modes", partial(modes, workspace), f"correct configs/{ACCESS}"),
        *(
            Question(f"configs/{name}", partial(_setting, workspace, name, read), "correct it there, or " + _RESTORE)
            for name, read in _SETTINGS.items()
        ),
        *(
            Question(f"configs/contracts/{path.name}", partial(_contract, path), "correct it there, or " + _RESTORE)
            for path in contracts
        ),
        Question("team's time zone", partial(zone, workspace), "name another zone in configs/team.yaml"),
        *(
            Question(f"{room} database", partial(database, workspace, room), "restore the database from a backup")
            for room in ROOMS
        ),
        *(
            Question(f"{room} clock", partial(in_order, workspace, room), "mend the room's database first")
            for room in ROOMS
        ),
        *(Question(f"key of {name}", partial(key, workspace, name), _RESTORE) for name in (GATE, FACTORY)),
        Question("keys of who decides", partial(owners, workspace), "correct configs/people.yaml first"),
        Question("Factory", partial(plant, workspace), "pilotplant factory up"),
        Question("Factory's port", partial(port, workspace), "correct configs/factory.yaml first"),
        Question("MLflow store", partial(notebook, workspace), _RESTORE),
    ]


def account(workspace: Workspace) -> Check:
    """Whether the workspace is this account's, or of a group that this account is in."""
    owner, me = workspace.root.stat().st_uid, os.geteuid()
    if owner == me:
        return Check("account", True, f"the workspace belongs to this account, {_account(me)}")
    group = group_of(workspace)
    if group is not None and group in {os.getegid(), *os.getgroups()}:
        return Check("account", True, f"{_account(me)} is of the group in configs/{ACCESS}")
    remedy = f"give commands as {_account(owner)}, or name the group of both in configs/{ACCESS} (docs/access.md)"
    return Check("account", False, f"the workspace belongs to {_account(owner)}, and this is {_account(me)}", remedy)


def _account(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"account {number}"


def modes(workspace: Workspace) -> Check:
    """Whether other accounts can reach what they should not."""
    found = exposed(workspace)
    if not found:
        return Check("file modes", True, "no other account of this machine can reach what is the workspace's")
    names = [str(path.relative_to(workspace.root)) if path.is_relative_to(workspace.root) else str(path)
             for path in found[:_NAMED]]  # fmt: skip
    more = f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else ""
    remedy = "give any command as their owner, which closes them: pilotplant verify"
    return Check("file modes", False, f"other accounts can reach {', '.join(names)}{more}", remedy)


def _setting(workspace: Workspace, name: str, read: Callable[[Workspace], Any]) -> Check:
    read(workspace)
    there = (workspace.configs / name).exists()
    return Check(f"configs/{name}", True, "can be read" if there else "is not there; the defaults hold")


def _contract(path: Path) -> Check:
    load_contract(path)
    return Check(f"configs/contracts/{path.name}", True, "can be read")


def zone(workspace: Workspace) -> Check:
    """Whether the team's zone is one for Python, DuckDB and Prefect alike."""
    name = read_team(workspace).timezone or "UTC"
    if is_everywhere(name):
        return Check("team's time zone", True, name)
    return Check("team's time zone", False, f"`{name}` is known to this machine, and not to DuckDB or Prefect")


def database(workspace: Workspace, room: str) -> Check:
    """Whether a room's database can be read, is sound, and is of this release's schema."""
    name, engine = f"{room} database", _engine(workspace, room)
    if engine is None:
        return _unmade(workspace, room)
    wanted, file = import_module(ROOMS[room][0]).SCHEMA_VERSION, sqlite_file(engine)
    if file is not None and (problems := file_problems(file, f"the {room} database")):
        return Check(name, False, problems[0], "restore the database from a backup")
    version = version_of(engine)
    if version == wanted:
        return Check(name, True, f"schema {version}, {shown(engine)}")
    if version is None:
        return _unmade(workspace, room) if file is not None else Check(
            name, False, f"nothing was made in it yet: {shown(engine)}",
            f"have its owner run: pilotplant init-database {room} --role ROLE",
        )  # fmt: skip
    remedy = NEWER_REMEDY if version > wanted else "pilotplant migrate"
    return Check(name, False, f"it is of schema {version}, and this release reads {wanted}", remedy)


def _engine(workspace: Workspace, room: str) -> sa.Engine | None:
    """The engine of a room's database; None for a file that is not there, whose folder would be made otherwise."""
    url = database_url(workspace, room)
    file = url.removeprefix("sqlite:///")
    if file not in {"", url} and not os.path.lexists(workspace.root / file):
        return None
    return connect(url, workspace.root)


def _unmade(workspace: Workspace, room: str) -> Check:
    """A room without a table: it is new, or its database is gone."""
    if has_lived(room, workspace):
        return Check(f"{room} database", False, "it is gone: this room had one", "restore it from a backup")
    return Check(f"{room} database", True, "nothing was made in it yet; the first command does")


def in_order(workspace: Workspace, room: str) -> Check:
    """Whether the clock shows no moment before the room's last entry."""
    name, now, engine = f"{room} clock", workspace.clock.now(), _engine(workspace, room)
    if engine is None or version_of(engine) is None:
        last: datetime = workspace.created
        what = "the workspace was made"
        if workspace.mode == "rehearsal":
            return Check(name, True, f"it is {date_time(now)}, and nothing was written yet")
    else:
        with reading(engine) as connection:
            entry = ledger.last(connection, import_module(ROOMS[room][0]).metadata.tables[ledger.LEDGER])
        last = workspace.created if entry is None else parse_rfc3339(entry.at)
        what = "its ledger's last entry"
    if now >= last:
        return Check(name, True, f"it is {date_time(now)}, not before {what}")
    remedy = (
        "set it again: pilotplant clock MOMENT"
        if workspace.mode == "rehearsal"
        else "put the machine's clock right; if it ran ahead before: pilotplant promote correct-clock --as EMAIL"
    )
    return Check(name, False, f"it is {date_time(now)}, and {what} is of {date_time(last)}", remedy)


def key(workspace: Workspace, name: str) -> Check:
    """Whether a room's key is made, enrolled, on this machine, and the one that is enrolled."""
    label, of_gate = f"key of {name}", _keys(workspace)
    public = of_gate.get(name)
    make = {
        GATE: "pilotplant promote enrol gate",
        FACTORY: "pilotplant factory enrol; pilotplant promote enrol factory",
    }
    if public is None:
        return Check(label, False, f"no key of {name} is enrolled", make[name])
    store = KeyStore(workspace)
    if not store.has(name):
        if group_of(workspace) is not None:
            return Check(label, True, f"{public.key_id[:8]} is enrolled; its private half is another account's")
        where = (
            f"see that PILOTPLANT_KEYS is the one with which it was made; else restore {store.path(name)} from a backup"
        )
        return Check(label, False, "its private half is not on this machine", where)
    if not store.needs_passphrase and store.public(name, public.role).key_id != public.key_id:
        return Check(label, False, "the private key here is not the one that is enrolled", _RESTORE)
    said = "" if not store.needs_passphrase else "; whether it opens, only its passphrase can tell"
    return Check(label, True, f"{public.key_id[:8]} is enrolled, and its private half is here{said}")


def owners(workspace: Workspace) -> Check:
    """Whether everybody who decides has an enrolled key, and the Factory trusts it."""
    name, enrolled = "keys of who decides", _keys(workspace)
    trusted = {one.key_id for one in read_public(workspace.configs / "trusted_keys")}
    persons = [one.email for one in read_people(workspace).people if one.decides is not None]
    if not persons:
        return Check(name, False, "nobody may decide on a pilot", "give somebody `decides` in configs/people.yaml")
    known = {one.casefold(): held for one, held in enrolled.items()}
    for person in (*persons, GATE):
        held = known.get(person.casefold())
        if held is None:
            return Check(name, False, f"no key of {person} is enrolled", f"pilotplant promote enrol {person}")
        if held.key_id not in trusted:
            return Check(name, False, f"the Factory does not trust the key of {person}",
                         f"pilotplant factory trust {person}")  # fmt: skip
    return Check(name, True, f"enrolled and trusted: {', '.join(persons)}")


def _keys(workspace: Workspace) -> dict[str, PublicKey]:
    """The enrolled key of each name that signs with one now."""
    held = read_public(workspace.promotion / "keys")
    return {one.name: one for one in held if one.ends is None and one.revoked_since is None}


def plant(workspace: Workspace) -> Check:
    """How the Factory is; that it was stopped, or never started, is wrong only where releases are live."""
    found, live = pulse.read(workspace), 0
    if found.state in {"never started", "stopped"}:
        engine = _engine(workspace, "factory")
        if engine is not None and version_of(engine) is not None:
            query = sa.select(sa.func.count()).select_from(releases).where(releases.c.state == "live")
            with reading(engine) as connection:
                live = int(connection.execute(query).scalar_one())
    ok = found.is_up or (found.state in {"never started", "stopped"} and not live)
    what = f"it {found}" + (f", and {counted(live, 'release')} should run" if live else "")
    remedy = {"silent": "end its process, then: pilotplant factory up", "failing": "pilotplant factory log"}
    return Check("Factory", ok, what, remedy.get(found.state, "pilotplant factory up"))


def port(workspace: Workspace) -> Check:
    """Whether the Factory's port is free for it, or held by it."""
    wanted = factory.state.settings.read_settings(workspace).prefect.port
    if pulse.read(workspace).state in {"up", "failing", "silent"}:
        held = _listens(wanted)
        return Check("Factory's port", True, f"{wanted}, on which it listens" if held else "it listens on another one")
    choose_port(None, wanted)
    return Check("Factory's port", True, f"{wanted} is free")


def _listens(number: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(5)
        return probe.connect_ex((HOST, number)) != errno.ECONNREFUSED


def notebook(workspace: Workspace) -> Check:
    """Whether the Lab's MLflow store is sound inside."""
    file = workspace.lab / "mlflow.db"
    if not os.path.lexists(file):
        return Check("MLflow store", True, "nothing was analysed yet")
    problems = file_problems(file, "the Lab's notebook")
    if problems:
        return Check("MLflow store", False, problems[0])
    return Check("MLflow store", True, "sound inside")
