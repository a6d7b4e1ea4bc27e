"""Preflight: a candidate tried on the Factory's own data, without anything being written but the report."""
