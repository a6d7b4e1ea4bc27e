"""The gate's commands: each parses, calls one function and prints."""

# In the order in which `--help` lists them.
# isort: off
from promotion.cli import trusting, waiting, checking, deciding, countersigning, recalling, verifying

# isort: on
from promotion.cli.group import app

__all__ = ["app", "checking", "countersigning", "deciding", "recalling", "trusting", "verifying", "waiting"]
