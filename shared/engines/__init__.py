"""Engines turn rows into moments; statistics never see rows."""
