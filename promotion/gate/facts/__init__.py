"""Facts of a case that several checks read."""
