"""Analyses, reports, the A/A certificate, and the sealed candidate."""
