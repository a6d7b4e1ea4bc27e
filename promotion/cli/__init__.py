"""The gate's commands: each parses, calls one function and prints."""

from promotion.cli import trusting, waiting, checking, deciding, recalling, proving  # isort: skip - the order of `--help`
from promotion.cli.group import app

__all__ = ["app", "checking", "deciding", "proving", "recalling", "trusting", "waiting"]
