"""The Lab's commands, in the order of a pilot's way."""

from lab.cli import plan, run, finish, learn, imports, certify  # isort: skip - the order in which `--help` lists them
from lab.cli.group import app

__all__ = ["app", "certify", "finish", "imports", "learn", "plan", "run"]
