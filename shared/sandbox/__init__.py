"""Lab-written code in a box: untrusted SQL and templates run in a fresh child process that the kernel confines."""

from shared.sandbox.box import Limits, WithoutLandlock, ensure_available
from shared.sandbox.calls import QueryResult, audience, check_audience, check_template, query, render

__all__ = [
    "Limits",
    "QueryResult",
    "WithoutLandlock",
    "audience",
    "check_audience",
    "check_template",
    "ensure_available",
    "query",
    "render",
]
