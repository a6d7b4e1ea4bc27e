"""The Lab's commands, in the order of a pilot's way."""

from lab.cli import planning, running, finishing, learning, certifying  # isort: skip - the order in which `--help` lists them
from lab.cli.group import app

__all__ = ["app", "certifying", "finishing", "learning", "planning", "running"]
