"""The demo: the whole way in a rehearsal, through the very commands that a team would type."""

from pilotplant.demo.story import run_demo

__all__ = ["run_demo"]
