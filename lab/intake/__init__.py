"""Exposures and outcomes on their way in, judged row by row."""
