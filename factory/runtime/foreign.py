"""What is not the Factory's in its own Prefect: found by kind, removed, and named."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

from factory.runtime.deployments import FLOW, PAGE, POOL, QUEUE, client_of_ours

# Prefect makes these for each deployment of ours that runs once at a time.
OUR_LIMITS = "deployment:"
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of thing that Prefect holds.

    Attributes:
        name: what people call it.
        path: where the API has it.
        ours: whether one is the Factory's; the ids of our flows and the releases' names decide for deployments.
        key: which of its fields the API deletes it by.
        asked: how the API is asked for them, beyond all of them.
    """

    name: str
    path: str
    ours: Callable[[Row, Collection[str], Collection[str]], bool] = lambda _row, _flows, _releases: False
    key: str = "id"
    asked: tuple[tuple[str, Any], ...] = ()


# In the order of removal: what acts by itself goes first, and a pool takes its queues with it.
_KINDS = (
    _Kind("automation", "automations"),
    _Kind("deployment", "deployments", lambda row, flows, names: row["flow_id"] in flows and row["name"] in names),
    _Kind("flow", "flows", lambda row, _flows, _releases: row["name"] == FLOW),
    _Kind("work pool", "work_pools", lambda row, _flows, _releases: row["name"] == POOL, key="name"),
    _Kind("work queue", "work_queues", lambda row, _f, _r: (row["work_pool_name"], row["name"]) == (POOL, QUEUE)),
    _Kind("block", "block_documents"),
    _Kind("block", "block_documents", asked=(("block_documents", {"is_anonymous": {"eq_": True}}),)),
    _Kind("variable", "variables"),
    _Kind("limit", "v2/concurrency_limits", lambda row, _flows, _releases: row["name"].startswith(OUR_LIMITS)),
    _Kind("saved search", "saved_searches"),
)  # fmt: skip


def remove_foreign(releases: Collection[str]) -> tuple[list[str], list[str]]:
    """Removes everything from Prefect that is not the Factory's: what is gone, and what Prefect does not give up.

    Each by kind and name. `releases` are the names of all there ever were. Prefect's own kinds of blocks describe,
    and do nothing: they stay.
    """
    removed: list[str] = []
    kept: list[str] = []
    from httpx import HTTPStatusError

    with client_of_ours() as client:
        api = cast("Any", client)  # its type knows Prefect's own routes, one by one
        flows = {row["id"] for row in _all(api, "flows", ()) if row["name"] == FLOW}
        for kind in _KINDS:
            for row in _all(api, kind.path, kind.asked):
                if kind.ours(row, flows, releases):
                    continue
                name = f"{kind.name} {row.get('name')!r}"
                try:
                    api.request("DELETE", f"/{kind.path}/{quote(str(row[kind.key]), safe='')}")
                    removed.append(name)
                except HTTPStatusError:
                    kept.append(name)
    return removed, kept


def _all(api: Any, path: str, asked: tuple[tuple[str, Any], ...]) -> list[Row]:
    rows: list[Row] = []
    while page := api.request(
        "POST", f"/{path}/filter", json={"limit": PAGE, "offset": len(rows), **dict(asked)}
    ).json():
        rows += page
    return rows
