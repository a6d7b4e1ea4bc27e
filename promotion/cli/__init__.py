"""The gate's commands: each parses, calls one function and prints."""

# In the order in which `--help` lists them.
# isort: off
from promotion.cli import keys, queue, check, decide, waive, sign, countersign, history, verify

# isort: on
from promotion.cli.group import app

__all__ = ["app", "check", "countersign", "decide", "history", "keys", "queue", "sign", "verify", "waive"]
