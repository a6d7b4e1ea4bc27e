"""The Lab's commands, in the order of a pilot's way."""

from lab.cli import planning, running, finishing, learning, importing, certifying  # isort: skip - the order in which `--help` lists them
from lab.cli.group import app

__all__ = ["app", "certifying", "finishing", "importing", "learning", "planning", "running"]
