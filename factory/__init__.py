"""The Factory: runs what was approved, on a schedule."""
