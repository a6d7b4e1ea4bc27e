"""The Factory's commands: each parses, calls one function and prints."""

from factory.cli import load, admit, run, switch  # isort: skip - the order in which `--help` lists them
from factory.cli.group import app

__all__ = ["admit", "app", "load", "run", "switch"]
