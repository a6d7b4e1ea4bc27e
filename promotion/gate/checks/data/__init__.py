"""Checks of the data: complete, fresh, of known quality, and lost alike in every arm."""
