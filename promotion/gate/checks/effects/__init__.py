"""Checks of the effects: recomputed, better where promised, not harmful, not chance."""
