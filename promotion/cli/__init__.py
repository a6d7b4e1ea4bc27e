"""The gate's commands: each parses, calls one function and prints."""

from promotion.cli import trusting, waiting, checking, deciding, recalling, verifying  # isort: skip - as --help lists them
from promotion.cli.group import app

__all__ = ["app", "checking", "deciding", "recalling", "trusting", "verifying", "waiting"]
