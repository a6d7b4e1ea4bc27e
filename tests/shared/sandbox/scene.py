"""The scene of the attacks: secrets and files around the box, and an inventory of what an attack did to them."""

from __future__ import annotations

import hashlib
import os
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

# In every file, table, column, name and variable that is none of the box's business.
MARK = "outside-secret-51ab"
FORGED = "forged"
# In /etc/passwd, a process' map, its environment, the parent's job as JSON within JSON; and what an attack forges.
ELSEWHERE = ("root:x:0", "[heap]", "PATH=", 'parent\\": ')
VARIABLE = "PILOTPLANT_SECRET"


@dataclass(frozen=True)
class Scene:
    """A folder with inputs, the pilot's own database, and what must stay as it is; a port that must stay silent."""

    root: Path
    listener: socket.socket

    @property
    def tables(self) -> dict[str, Path]:
        return {name: self.root / "inputs" / f"{name}.parquet" for name in ("customers", "orders")}

    @property
    def pilot(self) -> Path:
        return self.root / "sandboxes" / "pilot.duckdb"

    def places(self, own: str = "sandbox") -> dict[str, str]:
        """What the names in braces stand for."""
        return {
            "root": str(self.root),
            "outside": str(self.root / "outside"),
            "inputs": str(self.root / "inputs"),
            "customers": str(self.tables["customers"]),
            "sandboxes": str(self.root / "sandboxes"),
            "pilot": str(self.pilot),
            "other": str(self.root / "sandboxes" / "other.duckdb"),
            "own": own,
            "own_file": f"{own}.duckdb",
            "parent": str(os.getpid()),
            "port": str(self.listener.getsockname()[1]),
        }

    def aimed(self, sql: str) -> str:
        """The attack with its places filled in; braces of SQL itself are left alone."""
        for name, place in self.places().items():
            sql = sql.replace(f"{{{name}}}", place)
        return sql

    def inventory(self) -> dict[str, str]:
        """Every file by its content, but for the pilot's own database."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            if path == self.pilot:
                continue
            name = str(path.relative_to(self.root))
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
        return found

    def harm(self, before: dict[str, str], said: str) -> list[str]:
        """What an attack did: what it learned that it told in `said`, what it changed, whom it called."""
        now = self.inventory()
        told = [
            mark for mark in (MARK, *ELSEWHERE, FORGED) if any(form in said for form in (mark, mark.encode().hex()))
        ]
        changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
        return [
            *(f"told {mark}" for mark in told),
            *(f"touched {name}" for name in changed),
            *(["called over the network"] if self._called() else []),
        ]

    def _called(self) -> bool:
        called = False
        while select.select([self.listener], [], [], 0)[0]:
            self.listener.accept()[0].close()
            called = True
        return called


@contextmanager
def scene_in(root: Path) -> Iterator[Scene]:
    """A scene, whose secret is in the environment too while it lasts."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        scene = Scene(root.resolve(), listener)
        _furnish(scene)
        os.environ[VARIABLE] = MARK
        try:
            yield scene
        finally:
            os.environ.pop(VARIABLE, None)


def _furnish(scene: Scene) -> None:
    inputs, outside, sandboxes = (scene.root / name for name in ("inputs", "outside", "sandboxes"))
    for folder in (inputs, outside / "import", sandboxes, scene.root / "home"):
        folder.mkdir(parents=True)
    connection = duckdb.connect()
    secret = f"SELECT '{MARK}' AS \"{MARK}\", 'x' AS unit"
    for sql, path in (
        ("SELECT 'u' || i AS unit, i % 3 AS segment FROM range(100) t(i)", scene.tables["customers"]),
        ("SELECT 'u' || (i % 40) AS unit, i AS amount FROM range(400) t(i)", scene.tables["orders"]),
        (secret, inputs / "neighbour.parquet"),
        (secret, outside / "secret.csv"),
        (secret, outside / "secret.json"),
    ):
        connection.execute(f"COPY ({sql}) TO '{path}'")
    key = f"FORMAT parquet, KV_METADATA {{x: '{MARK}'}}"
    connection.execute(f"COPY ({secret}) TO '{outside / 'secret.parquet'}' ({key})")
    for name in ("secret.txt", "secret.db", "evil.duckdb_extension", f"{MARK}.txt"):
        (outside / name).write_text(MARK)
    (outside / "import" / "schema.sql").write_text(f"CREATE TABLE imported AS SELECT '{MARK}' AS x;")
    (outside / "import" / "load.sql").write_text("")
    for path, sql in (
        (sandboxes / "other.duckdb", f"CREATE TABLE hidden AS SELECT '{MARK}' AS x"),
        (scene.pilot, "CREATE TABLE kept AS SELECT 7 AS i"),
    ):
        with duckdb.connect(path) as database:
            database.execute(sql)
    (sandboxes / "link").symlink_to(outside / "secret.txt")
    (sandboxes / "link.duckdb").symlink_to(sandboxes / "other.duckdb")
    (sandboxes / "folder").symlink_to(outside)
    (sandboxes / "to_input").symlink_to(scene.tables["customers"])
    (sandboxes / "hard").hardlink_to(outside / "secret.txt")
    (sandboxes / "hard_input").hardlink_to(scene.tables["customers"])
    (sandboxes / ".pilot.duckdb.lock").touch()
