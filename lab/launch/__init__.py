"""Launching and amending: what keeps a charter from it, and the previews before it."""
