"""A webhook: one JSON object posted to an address of the team's own, and whether it was taken."""

from __future__ import annotations

import json
import ssl
from typing import Any
from urllib.parse import urlsplit

from shared.core.errors import Refused, Undecided

TIMEOUT_S = 20
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def require_safe(url: str) -> str:
    """The address; raises ValueError where it is none that may be spoken to: https, or http to this machine."""
    parts = urlsplit(url)
    if (parts.scheme == "https" and parts.hostname) or (parts.scheme == "http" and parts.hostname in LOOPBACK):
        return url
    raise ValueError("a webhook's address begins with https://; http:// is for this machine only")


def post(url: str, content: dict[str, Any], *, key: str, setting: str) -> None:
    """Posts once, with `key` as the Idempotency-Key header, and follows no redirect.

    Raises Refused where the other side does not take it, and Undecided where it did not say. Errors name the host
    alone: a webhook's path often is its password.
    """
    import httpx

    host = urlsplit(url).netloc.rpartition("@")[2]
    headers = {"Content-Type": "application/json; charset=utf-8", "Idempotency-Key": key, "User-Agent": "pilotplant"}
    # The machine's own authorities, among which a team's may be; httpx brings others.
    trusted = ssl.create_default_context()
    try:
        with httpx.stream(
            "POST", url, content=json.dumps(content), headers=headers, timeout=TIMEOUT_S, verify=trusted
        ) as answer:
            if not answer.is_success:
                raise _refused(host, f"it answered {answer.status_code}", setting)
    except httpx.ConnectError as error:  # nothing was said yet
        raise _refused(host, str(error), setting) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _unknown(host, str(error) or type(error).__name__, setting) from error


def _refused(host: str, why: str, setting: str) -> Refused:
    return Refused(
        f"the webhook at {host} did not take it: {why}",
        where=setting,
        expected="an answer of 200 to 299",
        remedy="correct the address, or ask who runs it; nothing was taken",
    )


def _unknown(host: str, why: str, setting: str) -> Undecided:
    return Undecided(
        f"the webhook at {host} did not say whether it took it: {why}",
        where=setting,
        remedy="ask who runs it whether it has come",
    )
