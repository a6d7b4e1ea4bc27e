"""Pilots as they are launched: the frozen promise, who takes part, and which arm."""
