"""One attack against one layer of the box alone: a throwaway child of the matrix, assembled here and nowhere else."""

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from shared.sandbox import child, landlock, tables
from shared.sandbox.statements import admit_sandbox
from tests.shared.sandbox.scene import MARK

# What an unconfined layer gets instead of limits, so that the matrix outlives it.
NET_MB, NET_FILE_MB, NET_PROCESSOR_S = 4_096, 128, 4
around = pa.table({"x": [MARK]})  # a variable of the process around, which DuckDB's replacements can see


def main() -> None:
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    job: dict[str, Any] = json.loads(sys.stdin.buffer.read())
    if job["layer"] == "kernel":
        child._load("query")
        child._limit(job, child.SQL_OVERHEAD_MB)
        landlock.restrict(read=[Path(path) for path in (*job["read"], *child._PUBLIC)], own=[Path(job["own"])])
    else:
        resource.setrlimit(resource.RLIMIT_AS, (NET_MB * child.MIB, NET_MB * child.MIB))
        resource.setrlimit(resource.RLIMIT_CPU, (NET_PROCESSOR_S, NET_PROCESSOR_S + 1))
        resource.setrlimit(resource.RLIMIT_FSIZE, (NET_FILE_MB * child.MIB, NET_FILE_MB * child.MIB))
    answer.write(json.dumps([_told(job, sql) for sql in job["steps"]]).encode())
    answer.close()


def _told(job: dict[str, Any], sql: str) -> str:
    """All that every statement shows, or how it failed; the next is tried all the same."""
    shown: list[str] = []
    try:
        if job["layer"] == "statements":
            admit_sandbox(sql)
        with _connect(job) as connection:
            for statement in duckdb.extract_statements(sql):
                try:
                    shown.append(str(connection.execute(statement).fetchall()))
                except Exception as error:  # noqa: BLE001 -- how an attack fails is its own affair
                    shown.append(f"{type(error).__name__}: {error}")
    except Exception as error:  # noqa: BLE001 -- the same
        shown.append(f"{type(error).__name__}: {error}")
    return "\n".join(shown)


def _connect(job: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    if job["layer"] == "settings":
        return tables._connect(job)
    # What DuckDB would fetch from the internet by itself, it asks of the scene's own port.
    connection = duckdb.connect(job["database"], config={"custom_extension_repository": job["repository"]})
    for name, paths in job["tables"].items():
        tables._view(connection, name, paths)
    if job["layer"] == "kernel":
        tables.forbid_processes()
    return connection


main()
