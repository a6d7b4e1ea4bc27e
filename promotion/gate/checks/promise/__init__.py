"""Checks of the promise: frozen, reasonable, in order of time, its line and its successor."""
