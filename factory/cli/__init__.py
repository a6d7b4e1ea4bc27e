"""The Factory's commands: each parses, calls one function and prints."""

from factory.cli import loading, admitting, running, switching  # isort: skip - the order in which `--help` lists them
from factory.cli.group import app

__all__ = ["admitting", "app", "loading", "running", "switching"]
