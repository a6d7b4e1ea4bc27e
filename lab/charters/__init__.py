"""Charters on their way to a launch: drafts, briefs, sizing, and what `lab check` says."""
