"""Doors: what one room asks of another is a typed request to it, which it answers with its own files."""
