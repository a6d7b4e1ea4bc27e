"""Retrospective tests: finished tests that ran elsewhere, brought in for what they taught; none is ever scaled."""
