"""The Factory's own truth: its tables and settings, the states of its releases, and the permits to run."""
