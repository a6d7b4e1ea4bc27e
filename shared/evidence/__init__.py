"""Evidence: what a pilot showed, computed from moments by pure functions."""
