"""The demo: the whole way in a rehearsal, through the very commands that a team would type."""

from pilotplant.demo.story import free_folder, run_demo

__all__ = ["free_folder", "run_demo"]
