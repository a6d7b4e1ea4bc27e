"""The Lab: learn fast; may be wrong."""
