"""Checks of the release: what the Factory found when it tried the play, and how the play is watched."""
