"""Releases at work under Prefect, and how they are doing."""
